/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rename.  Moves of directories from one directory into another take the lock 'L' first: only they change who
 * is above whom, so under it the walk up from the new parent is sure.  (The directories on the walk cannot go
 * away either: each has the next one in it, and the first is locked.)
 */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

enum { DEPTH_MAX = 1 << 20 }; /* a longer way to the root is a loop, which is damage */

struct rename_op {
	uint64_t parent, new_parent;
	const char *name, *new_name;
	unsigned flags;

	struct meta_renamed ret; /* result */
	uint64_t gone;           /* result: a position that the old directory has no more; 0: none */
};

/* A rename under way: what is at both names, locked.  With one directory, both pointers are to one inode. */
struct rename {
	struct dentry source, target;
	bool has_target;
	struct inode inodes[4];
	struct inode *old_dir, *new_dir, *moved, *other;
};

/* -ENOENT: absent, in a directory that is there. */
static int find(struct meta_txn *t, uint64_t parent, const char *name, struct dentry *ret)
{
	struct inode dir;
	int r = txn_get_dentry(t, parent, name, ret);

	if (r != -ENOENT)
		return r;
	r = txn_get_inode(t, parent, false, &dir);
	return r == -ENOENT ? -ESTALE : r < 0 ? r : S_ISDIR(dir.attr.mode) ? -ENOENT : -ENOTDIR;
}

static int find_both(struct meta_txn *t, const struct rename_op *op, struct rename *ret)
{
	int r = find(t, op->parent, op->name, &ret->source);

	if (r < 0)
		return r == -ESTALE ? -ENOENT : r;
	r = find(t, op->new_parent, op->new_name, &ret->target);
	if (r < 0 && r != -ENOENT)
		return r == -ESTALE ? -ENOENT : r;
	ret->has_target = !r;
	return 0;
}

static int lock_tree(struct meta_txn *t)
{
	struct meta_key key = meta_key_plain('L');
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r = kv_get(t->kv, meta_key_slice(&key), true, &value, &size);

	return r == -ENOENT ? 0 : r;
}

/* Which inodes to lock is in the dentries, which are sure only under the locks: look, lock, look again. */
static int lock_both(struct meta_txn *t, const struct rename_op *op, struct rename *ret)
{
	bool exchange = op->flags & RENAME_EXCHANGE, same_dir = op->parent == op->new_parent;
	struct rename seen;
	uint64_t inos[4];
	int r;

	r = find_both(t, op, &seen);
	if (r < 0)
		return r;
	if (!same_dir &&
	    (S_ISDIR(seen.source.type) || (exchange && seen.has_target && S_ISDIR(seen.target.type)))) {
		r = lock_tree(t);
		if (r < 0)
			return r;
	}
	inos[0] = op->parent;
	inos[1] = op->new_parent;
	inos[2] = seen.source.ino;
	inos[3] = seen.has_target ? seen.target.ino : seen.source.ino;
	r = txn_lock_inodes(t, ARRAY_SIZE(inos), inos, ret->inodes);
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	r = find_both(t, op, ret);
	if (r < 0)
		return r;
	if (ret->source.ino != seen.source.ino || ret->has_target != seen.has_target ||
	    (seen.has_target && ret->target.ino != seen.target.ino))
		return -EAGAIN;
	ret->old_dir = &ret->inodes[0];
	ret->new_dir = same_dir ? ret->old_dir : &ret->inodes[1];
	ret->moved = &ret->inodes[2];
	ret->other = ret->has_target ? &ret->inodes[3] : NULL;
	return 0;
}

/* -EINVAL: directory @p ino is @p above or is over it. */
static int check_not_below(struct meta_txn *t, uint64_t ino, uint64_t above)
{
	struct inode dir;

	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		int r;

		if (above == ino)
			return -EINVAL;
		if (above == META_ROOT_INO)
			return 0;
		r = txn_get_inode(t, above, false, &dir);
		if (r < 0)
			return r == -ENOENT ? -EBADMSG : r;
		if (!S_ISDIR(dir.attr.mode))
			return -EBADMSG;
		above = dir.attr.parent;
	}
	return -EBADMSG;
}

static int check(struct meta_txn *t, const struct rename_op *op, const struct rename *rn)
{
	bool exchange = op->flags & RENAME_EXCHANGE, same_dir = op->parent == op->new_parent;
	bool dir = S_ISDIR(rn->moved->attr.mode), other_dir = rn->other && S_ISDIR(rn->other->attr.mode);
	int r;

	if (dir && !same_dir) {
		r = check_not_below(t, rn->source.ino, op->new_parent);
		if (r < 0)
			return r;
	}
	if (exchange)
		return other_dir && !same_dir ? check_not_below(t, rn->target.ino, op->parent) : 0;
	if (rn->other && dir && !other_dir)
		return -ENOTDIR;
	if (rn->other && !dir && other_dir)
		return -EISDIR;
	if (other_dir && rn->other->entries)
		return -ENOTEMPTY;
	if (dir && !same_dir && !other_dir && rn->new_dir->attr.nlink == UINT32_MAX)
		return -EMLINK;
	return 0;
}

