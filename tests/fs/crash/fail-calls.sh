# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Each call of the daemon that changes something on a disk fails once: its own, RocksDB's and the store's.
# ROUNDS: how many of them, or all if that is more.
export CURVEFS_RUN_DIR=$CASE_DIR/run # where a killed daemon leaves what `curvefs umount` would clear away
[ -z "${CURVEFS_VM:-}" ] || skip "BPF makes no difference to it"
fresh_volume
export VOLUME META CACHE CASE_DIR SAMPLE=${ROUNDS:-2}
for writeback in "" --writeback; do
	python3 "$CURVEFS_TOP/tests/harness/fail_each.py" calls -- \
		curvefs-fuse -f --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" $writeback "$VOLUME" "$MNT"
done
