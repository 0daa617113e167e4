// SPDX-License-Identifier: Apache-2.0
/* Extended attributes: SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR. */
#include "common/cleanup.h"
#include "daemon/fs/fs.h"
#include "daemon/kernel/publish.h"

#include <errno.h>
#include <string.h>

/*
 * The kernel checks who may use which of these. Not "system.", where ACLs live: nothing enforces them here,
 * so a copy that kept them would only look protected.
 */
static bool is_supported(const char *name)
{
	static const char *const prefixes[] = {"user.", "trusted.", "security."};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
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

	r = is_supported(name) ? meta_setxattr(v->meta, ino, name, value, size, flags, &attr) : -EOPNOTSUPP;
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

	r = is_supported(name) ? meta_getxattr(v->meta, ino, name, &value, &length) : -EOPNOTSUPP;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_sized(req, value, length, size);
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
		reply_sized(req, names, length, size);
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

	r = is_supported(name) ? meta_removexattr(v->meta, ino, name, &attr) : -EOPNOTSUPP;
	publish_inode(v->publish, ino);
	fs_reply_result(req, r);
}
