#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Power failures: see --help.
set -uo pipefail
usage() {
	cat <<'HELP'
usage: vmtest/crash.sh [--build=DIR] [--rounds=N] [--seed=N]

Boot a VM with a volume, its metadata and its cache on an ext4 disk, let several processes change
it, end the VM at a random moment, keep of the disk what a flush came after and some of the rest, and
boot again: fsck must find nothing, and the volume must have what was acknowledged, as
tests/harness/crash_model.py has it.  N rounds (default 1) take N + 1 boots.
HELP
}
die() { echo "crash: $*" >&2; exit 1; }
build=build rounds=1 seed=$RANDOM
for argument; do
	case $argument in
	--build=?*) build=${argument#*=} ;;
	--rounds=[1-9]*) rounds=${argument#*=} ;;
	--seed=[0-9]*) seed=${argument#*=} ;;
	--help | -h) usage; exit 0 ;;
	*) die "unknown option '$argument' (see --help)" ;;
	esac
done
cd "$(dirname "$0")/.." || exit 1
[ -x "$build/curvefs-fuse" ] || die "no $build/curvefs-fuse; run 'make' first"
state=$PWD/$build/crash.$$ vm=
finish() {
	[ -z "$vm" ] || kill "$vm" 2>/dev/null && wait "$vm" 2>/dev/null
	rm -rf "$state"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir -p "$state" || exit 1
truncate -s 4G "$state/disk.img" || exit 1
mkfs.ext4 -q -F -m 0 "$state/disk.img" || exit 1
echo "seed $seed"
RANDOM=$seed

guest=(tests/harness/power.py "$build" "$state" "$seed")
for ((round = 0; round < rounds; round++)); do
	rm -f "$state/started"
	cp --sparse=always "$state/disk.img" "$state/running.img" || die "cannot copy the disk"
	vmtest/run.sh --disk-file "$state/running.img" --log-writes "$state/writes" --timeout 900 -- \
		"${guest[@]}" "$round" >"$state/out" 2>&1 &
	vm=$!
	for ((i = 0; i < 9000; i++)); do
		if [ -e "$state/started" ] || ! kill -0 "$vm" 2>/dev/null; then break; fi
		sleep 0.1
	done
	if ! [ -e "$state/started" ]; then
		cat "$state/out" >&2
		die "round $round failed"
	fi
	sleep "$((RANDOM % 8)).$((RANDOM % 10))"
	# No signal that it could catch: it would flush the disk first.
	kill -KILL "$(cat "build/vm.$vm/qemu.pid")" || die "round $round: there is no VM"
	wait "$vm" 2>/dev/null
	vm=
	tests/harness/lose_writes.py "$state/disk.img" "$state/writes" "$seed.$round" || exit 1
done
vmtest/run.sh --disk-file "$state/disk.img" --timeout 900 -- "${guest[@]}" last >"$state/out" 2>&1 &
vm=$!
wait "$vm" || { cat "$state/out" >&2; die "the check after the last round failed"; }
vm=
cat "$state/said"
