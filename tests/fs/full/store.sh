# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A store that is full, or may not be written: an error to whoever writes, the rest goes on, and so does
# the writer when that is over.
need_root
mkdir -p volume
mount -t tmpfs -o size=16M store volume
fresh_volume
mount_volume
head -c 5M /dev/urandom >"$MNT/kept"
head -c 5M /dev/urandom >"$MNT/removed"

assert_fails -e 'No space left on device' dd if=/dev/zero of="$MNT/big" bs=1M count=20 conv=fsync
cmp <(head -c 100 "$MNT/kept") <(head -c 100 "$MNT/kept")
mkdir "$MNT/dir"
rm -f "$MNT/big" "$MNT/removed"
# Its objects go in the background.
wait_for 20 dd if=/dev/urandom of="$MNT/later" bs=1M count=4 conv=fsync status=none
sum=$(cat "$MNT/kept" "$MNT/later" | sha256sum)

mount -o remount,ro store volume
run_python <<'PYTHON'
fd = os.open('dir/new', os.O_CREAT | os.O_RDWR)
os.write(fd, b'kept until it can be written')
raises(errno.EROFS, os.fsync, fd)
raises(errno.EROFS, os.fsync, fd)
assert os.pread(fd, 100, 0) == b'kept until it can be written'
PYTHON
mount -o remount,rw store volume
sync "$MNT/dir/new"
rm -rf "${CACHE:?}.old"
umount_volume
mv "$CACHE" "$CACHE.old"
mkdir "$CACHE"
mount_volume
assert_eq "$(cat "$MNT/dir/new")" 'kept until it can be written'
assert_eq "$(cat "$MNT/kept" "$MNT/later" | sha256sum)" "$sum"
umount_volume
curvefs fsck --meta-dir "$META" "$VOLUME"
curvefs gc --min-age 0 --meta-dir "$META" "$VOLUME"
umount volume
