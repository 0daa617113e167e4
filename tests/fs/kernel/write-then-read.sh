# SPDX-License-Identifier: Apache-2.0
# A file that was just written here is read without asking the daemon again, once it was read.
fresh_volume
mount_volume
head -c 200000 /dev/urandom >data
cp data "$MNT/f"
cat "$MNT/f" >/dev/null
assert_daemon_not_asked lookup getattr read -- cmp data "$MNT/f"
head -c 100 /dev/zero | dd of="$MNT/f" bs=1 seek=70000 conv=notrunc status=none
dd if=/dev/zero of=data bs=1 seek=70000 count=100 conv=notrunc status=none
cmp data "$MNT/f"
assert_daemon_not_asked read -- cmp data "$MNT/f"
