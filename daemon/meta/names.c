/* SPDX-License-Identifier: Apache-2.0 */
/* Names: lookup, create, link, unlink, rmdir.  A dentry is under its directory's lock. */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* What one of these operations is given and gives back. */
struct name_op {
	uint64_t parent;
	const char *name;
	uint64_t ino; /* create: the new one; link: the one to be named again */
	const struct meta_cred *cred;
	uint32_t mode, rdev;
	const char *target;
	bool dir;    /* rmdir, not unlink */
	bool orphan; /* link: of an inode without a name */

	struct inode inode, dir_inode; /* results */
	uint64_t position;             /* result of unlink and rmdir: where the name was */
};

static void give(const struct name_op *op, struct meta_attr *ret_attr, struct meta_attr *ret_parent)
{
	if (ret_attr)
		*ret_attr = op->inode.attr;
	if (ret_parent)
		*ret_parent = op->dir_inode.attr;
}

/* ---- lookup ---- */

static int lookup(struct meta_txn *t, void *arg)
{
	struct name_op *op = arg;
	struct dentry d;
	int r;

	r = txn_get_dentry(t, op->parent, op->name, &d);
	if (r == -ENOENT) {
		/* Absent is the answer only of a directory. */
		r = txn_get_inode(t, op->parent, false, &op->dir_inode);
		return r < 0 ? r : S_ISDIR(op->dir_inode.attr.mode) ? -ENOENT : -ENOTDIR;
	}
	if (r < 0)
		return r;
	r = txn_get_inode(t, d.ino, false, &op->inode);
	return r == -ENOENT ? -EBADMSG : r; /* one snapshot: a dentry without inode is damage */
}

static int lookup_dots(struct meta_txn *t, void *arg)
{
	struct name_op *op = arg;
	int r;

	r = txn_get_inode(t, op->parent, false, &op->inode);
	if (r < 0)
		return r;
	if (!S_ISDIR(op->inode.attr.mode))
		return -ENOTDIR;
	return op->name[1] ? txn_get_inode(t, op->inode.attr.parent, false, &op->inode) : 0;
}

int meta_lookup(struct meta *m, uint64_t parent, const char *name, struct meta_attr *ret)
{
	struct name_op op = {.parent = parent, .name = name};
	int r = meta_name_check(name, 1);

	if (r >= 0)
		r = meta_run_read(m, r ? lookup_dots : lookup, &op);
	if (!r)
		give(&op, ret, NULL);
	return r;
}

/* ---- create ---- */

/* The directory as it is with one name more. */
static int parent_add(struct inode *dir, const struct timespec *now, bool subdir, struct dentry *ret)
{
	if (subdir && dir->attr.nlink == UINT32_MAX)
		return -EMLINK;
	if (dir->next_position >= INT64_MAX)
		return -ENOSPC;
	dir->attr.nlink += subdir;
	dir->entries++;
	ret->position = dir->next_position++;
	inode_touch(dir, now);
	return 0;
}

static void new_inode(struct meta_txn *t, const struct name_op *op, const struct inode *dir,
                      struct inode *ret)
{
	struct meta_attr *a = &ret->attr;

	*ret = (struct inode){.cut_from = META_CUT_NONE};
	a->ino = op->ino;
	a->generation = 1;
	a->version = 1;
	a->mode = op->mode;
	a->nlink = 1;
	a->uid = op->cred->uid;
	a->gid = op->cred->gid;
	a->atime = a->mtime = a->ctime = a->btime = t->now;
	if (dir->attr.mode & S_ISGID) {
		a->gid = dir->attr.gid;
		if (S_ISDIR(a->mode))
			a->mode |= S_ISGID;
	}
	if (S_ISDIR(a->mode)) {
		a->nlink = 2;
		a->size = 4096;
		a->parent = op->parent;
		ret->next_position = META_POSITION_FIRST;
	} else if (S_ISLNK(a->mode)) {
		a->size = strlen(op->target);
	} else if (S_ISCHR(a->mode) || S_ISBLK(a->mode)) {
		a->rdev = op->rdev;
	}
}

static int put_target(struct meta_txn *t, uint64_t ino, const char *target)
{
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r = meta_encode_bytes(target, strlen(target), &value, &size);

	return r < 0 ? r : txn_put(t, meta_key_number('S', ino), value, size);
}

