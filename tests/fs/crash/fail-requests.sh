# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Each request to the store fails once. ROUNDS: how many of them, or all if that is more.
export CURVEFS_RUN_DIR=$CASE_DIR/run # where a killed daemon leaves what `curvefs umount` would clear away
[ -z "${CURVEFS_VM:-}" ] || skip "BPF makes no difference to it"
fresh_volume
export VOLUME META CACHE CASE_DIR SAMPLE=${ROUNDS:-2}
for writeback in "" --writeback; do
	python3 "$CURVEFS_TOP/tests/harness/fail_each.py" requests -- \
		curvefs-fuse -f --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" $writeback "$VOLUME" "$MNT"
done
