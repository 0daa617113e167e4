# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The cache's disk is full: everything works, without it.
need_root
mkdir -p "$CACHE"
mount -t tmpfs -o size=4M,mode=700 cache "$CACHE"
fresh_volume
mount_volume --free-space-ratio 0
head -c 6M /dev/urandom >data
cp data "$MNT/big"
cmp data "$MNT/big"
head -c 6M /dev/zero >"$CACHE/ballast" 2>/dev/null || true

run_python <<'PYTHON'
# Overwrites, in the middle and behind the end, with nothing that could be staged.
data = bytearray(open('big', 'rb').read())
fds = [os.open('big', os.O_RDWR) for _ in range(2)]
for at in (0, 65536 - 3, 5 << 20, 6 << 20):
    new = os.urandom(70000)
    assert os.pwrite(fds[0], new, at) == len(new)
    data[at:at + len(new)] = new
    assert os.pread(fds[1], len(new), at) == new
os.fsync(fds[0])
assert open('big', 'rb').read() == data
for i in range(15):
    open(f'small{i}', 'w').write(f'{i}')
for i in range(15):
    assert open(f'small{i}').read() == f'{i}'
PYTHON
sum=$(sha256sum <"$MNT/big")
rm "$CACHE/ballast"
head -c 3M data >"$MNT/after"
cmp -n 3145728 data "$MNT/after"
# So it is at the time of the mount.
umount_volume
head -c 6M /dev/zero >"$CACHE/ballast" 2>/dev/null || true
mount_volume
grep "no data cache: .*No space left on device" daemon.log
assert_eq "$(sha256sum <"$MNT/big")" "$sum"
kill_daemon
umount "$CACHE"
mount_volume
assert_eq "$(sha256sum <"$MNT/big")" "$sum"
umount_volume
curvefs fsck --meta-dir "$META" "$VOLUME"
