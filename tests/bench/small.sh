#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# small.sh fill FILES IMAGE: make a volume of so many small files (2.6 KB in the mean), all of it fetched into a cache,
# and put volume, metadata and cache into IMAGE, a new ext4; without BPF, on this machine, as it takes an emulator too long.
# small.sh read FILES: `make bench-small`, in the VM, with that disk: mount it, read every file, and say what
# the kernel answered and what memory that took.
set -eu
cd "$(dirname "$0")/../.." || exit 1
what=${1:-} files=${2:-}
[[ $what =~ ^(fill|read)$ && $files =~ ^[1-9][0-9]*$ ]] || { sed -n '3,6s/^# //p' "$0" >&2; exit 2; }

fill() { # IMAGE
	image=$1
	daemon=
	at=$(realpath "$(mktemp -d "$image.XXXXXX")")
	# shellcheck disable=SC2317 # the trap reaches it
	fill_end() {
		! mountpoint -q "$at/mnt" || umount -l "$at/mnt"
		[ -z "$daemon" ] || wait "$daemon" 2>/dev/null || true
		rm -rf "$at"
	}
	trap fill_end EXIT
	mount_with() { # CACHE
		mkdir "$at/$1"
		LD_PRELOAD=$PWD/build/tests/harness/nosync.so build/curvefs-fuse -f --log-level=warning --bpf-cache=off \
			--meta-dir "$at/disk/meta" --cache-dir "$at/$1" "file://$at/disk/volume" "$at/mnt" &
		daemon=$!
		for _ in {1..200}; do
			! mountpoint -q "$at/mnt" || break
			kill -0 "$daemon"
			sleep 0.05
		done
	}
	unmount() {
		umount "$at/mnt"
		wait "$daemon"
		daemon=
	}
	mkdir "$at"/{mnt,disk} "$at"/disk/{volume,meta}
	build/curvefs format "file://$at/disk/volume" --name small --meta-dir "$at/disk/meta" >/dev/null
	mount_with written
	python3 - "$at/mnt" "$files" >"$image.sum" <<'EOF'
import hashlib, os, sys, threading
where, files = sys.argv[1], int(sys.argv[2])

def body(n):
    return (b"%d " % n * 5400)[:n * 7919 % 5325]

def write(first):
    for n in range(first, files, 4):
        with open(f"{where}/{n // 1000:04}/{n:07}", "wb", 0) as f:
            f.write(body(n))

for n in range(0, files, 1000):
    os.mkdir(f"{where}/{n // 1000:04}")
writers = [threading.Thread(target=write, args=(i,)) for i in range(4)]
[t.start() for t in writers]
[t.join() for t in writers]
whole = hashlib.sha256()
for n in range(files):
    whole.update(body(n))
print(whole.hexdigest())
EOF
	unmount
	mount_with disk/cache
	build/curvefs warmup "$at/mnt" >/dev/null
	build/curvefs warmup --check "$at/mnt" >/dev/null
	unmount
	rm -f "$image"
	truncate -s 8G "$image"
	mkfs.ext4 -q -F -m 0 -N $((4 * files + 10000)) -E lazy_itable_init=1,lazy_journal_init=1 -d "$at/disk" "$image"
}

if [ "$what" = fill ]; then
	fill "${3:?IMAGE}"
	exit
fi

. tests/bench/lib.sh
sum=$(<"${3:?IMAGE}.sum")
read_all() { (cd $mnt && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 cat | sha256sum | cut -d' ' -f1); }
seconds() { awk -v us=$((${EPOCHREALTIME/./} - $1)) 'BEGIN { printf "%.1f s", us / 1e6 }'; }
mib() { echo "$(($1 / 1048576)) MiB"; }
insmod $here/extfuse.ko
began=${EPOCHREALTIME/./}
mount_volume --bpf-cache
curvefs warmup $mnt >/dev/null
curvefs warmup --check $mnt >/dev/null
echo "mounted and warm after $(seconds "$began")"
for pass in first second; do # the second finds names and inodes in the kernel
	stats_of before
	began=${EPOCHREALTIME/./}
	[ "$(read_all)" = "$sum" ] || { echo "what was read is not what was written" >&2; exit 1; }
	stats_of after
	echo "$pass pass over $files files: $(seconds "$began"); in the kernel $(grown kernel.open.hit) OPEN, $(grown kernel.read.hit) READ;" \
		"at the daemon $(grown daemon.lookup) LOOKUP, $(grown daemon.getattr) GETATTR, $(grown daemon.open) OPEN, $(grown daemon.read) READ"
done
echo "files that the kernel holds open: $(json $here/stats.after maps.backing_files); cached files: $(json $here/stats.after cache.files)," \
	"packed: $(json $here/stats.after cache.packed) in $(json $here/stats.after cache.packs)"
echo "daemon: $(mib $(($(awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status") * 1024))) resident, of it" \
	"$(mib $(($(awk '/^RssAnon/ { print $2 }' "/proc/$daemon/status") * 1024))) its own"
total=0
for map in /sys/fs/bpf/curvefs/*/*; do
	bytes=$(bpftool map show pinned "$map" 2>/dev/null | grep -o 'memlock [0-9]*' | cut -d' ' -f2)
	total=$((total + ${bytes:-0}))
done
echo "maps: $(mib $total)"
umount_volume
