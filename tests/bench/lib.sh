# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What demo.sh and bench.sh share: one real source tree and one large file, put on ext4 and on a
# volume, and the same operations timed on each.  Sourced, in the VM, as root, in the checkout.

[ -n "${CURVEFS_VM:-}" ] || { echo "${0##*/}: runs in the VM: make ${0##*/}" | sed 's/\.sh$//' >&2; exit 1; }
set -eu
top=$PWD
here=/run/curvefs-bench # programs run from memory: the checkout comes over a network file system
mkdir -p $here
cp "${CURVEFS_MODULE:-build/extfuse.ko}" $here/extfuse.ko
cp build/curvefs-fuse build/curvefs build/tests/bench/measure build/tests/harness/json $here
PATH=$here:$PATH

tree=/usr/include/linux
large_mib=64
mnt=/run/bench-mnt
volume=$CURVEFS_SCRATCH/volume cache=$CURVEFS_SCRATCH/cache meta=$CURVEFS_SCRATCH/meta
plain=$CURVEFS_SCRATCH/plain
daemon=

bench_end() {
	local status=$?
	trap - EXIT
	! mountpoint -q $mnt || umount -l $mnt
	[ -z "$daemon" ] || wait "$daemon" 2>/dev/null || true
	[ ! -e /dev/extfuse ] || rmmod extfuse
	exit $status
}
trap bench_end EXIT

# mount_volume OPTION...: and wait until it is usable.
mount_volume() {
	mkdir -p $mnt
	curvefs-fuse -f --log-level=warning --meta-dir "$meta" --cache-dir "$cache" "$@" "file://$volume" $mnt &
	daemon=$!
	for _ in $(seq 600); do
		! mountpoint -q $mnt || return 0
		kill -0 $daemon
		sleep 0.05
	done
	return 1
}

umount_volume() {
	umount $mnt
	wait "$daemon"
	daemon=
}

# fill DIR: the tree and the large file.
fill() {
	cp -r "$tree" "$1/tree"
	dd if=/dev/urandom of="$1/large" bs=1M count=$large_mib status=none
	sync -f "$1"
}

# names_of DIR: the names to work on, made once.
prepare_names() {
	(cd "$plain" && find tree -type f) >$here/files
	# stat(2) of one name, without the folders on the way to it: what `ls -l` does.
	(cd "$plain/tree" && find . -maxdepth 1 -type f -name '*.h' | sed 's|^\./||' | head -n 400) >$here/flat
	echo large >$here/data
}

# time_all DIR NAME: run every operation, results in $here/NAME.<operation>.
operations=(stat path absent small random scan mmap write sync)
time_all() {
	time_reads "$@"
	time_writes "$@"
}

time_writes() {
	measure write "$1" <$here/data >"$here/$2.write"
	measure sync "$1" <$here/data >"$here/$2.sync"
}

time_reads() {
	measure stat "$1/tree" <$here/flat >"$here/$2.stat"
	measure stat "$1" <$here/files >"$here/$2.path"
	measure absent "$1/tree" <$here/flat >"$here/$2.absent"
	measure small "$1" <$here/files >"$here/$2.small"
	measure random "$1" <$here/data >"$here/$2.random"
	measure scan "$1" <$here/data >"$here/$2.scan"
	measure mmap "$1" <$here/data >"$here/$2.mmap"
}

title() {
	case $1 in
	stat) echo "stat" ;;
	path) echo "stat by path, whole tree" ;;
	absent) echo "stat of an absent name" ;;
	small) echo "open+read+close, small file" ;;
	random) echo "4 KiB random read" ;;
	scan) echo "sequential read, per MiB" ;;
	mmap) echo "mapped, a byte a page, per MiB" ;;
	write) echo "write of 128 bytes" ;;
	sync) echo "32 of those, then fsync" ;;
	esac
}

median() { cut -d' ' -f1 "$here/$1.$2"; }

# table NAME:TITLE...: the first is what the others are compared with.
table() {
	local op column first=${1%%:*}
	{
		printf 'microseconds'
		for column; do printf '|%s|' "${column#*:}"; done
		echo
		for op in "${operations[@]}"; do
			title "$op" | tr -d '\n'
			for column; do
				awk -v t="$(median "${column%%:*}" "$op")" -v base="$(median "$first" "$op")" \
					'BEGIN { printf "|%.1f|%.2fx", t / 1000, t / base }'
			done
			echo
		done
	} | column -t -s '|' -R "$(seq -s, 2 $((2 * $# + 1)))"
}

stats_of() { curvefs stats $mnt --json >"$here/stats.$1"; }
grown() { echo $(($(json "$here/stats.after" "$1") - $(json "$here/stats.before" "$1"))); }
