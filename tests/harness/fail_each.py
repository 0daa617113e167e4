#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make each system call on the disks, or each request to the store, fail once in a short workload.

usage: fail_each.py calls|requests [--sample N] [--seed N] [--at N] -- DAEMON [OPTION...] MNT

Whatever fails: its caller gets an error, or everything is as if nothing had failed.  After it the mount
still tells no lie; a mount of the same volume without failures has all that was acknowledged, and fsck
finds nothing.  By default all calls fail one after the other, with --sample a part of them.
"""
import argparse, errno, os, random, shutil, signal, struct, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crash_model as model
from crash import Mount, tool

OPERATIONS = 25


def reset(case):
    """The volume as it was at first."""
    for name in ('volume', 'meta', 'cache'):
        path = os.path.join(case, name)
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(path + '.fresh', path, symlinks=True)


class One:
    def __init__(self, args, case, command, at, error):
        self.args, self.case, self.at, self.error = args, case, at, error
        self.count = os.path.join(case, 'count')
        self.mount = Mount(command, open(os.path.join(case, 'daemon.log'), 'a'))
        self.root = os.path.join(self.mount.mnt, 'worker')
        self.log = os.path.join(case, 'worker.log')

    def env(self):
        if self.args.what == 'requests':
            if not self.at:
                return {}
            late = ',late' if self.at % 2 else ''
            return {'CURVEFS_STORE_FAULTS':
                    f'any:error={errno.errorcode[self.error]},after={self.at - 1},times=1{late}'}
        open(self.count, 'wb').write(bytes(8))
        return {'LD_PRELOAD': shutil.which('failcalls.so'), 'FAIL_COUNT': self.count,
                'FAIL_BELOW': ':'.join(os.path.join(self.case, d) for d in ('volume', 'meta', 'cache')),
                'FAIL_AT': str(self.at), 'FAIL_ERRNO': str(self.error)}

    def fail(self, why):
        tail = ''.join(open(self.log).readlines()[-8:]) if os.path.exists(self.log) else ''
        sys.exit(f'{self.args.what} {self.at} fails with {errno.errorcode[self.error]}: {why}\n{tail}')

    def check(self, when):
        why = model.check(self.root, self.log, model.Tree())
        if why:
            self.fail(f'{when}: {why}')

    def worker(self):
        """@return whether the mount was usable: the worker's directory is there."""
        try:
            os.mkdir(self.root)
        except OSError:
            return False
        w = model.Worker(self.root, self.log, self.args.seed, model.Tree())
        failed = w.run(OPERATIONS)
        for _, fd in w.fds.values():
            try:
                os.close(fd)
            except OSError:
                failed = failed or 1
        # An error is no answer, but a later answer must be true.
        try:
            self.check('in the same mount')
        except OSError:
            pass
        return True

    def run(self):
        reset(self.case)
        if os.path.exists(self.log):
            os.unlink(self.log)
        signal.alarm(120)
        started = self.mount.start(extra=self.env())
        worked = started and self.worker()
        if started and self.at % 3 == 2:
            self.mount.process.kill()
            self.mount.clear()
        elif started:
            self.mount.stop(may_fail=True)
        total = self.total()
        tool('fsck')
        self.mount.start()
        if worked:
            self.check('in the next mount')
        self.mount.stop()
        tool('fsck')
        signal.alarm(0)
        return total

    def total(self):
        if self.args.what == 'calls':
            return struct.unpack('Q', open(self.count, 'rb').read())[0]
        return None


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('what', choices=['calls', 'requests'])
    parser.add_argument('--sample', type=int, default=int(os.environ.get('SAMPLE', 0)))
    parser.add_argument('--seed', type=int, default=int(os.environ.get('SEED', 7)))
    parser.add_argument('--at', type=int, default=0)
    parser.add_argument('command', nargs='+')
    args = parser.parse_args()
    case = os.environ['CASE_DIR']
    mount = Mount(args.command, open(os.path.join(case, 'daemon.log'), 'a'))
    mount.start()       # what is made only once is made now
    mount.stop()
    for name in ('volume', 'meta', 'cache'):
        shutil.copytree(os.path.join(case, name), os.path.join(case, name + '.fresh'))
    total = One(args, case, args.command, 0, errno.EIO).run() or 60
    numbers = [args.at] if args.at else list(range(1, total + 1))
    if args.sample and args.sample < len(numbers):
        numbers = sorted(random.sample(numbers, args.sample))
    print(f'seed {args.seed}, {len(numbers)} of {total} {args.what}', flush=True)
    for n in numbers:
        One(args, case, args.command, n, errno.EIO if n % 2 else errno.ENOSPC).run()
    reset(case)
    for name in ('volume', 'meta', 'cache'):
        shutil.rmtree(os.path.join(case, name + '.fresh'))
    said = f'{len(numbers)} of {total} {args.what} failed one by one'
    print(said)
    if 'CRASH_LOG' in os.environ:
        print(said, file=open(os.environ['CRASH_LOG'], 'a'))


main()