static int create(struct meta_txn *t, void *arg)
{
	struct name_op *op = arg;
	struct inode *dir = &op->dir_inode;
	struct dentry d;
	int r;

	r = txn_get_inode(t, op->parent, true, dir);
	if (r < 0)
		return r;
	r = inode_check_parent(dir);
	if (r < 0)
		return r;
	r = txn_get_dentry(t, op->parent, op->name, &d);
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;

	new_inode(t, op, dir, &op->inode);
	d = (struct dentry){.ino = op->ino, .type = op->mode & S_IFMT};
	r = parent_add(dir, &t->now, S_ISDIR(op->mode), &d);
	if (!r && S_ISLNK(op->mode))
		r = put_target(t, op->ino, op->target);
	if (!r)
		r = txn_inherit_acl(t, dir, op->cred, &op->inode);
	if (!r)
		r = txn_put_inode(t, &op->inode);
	if (!r)
		r = txn_put_dentry(t, op->parent, op->name, &d);
	if (!r)
		r = txn_put_inode(t, dir);
	t->add_inodes = 1;
	return r;
}

static int create_orphan(struct meta_txn *t, void *arg)
{
	struct name_op *op = arg;
	int r;

	/* Locked, so that it cannot be removed, or given to another group, meanwhile. */
	r = txn_get_inode(t, op->parent, true, &op->dir_inode);
	if (r < 0)
		return r;
	r = inode_check_parent(&op->dir_inode);
	if (r < 0)
		return r == -ENOENT ? -EPERM
		                    : r; /* removed: what ext4 says, for a file that gets no name there */
	new_inode(t, op, &op->dir_inode, &op->inode);
	op->inode.attr.nlink = 0;
	r = txn_inherit_acl(t, &op->dir_inode, op->cred, &op->inode);
	if (!r)
		r = txn_put_inode(t, &op->inode);
	if (!r)
		r = txn_put(t, meta_key_number('O', op->ino), "\1", 1);
	t->add_inodes = 1;
	return r;
}

int meta_create_orphan(struct meta *m, uint64_t parent, const struct meta_cred *cred, uint32_t mode,
                       struct meta_attr *ret_attr)
{
	struct name_op op = {.parent = parent, .cred = cred, .mode = S_IFREG | (mode & 07777)};
	int r = meta_new_ino(m, &op.ino);

	if (!r)
		r = meta_run(m, false, create_orphan, &op);
	if (!r)
		give(&op, ret_attr, NULL);
	return r;
}

static int check_mode(uint32_t *mode, const char *target)
{
	size_t length;

	switch (*mode & S_IFMT) {
	case 0:
		*mode |= S_IFREG; /* as mknod(2) */
		return 0;
	case S_IFLNK:
		*mode = S_IFLNK | 0777;
		length = target ? strnlen(target, META_SYMLINK_MAX + 1) : 0;
		return !length ? -ENOENT : length > META_SYMLINK_MAX ? -ENAMETOOLONG : 0;
	case S_IFREG:
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	default:
		return -EINVAL;
	}
}

int meta_create(struct meta *m, uint64_t parent, const char *name, const struct meta_cred *cred,
                uint32_t mode, uint32_t rdev, const char *target, struct meta_attr *ret_attr,
                struct meta_attr *ret_parent)
{
	struct name_op op = {.parent = parent,
	                     .name = name,
	                     .cred = cred,
	                     .mode = mode & (S_IFMT | 07777),
	                     .rdev = rdev,
	                     .target = target};
	int r;

	r = meta_name_check(name, -EEXIST);
	if (!r)
		r = check_mode(&op.mode, target);
	if (!r)
		r = meta_new_ino(m, &op.ino);
	if (!r)
		r = meta_run(m, false, create, &op);
	if (!r)
		give(&op, ret_attr, ret_parent);
	return r;
}

/* ---- link ---- */

