/* SPDX-License-Identifier: GPL-2.0 */
/*
 * OPEN for reading and its RELEASE.  An open says nothing that could be untrue: that the file is there, the
 * kernel knows from the LOOKUP, and whether the caller may, from its mode.  It is answered for files that are
 * read in the kernel as well; of any other the daemon wants a handle, to read ahead.
 */
#ifndef EXTFUSE_OPEN_BPF_H
#define EXTFUSE_OPEN_BPF_H

#include "mutate.bpf.h"

#define O_ACCMODE 03
#define O_TRUNC 01000

/* fs/fuse's, as in uapi/linux/fuse.h: macros are not in BTF. */
#define FOPEN_KEEP_CACHE (1 << 1)
#define FOPEN_NOFLUSH (1 << 5)

static __always_inline int pass_open(enum extfuse_outcome outcome)
{
	count(EXTFUSE_OP_OPEN, outcome);
	return EXTFUSE_V_PASS;
}

/* With a copy of the inode on a stack of its own. */
static __noinline int open_to_read(struct extfuse_request *req)
{
	struct extfuse_inode i;
	enum extfuse_outcome outcome = find_inode(req->nodeid, &i);

	if (outcome != EXTFUSE_HIT)
		return pass_open(outcome);
	if (!(i.flags & EXTFUSE_INODE_CACHED) && i.attr.size)
		return pass_open(EXTFUSE_UNCOVERED);
	count(EXTFUSE_OP_OPEN, EXTFUSE_HIT);
	if (!i.expires_ns)
		req->remember = EXTFUSE_REMEMBER(EXTFUSE_OP_OPEN, EXTFUSE_HIT);
	req->out.open.fh = EXTFUSE_FH_NONE;
	req->out.open.open_flags = FOPEN_KEEP_CACHE | FOPEN_NOFLUSH;
	req->out_len = sizeof(req->out.open);
	return EXTFUSE_V_REPLY;
}

static __always_inline int do_open(void *ctx, struct extfuse_request *req)
{
	if (req->flags & O_TRUNC)
		return do_inode(ctx, req->nodeid, EXTFUSE_OP_OPEN);
	if (req->flags & O_ACCMODE || req->out_max < sizeof(req->out.open))
		return pass_open(EXTFUSE_PASS);
	return open_to_read(req);
}

static __always_inline int do_release(struct extfuse_request *req)
{
	if (req->nodeid2 != EXTFUSE_FH_NONE) {
		count(EXTFUSE_OP_RELEASE, EXTFUSE_PASS);
		return EXTFUSE_V_PASS;
	}
	count(EXTFUSE_OP_RELEASE, EXTFUSE_HIT);
	req->remember = EXTFUSE_REMEMBER(EXTFUSE_OP_RELEASE, EXTFUSE_HIT);
	return EXTFUSE_V_REPLY;
}

#endif
