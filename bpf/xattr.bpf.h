/* SPDX-License-Identifier: GPL-2.0 */
/*
 * GETXATTR and LISTXATTR of an inode that is known to have no extended attribute: `ls -l` asks for one or two
 * of each file, and every first write for security.capability.
 */
#ifndef EXTFUSE_XATTR_BPF_H
#define EXTFUSE_XATTR_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

#define ENODATA 61
#define EOPNOTSUPP 95

/* Eight characters of a literal as a name in a context has them; names are padded with NUL. */
#define WORD(t)                                                                           \
	((__u64)(t)[0] | (__u64)(t)[1] << 8 | (__u64)(t)[2] << 16 | (__u64)(t)[3] << 24 | \
	 (__u64)(t)[4] << 32 | (__u64)(t)[5] << 40 | (__u64)(t)[6] << 48 | (__u64)(t)[7] << 56)
#define FIRST(n) ((1ull << 8 * (n)) - 1)

/* What a name ends with that is not set; 0: the daemon knows. */
static __always_inline int error_of_absent(const struct extfuse_request *req)
{
	const __u64 *name = (const __u64 *)req->name;
	__u32 length = req->name_len;

	if ((name[0] & FIRST(5)) == WORD("user.\0\0\0") && length > 5)
		return -ENODATA;
	if (name[0] == WORD("trusted.") && length > 8)
		return -ENODATA;
	if (name[0] == WORD("security") && (name[1] & FIRST(1)) == '.' && length > 9)
		return -ENODATA;
	if (name[0] == WORD("system.p") && name[1] == WORD("osix_acl") &&
	    (name[2] == WORD("_access\0") || (name[2] == WORD("_default") && length == 24)))
		return mount_config.flags & EXTFUSE_CONFIG_ACL ? -ENODATA : -EOPNOTSUPP;
	return 0;
}

/* @return whether it surely has none; else the outcome is counted. */
static __noinline bool has_none(struct extfuse_request *req, enum extfuse_op op)
{
	struct extfuse_inode i;
	enum extfuse_outcome outcome = find_inode(req->nodeid, &i);

	if (outcome == EXTFUSE_HIT && !(i.flags & EXTFUSE_INODE_NO_XATTR))
		outcome = EXTFUSE_PASS;
	if (outcome != EXTFUSE_HIT)
		count(op, outcome);
	return outcome == EXTFUSE_HIT;
}

static __always_inline int do_getxattr(struct extfuse_request *req)
{
	int error = req->name_len ? error_of_absent(req) : 0;

	if (!error) {
		count(EXTFUSE_OP_GETXATTR, EXTFUSE_PASS);
		return EXTFUSE_V_PASS;
	}
	if (!has_none(req, EXTFUSE_OP_GETXATTR))
		return EXTFUSE_V_PASS;
	count(EXTFUSE_OP_GETXATTR, EXTFUSE_NEGATIVE);
	req->error = error;
	return EXTFUSE_V_REPLY;
}

static __always_inline int do_listxattr(struct extfuse_request *req)
{
	/* Asked for the size only, the answer is one: 0. Else it is empty. */
	__u32 length = req->flags ? 0 : sizeof(req->out.xattr);

	if (req->out_max < length) {
		count(EXTFUSE_OP_LISTXATTR, EXTFUSE_PASS);
		return EXTFUSE_V_PASS;
	}
	if (!has_none(req, EXTFUSE_OP_LISTXATTR))
		return EXTFUSE_V_PASS;
	count(EXTFUSE_OP_LISTXATTR, EXTFUSE_NEGATIVE);
	req->out_len = length;
	return EXTFUSE_V_REPLY;
}

#endif
