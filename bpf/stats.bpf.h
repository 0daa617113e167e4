/* SPDX-License-Identifier: GPL-2.0 */
/* One counter per (operation, outcome): every path through a program counts exactly once. */
#ifndef EXTFUSE_STATS_BPF_H
#define EXTFUSE_STATS_BPF_H

#include "maps.bpf.h"

/*
 * Preempted in the middle of an addition, a task may lose the other one's on
 * this CPU; the counters say who answers, and a lost one in millions does not
 * change that.  An atomic addition would be paid by every hit.
 */
static __always_inline void count(enum extfuse_op op, enum extfuse_outcome outcome)
{
	__u32 slot = op * EXTFUSE_OUTCOMES + outcome;
	__u64 *n = bpf_map_lookup_elem(&stats, &slot);

	if (n)
		*n += 1;
}

#endif
