# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What demo.sh and bench.sh share: a real source tree, small files and a large one, put on ext4 and on
# a volume, and the same operations timed on each.  Sourced, in the VM, as root, in the checkout.

[ -n "${CURVEFS_VM:-}" ] || { echo "${0##*/}: runs in the VM: make ${0##*/}" | sed 's/\.sh$//' >&2; exit 1; }
set -eu
top=$PWD
here=/run/curvefs-bench # programs run from memory: the checkout comes over a network file system
mkdir -p $here
cp "${CURVEFS_MODULE:-build/extfuse.ko}" $here/extfuse.ko
cp build/curvefs-fuse build/curvefs build/tests/bench/measure build/tests/harness/{json,nosync.so} $here
PATH=$here:$PATH

tree=/usr/include/linux
small_files=400 small_bytes=2662
: "${large_mib:=64}" "${mapped_mib:=0}" "${round_ms:=400}" # mapped_mib 0: the large file is what is mapped
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

# mount_with COMMAND...: run it, which mounts on $mnt and stays, and wait until it has.
mount_with() {
	mkdir -p $mnt
	"$@" &
	daemon=$!
	for _ in $(seq 600); do
		! mountpoint -q $mnt || return 0
		kill -0 $daemon
		sleep 0.05
	done
	return 1
}

mount_volume() { # OPTION...
	mount_with curvefs-fuse -f --log-level=warning --meta-dir "$meta" --cache-dir "$cache" "$@" "file://$volume" $mnt
}

umount_volume() {
	umount $mnt
	wait "$daemon"
	daemon=
}

# What is measured, on ext4: the tree, small files made of what is in it, and one or two large files; and
# the names in it to work on.
prepare_plain() {
	local i
	mkdir -p "$plain/small"
	cp -r $tree "$plain/tree"
	tar -cf - -C $tree . | head -c $((small_files * small_bytes)) | split -d -a 4 -b $small_bytes - "$plain/small/"
	dd if=/dev/urandom of="$plain/large" bs=1M count="$large_mib" status=none
	echo large | tee $here/data >$here/mapped
	if [ "$mapped_mib" -gt 0 ]; then
		for ((i = 0; i < mapped_mib; i += large_mib)); do cat "$plain/large"; done | head -c "${mapped_mib}M" >"$plain/mapped"
		echo mapped >$here/mapped
	fi
	(cd "$plain" && find tree -type f) >$here/files
	# stat(2) of one name, without the folders on the way to it: what `ls -l` does.
	(cd "$plain/tree" && find . -maxdepth 1 -type f -name '*.h' | sed 's|^\./||' | head -n 400) >$here/flat
	(cd "$plain" && find small -type f) >$here/small
	sync -f "$plain"
}

# The same on the volume, and in its cache.  What is safe when is none of it.
prepare_volume() {
	curvefs format "file://$volume" --name bench --meta-dir "$meta" >/dev/null
	LD_PRELOAD=$here/nosync.so mount_volume --bpf-cache=off
	cp -a "$plain/." $mnt
	umount_volume
	sync -f "$volume"
}

# What is timed: operations of `measure`, and commands.
operations=(stat path absent small random scan mmap write sync)

title() {
	case $1 in
	stat) echo "stat" ;;
	path) echo "stat by path, whole tree" ;;
	cold) echo "stat by path, caches dropped" ;;
	absent) echo "stat of an absent name" ;;
	small) echo "open+read+close, 2.6 KB" ;;
	random) echo "4 KiB random read" ;;
	direct) echo "4 KiB random read, O_DIRECT" ;;
	scan) echo "sequential read, per MiB" ;;
	mmap) echo "mapped ${mapped_mib/#0/$large_mib} MiB, a byte a page, per MiB" ;;
	write) echo "write of 128 bytes" ;;
	sync) echo "32 of those and fsync" ;;
	find) echo "find -ls of the tree" ;;
	git) echo "git status in the tree" ;;
	untar) echo "untar $(tar -tf $here/few.tar | grep -vc '/$') files" ;;
	esac
}

# time_one OPERATION DIR NAME: on DIR; "median lowest highest", nanoseconds, go to $here/NAME.OPERATION.
time_one() {
	case $1 in
	stat | absent) measure "$1" "$2/tree" "$round_ms" <$here/flat ;;
	path) measure stat "$2" "$round_ms" <$here/files ;;
	cold) measure cold "$2" <$here/files ;;
	small) measure small "$2" "$round_ms" <$here/small ;;
	mmap) measure mmap "$2" "$round_ms" <$here/mapped ;;
	find) time_command find "$2/tree" -ls ;;
	git) time_command git -C "$2/tree" status --short ;;
	untar)
		time_command unpack "$2"
		rm -rf "$2"/unpacked.*
		;;
	*) measure "$1" "$2" "$round_ms" <$here/data ;;
	esac >"$here/$3.$1"
}

time_all() { # DIR NAME [OPERATION...]: all of them, or these
	local op where=$1 name=$2
	shift 2
	[ $# -gt 0 ] || set -- "${operations[@]}"
	for op; do
		time_one "$op" "$where" "$name"
	done
}

# time_command COMMAND...: all of it, from its start to its end; once before, for what is warm then.
time_command() {
	local i start times=()
	for ((i = 0; i < 6; i++)); do
		start=${EPOCHREALTIME/./}
		"$@" >/dev/null
		times+=($((${EPOCHREALTIME/./} - start)))
	done
	printf '%s000\n' "${times[@]:1}" | sort -n | awk '{ t[NR] = $1 } END { print t[3], t[1], t[5] }'
}

unpacked=0
unpack() { # DIR: few.tar in a folder of its own there
	unpacked=$((unpacked + 1))
	mkdir "$1/unpacked.$unpacked"
	tar -xf $here/few.tar -C "$1/unpacked.$unpacked"
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
