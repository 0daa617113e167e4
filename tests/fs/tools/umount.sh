# SPDX-License-Identifier: Apache-2.0
# alone
# curvefs umount waits for the daemon, does not lose what cannot be uploaded, and knows its mounts.
# Of its own, and alone: a mount that another case makes may get the number of one that is gone.
export CURVEFS_RUN_DIR=$CASE_DIR/run
fresh_volume
mount_volume
mkdir "$MNT/d"
minor=$(stat -c %Ld "$MNT")
assert_fails -e "is not a mount point" curvefs umount "$MNT/d"
assert_fails -e "not on a curvefs mount" curvefs umount /proc
is_mounted "$MNT"
curvefs umount "$MNT" --json >said
assert_eq "$(json said result)" unmounted
not is_running "$DAEMON"
not test -e "$CURVEFS_RUN_DIR/$minor"
daemon_ended

# A lazy one detaches at once, and the daemon ends with its last user.
mount_volume
echo kept >"$MNT/f"
exec 5<"$MNT/f"
curvefs umount --lazy "$MNT"
not is_mounted "$MNT"
is_running "$DAEMON"
assert_eq "$(cat <&5)" kept
exec 5<&-
daemon_ended

# What is left of a mount that is gone already (umount(8) after kill -9) goes, too.
mount_volume
minor=$(stat -c %Ld "$MNT")
kill_daemon
[ -e "$CURVEFS_RUN_DIR/$minor" ]
curvefs umount "$MNT"
not test -e "$CURVEFS_RUN_DIR/$minor"
assert_fails curvefs umount "$MNT"
