/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of inodes, and the target of symlinks. */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

struct attr_op {
	uint64_t ino;
	unsigned set;
	const struct meta_attr *attr;
	struct inode inode; /* result */
};

static int getattr(struct meta_txn *t, void *arg)
{
	struct attr_op *op = arg;

	return txn_get_inode(t, op->ino, false, &op->inode);
}

int meta_getattr(struct meta *m, uint64_t ino, struct meta_attr *ret)
{
	struct attr_op op = {.ino = ino};
	int r = meta_run_read(m, getattr, &op);

	if (!r)
		*ret = op.inode.attr;
	return r;
}

static int set_size(struct meta_txn *t, struct inode *inode, uint64_t size)
{
	uint64_t before = inode_usage(inode);
	int r = 0;

	if (!S_ISREG(inode->attr.mode))
		return S_ISDIR(inode->attr.mode) ? -EISDIR : -EINVAL;
	if (size == inode->attr.size)
		return 0;
	if (inode->cut_from != META_CUT_NONE)
		return META_CUT_PENDING;
	if (size < inode->attr.size)
		r = txn_truncate(t, inode, size);
	if (r < 0)
		return r;
	inode->attr.size = size;
	inode_count_version(t->m, inode);
	t->add_bytes = inode_usage(inode) - before;
	return 0;
}

static int setattr(struct meta_txn *t, void *arg)
{
	struct attr_op *op = arg;
	struct meta_attr *a = &op->inode.attr;
	int r;

	r = txn_get_inode(t, op->ino, true, &op->inode);
	if (r < 0)
		return r;
	if (op->set & META_SET_SIZE) {
		r = set_size(t, &op->inode, op->attr->size);
		if (r)
			return r;
		a->mtime = t->now;
	}
	if (op->set & META_SET_UID)
		a->uid = op->attr->uid;
	if (op->set & META_SET_GID)
		a->gid = op->attr->gid;
	if (op->set & META_SET_MODE) {
		a->mode = (a->mode & S_IFMT) | (op->attr->mode & 07777);
		r = txn_chmod_acl(t, &op->inode);
		if (r < 0)
			return r;
	} else if (op->set & (META_SET_UID | META_SET_GID)) {
		inode_kill_suid(&op->inode);
	}
	if (op->set & META_SET_KILL_SUIDGID)
		inode_kill_suid(&op->inode);
	if (op->set & META_SET_ATIME)
		a->atime = op->attr->atime;
	if (op->set & META_SET_MTIME)
		a->mtime = op->attr->mtime;
	if (op->set & META_SET_ATIME_NOW)
		a->atime = t->now;
	if (op->set & META_SET_MTIME_NOW)
		a->mtime = t->now;
	a->ctime = op->set & META_SET_CTIME ? op->attr->ctime : t->now;
	return txn_put_inode(t, &op->inode);
}

static bool time_valid(const struct timespec *t)
{
	return t->tv_nsec >= 0 && t->tv_nsec < 1000000000;
}

int meta_setattr(struct meta *m, uint64_t ino, unsigned set, const struct meta_attr *attr,
                 struct meta_attr *ret)
{
	struct attr_op op = {.ino = ino, .set = set, .attr = attr};
	int r;

	if (((set & META_SET_ATIME) && !time_valid(&attr->atime)) ||
	    ((set & META_SET_MTIME) && !time_valid(&attr->mtime)) ||
	    ((set & META_SET_CTIME) && !time_valid(&attr->ctime)))
		return -EINVAL;
	if ((set & META_SET_SIZE) && attr->size > META_SIZE_MAX)
		return -EFBIG;
	while ((r = meta_run(m, false, setattr, &op)) == META_CUT_PENDING) {
		r = meta_finish_cut(m, ino);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	/* The size is set and the cut is on record; should completing it fail, the next to come does it. */
	if (op.inode.cut_from != META_CUT_NONE && meta_finish_cut(m, ino) < 0)
		log_debug("metadata: inode %llu: its truncation is to be completed later",
		          (unsigned long long)ino);
	if (ret)
		*ret = op.inode.attr;
	return 0;
}

struct readlink_op {
	uint64_t ino;
	char *target;
};

static int read_target(struct meta_txn *t, void *arg)
{
	struct meta_key key;
	_cleanup_free_ void *value = NULL;
	struct readlink_op *op = arg;
	struct inode inode;
	void *target;
	size_t size;
	int r;

	r = txn_get_inode(t, op->ino, false, &inode);
	if (r < 0)
		return r;
	if (!S_ISLNK(inode.attr.mode))
		return -EINVAL;
	key = meta_key_number('S', op->ino);
	r = kv_get(t->kv, meta_key_slice(&key), false, &value, &size);
	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r;
	r = meta_decode_bytes((struct kv_slice){value, size}, &target, &size);
	if (r < 0)
		return r;
	op->target = target;
	return 0;
}

int meta_readlink(struct meta *m, uint64_t ino, char **ret_target)
{
	struct readlink_op op = {.ino = ino};
	int r = meta_run_read(m, read_target, &op);

	if (!r)
		*ret_target = op.target;
	return r;
}
