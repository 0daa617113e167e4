# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a kernel must not say while it is tested (an expression for awk).
kernel_bad='WARNING:|BUG: |kernel BUG at|Oops|general protection|Call Trace|self-detected stall|detected stalls|soft lockup|possible recursive|possible circular|INFO: task .* blocked|INFO: trying to register non-static key|locking correctness validator|DEBUG_LOCKS_WARN_ON|refcount_t:|list_(add|del) corruption|ODEBUG:|UBSAN|KASAN:|Kernel panic|unreferenced object|scheduling while atomic|page fault for address'

# kernel_complaints LINES [MARK]: what this kernel said from the first such line on, LINES of it at most; if given,
# after a line that has MARK in it.
kernel_complaints() {
	# Whoever is killed for want of memory is named with a stack, which is no complaint.
	dmesg | awk -v lines="$1" -v mark="${2-}" -v bad="$kernel_bad" \
		'BEGIN { on = mark == "" } mark && index($0, mark) { on = 1 } /invoked oom-killer/ { oom = 1 } oom { oom = !/<\/TASK>/; next }
		on && $0 ~ bad { found = 1 } on && found && lines-- > 0'
}
