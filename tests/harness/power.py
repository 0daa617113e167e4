#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""power.py BUILD STATE SEED ROUND|last: the guest's side of vmtest/crash.sh.

Checks what the last round left on the disk, and then changes it until the power fails.  What is
acknowledged is written down in STATE, which is the host's.
"""
import os, pickle, shutil, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crash, crash_model as model

WORKERS = 3


def main():
    build, state, seed, number = sys.argv[1:]
    scratch, programs = os.environ['CURVEFS_SCRATCH'], '/run/curvefs-programs'
    os.makedirs(programs)
    for name in ('curvefs', 'curvefs-fuse'):    # the checkout comes over an uncached network file system
        shutil.copy(os.path.join(build, name), programs)
    os.environ['PATH'] = programs + ':' + os.environ['PATH']
    module = os.path.join(build, 'extfuse.ko')
    if os.path.exists(module):
        subprocess.run(['insmod', module], check=True)
    at = {name: os.path.join(scratch, name) for name in ('volume', 'meta', 'cache', 'mnt')}
    os.environ.update(VOLUME='file://' + at['volume'], META=at['meta'], CACHE=at['cache'])
    fresh = not os.path.exists(at['volume'])
    if fresh:
        for path in at.values():
            os.mkdir(path, 0o700)
        subprocess.run(['curvefs', 'format', os.environ['VOLUME'], '--meta-dir', at['meta']], check=True)
    else:
        crash.tool('fsck')
    # The holder of the lease is gone for good, and nobody knows it better.
    mount = crash.Mount(['curvefs-fuse', '-f', '--break-lease', '--bpf-cache=auto', '--meta-dir', at['meta'], '--cache-dir',
                         at['cache'], os.environ['VOLUME'], at['mnt']], sys.stderr)
    mount.start()
    dirs = [os.path.join(at['mnt'], f'worker{n}') for n in range(WORKERS)]
    logs = [os.path.join(state, f'worker{n}.log') for n in range(WORKERS)]
    trees = os.path.join(state, 'trees')
    operations = 0
    if fresh:
        for d in dirs:
            os.mkdir(d)
    else:
        for d, log, tree in zip(dirs, logs, pickle.load(open(trees, 'rb'))):
            why = model.check(d, log, tree, power_failure=True)
            if why:
                sys.exit(f'{os.path.basename(d)}: {why}\n' + ''.join(open(log).readlines()[-8:]))
            operations += sum(line.startswith('["end"') for line in open(log))
    warm = crash.digest(mount.mnt)
    mount.stop()
    crash.tool('fsck')
    crash.tool('gc', '--min-age', '0')
    if ' 0 objects (0 B) that nothing names deleted, 0 pending ones' not in crash.tool('gc', '--min-age', '0'):
        sys.exit('a second gc found something')
    if not fresh:
        shutil.rmtree(at['cache'])
        os.mkdir(at['cache'], 0o700)
    mount.start()
    if crash.digest(mount.mnt) != warm:
        sys.exit('the store has not what the cache had')
    print(f'round {number}: {operations} operations before the power failed are as they may be',
          file=open(os.path.join(state, 'said'), 'a'))
    if number == 'last':
        mount.stop()
        return
    loaded = [model.Tree.load(d) for d in dirs]
    pickle.dump(loaded, open(trees, 'wb'))
    # What is checked later begins with what is durable now.
    fd = os.open(at['mnt'], os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    pids = crash.work(dirs, logs, loaded, f'{seed}.{number}')
    open(os.path.join(state, 'started'), 'w').close()
    for pid in pids:
        os.waitpid(pid, 0)
    sys.exit('the workers ended before the power failed')


main()
