# SPDX-License-Identifier: Apache-2.0
# alone
# A daemon that is still ending when another mount has got its number leaves that mount's maps pinned.
bpf_on || skip "without BPF nothing is pinned"
fresh_volume
# What was deleted is cleared away at the end, and that takes its time.
CURVEFS_STORE_FAULTS="delete:delay_ms=2000" mount_volume
first=$MNT number=$(stat -c %Ld "$MNT")
echo removed >"$MNT/gone"
rm "$MNT/gone"
MNT=$CASE_DIR/second VOLUME=file://$CASE_DIR/volume2 META=$CASE_DIR/meta2 CACHE=$CASE_DIR/cache2
fresh_volume
umount "$first"
ending=$DAEMON
kill -STOP "$ending" || fail "the first daemon was too fast"
mount_volume
assert_eq "$(stat -c %Ld "$MNT")" "$number" "the second mount's number"
kill -CONT "$ending"
daemon_ended "$first"
curvefs maps "$MNT" --json >/dev/null
umount_volume
not test -e "/sys/fs/bpf/curvefs/$number"