static int link_name(struct meta_txn *t, void *arg)
{
	struct name_op *op = arg;
	uint64_t inos[2] = {op->ino, op->parent};
	struct inode inodes[2], *inode = &inodes[0], *dir = &inodes[1];
	struct dentry d;
	int r;

	r = txn_lock_inodes(t, 2, inos, inodes);
	if (r < 0)
		return r;
	r = inode_check_parent(dir);
	if (r < 0)
		return r;
	if (S_ISDIR(inode->attr.mode))
		return -EPERM;
	if (!inode->attr.nlink && !op->orphan)
		return -ENOENT;
	if (inode->attr.nlink >= META_LINK_MAX)
		return -EMLINK;
	r = txn_get_dentry(t, op->parent, op->name, &d);
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;

	d = (struct dentry){.ino = op->ino, .type = inode->attr.mode & S_IFMT};
	r = parent_add(dir, &t->now, false, &d);
	if (!r && !inode->attr.nlink)
		r = txn_delete(t, meta_key_number('O', op->ino));
	inode->attr.nlink++;
	inode->attr.ctime = t->now;
	if (!r)
		r = txn_put_inode(t, inode);
	if (!r)
		r = txn_put_dentry(t, op->parent, op->name, &d);
	if (!r)
		r = txn_put_inode(t, dir);
	op->inode = *inode;
	op->dir_inode = *dir;
	return r;
}

static int link_inode(struct meta *m, struct name_op *op, struct meta_attr *ret_attr,
                      struct meta_attr *ret_parent)
{
	int r = meta_name_check(op->name, -EEXIST);

	if (!r)
		r = meta_run(m, false, link_name, op);
	if (!r)
		give(op, ret_attr, ret_parent);
	return r;
}

int meta_link(struct meta *m, uint64_t ino, uint64_t parent, const char *name, struct meta_attr *ret_attr,
              struct meta_attr *ret_parent)
{
	struct name_op op = {.parent = parent, .name = name, .ino = ino};

	return link_inode(m, &op, ret_attr, ret_parent);
}

int meta_link_orphan(struct meta *m, uint64_t ino, uint64_t parent, const char *name,
                     struct meta_attr *ret_attr, struct meta_attr *ret_parent)
{
	struct name_op op = {.parent = parent, .name = name, .ino = ino, .orphan = true};

	return link_inode(m, &op, ret_attr, ret_parent);
}

/* ---- unlink, rmdir ---- */

static int take_name(struct meta_txn *t, void *arg)
{
	struct name_op *op = arg;
	struct inode inodes[2], *dir = &inodes[0], *inode = &inodes[1];
	struct dentry seen, d;
	int r;

	/* Which inode to lock is in the dentry, which is sure only under the lock: look, lock, look again. */
	r = txn_get_dentry(t, op->parent, op->name, &seen);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT) {
		r = txn_get_inode(t, op->parent, false, dir);
		return r < 0 ? r : S_ISDIR(dir->attr.mode) ? -ENOENT : -ENOTDIR;
	}
	r = txn_lock_inodes(t, 2, (uint64_t[]){op->parent, seen.ino}, inodes);
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	r = txn_get_dentry(t, op->parent, op->name, &d);
	if (r < 0)
		return r;
	if (d.ino != seen.ino)
		return -EAGAIN;

	if (op->dir && !S_ISDIR(inode->attr.mode))
		return -ENOTDIR;
	if (!op->dir && S_ISDIR(inode->attr.mode))
		return -EISDIR;
	if (op->dir && inode->entries)
		return -ENOTEMPTY;

	r = txn_delete_dentry(t, op->parent, op->name, &d);
	if (r < 0)
		return r;
	r = txn_drop_link(t, inode);
	if (r < 0)
		return r;
	dir->entries--;
	dir->attr.nlink -= op->dir;
	inode_touch(dir, &t->now);
	op->inode = *inode;
	op->dir_inode = *dir;
	op->position = d.position;
	return txn_put_inode(t, dir);
}

static int take(struct meta *m, struct name_op *op, struct meta_attr *ret_attr, struct meta_attr *ret_parent)
{
	int r = meta_run(m, false, take_name, op);

	if (r < 0)
		return r;
	meta_entry_gone(m, op->parent, op->position);
	give(op, ret_attr, ret_parent);
	return 0;
}

int meta_unlink(struct meta *m, uint64_t parent, const char *name, struct meta_attr *ret_attr,
                struct meta_attr *ret_parent)
{
	struct name_op op = {.parent = parent, .name = name};
	int r = meta_name_check(name, -EISDIR);

	return r < 0 ? r : take(m, &op, ret_attr, ret_parent);
}

int meta_rmdir(struct meta *m, uint64_t parent, const char *name, struct meta_attr *ret_attr,
               struct meta_attr *ret_parent)
{
	struct name_op op = {.parent = parent, .name = name, .dir = true};
	int r = meta_name_check(name, name[0] && name[1] ? -ENOTEMPTY : -EINVAL);

	return r < 0 ? r : take(m, &op, ret_attr, ret_parent);
}
