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
	struct extfuse_inode *i;
	__u64 ino = ctx->nodeid, size, put;

	if (ctx->flags & EXTFUSE_MMAP_ASIDE)
		return pass_mmap(EXTFUSE_ASIDE);
	i = bpf_map_lookup_elem(&inode, &ino);
	if (!i)
		return pass_mmap(EXTFUSE_MISS);
	put = put_of(i);
	if (expired(i->expires_ns))
		return pass_mmap(EXTFUSE_STALE);
	if (!(i->flags & EXTFUSE_INODE_CACHED) || i->backing_offset)
		return pass_mmap(EXTFUSE_UNCOVERED);
	ctx->backing_id = i->backing_id;
	if (!get_size(i, ino, &size) || !is_same(i, ino, put))
		return pass_mmap(EXTFUSE_STALE);
	count(EXTFUSE_OP_MMAP, EXTFUSE_HIT);
	ctx->size = size;
	return EXTFUSE_V_BACKING;
}

#endif
