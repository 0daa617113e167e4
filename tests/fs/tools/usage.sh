# SPDX-License-Identifier: Apache-2.0
# Every subcommand explains itself; what is not understood is refused with status 2 and a hint.
bpf_on && skip "nothing of this depends on the kernel"
for sub in format warmup status stats info maps doctor umount; do
	curvefs "$sub" --help >said
	grep -q "^usage: curvefs $sub" said
	grep -q -- '--json' said
	cmp said <(curvefs help "$sub")
	curvefs help | grep -q "^  $sub "
	status=0
	curvefs "$sub" --no-such-option 2>said || status=$?
	assert_eq "$status" 2
	grep -q -- "--no-such-option" said
done
curvefs --version | grep -Eq '^curvefs [0-9.]+$'
assert_fails -e "did you mean 'umount'" curvefs unmount
assert_fails -e "did you mean 'stats'" curvefs stat
assert_fails -e "usage" curvefs
assert_fails -e "too few operands" curvefs info
assert_fails -e "too many operands" curvefs status x
