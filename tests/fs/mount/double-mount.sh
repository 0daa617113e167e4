# SPDX-License-Identifier: Apache-2.0
# The metadata of a mounted volume is in use: a second mount is refused with a reason, the first goes on.
fresh_volume
mount_volume
echo one >"$MNT/f"
mkdir second
assert_fails curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CASE_DIR/cache2" "$VOLUME" "$CASE_DIR/second"
not is_mounted "$CASE_DIR/second"
assert_eq "$(cat "$MNT/f")" one
echo two >"$MNT/f"
assert_eq "$(cat "$MNT/f")" two
