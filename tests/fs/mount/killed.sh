# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon: callers get an error at once, nobody hangs, and the next mount works.
fresh_volume
mount_volume
echo kept >"$MNT/f"
curvefs warmup "$MNT" # the kernel answers for all of it
cat "$MNT/f"
exec 5<"$MNT/f"
kill -KILL "$DAEMON"
wait_for 10 not is_running "$DAEMON"
assert_fails -e onnect stat "$MNT/f" # a request under way may also end with ECONNABORTED
assert_fails -e "Transport endpoint is not connected" stat "$MNT/f"
assert_fails ls "$MNT"
assert_fails -e "onnect" dd if=/dev/fd/5 of=/dev/null status=none
exec 5<&-
wait "$DAEMON" || true
umount "$MNT"
unset "case_daemons[$MNT]"
mount_volume
assert_eq "$(cat "$MNT/f")" kept
