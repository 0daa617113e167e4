#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""power.py BUILD STATE SEED ROUND|last: the guest's side of vmtest/crash.sh.

Checks what the last round left on the disk, and then changes it until the power fails, every other time with
--writeback.  What is acknowledged is written down in STATE, which is the host's.
"""
import os, pickle, shutil, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crash, crash_model as model

WORKERS = 3


class Round:
    """A volume with its metadata and its cache in folders of SCRATCH, a disk; what is acknowledged is in STATE."""

    def __init__(self, scratch, state, log):
        self.state, self.log = state, log
        self.at = {name: os.path.join(scratch, name) for name in ('volume', 'meta', 'cache', 'mnt')}
        os.environ.update(VOLUME='file://' + self.at['volume'], META=self.at['meta'], CACHE=self.at['cache'])
        self.dirs = [os.path.join(self.at['mnt'], f'worker{n}') for n in range(WORKERS)]
        self.logs = [os.path.join(state, f'worker{n}.log') for n in range(WORKERS)]
        self.trees = os.path.join(state, 'trees')
        # The holder of the lease is gone for good, and nobody knows it better.
        self.mount = crash.Mount(['curvefs-fuse', '-f', '--break-lease', '--bpf-cache=auto', '--meta-dir', self.at['meta'],
                                  '--cache-dir', self.at['cache'], os.environ['VOLUME'], self.at['mnt']], log)

    def check(self, options):
        """What is there is one of the states that may be; leave it mounted with these options, and the cache cold.
        @return how many operations there were before."""
        fresh, at, operations = not os.path.exists(self.at['volume']), self.at, 0
        if fresh:
            for path in at.values():
                os.mkdir(path, 0o700)
            subprocess.run(['curvefs', 'format', os.environ['VOLUME'], '--meta-dir', at['meta']], check=True,
                           stdout=self.log)
        else:
            crash.tool('fsck')
        self.mount.start()
        if fresh:
            for d in self.dirs:
                os.mkdir(d)
        else:
            for d, log, tree in zip(self.dirs, self.logs, pickle.load(open(self.trees, 'rb'))):
                why = model.check(d, log, tree, power_failure=True)
                if why:
                    sys.exit(f'{os.path.basename(d)}: {why}\n' + ''.join(open(log).readlines()[-8:]))
                operations += sum(line.startswith('["end"') for line in open(log))
        warm = crash.digest(at['mnt'])
        self.mount.stop()
        crash.tool('fsck')
        crash.tool('gc', '--min-age', '0')
        if ' 0 objects (0 B) that nothing names deleted, 0 pending ones' not in crash.tool('gc', '--min-age', '0'):
            sys.exit('a second gc found something')
        if not fresh:
            shutil.rmtree(at['cache'])
            os.mkdir(at['cache'], 0o700)
        self.mount.start(options=options)
        if crash.digest(at['mnt']) != warm:
            sys.exit('the store has not what the cache had')
        return operations

    def work(self, seed):
        """Change what is there. @return the process ids of those that do it."""
        loaded = [model.Tree.load(d) for d in self.dirs]
        with open(self.trees, 'wb') as f:
            pickle.dump(loaded, f)
        for log in self.logs:   # the power may fail before the worker has begun
            open(log, 'w').close()
        # What is checked later begins with what is durable now.
        fd = os.open(self.at['mnt'], os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        return crash.work(self.dirs, self.logs, loaded, seed)


def options_of(number):
    return ['--writeback', '--upload-delay=3600'] if number % 2 else []


def main():
    build, state, seed, number = sys.argv[1:]
    programs = '/run/curvefs-programs'
    os.makedirs(programs)
    for name in ('curvefs', 'curvefs-fuse'):    # the checkout comes over an uncached network file system
        shutil.copy(os.path.join(build, name), programs)
    os.environ['PATH'] = programs + ':' + os.environ['PATH']
    module = os.path.join(build, 'extfuse.ko')
    if os.path.exists(module):
        subprocess.run(['insmod', module], check=True)
    round_ = Round(os.environ['CURVEFS_SCRATCH'], state, sys.stderr)
    operations = round_.check([] if number == 'last' else options_of(int(number)))
    print(f'round {number}: {operations} operations before the power failed are as they may be',
          file=open(os.path.join(state, 'said'), 'a'))
    if number == 'last':
        round_.mount.stop()
        return
    pids = round_.work(f'{seed}.{number}')
    open(os.path.join(state, 'started'), 'w').close()
    for pid in pids:
        os.waitpid(pid, 0)
    sys.exit('the workers ended before the power failed')


if __name__ == '__main__':
    main()