static int exchange(struct meta_txn *t, const struct rename_op *op, struct rename *rn)
{
	struct dentry there = {rn->source.ino, rn->source.type, rn->target.position};
	struct dentry here = {rn->target.ino, rn->target.type, rn->source.position};
	bool dir = S_ISDIR(rn->moved->attr.mode), other_dir = S_ISDIR(rn->other->attr.mode);
	int r;

	rn->old_dir->attr.nlink += other_dir - dir;
	rn->new_dir->attr.nlink += dir - other_dir;
	if (other_dir)
		rn->other->attr.parent = op->parent;
	rn->other->attr.ctime = t->now;
	r = txn_put_dentry(t, op->parent, op->name, &here);
	if (!r)
		r = txn_put_dentry(t, op->new_parent, op->new_name, &there);
	return r < 0 ? r : txn_put_inode(t, rn->other);
}

static int move(struct meta_txn *t, struct rename_op *op, struct rename *rn)
{
	bool dir = S_ISDIR(rn->moved->attr.mode);
	struct dentry there = {rn->source.ino, rn->source.type, 0};
	int r;

	r = txn_delete_dentry(t, op->parent, op->name, &rn->source);
	if (r < 0)
		return r;
	rn->old_dir->attr.nlink -= dir;
	rn->new_dir->attr.nlink += dir;
	rn->old_dir->entries--;
	if (rn->other || rn->old_dir != rn->new_dir)
		op->gone = rn->source.position;
	if (rn->other) {
		there.position = rn->target.position;
		rn->new_dir->attr.nlink -= S_ISDIR(rn->other->attr.mode);
		r = txn_drop_link(t, rn->other);
	} else if (rn->old_dir == rn->new_dir) {
		there.position = rn->source.position;
		rn->new_dir->entries++;
	} else {
		if (rn->new_dir->next_position >= INT64_MAX)
			return -ENOSPC;
		there.position = rn->new_dir->next_position++;
		rn->new_dir->entries++;
	}
	return r < 0 ? r : txn_put_dentry(t, op->new_parent, op->new_name, &there);
}

static int rename_names(struct meta_txn *t, void *arg)
{
	struct rename_op *op = arg;
	struct rename rn;
	bool same;
	int r;

	op->gone = 0;
	r = lock_both(t, op, &rn);
	if (!r)
		r = inode_check_parent(rn.old_dir);
	if (!r)
		r = inode_check_parent(rn.new_dir);
	if (r < 0)
		return r;
	if (rn.has_target && (op->flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!rn.has_target && (op->flags & RENAME_EXCHANGE))
		return -ENOENT;

	/* Two names of one file: nothing happens, as rename(2) says. */
	same = rn.has_target && rn.source.ino == rn.target.ino;
	if (!same) {
		r = check(t, op, &rn);
		if (!r)
			r = op->flags & RENAME_EXCHANGE ? exchange(t, op, &rn) : move(t, op, &rn);
		if (r < 0)
			return r;
		if (S_ISDIR(rn.moved->attr.mode))
			rn.moved->attr.parent = op->new_parent;
		rn.moved->attr.ctime = t->now;
		inode_touch(rn.old_dir, &t->now);
		inode_touch(rn.new_dir, &t->now);
		r = txn_put_inode(t, rn.moved);
		if (!r)
			r = txn_put_inode(t, rn.old_dir);
		if (!r && rn.new_dir != rn.old_dir)
			r = txn_put_inode(t, rn.new_dir);
	}
	op->ret = (struct meta_renamed){
		.moved = rn.moved->attr, .old_parent = rn.old_dir->attr, .new_parent = rn.new_dir->attr};
	if (rn.other && !same)
		op->ret.other = rn.other->attr;
	return r;
}

int meta_rename(struct meta *m, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
                unsigned flags, struct meta_renamed *ret)
{
	struct rename_op op = {.parent = parent,
	                       .new_parent = new_parent,
	                       .name = name,
	                       .new_name = new_name,
	                       .flags = flags};
	int r;

	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) ||
	    (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	r = meta_name_check(name, -EBUSY);
	if (!r)
		r = meta_name_check(new_name, flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY);
	if (!r)
		r = meta_run(m, false, rename_names, &op);
	if (!r && op.gone)
		meta_entry_gone(m, parent, op.gone);
	if (!r && ret)
		*ret = op.ret;
	return r;
}
