# SPDX-License-Identifier: Apache-2.0
# `curvefs umount` flushes, refuses while busy, and comes back when the daemon has ended.
fresh_volume
curvefs-fuse --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
daemon=$(pgrep -x curvefs-fuse)
exec 5>"$MNT/f"
echo "not yet flushed" >&5
assert_fails -e 'in use' curvefs umount "$MNT"
echo "still works" >&5
exec 5>&-
curvefs umount "$MNT"
not is_mounted "$MNT"
wait_for 2 not is_running "$daemon"
assert_fails curvefs umount "$MNT"
mount_volume
assert_eq "$(tr "\n" , <"$MNT/f")" "not yet flushed,still works,"
