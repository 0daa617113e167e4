/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_FS_H
#define CURVEFS_FS_H

/*
 * The FUSE operations, one file per family: lookup.c, attr.c, names.c, files.c,
 * dirs.c, xattr.c; ops.c has the table and the negotiation with the kernel.
 *
 * Node ids are inode numbers, for ever: nothing counts lookups. FORGET matters for removed inodes only
 * (removed.h).
 *
 * The truth rule (daemon/kernel/publish.h) as the operations keep it:
 *   - what a reply says about an inode or a name comes from publish_lookup() or publish_getattr();
 *   - a mutation commits, then publishes every name and inode it touched, then replies;
 *   - a mutation that failed publishes them as well: the kernel dropped them
 *     when the request passed by.
 *
 * Who waits for whom: operations hold no lock of their own. They run in any
 * number of threads, and the kernel holds the directory's lock around changes of its names.
 */

#include "daemon/meta/meta.h"
#include "daemon/volume.h"

#include <fuse_lowlevel.h>

/** The operations of a mount; user data of the session is its struct volume. */
extern const struct fuse_lowlevel_ops fs_ops;

/** The name that a CREATE has which is an O_TMPFILE (tmpfile.h); no other can have it. */
#define FS_UNNAMED "/"

/** The volume of a request, which is counted. */
static inline struct volume *fs_begin(fuse_req_t req, enum daemon_op op)
{
	struct volume *v = fuse_req_userdata(req);

	atomic_fetch_add_explicit(&v->requests[op], 1, memory_order_relaxed);
	return v;
}

/** Who asks, for what creates something. */
struct meta_cred fs_cred(fuse_req_t req, const struct volume *v);

/** Answer 0 or a negative errno. */
void fs_reply_result(fuse_req_t req, int r);

/** Answer attributes, with the validity of the mount. */
void fs_reply_attr(fuse_req_t req, const struct volume *v, const struct meta_attr *attr);

void fs_fill_entry(const struct volume *v, const struct meta_attr *attr, struct fuse_entry_param *ret);
void fs_reply_entry(fuse_req_t req, const struct volume *v, const struct meta_attr *attr);

/**
 * After (parent, name) came to be: publish the directory and the name. @p attr is what the commit said and
 * becomes what is true now.
 */
void fs_publish_new(struct volume *v, uint64_t parent, const char *name, struct meta_attr *attr);

/** After a mutation of (parent, name), done or failed: publish the directory and what the name is now. */
void fs_publish_name(struct volume *v, uint64_t parent, const char *name);

/** An error of file data as read(2) and its kin may give it; others are logged as they are and become EIO. */
int fs_data_error(uint64_t ino, const char *what, int r);

/* clang-format off */
#define FS_OP(name, ...) void fs_##name(fuse_req_t req, __VA_ARGS__)

FS_OP(lookup, fuse_ino_t parent, const char *name);
FS_OP(forget, fuse_ino_t ino, uint64_t count);
FS_OP(forget_multi, size_t count, struct fuse_forget_data *forgets);

FS_OP(getattr, fuse_ino_t ino, struct fuse_file_info *fi);
FS_OP(setattr, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi);
FS_OP(statfs, fuse_ino_t ino);

FS_OP(readlink, fuse_ino_t ino);
FS_OP(mknod, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
FS_OP(mkdir, fuse_ino_t parent, const char *name, mode_t mode);
FS_OP(symlink, const char *target, fuse_ino_t parent, const char *name);
FS_OP(link, fuse_ino_t ino, fuse_ino_t parent, const char *name);
FS_OP(unlink, fuse_ino_t parent, const char *name);
FS_OP(rmdir, fuse_ino_t parent, const char *name);
FS_OP(rename, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name, unsigned flags);

FS_OP(open, fuse_ino_t ino, struct fuse_file_info *fi);
FS_OP(create, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
FS_OP(read, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
FS_OP(write, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi);
FS_OP(flush, fuse_ino_t ino, struct fuse_file_info *fi);
FS_OP(release, fuse_ino_t ino, struct fuse_file_info *fi);
FS_OP(fsync, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
FS_OP(fallocate, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi);
FS_OP(lseek, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
FS_OP(copy_file_range, fuse_ino_t ino_in, off_t offset_in, struct fuse_file_info *fi_in, fuse_ino_t ino_out,
      off_t offset_out, struct fuse_file_info *fi_out, size_t length, int flags);

FS_OP(opendir, fuse_ino_t ino, struct fuse_file_info *fi);
FS_OP(readdir, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
FS_OP(readdirplus, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
FS_OP(releasedir, fuse_ino_t ino, struct fuse_file_info *fi);
FS_OP(fsyncdir, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

FS_OP(setxattr, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
FS_OP(getxattr, fuse_ino_t ino, const char *name, size_t size);
FS_OP(listxattr, fuse_ino_t ino, size_t size);
FS_OP(removexattr, fuse_ino_t ino, const char *name);

#undef FS_OP
/* clang-format on */

#endif
