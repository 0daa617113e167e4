# SPDX-License-Identifier: Apache-2.0
# A volume is not formatted over, and what is on it stays.
fresh_volume --name first
mount_volume
echo kept >"$MNT/f"
umount_volume
assert_fails -e "already" curvefs format "$VOLUME" --name second
mount_volume
assert_eq "$(cat "$MNT/f")" kept
