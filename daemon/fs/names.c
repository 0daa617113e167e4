// SPDX-License-Identifier: Apache-2.0
/* Names: READLINK, MKNOD, MKDIR, SYMLINK, LINK, UNLINK, RMDIR, RENAME. */
#include "common/cleanup.h"
#include "daemon/data/data.h"
#include "daemon/fs/fs.h"
#include "daemon/fs/removed.h"
#include "daemon/kernel/publish.h"

#include <errno.h>
#include <linux/fs.h>

/*
 * Valid replies:
 *   fuse_reply_readlink
 *   fuse_reply_err
 */
void fs_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct volume *v = fs_begin(req, DAEMON_OP_readlink);
	_cleanup_free_ char *target = NULL;
	int r;

	r = meta_readlink(v->meta, ino, &target);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, target);
}

static void make(fuse_req_t req, struct volume *v, uint64_t parent, const char *name, mode_t mode, dev_t rdev,
                 const char *target)
{
	const struct meta_cred cred = fs_cred(req, v);
	struct meta_attr attr, parent_attr;
	int r;

	r = meta_create(v->meta, parent, name, &cred, mode, (uint32_t)rdev, target, &attr, &parent_attr);
	if (r < 0) {
		fs_publish_name(v, parent, name);
		fuse_reply_err(req, -r);
		return;
	}
	fs_publish_new(v, parent, name, &attr);
	fs_reply_entry(req, v, &attr);
}

/*
 * Valid replies:
 *   fuse_reply_entry
 *   fuse_reply_err
 */
void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct volume *v = fs_begin(req, DAEMON_OP_mknod);

	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		make(req, v, parent, name, mode, 0, NULL);
		return;
	case S_IFCHR:
	case S_IFBLK:
		make(req, v, parent, name, mode, rdev, NULL);
		return;
	}
	fuse_reply_err(req, EINVAL);
}

/*
 * Valid replies:
 *   fuse_reply_entry
 *   fuse_reply_err
 */
void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, fs_begin(req, DAEMON_OP_mkdir), parent, name, S_IFDIR | (mode & 07777), 0, NULL);
}

/*
 * Valid replies:
 *   fuse_reply_entry
 *   fuse_reply_err
 */
void fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	make(req, fs_begin(req, DAEMON_OP_symlink), parent, name, S_IFLNK | 0777, 0, target);
}

/*
 * Valid replies:
 *   fuse_reply_entry
 *   fuse_reply_err
 */
void fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct volume *v = fs_begin(req, DAEMON_OP_link);
	struct meta_attr attr, parent_attr;
	struct data_file *unnamed = NULL;
	int r;

	r = data_link_begin(v->data, ino, &unnamed);
	if (r < 0)
		r = r == -ENOENT ? r : fs_data_error(ino, "storing", r); /* closed meanwhile, or not stored */
	else if (unnamed)
		r = meta_link_orphan(v->meta, ino, parent, name, &attr, &parent_attr);
	else
		r = meta_link(v->meta, ino, parent, name, &attr, &parent_attr);
	if (unnamed) {
		if (!r)
			removed_take(v->removed, ino);
		data_link_end(unnamed, !r);
	}
	if (r < 0) {
		fs_publish_name(v, parent, name);
		publish_inode(v->publish, ino);
		fuse_reply_err(req, -r);
		return;
	}
	fs_publish_new(v, parent, name, &attr);
	fs_reply_entry(req, v, &attr);
}

/* A name of @attr is gone, or it got another one. */
static void publish_unlinked(struct volume *v, const struct meta_attr *attr)
{
	publish_inode(v->publish, attr->ino);
	if (!attr->ino || attr->nlink)
		return;
	if (removed_add(v->removed, attr->ino) < 0)
		data_orphaned(v->data, attr->ino);
	else
		data_unlinked(v->data, attr->ino);
}

/*
 * Valid replies:
 *   fuse_reply_err
 */
void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct volume *v = fs_begin(req, DAEMON_OP_unlink);
	struct meta_attr attr, parent_attr;
	int r;

	r = meta_unlink(v->meta, parent, name, &attr, &parent_attr);
	fs_publish_name(v, parent, name);
	if (!r)
		publish_unlinked(v, &attr);
	fs_reply_result(req, r);
}

/*
 * Valid replies:
 *   fuse_reply_err
 */
void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct volume *v = fs_begin(req, DAEMON_OP_rmdir);
	struct meta_attr attr, parent_attr;
	int r;

	r = meta_rmdir(v->meta, parent, name, &attr, &parent_attr);
	fs_publish_name(v, parent, name);
	if (!r)
		publish_unlinked(v, &attr);
	fs_reply_result(req, r);
}

/*
 * Valid replies:
 *   fuse_reply_err
 */
void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags)
{
	struct volume *v = fs_begin(req, DAEMON_OP_rename);
	struct meta_renamed renamed;
	int r;

	r = meta_rename(v->meta, parent, name, new_parent, new_name, flags, &renamed);
	fs_publish_name(v, parent, name);
	fs_publish_name(v, new_parent, new_name);
	if (!r) {
		publish_inode(v->publish, renamed.moved.ino);
		publish_unlinked(v, &renamed.other);
	}
	fs_reply_result(req, r);
}
