# SPDX-License-Identifier: Apache-2.0
# One writer at a time: who is second is told who the first is; a dead one does not stand in the way.
export CURVEFS_RUN_DIR=$CASE_DIR/run
fresh_volume
mkdir second
mount_elsewhere() { # [OPTION...]: as another machine would, with metadata of its own
	unshare --pid --fork --kill-child --mount-proc curvefs-fuse -f --bpf-cache=off --meta-dir "$CASE_DIR/other-meta" \
		--cache-dir "$CASE_DIR/other-cache" "$@" "$VOLUME" "$CASE_DIR/second"
}
other_lease() { # EXPIRES: somebody elsewhere has it
	local epoch
	epoch=$(json "${VOLUME#file://}/lease" epoch)
	cat >"${VOLUME#file://}/lease" <<JSON
{"magic": "curvefs-lease", "version": 1, "epoch": $((epoch + 1)), "meta_id": "$(cat "$META/IDENTITY")",
 "holder": {"host": "node-17", "mountpoint": "/data", "boot_id": "0", "token": "1", "pid": 4711, "pid_ns": 1,
  "pid_start": 1, "renewals": 1, "since": 1000000000, "expires": $1, "duration_ms": 300}}
JSON
}
mount_volume
echo one >"$MNT/f"
assert_fails -e "--break-lease" mount_elsewhere
curvefs status | grep 'the lease is held'

# Killed, and mounted again at once.
kill_daemon
mount_volume
assert_eq "$(cat "$MNT/f")" one
epoch=$(json "${VOLUME#file://}/lease" epoch)
remount_volume
assert_eq "$(json "${VOLUME#file://}/lease" epoch)" $((epoch + 1))
umount_volume

# Another machine has it; that one may be read beside.
other_lease $(($(date +%s) + 1000))
assert_fails -e "on machine node-17, by process 4711 there, /data, since 2001-09-09 01:46:40 UTC" mount_volume
mount_volume -o ro
assert_eq "$(cat "$MNT/f")" one
umount_volume
mount_volume --break-lease
umount_volume
# ... has had it.
other_lease $(($(date +%s) - 10))
mount_volume
echo two >"$MNT/f"
umount_volume
