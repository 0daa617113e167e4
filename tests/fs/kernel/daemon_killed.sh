# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon: the mount answers ENOTCONN at once, nobody hangs, and a new mount works.
fresh_volume
mount_volume
echo data >"$MNT/f"
curvefs warmup "$MNT"
cat "$MNT/f" >/dev/null
exec 5<"$MNT/f"
kill -KILL "$DAEMON"
wait "$DAEMON" 2>/dev/null || true
unset "case_daemons[$MNT]"
ended() { ! timeout 10 stat "$MNT/f" 2>"$CASE_DIR/said" && grep -q "not connected" "$CASE_DIR/said"; }
wait_for 10 ended
assert_fails -e "not connected" timeout 10 cat "$MNT/f"
exec 5<&-
umount "$MNT"
mount_volume
assert_eq "$(cat "$MNT/f")" data
