#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make bench`: the table of the demo with one column more (long kernel time-outs and no BPF: what
# other file systems offer for speed, at the price of old answers), kept as JSON in build/bench.json.
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/lib.sh

insmod $here/extfuse.ko
mkdir -p "$plain" && fill "$plain"
prepare_names
curvefs format "file://$volume" --name bench --meta-dir "$meta" >/dev/null
mount_volume --bpf-cache
fill $mnt
umount_volume

variant() { # NAME OPTION...
	local name=$1
	shift
	mount_volume "$@"
	curvefs warmup $mnt >/dev/null
	measure absent $mnt/tree <$here/flat >/dev/null
	time_all $mnt "$name"
	umount_volume
}
time_all "$plain" ext4
variant bpf --bpf-cache
variant hour --bpf-cache=off --attr-cache=3600 --entry-cache=3600 --negative-entry-cache=3600
variant second --bpf-cache=off
variant always --bpf-cache=off --attr-cache=0 --entry-cache=0 --negative-entry-cache=0

table ext4:ext4 bpf:'with BPF' hour:'no BPF, 1 h' second:'no BPF, 1 s' always:'no BPF, 0 s'
for name in ext4 bpf hour second always; do
	for op in "${operations[@]}"; do
		read -r middle low high <"$here/$name.$op"
		printf '{"where":"%s","operation":"%s","ns":%s,"lowest":%s,"highest":%s}\n' "$name" "$op" "$middle" "$low" "$high"
	done
done | python3 -c 'import json, sys; json.dump([json.loads(l) for l in sys.stdin], sys.stdout, indent=1)' >build/bench.json
echo "kept in build/bench.json"
