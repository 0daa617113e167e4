// SPDX-License-Identifier: Apache-2.0
/* Extended attributes: SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR. */
#include "common/cleanup.h"
#include "daemon/fs/fs.h"
#include "daemon/kernel/publish.h"
#include "daemon/meta/acl.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#define TRUSTED "trusted."

static bool begins_with(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/*
 * The kernel checks who may use which of these. ACLs only if it enforces them: a copy that kept them would
 * else only look protected.
 */
static int check_name(const struct volume *v, const char *name)
{
	static const char *const prefixes[] = {"user.", TRUSTED, "security."};

	if (meta_acl_name(name))
		return v->options->acl ? 0 : -EOPNOTSUPP;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (begins_with(name, prefixes[i]))
			return name[strlen(prefixes[i])] ? 0 : -EINVAL;
	}
	return -EOPNOTSUPP;
}

/* Setting the access ACL of a file is a chmod: who is not in its group loses the set-gid bit. */
static int acl_flags(fuse_req_t req, struct volume *v, uint64_t ino, const char *name)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct meta_attr attr;
	gid_t groups[1024];
	int count;

	if (strcmp(name, META_ACL_ACCESS) != 0 || !ctx->uid || meta_getattr(v->meta, ino, &attr) < 0 ||
	    !(attr.mode & S_ISGID) || ctx->gid == attr.gid)
		return 0;
	count = fuse_req_getgroups(req, ARRAY_SIZE(groups), groups);
	for (int i = 0; i < count && i < (int)ARRAY_SIZE(groups); i++) {
		if (groups[i] == attr.gid)
			return 0;
	}
	return META_XATTR_KILL_SGID;
}

/*
 * Valid replies:
 *   fuse_reply_err
 */
void fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct volume *v = fs_begin(req, DAEMON_OP_setxattr);
	struct meta_attr attr;
	int r;

	flags &= XATTR_CREATE | XATTR_REPLACE;
	r = check_name(v, name);
	if (!r)
		r = meta_setxattr(v->meta, ino, name, value, size, flags | acl_flags(req, v, ino, name),
		                  &attr);
	publish_inode(v->publish, ino);
	fs_reply_result(req, r);
}

/*
 * Valid replies:
 *   fuse_reply_xattr (asked for the size)
 *   fuse_reply_buf
 *   fuse_reply_err
 */
static void reply_sized(fuse_req_t req, const void *data, size_t length, size_t size)
{
	if (!size)
		fuse_reply_xattr(req, length);
	else if (length > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, length);
}

void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct volume *v = fs_begin(req, DAEMON_OP_getxattr);
	_cleanup_free_ void *value = NULL;
	size_t length;
	int r;

	r = check_name(v, name);
	if (!r)
		r = meta_getxattr(v->meta, ino, name, &value, &length);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_sized(req, value, length, size);
}

/* Leave out what the caller could not read. @return the new length. */
static size_t keep_visible(const struct volume *v, uid_t uid, char *names, size_t length)
{
	size_t kept = 0;

	for (size_t at = 0, size; at < length; at += size) {
		const char *name = names + at;

		size = strlen(name) + 1;
		if (check_name(v, name) < 0 || (uid && begins_with(name, TRUSTED)))
			continue;
		memmove(names + kept, name, size);
		kept += size;
	}
	return kept;
}

void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct volume *v = fs_begin(req, DAEMON_OP_listxattr);
	_cleanup_free_ char *names = NULL;
	size_t length;
	int r;

	r = meta_listxattr(v->meta, ino, &names, &length);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_sized(req, names, keep_visible(v, fuse_req_ctx(req)->uid, names, length), size);
}

/*
 * Valid replies:
 *   fuse_reply_err
 */
void fs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct volume *v = fs_begin(req, DAEMON_OP_removexattr);
	struct meta_attr attr;
	int r;

	r = check_name(v, name);
	if (!r)
		r = meta_removexattr(v->meta, ino, name, &attr);
	publish_inode(v->publish, ino);
	fs_reply_result(req, r);
}
