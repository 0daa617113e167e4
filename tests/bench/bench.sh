#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bench.sh time|instructions: `make bench`, in the VM: the demo's operations and more, on ext4, on this file
# system as it is and without BPF, and on libfuse's passthrough_ll, an example that serves the files on ext4
# by way of a daemon.  Lines of JSON go to build/bench/time.rows or build/bench/instructions.rows as
# they come, and bench.py makes the table of them.
#
# With "instructions" the VM is one of vmtest/run.sh --icount: a nanosecond there is an instruction, however
# busy the machine is, but means nothing while a disk is waited for; so what waits is left out.
cd "$(dirname "$0")/../.." || exit 1
clock=${1:?usage: bench.sh time|instructions}
case $clock in
time) : "${mapped_mib:=256}" ;;
instructions) : "${large_mib:=16}" "${round_ms:=20}" ;;
*) echo "bench.sh: the clock is 'time' or 'instructions', not '$clock'" >&2; exit 2 ;;
esac
. tests/bench/lib.sh
operations=(stat path cold absent small random direct scan mmap write sync find git untar)
[ "$clock" = time ] || operations=(stat path absent small random scan mmap write)
rows=build/bench/$clock.rows
mkdir -p build/bench
: >"$rows"
say() { # FORMAT ARGUMENT...: no argument has anything that JSON would have to quote
	# shellcheck disable=SC2059
	printf "$@" >>"$rows"
}

variant() { # NAME TITLE DIR: measure there
	local op began low middle high
	say '{"column":"%s","title":"%s"}\n' "$1" "$2"
	for op in "${operations[@]}"; do
		began=$SECONDS
		time_one "$op" "$3" "$1"
		read -r middle low high <"$here/$1.$op"
		say '{"where":"%s","operation":"%s","title":"%s","ns":%s,"lowest":%s,"highest":%s}\n' \
			"$1" "$op" "$(title "$op")" "$middle" "$low" "$high"
		[ $((SECONDS - began)) -lt 30 ] || echo "  $(title "$op"): $((SECONDS - began)) s"
	done
	echo "$2: measured in $((SECONDS - started)) s"
	started=$SECONDS
}
mounted() { # NAME TITLE OPTION...
	local name=$1 title=$2
	shift 2
	mount_volume "$@"
	curvefs warmup $mnt >/dev/null
	[ "$clock" = instructions ] || sleep 10 # what was begun with that is over
	variant "$name" "$title" $mnt
	umount_volume
}

started=$SECONDS
insmod $here/extfuse.ko
prepare_plain
if [ "$clock" = time ]; then
	(
		cd "$plain/tree"
		git init -q --template=
		git add .
		git -c user.name=bench -c user.email=bench@localhost commit -qm tree
		git repack -adq
	)
	# Not all of it: each file that is closed is on the disk.
	tar -cf $here/few.tar -C "$plain/tree" netfilter
fi
echo "prepared on ext4 in $((SECONDS - started)) s"
prepare_volume
echo "prepared in $((SECONDS - started)) s"
started=$SECONDS

say '{"clock":"%s","kernel":"%s","cpus":%s,"tree":"%s","files":%s,"large_mib":%s}\n' \
	"$clock" "$(uname -r)" "$(nproc)" $tree "$(wc -l <$here/files)" "$large_mib"
variant ext4 ext4 "$plain"
mounted bpf "with BPF" --bpf-cache
mounted hour "no BPF, hour-long" --bpf-cache=off --attr-cache=3600 --entry-cache=3600 --negative-entry-cache=3600
if [ -x build/tests/bench/passthrough ]; then
	cp build/tests/bench/passthrough $here
	ulimit -n 65536 # it has a descriptor for each file it knows
	mount_with passthrough -f -o "source=$plain" $mnt
	variant passthrough "passthrough_ll" $mnt
	umount_volume
else
	echo "no column for libfuse's passthrough_ll: its source is not on this machine (libfuse3-dev's examples)"
fi
mounted plain "no BPF" --bpf-cache=off
