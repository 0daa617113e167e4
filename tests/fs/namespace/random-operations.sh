# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# Random operations on the names of a small tree: by one process each does what a model says; what several see
# at once can be explained by one order of them, errors, links and inode numbers included; and all of it is
# there after a remount.
tree() { # what there is
	find "$MNT/t" -printf '%P|%y|%m|%n|%i|%s|%l\n' | sort
}

# Mistakes that are planted are found.
broken() { # MISTAKE OPTION...
	BREAK=$1 ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 \
		LD_PRELOAD=$CURVEFS_BUILD/tests/harness/breaktree.so exercise-tree "$CASE_DIR/t" --shrink 0 "${@:2}"
}
if ! bpf_on; then
	assert_fails -e "no order of these" broken same --processes 1 --seed 3 --operations 4000
	assert_fails -e "no order of these" broken gap --seconds 10
fi

fresh_volume
operations=300
! bpf_on || operations=200
mount_volume
exercise-tree "$MNT/t" --processes 1 --operations "$operations"
# With BPF the kernel keeps attributes until its next tick.
late=--late-attributes
bpf_on || late=
assert_kernel_hits lookup -- exercise-tree "$MNT/t" ${late:+"$late"} --processes 4 --operations "$operations" --seed 2
tree >"$CASE_DIR/before"
remount_volume --attr-cache=0
tree >"$CASE_DIR/after"
cmp "$CASE_DIR/before" "$CASE_DIR/after"
assert_kernel_hits lookup getattr -- exercise-tree "$MNT/t" --operations "$operations" --seed 3
umount_volume
curvefs fsck "$VOLUME" --meta-dir "$META"
