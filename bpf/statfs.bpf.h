/* SPDX-License-Identifier: GPL-2.0 */
/* STATFS: the one answer that is of no inode. */
#ifndef EXTFUSE_STATFS_BPF_H
#define EXTFUSE_STATFS_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

/* (x86 keeps the order of the reads; the compiler is told to.) */
static __always_inline int do_statfs(struct extfuse_request *req)
{
	struct extfuse_statfs *s;
	__u32 zero = 0;
	__u64 seq;

	s = bpf_map_lookup_elem(&statfs, &zero);
	if (!s || req->out_max < sizeof(req->out.statfs)) {
		count(EXTFUSE_OP_STATFS, EXTFUSE_PASS);
		return EXTFUSE_V_PASS;
	}
	seq = s->seq;
	barrier();
	if (!seq) {
		count(EXTFUSE_OP_STATFS, EXTFUSE_MISS);
		return EXTFUSE_V_PASS;
	}
	if (seq & 1 || s->seen != s->changes || expired(s->expires_ns))
		goto stale;
	copy_words(&req->out.statfs, &s->st, sizeof(req->out.statfs));
	barrier();
	if (s->seq != seq)
		goto stale;
	count(EXTFUSE_OP_STATFS, EXTFUSE_HIT);
	req->out_len = sizeof(req->out.statfs);
	return EXTFUSE_V_REPLY;
stale:
	count(EXTFUSE_OP_STATFS, EXTFUSE_STALE);
	return EXTFUSE_V_PASS;
}

#endif
