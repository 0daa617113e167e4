# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# Four processes change the same names and their own files; nobody ever reads what nobody wrote, also
# after a remount.
fresh_volume
mount_volume
python3 "$CURVEFS_TOP/tests/harness/concurrent.py" "$MNT" 6 4
before=$(cd "$MNT" && find . -type f -exec md5sum {} + | sort)
remount_volume
after=$(cd "$MNT" && find . -type f -exec md5sum {} + | sort)
assert_eq "$after" "$before"
