# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the cases of the kernel side share.  They start without the module, and leave without it.
set -eu
[ -n "${CURVEFS_VM:-}" ] || { echo "needs the VM: it loads a kernel module"; exit 77; }

# The kernel lets go of the programs of a daemon that has ended a little later.
unload() {
	for _ in $(seq 50); do
		[ -d /sys/module/extfuse ] || return 0
		! rmmod extfuse 2>/dev/null || return 0
		sleep 0.2
	done
	rmmod extfuse
}

# Run a group of tests with the module loaded; afterwards it must be possible to unload it (if the tests did not).
run_group() { # GROUP
	trap unload EXIT
	insmod "$CURVEFS_BUILD/extfuse.ko"
	kernel-case "$1"
	trap - EXIT
	unload
}
