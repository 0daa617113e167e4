# SPDX-License-Identifier: Apache-2.0
# The server goes away: what is cached is read, writing fails with an error, nothing hangs for ever.
start_s3
fresh_volume
mount_volume --retries 1 --get-timeout 2
seq 10000 >"$MNT/f"
cat "$MNT/f" >/dev/null
kill -KILL "$S3D"
wait "$S3D" || true
assert_eq "$(tail -n 1 "$MNT/f")" 10000
assert_fails dd if=/dev/zero of="$MNT/g" bs=64k count=4 conv=fsync status=none
stat "$MNT" >/dev/null
curvefs umount --force "$MNT"
not is_mounted "$MNT"
wait "$DAEMON" || true
unset "case_daemons[$MNT]"
