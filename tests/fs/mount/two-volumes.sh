# SPDX-License-Identifier: Apache-2.0
# Two volumes mounted at once know nothing of each other, though their inode numbers are the same.
fresh_volume
mount_volume
first=$MNT
MNT=$CASE_DIR/mnt2 META=$CASE_DIR/meta2 CACHE=$CASE_DIR/cache2 VOLUME=file://$CASE_DIR/volume2
fresh_volume
mount_volume
for i in 1 2 3; do
	echo "first $i" >"$first/f"
	echo "and the second $i" >"$MNT/f"
	assert_eq "$(cat "$first/f")" "first $i"
	assert_eq "$(cat "$MNT/f")" "and the second $i"
	assert_eq "$(stat -c %s "$first/f" "$MNT/f" | tr '\n' ' ')" "8 17 "
done
touch "$first/only-here"
not test -e "$MNT/only-here"
umount_volume "$first"
assert_eq "$(cat "$MNT/f")" "and the second 3"
