# SPDX-License-Identifier: Apache-2.0
# alone
# status tells a mount that is up from one whose daemon was killed; umount clears the latter away.
# Of its own, and alone: a mount that another case makes may get the number of one that is gone.
export CURVEFS_RUN_DIR=$CASE_DIR/run
fresh_volume --name status-test
mount_volume
of() { # KEY: of this mount, whatever else is mounted on this machine
	curvefs status --json | python3 -c 'import json, sys
for m in json.load(sys.stdin)["mounts"]:
    if m.get("mountpoint") == sys.argv[1]: print(m[sys.argv[2]])' "$MNT" "$1"
}
assert_eq "$(of state)" up
assert_eq "$(of name)" status-test
assert_eq "$(of source)" "$VOLUME"
curvefs status | grep -q "^$MNT .* up "
minor=$(stat -c %Ld "$MNT")
run=$CURVEFS_RUN_DIR/$minor
assert_eq "$(stat -c %a "$run")" 700
assert_eq "$(stat -c %a "$run/control.sock")" 600

kill -KILL "$DAEMON"
wait_for 10 not is_running "$DAEMON"
wait "$DAEMON" || true
unset "case_daemons[$MNT]"
assert_eq "$(of state)" dead
curvefs status | grep -q "umount.* cleans up"
assert_fails -e "daemon of this mount is gone" curvefs stats "$MNT"
exec 5<"$MNT" || true # perhaps somebody still sits on it
curvefs umount "$MNT"
not is_mounted "$MNT"
not test -e "$run"
not test -e "/sys/fs/bpf/curvefs/$minor"
assert_eq "$(of state)" ""
mount_volume
assert_eq "$(of state)" up
