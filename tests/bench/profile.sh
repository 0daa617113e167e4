#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# profile.sh [OPERATION...]: `make bench-profile`, in a VM of vmtest/run.sh --icount: where the instructions of
# a stat, of a small file, of a read and of a write go, on ext4 and in the kernel on a volume.  Time is
# instructions there, so samples of time are samples of those.
cd "$(dirname "$0")/../.." || exit 1
large_mib=16 round_ms=20
. tests/bench/lib.sh
command -v perf >/dev/null || { echo "profile.sh: perf is not installed (Debian's linux-perf)" >&2; exit 1; }
[ $# -gt 0 ] || set -- stat small random write
echo 0 >/proc/sys/kernel/kptr_restrict
echo 100000 >/proc/sys/kernel/perf_event_max_sample_rate
echo 0 >/proc/sys/kernel/perf_cpu_time_max_percent # never less, once it is set

# profile OPERATION DIR TITLE
profile() {
	local instructions
	round_ms=20 time_one "$1" "$2" profile
	instructions=$(median profile "$1")
	round_ms=80
	measure() { perf record -q -a -F 20000 -e cpu-clock -o $here/perf.data $here/measure "$@"; }
	time_one "$1" "$2" profile
	unset -f measure
	perf report -i $here/perf.data --comm measure --stdio --no-children -F overhead,sym 2>/dev/null |
		awk -v total="$instructions" -v what="$(title "$1"), $3" '
			$1 !~ /^[0-9.]+%$/ { next }
			{
				name = $3
				part = "the rest"
				if (name ~ /^(bpf_prog_|bpf__|__bpf_prog_|migrate_|htab_|__htab_|lookup_nulls_elem|memcmp$)/)
					part = "BPF programs and their maps"
				else if (name ~ /^(extfuse_|ftrace_)/)
					part = "the module and its hooks"
				else if (name ~ /^_*fuse_/)
					part = "fs/fuse"
				share[part] += $1
				all += $1
				if (++n <= 25)
					top[n] = sprintf("    %6.0f  %s", $1 * total / 100, name)
			}
			END {
				printf "%s: %d instructions\n", what, total
				for (part in share)
					printf "  %6.0f  %s\n", share[part] * total / all, part | "sort -rn"
				close("sort -rn")
				for (i = 1; i <= n && i <= 25; i++)
					print top[i]
			}'
}

insmod $here/extfuse.ko
prepare_plain
prepare_volume
for op; do profile "$op" "$plain" ext4; done
mount_volume --bpf-cache
curvefs warmup $mnt >/dev/null
for op; do profile "$op" $mnt "in the kernel"; done
umount_volume
