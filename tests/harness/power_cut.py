#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pull the plug of the disk that has the volume, its metadata and its cache, again and again in the middle of a
workload, and check what is left.

usage: power_cut.py [--rounds N] [--seconds S] [--longest S] [--seed N] FOLDER

The disk is an image in FOLDER behind logdisk and a loop device, with ext4; it has a volatile cache: what no
flush came after is lost or not, write by write (lose_writes.py).  What is checked is in power.py.  Needs root."""
import argparse, contextlib, os, random, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import power

DISK_BYTES = 1 << 30


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def patiently(*command):
    """What was just killed may still be on it."""
    for _ in range(500):
        if subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.02)
    run(*command)


class Disk:
    def __init__(self, folder, image):
        self.server, self.top, self.scratch = None, os.path.join(folder, 'disk'), os.path.join(folder, 'scratch')
        self.image = image
        for path in (self.top, self.scratch):
            os.makedirs(path, exist_ok=True)

    def mount(self, log=None):
        """@p log: where to put down what is written."""
        file = self.image
        if log:
            file = os.path.join(self.top, 'disk')
            self.server = subprocess.Popen(['logdisk', self.image, log, self.top], stdin=subprocess.DEVNULL)
            while not os.path.exists(file):
                if self.server.poll() is not None:
                    sys.exit('logdisk ended')
                time.sleep(0.01)
        loop = run('losetup', '--find', '--show', '--direct-io=on' if log else '--direct-io=off', file)
        try:
            run('mount', '-t', 'ext4', '-o', 'noatime', loop, self.scratch)
        finally:
            run('losetup', '--detach', loop)    # when nobody has it mounted any more

    def pull_the_plug(self):
        self.server.kill()
        self.server.wait()

    def umount(self):
        patiently('umount', self.scratch)
        if self.server:
            patiently('umount', self.top)
            self.server = None

    def clear(self):
        if self.server:
            self.pull_the_plug()
        for path in (self.scratch, self.top):
            subprocess.run(['umount', '-l', path], stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def volume_on(args, image, log, writes=None):
    """The disk, mounted, and the round on it; whatever goes wrong, nothing of them stays."""
    disk, round_ = Disk(args.folder, image), None
    try:
        disk.mount(writes)
        round_ = power.Round(disk.scratch, args.folder, log)
        yield disk, round_
        disk.umount()
    except BaseException:
        if round_:
            round_.mount.clear()
        disk.clear()
        raise


def one_round(args, rng, image, number, log):
    """@return how many operations there were before it."""
    running, writes = os.path.join(args.folder, 'running.img'), os.path.join(args.folder, 'writes')
    run('cp', '--sparse=always', image, running)
    with volume_on(args, running, log, writes) as (disk, round_):
        operations = round_.check(power.options_of(number))
        pids = round_.work(f'{args.seed}.{number}')
        time.sleep(rng.random() ** 2 * args.longest)
        disk.pull_the_plug()
        round_.mount.clear()
        for pid in pids:
            os.waitpid(pid, 0)
    lost = run(os.path.join(os.path.dirname(__file__), 'lose_writes.py'), image, writes, f'{args.seed}.{number}')
    if args.verbose:
        print(f'round {number}: {operations} operations before; {lost}', flush=True)
    return operations


def last_check(args, image, log):
    with volume_on(args, image, log) as (_, round_):
        operations = round_.check([])
        round_.mount.stop()
    return operations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=int(os.environ.get('ROUNDS', 2)))
    parser.add_argument('--seconds', type=float, default=float(os.environ.get('SECONDS_MAX', 6)))
    parser.add_argument('--longest', type=float, default=1)
    parser.add_argument('--seed', type=int, default=int(os.environ.get('SEED', random.randrange(10 ** 6))))
    parser.add_argument('--verbose', action='store_true')
    parser.add_argument('folder')
    args = parser.parse_args()
    print(f'seed {args.seed}', flush=True)
    rng = random.Random(args.seed)
    image = os.path.join(args.folder, 'disk.img')
    with open(image, 'wb') as f:
        f.truncate(DISK_BYTES)
    run('mkfs.ext4', '-q', '-F', '-m', '0', image)
    end = time.monotonic() + args.seconds
    rounds = operations = 0
    with open(os.path.join(args.folder, 'daemon.log'), 'a') as log:
        while rounds < args.rounds and (rounds < 2 or time.monotonic() < end):
            operations += one_round(args, rng, image, rounds, log)
            rounds += 1
        operations += last_check(args, image, log)
    said = f'seed {args.seed}: {rounds} power failures, {operations} operations'
    print(said)
    if 'CRASH_LOG' in os.environ:
        print(said, file=open(os.environ['CRASH_LOG'], 'a'))


if __name__ == '__main__':
    main()
