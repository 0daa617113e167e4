# SPDX-License-Identifier: Apache-2.0
# A volume in a bucket: written, read again by a mount without a cache, emptied.
start_s3
fresh_volume
mount_volume
mkdir "$MNT/d"
head -c 9000000 /dev/urandom >data
cp data "$MNT/d/big"
seq 1000 >"$MNT/d/small"
umount_volume
rm -rf "$CACHE"
mkdir "$CACHE"
mount_volume
cmp data "$MNT/d/big"
assert_eq "$(tail -n 1 "$MNT/d/small")" 1000
[ "$(stat_counter store.get)" -gt 0 ] || fail "nothing was fetched"
rm -r "$MNT/d"
assert_eq "$(ls -A "$MNT")" ""
