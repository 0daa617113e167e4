#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill the daemon with SIGKILL again and again in the middle of a workload, and check what is left.

usage: crash.py [--rounds N] [--seconds S] [--seed N] [--workers N] -- DAEMON [OPTION...] MNT

$VOLUME, $META and $CACHE are as the case has them; the volume is formatted.  After each kill: the metadata
and the store are consistent (curvefs fsck), so is what `curvefs restore` makes of the store alone, each worker's
directory is as crash_model.py allows, what the cache has is what the store has, and curvefs gc leaves nothing
that is not needed.  Every other round is with --writeback.
"""
import argparse, hashlib, os, random, shutil, signal, subprocess, sys, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crash_model as model

FAULTS = ['put:kill,after={n}', 'put:kill,late,after={n}', 'delete:kill,after={n}',
          'delete:kill,late,after={n}']


class Mount:
    def __init__(self, command, log):
        self.command, self.mnt, self.log = command, command[-1], log
        self.process = None

    def mounted(self):
        return any(line.split()[1] == self.mnt for line in open('/proc/self/mounts'))

    def start(self, faults=None, extra=None, options=()):
        """@return whether it is there; without `faults` or `extra` that is a must."""
        env = dict(os.environ, **(extra or {}))
        if faults:
            env['CURVEFS_STORE_FAULTS'] = faults
        self.process = subprocess.Popen([*self.command[:-2], *options, *self.command[-2:]], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, env=env)
        while not self.mounted():
            if self.process.poll() is not None:
                if faults and self.process.returncode == -signal.SIGKILL:
                    return False
                # A RocksDB with assertions aborts when it cannot write what it needs to open.
                if extra and self.process.returncode in (1, -signal.SIGABRT):
                    return False
                sys.exit(f'the daemon ended with {self.process.returncode} before the mount was there')
            time.sleep(0.005)
        return True

    def clear(self):
        """The daemon is dead, or is now: take its mount away."""
        if not self.process:
            return
        self.process.kill()
        self.process.wait()
        for _ in range(1000):
            if not self.mounted():
                return
            subprocess.run(['umount', '-l', self.mnt], stderr=subprocess.DEVNULL)
            time.sleep(0.005)
        sys.exit('the dead mount cannot be cleared away')

    def stop(self, may_fail=False):
        for _ in range(500):
            if subprocess.run(['umount', self.mnt], stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.01)
        status = self.process.wait(60)
        if status < 0 or status and not may_fail:
            sys.exit(f'the daemon ended with {self.process.returncode} after umount')


def tool(*args, statuses=(0,), meta=None, volume=None):
    done = subprocess.run(['curvefs', args[0], '--meta-dir', meta or os.environ['META'],
                           volume or os.environ['VOLUME'], *args[1:]], capture_output=True, text=True)
    if done.returncode not in statuses:
        sys.exit(f'curvefs {args[0]}: status {done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout


def check_copy(case):
    """The machine is lost as well: what the copy of the metadata names is in the store."""
    store, meta = os.path.join(case, 'lost-store'), os.path.join(case, 'lost-meta')
    shutil.copytree(os.environ['VOLUME'].removeprefix('file://'), store)
    os.mkdir(meta, 0o700)
    tool('restore', '--break-lease', meta=meta, volume=f'file://{store}')
    tool('fsck', meta=meta, volume=f'file://{store}')
    shutil.rmtree(store)
    shutil.rmtree(meta)


def digest(mnt):
    total = hashlib.sha256()
    for path, st in sorted(model.walk(mnt)):
        total.update(f'{path} {st.st_mode} {st.st_size} {st.st_nlink}'.encode())
        if os.path.isfile(os.path.join(mnt, path)) and not os.path.islink(os.path.join(mnt, path)):
            total.update(open(os.path.join(mnt, path), 'rb').read())
    return total.hexdigest()


def work(dirs, logs, trees, seed):
    pids = []
    for n, (root, log, tree) in enumerate(zip(dirs, logs, trees)):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                status = 0 if model.Worker(root, log, f'{seed}.{n}', tree).run(10 ** 6) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        pids.append(pid)
    return pids


def one_round(mount, rng, args, dirs, logs, number):
    faults = rng.choice(FAULTS).format(n=rng.randrange(200)) if rng.random() < 0.4 else None
    seed = f'{args.seed}.{number}'
    options = ['--writeback', *rng.choice([[], [], ['--upload-delay=3600']])] if number % 2 else []
    sync = None
    if mount.start(faults, options=options):
        alive = True
        try:
            trees = [model.Tree.load(d) for d in dirs]
        except OSError:             # the fault was for what the last mount left
            alive = False
        if alive:
            pids = work(dirs, logs, trees, seed)
            if rng.random() < 0.5:
                sync = subprocess.Popen(['curvefs', 'sync', mount.mnt], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
            until = time.monotonic() + (5 if faults else rng.random() ** 2 * args.longest)
            while time.monotonic() < until and mount.process.poll() is None:
                time.sleep(0.002)
            mount.process.kill()
            mount.process.wait()
            for pid in pids:
                if os.waitpid(pid, 0)[1]:
                    sys.exit(f'round {number}: a worker failed')
    else:
        alive = False
    mount.clear()
    tool('fsck')
    if sync:
        sync.wait(60)
        check_copy(os.environ['CASE_DIR'])
    mount.start()
    try:
        for d, log, tree in zip(dirs, logs, trees if alive else []):
            why = model.check(d, log, tree)
            if why:
                shutil.copy(log, os.path.join(os.environ['CASE_DIR'], 'failed.log'))
                sys.exit(f'round {number}, {os.path.basename(d)}: {why}\n' +
                         ''.join(open(log).readlines()[-6:]))
        warm = digest(mount.mnt)
    finally:
        mount.stop()
    tool('fsck')
    tool('gc', '--min-age', '0')
    again = tool('gc', '--min-age', '0')
    if ' 0 objects (0 B) that nothing names deleted, 0 pending ones, 0 files' not in again:
        sys.exit(f'round {number}: a second gc found something: {again}')
    if number % 4 == 0:
        shutil.rmtree(os.environ['CACHE'])
        os.mkdir(os.environ['CACHE'], 0o700)
        mount.start()
        cold = digest(mount.mnt)
        mount.stop()
        if cold != warm:
            sys.exit(f'round {number}: the store has not what the cache had')
    return sum(line.startswith('["end"') for log in logs for line in open(log)) if alive else 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--rounds', type=int, default=int(os.environ.get('ROUNDS', 5)))
    parser.add_argument('--seconds', type=float, default=float(os.environ.get('SECONDS_MAX', 3)))
    parser.add_argument('--longest', type=float, default=0.8)
    parser.add_argument('--seed', type=int, default=int(os.environ.get('SEED', random.randrange(10 ** 6))))
    parser.add_argument('--workers', type=int, default=3)
    parser.add_argument('command', nargs='+')
    args = parser.parse_args()
    case = os.environ['CASE_DIR']
    print(f'seed {args.seed}', flush=True)
    rng = random.Random(args.seed)
    mount = Mount(args.command, open(os.path.join(case, 'daemon.log'), 'a'))
    dirs = [os.path.join(mount.mnt, f'worker{n}') for n in range(args.workers)]
    logs = [os.path.join(case, f'worker{n}.log') for n in range(args.workers)]
    mount.start()
    for d in dirs:
        os.mkdir(d)
    mount.stop()
    end = time.monotonic() + args.seconds
    rounds = operations = 0
    while rounds < args.rounds and time.monotonic() < end:
        operations += one_round(mount, rng, args, dirs, logs, rounds)
        rounds += 1
    said = f'seed {args.seed}: {rounds} rounds, {operations} operations'
    print(said)
    if 'CRASH_LOG' in os.environ:
        print(said, file=open(os.environ['CRASH_LOG'], 'a'))


if __name__ == '__main__':
    main()
