# SPDX-License-Identifier: Apache-2.0
# SIGTERM unmounts and ends well, with everything written kept.
fresh_volume
mount_volume
echo kept >"$MNT/f"
kill -TERM "$DAEMON"
daemon_ended
not is_mounted "$MNT"
mount_volume
assert_eq "$(cat "$MNT/f")" kept
