# SPDX-License-Identifier: Apache-2.0
# Without -f the command comes back when the mount is usable, leaving one daemon, which umount ends.
fresh_volume
curvefs-fuse --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
echo works >"$MNT/f"
assert_eq "$(pgrep -cx curvefs-fuse)" 1
daemon=$(pgrep -x curvefs-fuse)
assert_eq "$(readlink "/proc/$daemon/cwd")" /
umount "$MNT"
wait_for 10 not is_running "$daemon"
mount_volume
assert_eq "$(cat "$MNT/f")" works
