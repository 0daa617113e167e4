# SPDX-License-Identifier: Apache-2.0
# The daemon keeps what unmounting and BPF need and nothing else, in every thread; the mount is nosuid,nodev.
need_root
of() { sed -n "s/^$1:[[:space:]]*//p" "$2"; }
kept=0000000000200000 used=0000000000000000 # CAP_SYS_ADMIN, to unmount
! bpf_on || kept=000000c000200000 # and CAP_BPF, CAP_PERFMON
! bpf_on || used=$kept
check_threads() { # PERMITTED EFFECTIVE
	local status
	for status in /proc/"$DAEMON"/task/*/status; do
		assert_eq "$(of CapPrm "$status")" "$1" "permitted capabilities of $status"
		assert_eq "$(of CapEff "$status")" "$2" "effective capabilities of $status"
		assert_eq "$(of CapBnd "$status")" "$1" "bounding set of $status"
		assert_eq "$(of CapInh "$status")$(of CapAmb "$status")" "$(printf '%032d' 0)"
		assert_eq "$(of NoNewPrivs "$status")" 1
	done
}
mount_flags() { awk -v at="$MNT" '$5 == at { print $6 }' /proc/self/mountinfo; }

fresh_volume
mount_volume
echo data >"$MNT/f"
chown 12345:12345 "$MNT/f" && chmod 04755 "$MNT/f" # files of the volume may be anybody's all the same
assert_eq "$(stat -c '%u %a' "$MNT/f")" "12345 4755"
mknod "$MNT/null" c 1 3
check_threads $kept $used
[[ ,$(mount_flags), == *,nosuid,* && ,$(mount_flags), == *,nodev,* ]]
assert_fails -e ermission cat "$MNT/null"
! bpf_on || exit 0 # what follows does not depend on the kernel
remount_volume -o suid,dev
[[ ,$(mount_flags), != *nosuid* && ,$(mount_flags), != *nodev* ]]
cat "$MNT/null"
remount_volume

# What stands in other users' directories can be mounted, and unmounted by the daemon itself.
umount_volume
mkdir -m 0700 other
mkdir other/mnt
chown -R 12345 other
MNT=$CASE_DIR/other/mnt
mount_volume
grep -q "belongs to another user" daemon.log
assert_eq "$(cat "$MNT/f")" data
kill -TERM "$DAEMON"
daemon_ended
not is_mounted "$MNT"
