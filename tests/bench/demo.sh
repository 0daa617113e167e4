#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make demo`: mount a volume on a stock kernel, put a real source tree on it, and show who answers.
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/lib.sh

echo "kernel $(uname -r), stock; $(nproc) CPUs under emulation: look at the ratios, not at the times"
insmod $here/extfuse.ko
prepare_plain
prepare_volume
echo "put $(wc -l <$here/files) files of $tree, $small_files of 2.6 KB and one of $large_mib MiB on the volume"

time_all "$plain" ext4

mount_volume --bpf-cache=off
curvefs warmup $mnt >/dev/null
time_all $mnt off
umount_volume

mount_volume --bpf-cache=off --attr-cache=0 --entry-cache=0 --negative-entry-cache=0
curvefs warmup $mnt >/dev/null
time_all $mnt always
umount_volume

mount_volume --bpf-cache
curvefs warmup $mnt >/dev/null
# The first stat of an absent name is the daemon's to answer; the answer is kept.
measure absent $mnt/tree <$here/flat >/dev/null
who_answered() { # OP...
	local op
	for op; do
		echo "$op|$(grown "kernel.$op.hit" 2>/dev/null || echo -)|$(grown "daemon.$op")"
	done
}
stats_of before
time_all $mnt bpf stat path absent small random scan mmap
stats_of after
answered=$(who_answered lookup getattr read open)
asked=0
for op in lookup getattr read; do
	asked=$((asked + $(grown "daemon.$op")))
done
stats_of before
time_all $mnt bpf write sync
stats_of after
answered+=$'\n'$(who_answered write)

echo
table ext4:ext4 off:'without BPF' always:'without BPF, nothing cached' bpf:'with BPF'
cat <<'NOTE'

without BPF: answers are kept by the kernel for 1 s, as JuiceFS has it, so up to 1 s old
without BPF, nothing cached: every access asks the daemon; with BPF: every access is checked against the maps

Who answered in the last column:
NOTE
{
	echo "|in the kernel|by the daemon"
	echo "$answered"
} | column -t -s '|' -R 2,3
[ $asked = 0 ] || { echo "demo: the daemon was asked for a lookup, attributes or bytes" >&2; exit 1; }
umount_volume
