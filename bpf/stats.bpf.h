/* SPDX-License-Identifier: GPL-2.0 */
/* One counter per (operation, outcome): every path through a program counts exactly once. */
#ifndef EXTFUSE_STATS_BPF_H
#define EXTFUSE_STATS_BPF_H

#include "maps.bpf.h"

static __always_inline void count(enum extfuse_op op, enum extfuse_outcome outcome)
{
	__u32 slot = op * EXTFUSE_OUTCOMES + outcome;
	__u64 *n = bpf_map_lookup_elem(&stats, &slot);

	if (n)
		*n += 1; /* per CPU, and no program of ours interrupts another on the same task's path */
}

#endif
