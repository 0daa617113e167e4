# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the cases of the kernel side share.  They start without the module, and leave without it.
set -eu
[ -n "${CURVEFS_VM:-}" ] || { echo "needs the VM: it loads a kernel module"; exit 77; }

unload() {
	[ ! -d /sys/module/extfuse ] || rmmod extfuse
}

# Run a group of tests with the module loaded; afterwards it must be possible to unload it (if the tests did not).
run_group() { # GROUP
	trap unload EXIT
	insmod "$CURVEFS_BUILD/extfuse.ko"
	kernel-case "$1"
	trap - EXIT
	unload
}
