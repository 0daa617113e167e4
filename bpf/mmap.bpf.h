/* SPDX-License-Identifier: GPL-2.0 */
/* mmap: of a file that is wholly in a cache file of its own, that one. */
#ifndef EXTFUSE_MMAP_BPF_H
#define EXTFUSE_MMAP_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

static __always_inline int pass_mmap(enum extfuse_outcome outcome)
{
	count(EXTFUSE_OP_MMAP, outcome);
	return EXTFUSE_V_PASS;
}

static __always_inline int do_mmap(struct extfuse_mmap *ctx)
{
	__u64 ino = ctx->nodeid, size;
	enum extfuse_outcome outcome;
	struct extfuse_inode i;

	if (ctx->flags & EXTFUSE_MMAP_ASIDE)
		return pass_mmap(EXTFUSE_ASIDE);
	outcome = find_inode(ino, &i);
	if (outcome != EXTFUSE_HIT)
		return pass_mmap(outcome);
	if (!(i.flags & EXTFUSE_INODE_CACHED) || i.backing_offset)
		return pass_mmap(EXTFUSE_UNCOVERED);
	if (!get_size(&i, ino, &size))
		return pass_mmap(EXTFUSE_STALE);
	count(EXTFUSE_OP_MMAP, EXTFUSE_HIT);
	ctx->backing_id = i.backing_id;
	ctx->size = size;
	return EXTFUSE_V_BACKING;
}

#endif
