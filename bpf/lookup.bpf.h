/* SPDX-License-Identifier: GPL-2.0 */
/* LOOKUP: two map entries, the name's and its inode's, make one fuse_entry_out. */
#ifndef EXTFUSE_LOOKUP_BPF_H
#define EXTFUSE_LOOKUP_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

#define ENOENT 2

/* "." and "..", asked for by an NFS server for a node id that the kernel has forgotten: no map has these. */
static __always_inline bool is_dot(const struct extfuse_request *req)
{
	return req->name[0] == '.' && (req->name_len == 1 || (req->name_len == 2 && req->name[1] == '.'));
}

/*
 * Known to be absent.  With a validity the kernel keeps a negative dentry for so
 * long; without one it must keep none, and -ENOENT is the answer that says so.
 */
static __always_inline int absent(struct extfuse_request *req)
{
	count(EXTFUSE_OP_LOOKUP, EXTFUSE_NEGATIVE);
	if (mount_config.negative_valid_ns) {
		req->out.entry.nodeid = 0;
		req->out.entry.entry_valid = mount_config.negative_valid_ns / NSEC_PER_SEC;
		req->out.entry.entry_valid_nsec = mount_config.negative_valid_ns % NSEC_PER_SEC;
		req->out_len = sizeof(req->out.entry);
	} else {
		req->error = -ENOENT;
	}
	return EXTFUSE_V_REPLY;
}

/* As long as nothing changes, if that which said so does not expire. */
static __always_inline void stays_absent(struct extfuse_request *req, __u64 expires_ns)
{
	if (!expires_ns)
		req->remember = EXTFUSE_REMEMBER(EXTFUSE_OP_LOOKUP, EXTFUSE_NEGATIVE);
}

static __noinline bool has_all_names(struct extfuse_request *req)
{
	struct extfuse_inode dir;

	if (find_inode(req->nodeid, &dir) != EXTFUSE_HIT || !(dir.flags & EXTFUSE_INODE_ALL_NAMES))
		return false;
	stays_absent(req, dir.expires_ns);
	return true;
}

/*
 * No dentry: absent all the same if the directory's entry says that every name is there.
 * A dentry on its way out moves the directory's epoch first, then takes that
 * entry out, then goes itself; so with the epoch read on both sides, the name
 * was not there and the directory's word was good at one and the same moment.
 * (x86 keeps the order of these reads.)
 */
static __noinline bool surely_absent(struct extfuse_request *req)
{
	__u32 slot = extfuse_epoch_slot(req->nodeid), before;
	volatile __u32 *now = bpf_map_lookup_elem(&epoch, &slot);

	if (!now)
		return false;
	before = *now;
	return find_dentry(req, NULL) == NOT_FOUND && has_all_names(req) && *now == before;
}

/* LOOKUP, where it does not end with an answer: fs/fuse asks again behind a revalidation. */
static __always_inline int pass_lookup(struct extfuse_request *req, enum extfuse_outcome outcome)
{
	if (!(req->flags & EXTFUSE_LOOKUP_REVALIDATE))
		count(EXTFUSE_OP_LOOKUP, outcome);
	return EXTFUSE_V_PASS;
}

/* The name leads to an inode; with a copy of that on a stack of its own. */
static __noinline int answer_with_inode(struct extfuse_request *req, const struct extfuse_dentry *d)
{
	struct extfuse_inode i;
	enum extfuse_outcome outcome = find_inode(d->ino, &i);

	if (outcome == EXTFUSE_HIT &&
	    (i.generation != d->generation || !get_attr(&i, d->ino, &req->out.entry.attr)))
		outcome = EXTFUSE_STALE;
	if (outcome != EXTFUSE_HIT)
		return pass_lookup(req, outcome);
	count(EXTFUSE_OP_LOOKUP, EXTFUSE_HIT);
	req->out.entry.nodeid = d->ino;
	req->out.entry.generation = i.generation;
	if (mount_config.entry_valid_ns) { /* the context comes zeroed */
		req->out.entry.entry_valid = mount_config.entry_valid_ns / NSEC_PER_SEC;
		req->out.entry.entry_valid_nsec = mount_config.entry_valid_ns % NSEC_PER_SEC;
	}
	if (mount_config.attr_valid_ns) {
		req->out.entry.attr_valid = mount_config.attr_valid_ns / NSEC_PER_SEC;
		req->out.entry.attr_valid_nsec = mount_config.attr_valid_ns % NSEC_PER_SEC;
	}
	req->out_len = sizeof(req->out.entry);
	/* Size and times of a lent file are in another map. */
	if (!(d->expires_ns | i.expires_ns | (i.flags & EXTFUSE_INODE_LENT)))
		req->remember = EXTFUSE_REMEMBER(EXTFUSE_OP_LOOKUP, EXTFUSE_HIT);
	return EXTFUSE_V_REPLY;
}

static __always_inline int do_lookup(struct extfuse_request *req)
{
	struct extfuse_dentry d;
	enum found found;

	if (is_dot(req) || req->out_max < sizeof(req->out.entry))
		return pass_lookup(req, EXTFUSE_PASS);
	found = find_dentry(req, &d);
	if (found == NOT_FOUND) {
		if (surely_absent(req))
			return absent(req);
		return pass_lookup(req, EXTFUSE_MISS);
	}
	if (found != FOUND || expired(d.expires_ns))
		return pass_lookup(req, EXTFUSE_STALE);
	if (!d.ino) {
		stays_absent(req, d.expires_ns);
		return absent(req);
	}
	return answer_with_inode(req, &d);
}

#endif
