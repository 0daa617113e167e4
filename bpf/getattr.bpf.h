/* SPDX-License-Identifier: GPL-2.0 */
/* GETATTR: by node id, whether or not a file handle is given along. */
#ifndef EXTFUSE_GETATTR_BPF_H
#define EXTFUSE_GETATTR_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

static __always_inline int do_getattr(struct extfuse_request *req)
{
	struct extfuse_inode *i;
	__u64 ino = req->nodeid, put;

	if (req->out_max < sizeof(req->out.attr)) {
		count(EXTFUSE_OP_GETATTR, EXTFUSE_PASS);
		return EXTFUSE_V_PASS;
	}
	i = bpf_map_lookup_elem(&inode, &ino);
	if (!i) {
		count(EXTFUSE_OP_GETATTR, EXTFUSE_MISS);
		return EXTFUSE_V_PASS;
	}
	put = put_of(i);
	if (expired(i->expires_ns)) {
		count(EXTFUSE_OP_GETATTR, EXTFUSE_STALE);
		return EXTFUSE_V_PASS;
	}
	if (!copy_attr(&req->out.attr.attr, i, ino, put)) {
		count(EXTFUSE_OP_GETATTR, EXTFUSE_STALE);
		return EXTFUSE_V_PASS;
	}
	count(EXTFUSE_OP_GETATTR, EXTFUSE_HIT);
	if (mount_config.attr_valid_ns) { /* the context comes zeroed */
		req->out.attr.attr_valid = mount_config.attr_valid_ns / NSEC_PER_SEC;
		req->out.attr.attr_valid_nsec = mount_config.attr_valid_ns % NSEC_PER_SEC;
	}
	req->out_len = sizeof(req->out.attr);
	return EXTFUSE_V_REPLY;
}

#endif
