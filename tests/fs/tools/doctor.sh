# SPDX-License-Identifier: Apache-2.0
# doctor's verdict about BPF is what a mount then finds.
curvefs doctor --json >found || true
can=$(json found can_bpf)
if bpf_on; then
	assert_eq "$can" true
fi
assert_eq "$(json found can_mount)" true
fresh_volume
BPF=auto mount_volume
assert_eq "$(curvefs stats "$MNT" --json | json - bpf.on)" "$can"

# The cache directory it is told to look at need not be there yet.
curvefs doctor --cache-dir "$CASE_DIR/not/yet" >said || true
grep -q "cache file system *$CASE_DIR is on" said

# A kernel in which the module runs is one that doctor knows, too.
for check in ftrace 'kernel BTF' "kernel's fs/fuse"; do
	grep -q "^[a-z]* *$check  " said || fail "doctor says nothing of $check"
	! bpf_on || grep -q "^ok *$check  " said || fail "doctor: $(grep "$check" said)"
done
