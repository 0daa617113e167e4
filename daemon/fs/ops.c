// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"
#include "daemon/fs/fs.h"

#define MAX_WRITE (1u << 20)     /* bytes of one READ or WRITE; the most that FUSE takes */
#define MAX_READAHEAD (1u << 20) /* bytes; the kernel lowers it to what its device allows */
#define MAX_BACKGROUND 64        /* read-ahead, asynchronous I/O and RELEASE under way */

static void want(struct fuse_conn_info *conn, unsigned capability, bool on)
{
	if (on && (conn->capable & capability))
		conn->want |= capability;
	else
		conn->want &= ~capability;
}

static void fs_init(void *userdata, struct fuse_conn_info *conn)
{
	struct volume *v = userdata;

	/* Write-through: what write(2) took is at the daemon, and the kernel's times and sizes are ours. */
	want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
	/* open(O_TRUNC) is one request, and one transaction. */
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
	/* Who writes as what is best known to the kernel: it sends the SETATTR that clears suid and sgid. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV, false);
	/* The files of this volume are changed through this mount only, so nothing that the
	 * kernel did not see makes its page cache old. */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true); /* a symlink's target never changes */
	want(conn, FUSE_CAP_READDIRPLUS, true);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_ASYNC_DIO, true);
	want(conn, FUSE_CAP_EXPORT_SUPPORT, true); /* LOOKUP of "." and ".." is answered */
	v->no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
	/* Locks are the kernel's own: one mount, one table. */
	want(conn, FUSE_CAP_POSIX_LOCKS, false);
	want(conn, FUSE_CAP_FLOCK_LOCKS, false);
	/* With default ACLs it is here that is known whether the umask counts. */
	want(conn, FUSE_CAP_POSIX_ACL, v->options->acl);
	want(conn, FUSE_CAP_DONT_MASK, v->options->acl);
	if (v->options->acl && !(conn->want & FUSE_CAP_POSIX_ACL))
		log_warning("-o acl: this kernel's FUSE does not enforce POSIX ACLs");
	/* Replies come out of plain memory, and writes go through it: a pipe would be one more copy. */
	want(conn, FUSE_CAP_SPLICE_READ, false);
	want(conn, FUSE_CAP_SPLICE_WRITE, false);
	want(conn, FUSE_CAP_SPLICE_MOVE, false);

	if (conn->max_write > MAX_WRITE)
		conn->max_write = MAX_WRITE;
	if (conn->max_readahead > MAX_READAHEAD)
		conn->max_readahead = MAX_READAHEAD;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	conn->time_gran = 1;
	log_debug("FUSE %u.%u, capabilities 0x%x of 0x%x", conn->proto_major, conn->proto_minor, conn->want,
	          conn->capable);
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = fs_init,
	.lookup = fs_lookup,
	.forget = fs_forget,
	.forget_multi = fs_forget_multi,
	.getattr = fs_getattr,
	.setattr = fs_setattr,
	.statfs = fs_statfs,
	.readlink = fs_readlink,
	.mknod = fs_mknod,
	.mkdir = fs_mkdir,
	.symlink = fs_symlink,
	.link = fs_link,
	.unlink = fs_unlink,
	.rmdir = fs_rmdir,
	.rename = fs_rename,
	.open = fs_open,
	.create = fs_create,
	.read = fs_read,
	.write = fs_write,
	.flush = fs_flush,
	.release = fs_release,
	.fsync = fs_fsync,
	.fallocate = fs_fallocate,
	.lseek = fs_lseek,
	.copy_file_range = fs_copy_file_range,
	.opendir = fs_opendir,
	.readdir = fs_readdir,
	.readdirplus = fs_readdirplus,
	.releasedir = fs_releasedir,
	.fsyncdir = fs_fsyncdir,
	.setxattr = fs_setxattr,
	.getxattr = fs_getxattr,
	.listxattr = fs_listxattr,
	.removexattr = fs_removexattr,
};

/* ---- what the families share ---- */

struct meta_cred fs_cred(fuse_req_t req, const struct volume *v)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct meta_cred){
		.uid = ctx->uid, .gid = ctx->gid, .acl = v->options->acl, .umask = ctx->umask};
}

void fs_reply_result(fuse_req_t req, int r)
{
	fuse_reply_err(req, r < 0 ? -r : 0);
}

int fs_data_error(uint64_t ino, const char *what, int r)
{
	switch (r) {
	case -ENOMEM:
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
	case -EROFS:
	case -EINTR:
	case -ETIMEDOUT:
		return r;
	}
	log_error("%s inode %llu: %s", what, (unsigned long long)ino, strerror(-r));
	return -EIO;
}
