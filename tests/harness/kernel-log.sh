# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a kernel must not say while it is tested (an expression for awk).
# shellcheck disable=SC2034 # for who sources this
kernel_bad='WARNING:|BUG: |kernel BUG at|Oops|general protection|Call Trace|self-detected stall|detected stalls|soft lockup|possible recursive|possible circular|INFO: task .* blocked|INFO: trying to register non-static key|locking correctness validator|DEBUG_LOCKS_WARN_ON|refcount_t:|list_(add|del) corruption|ODEBUG:|UBSAN|KASAN:|Kernel panic|unreferenced object|scheduling while atomic|page fault for address'
