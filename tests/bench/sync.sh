#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sync.sh: the last part of `make bench-profile`, in a VM: where the time of 32 small writes and an fsync(2) goes, on
# ext4 and on a volume, by the kernel's tracepoints: what is synced below, how often for one fsync(2), how long.
cd "$(dirname "$0")/../.." || exit 1
round_ms=1000
. tests/bench/lib.sh
tracing=/sys/kernel/tracing
mountpoint -q $tracing || mount -t tracefs tracefs $tracing

trace() { # DIR TITLE
	local event
	echo >$tracing/trace
	for event in ext4/ext4_sync_file_enter ext4/ext4_sync_file_exit syscalls/sys_enter_fsync syscalls/sys_exit_fsync; do
		echo 1 >$tracing/events/$event/enable
	done
	measure sync "$1" "$round_ms" <<<own >$here/sync
	echo 0 >$tracing/events/enable
	# By what they are in: an object may be gone by now, and its number be that of a directory.
	{
		find "$meta" -maxdepth 0 -printf '%i log of the metadata\n'
		find "$volume/data" -mindepth 2 -maxdepth 2 -type d -printf '%i object\n'
		find "$volume/data" -mindepth 1 -maxdepth 1 -type d -printf '%i its directory\n'
		find "$plain" -maxdepth 0 -printf '%i the file\n'
	} >$here/inodes 2>/dev/null || :
	awk -v title="$2" -v whole="$(cut -d' ' -f1 $here/sync)" '
		FILENAME == ARGV[1] { kind[$1] = substr($0, length($1) + 2); next }
		!match($0, /[0-9]+\.[0-9]+: /) { next }
		{ now = substr($0, RSTART, RLENGTH - 2) * 1e6 }
		/ext4_sync_file_enter/ && match($0, /parent [0-9]+/) {
			began[$1] = now
			above = substr($0, RSTART + 7, RLENGTH - 7)
			what[$1] = (above in kind) ? kind[above] : "directories above"
		}
		/ext4_sync_file_exit/ && $1 in began {
			n[what[$1]]++
			us[what[$1]] += now - began[$1]
			delete began[$1]
		}
		/sys_fsync\(/ && $1 ~ /^measure/ { asked[$1] = now }
		/sys_fsync ->/ && $1 in asked { calls++; all += now - asked[$1] }
		END {
			printf "32 writes of 128 bytes and fsync, %s: %d microseconds, of it fsync %d\n", title, whole / 1000, all / calls
			for (which in n) {
				printf "  %6d  %s, synced %.1f times\n", us[which] / calls, which, n[which] / calls | "sort -rn"
				all -= us[which]
			}
			close("sort -rn")
			printf "  %6d  the rest\n", all / calls
		}' $here/inodes $tracing/trace
}

insmod $here/extfuse.ko
mkdir "$plain"
trace "$plain" ext4
curvefs format "file://$volume" --name bench --meta-dir "$meta" >/dev/null
mount_volume --bpf-cache
trace $mnt "in the kernel"
umount_volume
