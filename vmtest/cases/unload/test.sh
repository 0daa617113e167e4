#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The module comes and goes under a busy mount, and leaves the kernel's text as it was.
. "$CURVEFS_TOP/vmtest/kernel/lib.sh"
load=
# A process that is killed while it waits for its own daemon stays: so let that one end.
trap '[ -z "$load" ] || wait "$load"; unload' EXIT

hooks() { # traced functions of fs/fuse, and how
	grep -E 'fuse' /sys/kernel/tracing/enabled_functions || :
}

mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
kernel-case load 12 &
load=$!
for i in 1 2 3; do
	[ -z "$(hooks)" ]
	insmod "$CURVEFS_BUILD/extfuse.ko"
	[ "$(hooks | grep -c ' I')" = 7 ] || { echo "hooked is:"; hooks; exit 1; }
	sleep 0.3
	unload
	[ -z "$(hooks)" ] || { echo "still hooked:"; hooks; exit 1; }
	[ ! -e /dev/extfuse ]
done
wait "$load"
load=

# and it still works after all that
run_group hit
