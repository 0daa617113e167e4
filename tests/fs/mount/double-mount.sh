# SPDX-License-Identifier: Apache-2.0
# A mounted volume is in use: a second mount is told by whom, the first goes on.
fresh_volume
mount_volume
echo one >"$MNT/f"
mkdir second
assert_fails -e "process $DAEMON, $MNT" curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CASE_DIR/cache2" "$VOLUME" "$CASE_DIR/second"
not is_mounted "$CASE_DIR/second"
assert_eq "$(cat "$MNT/f")" one
echo two >"$MNT/f"
assert_eq "$(cat "$MNT/f")" two
