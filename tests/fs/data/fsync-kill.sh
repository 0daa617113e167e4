# SPDX-License-Identifier: Apache-2.0
# kill -9: what was fsynced or closed is there after the next mount, and the file is old or new, never mixed.
fresh_volume
mount_volume
run_python <<'EOF'
open("closed", "w").write("kept by close")
open("old", "w").write("o" * 100000)
fd = os.open("synced", os.O_CREAT | os.O_RDWR)
os.write(fd, b"kept by fsync" * 1000)
os.fsync(fd)
os.rename("closed", "renamed")
open("gone", "w").write("x"); held = os.open("gone", os.O_RDONLY); os.unlink("gone")
EOF
exec 5>>"$MNT/old"
echo "not flushed" >&5
kill -KILL "$DAEMON"
exec 5>&-
kill_daemon
mount_volume
assert_eq "$(cat "$MNT/renamed")" "kept by close"
assert_eq "$(stat -c %s "$MNT/synced")" 13000
assert_eq "$(tail -c 13 "$MNT/synced")" "kept by fsync"
assert_eq "$(head -c 100000 "$MNT/old" | tr -d o | wc -c)" 0
not test -e "$MNT/gone"
assert_eq "$(find "$MNT" -type f | wc -l)" 3
