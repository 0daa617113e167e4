# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon in the middle of a workload, again and again; ROUNDS and SECONDS_MAX for more.
export CURVEFS_RUN_DIR=$CASE_DIR/run # where a killed daemon leaves what `curvefs umount` would clear away
fresh_volume
export VOLUME META CACHE CASE_DIR
python3 "$CURVEFS_TOP/tests/harness/crash.py" -- \
	curvefs-fuse -f --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
