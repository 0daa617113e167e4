/* SPDX-License-Identifier: GPL-2.0 */
/* GETATTR: by node id, whether or not a file handle is given along. */
#ifndef EXTFUSE_GETATTR_BPF_H
#define EXTFUSE_GETATTR_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

/* A function of its own, for the copy on its stack. */
static __noinline int do_getattr(struct extfuse_request *req)
{
	enum extfuse_outcome outcome = EXTFUSE_PASS;
	__u64 ino = req->nodeid;
	struct extfuse_inode i;

	if (req->out_max >= sizeof(req->out.attr))
		outcome = find_inode(ino, &i);
	if (outcome == EXTFUSE_HIT && !get_attr(&i, ino, &req->out.attr.attr))
		outcome = EXTFUSE_STALE;
	count(EXTFUSE_OP_GETATTR, outcome);
	if (outcome != EXTFUSE_HIT)
		return EXTFUSE_V_PASS;
	if (mount_config.attr_valid_ns) { /* the context comes zeroed */
		req->out.attr.attr_valid = mount_config.attr_valid_ns / NSEC_PER_SEC;
		req->out.attr.attr_valid_nsec = mount_config.attr_valid_ns % NSEC_PER_SEC;
	}
	req->out_len = sizeof(req->out.attr);
	return EXTFUSE_V_REPLY;
}

#endif
