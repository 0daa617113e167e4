# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# More files than the daemon may have descriptors: those that are too many do without the cache.
fresh_volume
mount_volume
prlimit --pid "$DAEMON" --nofile=$(($(find "/proc/$DAEMON/fd" | wc -l) + 50)):1024
run_python <<'PYTHON'
files = {}
for i in range(150):
    files[i] = os.open(f'f{i}', os.O_CREAT | os.O_RDWR)
    os.pwrite(files[i], b'%d' % i * 1000, 0)
for i, fd in files.items():
    os.pwrite(fd, b'behind', 5000)
for fd in list(files.values())[::10]:
    os.fsync(fd)
for i, fd in files.items():
    assert os.pread(fd, 100000, 0) == (b'%d' % i * 1000).ljust(5000, b'\0')[:5000] + b'behind', i
    os.close(fd)
PYTHON
kill_daemon
mount_volume
run_python <<'PYTHON'
for i in range(150):
    assert open(f'f{i}', 'rb').read() == (b'%d' % i * 1000).ljust(5000, b'\0')[:5000] + b'behind', i
PYTHON
umount_volume
curvefs fsck --meta-dir "$META" "$VOLUME"
