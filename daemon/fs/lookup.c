// SPDX-License-Identifier: Apache-2.0
/* LOOKUP and FORGET, and the entries that other operations reply with. */
#include "daemon/attr.h"
#include "daemon/data/data.h"
#include "daemon/fs/fs.h"
#include "daemon/fs/removed.h"
#include "daemon/kernel/publish.h"

#include <errno.h>
#include <string.h>

void fs_fill_entry(const struct volume *v, const struct meta_attr *attr, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){
		.ino = attr->ino,
		.generation = attr->generation,
		.attr_timeout = v->attr_valid,
		.entry_timeout = v->entry_valid,
	};
	attr_to_stat(attr, &ret->attr);
}

void fs_reply_entry(fuse_req_t req, const struct volume *v, const struct meta_attr *attr)
{
	struct fuse_entry_param entry;

	fs_fill_entry(v, attr, &entry);
	fuse_reply_entry(req, &entry);
}

/*
 * The kernel takes it that its own change of a name left a directory's link count and size as they were until
 * they are asked for; and a GETATTR that was answered before the change, and is taken note of after it, would
 * hold for another attr_valid. Attributes only: no page is waited for, so a request's thread may say it.
 * With BPF they hold for a tick at most.
 */
static void directory_changed(struct volume *v, uint64_t ino)
{
	publish_inode(v->publish, ino);
	if (v->attr_valid > 0 && !v->kernel)
		fuse_lowlevel_notify_inval_inode(v->session, ino, -1, 0);
}

void fs_publish_new(struct volume *v, uint64_t parent, const char *name, struct meta_attr *attr)
{
	struct meta_attr now;

	/* Should the name be gone or another's already, the answer is what the commit made. */
	if (!publish_lookup(v->publish, parent, name, &now) && now.ino == attr->ino)
		*attr = now;
	directory_changed(v, parent); /* last: a dentry that finds no room takes it away */
}

void fs_publish_name(struct volume *v, uint64_t parent, const char *name)
{
	publish_name(v->publish, parent, name);
	directory_changed(v, parent);
}

/* "." and ".." are asked for by whoever opens by file handle (NFS); they are no names to publish. */
static int lookup_dot(struct volume *v, uint64_t ino, bool parent, struct meta_attr *ret)
{
	struct meta_attr attr;
	int r;

	r = publish_getattr(v->publish, ino, &attr);
	if (!r && parent) {
		if (!S_ISDIR(attr.mode))
			return -ENOTDIR;
		if (attr.ino != META_ROOT_INO)
			return publish_getattr(v->publish, attr.parent, ret);
	}
	if (!r)
		*ret = attr;
	return r;
}

/*
 * Valid replies:
 *   fuse_reply_entry (with inode 0: absent, and may be remembered as that)
 *   fuse_reply_err
 */
void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct volume *v = fs_begin(req, DAEMON_OP_lookup);
	struct meta_attr attr;
	int r;

	if (strlen(name) > META_NAME_MAX)
		r = -ENAMETOOLONG;
	else if (!strcmp(name, ".") || !strcmp(name, ".."))
		r = lookup_dot(v, parent, name[1] == '.', &attr);
	else
		r = publish_lookup(v->publish, parent, name, &attr);

	if (r == -ENOENT && v->negative_entry_valid > 0) {
		const struct fuse_entry_param absent = {.entry_timeout = v->negative_entry_valid};

		fuse_reply_entry(req, &absent);
	} else if (r < 0) {
		fuse_reply_err(req, -r);
	} else {
		fs_reply_entry(req, v, &attr);
	}
}

/* The kernel let go of its inode: of one that was removed nobody knows any more. */
static void forget(struct volume *v, uint64_t ino)
{
	if (removed_take(v->removed, ino))
		data_orphaned(v->data, ino);
}

/*
 * Valid replies:
 *   fuse_reply_none
 */
void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	(void)count;
	forget(fs_begin(req, DAEMON_OP_forget), ino);
	fuse_reply_none(req);
}

/*
 * Valid replies:
 *   fuse_reply_none
 */
void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct volume *v = fs_begin(req, DAEMON_OP_forget);

	for (size_t i = 0; i < count; i++)
		forget(v, forgets[i].ino);
	fuse_reply_none(req);
}
