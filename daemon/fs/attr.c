// SPDX-License-Identifier: Apache-2.0
/* GETATTR, SETATTR, STATFS. */
#include "common/log.h"
#include "daemon/attr.h"
#include "daemon/data/data.h"
#include "daemon/fs/fs.h"
#include "daemon/kernel/publish.h"

#include <errno.h>
#include <time.h>

void fs_reply_attr(fuse_req_t req, const struct volume *v, const struct meta_attr *attr)
{
	struct stat st;

	attr_to_stat(attr, &st);
	fuse_reply_attr(req, &st, v->attr_valid);
}

/*
 * Valid replies:
 *   fuse_reply_attr
 *   fuse_reply_err
 */
void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_getattr);
	struct meta_attr attr;
	int r;

	(void)fi;
	r = publish_getattr(v->publish, ino, &attr);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fs_reply_attr(req, v, &attr);
}

/* What SETATTR asks for, in the metadata's terms. */
static unsigned wanted(const struct stat *st, int to_set, struct meta_attr *ret)
{
	unsigned set = 0;

	*ret = (struct meta_attr){};
	if (to_set & FUSE_SET_ATTR_MODE) {
		set |= META_SET_MODE;
		ret->mode = st->st_mode & 07777;
	}
	if (to_set & FUSE_SET_ATTR_UID) {
		set |= META_SET_UID;
		ret->uid = st->st_uid;
	}
	if (to_set & FUSE_SET_ATTR_GID) {
		set |= META_SET_GID;
		ret->gid = st->st_gid;
	}
	if (to_set & FUSE_SET_ATTR_SIZE) {
		set |= META_SET_SIZE;
		ret->size = (uint64_t)st->st_size;
	}
	if (to_set & FUSE_SET_ATTR_ATIME_NOW) {
		set |= META_SET_ATIME_NOW;
	} else if (to_set & FUSE_SET_ATTR_ATIME) {
		set |= META_SET_ATIME;
		ret->atime = st->st_atim;
	}
	if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
		set |= META_SET_MTIME_NOW;
	} else if (to_set & FUSE_SET_ATTR_MTIME) {
		set |= META_SET_MTIME;
		ret->mtime = st->st_mtim;
	}
	if (to_set & FUSE_SET_ATTR_CTIME) {
		set |= META_SET_CTIME;
		ret->ctime = st->st_ctim;
	}
	return set;
}

/*
 * Data that is written but not committed brings its own mtime with the commit.
 * A time set after the write must win (cp -p, tar): commit first.
 */
static int commit_pending(struct volume *v, uint64_t ino)
{
	struct meta_attr attr = {.ino = ino};
	struct data_file *f;
	int r;

	if (!data_pending(v->data, &attr))
		return 0;
	r = data_file_get(v->data, ino, &f);
	if (r < 0)
		return r;
	r = data_flush(f);
	data_file_put(f);
	return r < 0 ? fs_data_error(ino, "storing", r) : 0;
}

/*
 * Valid replies:
 *   fuse_reply_attr
 *   fuse_reply_err
 */
void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_setattr);
	struct meta_attr attr, after;
	unsigned set = wanted(st, to_set, &attr);
	int r = 0;

	(void)fi;
	if (set & META_SET_SIZE && st->st_size < 0)
		r = -EINVAL;
	if (!r && set & (META_SET_MTIME | META_SET_MTIME_NOW | META_SET_CTIME))
		r = commit_pending(v, ino);
	if (!r && set & META_SET_SIZE)
		r = data_truncate(v->data, ino, set, &attr, &after);
	else if (!r) /* chown(2) of nothing, too, changes ctime */
		r = meta_setattr(v->meta, ino, set, &attr, &after);

	if (r < 0) {
		publish_inode(v->publish, ino);
		fuse_reply_err(req, -r);
		return;
	}
	r = publish_getattr(v->publish, ino, &after);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fs_reply_attr(req, v, &after);
}

/*
 * Valid replies:
 *   fuse_reply_statfs
 *   fuse_reply_err
 */
void fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct volume *v = fs_begin(req, DAEMON_OP_statfs);
	struct statvfs st;

	(void)ino;
	publish_statfs(v->publish, &st);
	fuse_reply_statfs(req, &st);
}
