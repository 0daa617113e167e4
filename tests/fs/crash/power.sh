# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# Power failures of a disk with a volatile cache, in the middle of a workload, again and again; ROUNDS and
# SECONDS_MAX for more.
export CURVEFS_RUN_DIR=$CASE_DIR/run # where a killed daemon leaves what `curvefs umount` would clear away
bpf_on && skip "too slow on a machine that is emulated; vmtest/crash.sh is for those"
need_root
[ -e /dev/loop-control ] || skip "no loop devices"
image=$CASE_DIR/try
truncate -s 1M "$image"
loop=$(losetup --find --show "$image" 2>&1) || skip "no loop devices: $loop"
losetup --detach "$loop"
mkdir "$CASE_DIR/power"
python3 "$CURVEFS_TOP/tests/harness/power_cut.py" "$CASE_DIR/power"
