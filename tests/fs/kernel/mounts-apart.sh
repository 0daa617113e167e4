# SPDX-License-Identifier: Apache-2.0
# Two volumes with the same inode numbers, both warm, and one of them without BPF: nobody gets the other's answers.
fresh_volume
mount_volume
first=$MNT
echo one >"$first/f"
curvefs warmup "$first"
MNT=$CASE_DIR/mnt2 META=$CASE_DIR/meta2 CACHE=$CASE_DIR/cache2 VOLUME=file://$CASE_DIR/volume2
fresh_volume
mount_volume
echo second >"$MNT/f"
curvefs warmup "$MNT"
second=$MNT
MNT=$CASE_DIR/mnt3 META=$CASE_DIR/meta3 CACHE=$CASE_DIR/cache3 VOLUME=file://$CASE_DIR/volume3
fresh_volume
mount_volume --bpf-cache=off
echo "the third" >"$MNT/f"
for _ in 1 2 3; do
	assert_eq "$(cat "$first/f") $(cat "$second/f") $(cat "$MNT/f")" "one second the third"
	assert_eq "$(stat -c %s "$first/f" "$second/f" "$MNT/f" | tr '\n' ' ')" "4 7 10 "
done
umount_volume "$first"
assert_eq "$(cat "$second/f") $(cat "$MNT/f")" "second the third"
umount_volume "$second"
assert_eq "$(cat "$MNT/f")" "the third"
