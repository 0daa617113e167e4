# SPDX-License-Identifier: Apache-2.0
# A volume can be mounted again as soon as umount(8) is back, though its daemon is still ending.
fresh_volume
mount_at_once() { # [FAULTS]
	CURVEFS_STORE_FAULTS=${1-} curvefs-fuse --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" \
		"$VOLUME" "$MNT"
}
# What was deleted is cleared away at the end, and that takes its time.
mount_at_once "delete:delay_ms=700"
echo removed >"$MNT/gone"
echo kept >"$MNT/f"
rm "$MNT/gone"
umount "$MNT"
pgrep -x curvefs-fuse >daemon || fail "the daemon was too fast to be waited for"
mount_at_once
not is_running "$(cat daemon)"
assert_eq "$(cat "$MNT/f")" kept
umount "$MNT"
wait_for 10 not pgrep -x curvefs-fuse
