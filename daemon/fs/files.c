// SPDX-License-Identifier: Apache-2.0
/*
 * Files: OPEN, CREATE, READ, WRITE, FLUSH, RELEASE, FSYNC, and what makes, finds and copies ranges. The
 * handle is a struct data_file; a file that the kernel opened by itself has none (EXTFUSE_FH_NONE), which
 * is for reading only, and is got for each request that needs one.
 */
#include "bpf/extfuse_abi.h"
#include "common/log.h"
#include "daemon/data/data.h"
#include "daemon/fs/fs.h"
#include "daemon/fs/removed.h"
#include "daemon/kernel/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COPY 0x40000000u /* bytes of one COPY_FILE_RANGE, whose reply has room for 32 bits */

static struct data_file *handle(const struct fuse_file_info *fi)
{
	return (struct data_file *)(uintptr_t)fi->fh;
}

/* The open file of a request, to be put by unuse(). */
static int use(struct volume *v, uint64_t ino, const struct fuse_file_info *fi, struct data_file **ret)
{
	if (fi->fh == EXTFUSE_FH_NONE)
		return data_file_get(v->data, ino, ret);
	*ret = handle(fi);
	return 0;
}

static void unuse(const struct fuse_file_info *fi, struct data_file *f)
{
	if (fi->fh == EXTFUSE_FH_NONE)
		data_file_put(f);
}

static bool is_writable(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY;
}

/*
 * The page cache need not be dropped on open: only this mount changes the
 * volume (its metadata has one user at a time), so the kernel saw every change pass.
 */
static void fill_open(struct fuse_file_info *fi, struct data_file *f)
{
	fi->fh = (uintptr_t)f;
	fi->keep_cache = 1;
	/* A close that has nothing to store need not ask. */
	fi->noflush = !is_writable(fi);
}

/* Let the kernel write it by itself, if it is open for that and not to be durable with each write. */
static void lend(const struct fuse_file_info *fi, struct data_file *f, uint64_t offset, uint64_t length)
{
	if (is_writable(fi) && !(fi->flags & (O_SYNC | O_DSYNC)))
		data_lend(f, offset, length);
}

/* open(O_TRUNC), which is a write(2) for the set-id bits (root keeps them, as with CAP_FSETID) and for
 * capabilities. */
static int truncate_on_open(struct volume *v, uint64_t ino, uid_t uid)
{
	const struct meta_attr empty = {};
	struct meta_attr after;
	unsigned set = META_SET_SIZE | (uid ? META_SET_KILL_SUIDGID : 0);
	int r;

	r = data_truncate(v->data, ino, set, &empty, &after);
	if (!r && after.xattrs) {
		r = meta_removexattr(v->meta, ino, "security.capability", NULL);
		r = r == -ENODATA ? 0 : r;
	}
	publish_inode(v->publish, ino);
	return r < 0 ? fs_data_error(ino, "truncating", r) : 0;
}

/*
 * Valid replies:
 *   fuse_reply_open
 *   fuse_reply_err
 */
void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_open);
	struct data_file *f;
	int r;

	r = data_file_get(v->data, ino, &f);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (fi->flags & O_TRUNC) {
		r = truncate_on_open(v, ino, fuse_req_ctx(req)->uid);
		if (r < 0) {
			data_file_put(f);
			fuse_reply_err(req, -r);
			return;
		}
	}
	if (fi->flags & O_TRUNC)
		lend(fi, f, 0, 0);
	fill_open(fi, f);
	/* The opener may be gone by now; then no RELEASE comes. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		data_file_put(f);
}

/* O_TMPFILE: no name, so nothing but the inode to publish; the kernel dropped the directory's. */
static int create_unnamed(struct volume *v, uint64_t parent, const struct meta_cred *cred, mode_t mode,
                          int flags, struct meta_attr *ret_attr, struct data_file **ret_file)
{
	struct data_file *f;
	int r;

	r = meta_create_orphan(v->meta, parent, cred, mode, ret_attr);
	publish_inode(v->publish, parent);
	if (r < 0)
		return r;
	r = data_file_get(v->data, ret_attr->ino, &f);
	if (!r) {
		r = removed_add(v->removed, ret_attr->ino);
		if (r < 0)
			data_file_put(f);
	}
	if (r < 0) {
		data_orphaned(v->data, ret_attr->ino);
		return r;
	}
	if (!(flags & O_EXCL))
		data_file_set_linkable(f);
	publish_inode(v->publish, ret_attr->ino);
	*ret_file = f;
	return 0;
}

static int create_named(struct volume *v, uint64_t parent, const char *name, const struct meta_cred *cred,
                        mode_t mode, struct meta_attr *ret_attr, struct data_file **ret_file)
{
	int r;

	r = meta_create(v->meta, parent, name, cred, S_IFREG | (mode & 07777), 0, NULL, ret_attr, NULL);
	if (r < 0) {
		fs_publish_name(v, parent, name);
		return r;
	}
	fs_publish_new(v, parent, name, ret_attr);
	return data_file_get(v->data, ret_attr->ino, ret_file);
}

/*
 * Valid replies:
 *   fuse_reply_create
 *   fuse_reply_err
 */
void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_create);
	const struct meta_cred cred = fs_cred(req, v);
	struct meta_attr attr;
	struct fuse_entry_param entry;
	struct data_file *f;
	int r;

	if (!strcmp(name, FS_UNNAMED))
		r = create_unnamed(v, parent, &cred, mode, fi->flags, &attr, &f);
	else
		r = create_named(v, parent, name, &cred, mode, &attr, &f);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	lend(fi, f, 0, 0);
	fill_open(fi, f);
	fs_fill_entry(v, &attr, &entry);
	if (fuse_reply_create(req, &entry, fi) != -ENOENT)
		return;
	data_file_put(f);
	if (removed_take(v->removed, attr.ino)) /* O_TMPFILE: the kernel never knew it */
		data_orphaned(v->data, attr.ino);
}

/* ---- data ---- */

/* Each serving thread keeps one buffer for READ replies: a fresh one would be mapped and faulted in each
 * time. */
struct read_buffer {
	size_t size;
	char data[];
};

static pthread_key_t read_buffer_key;
static pthread_once_t read_buffer_once = PTHREAD_ONCE_INIT;

static void read_buffer_init(void)
{
	if (pthread_key_create(&read_buffer_key, free) != 0)
		abort();
}

static char *read_buffer(size_t size)
{
	struct read_buffer *b;

	pthread_once(&read_buffer_once, read_buffer_init);
	b = pthread_getspecific(read_buffer_key);
	if (b && b->size >= size)
		return b->data;
	free(b);
	b = malloc(sizeof(*b) + size);
	if (b)
		b->size = size;
	pthread_setspecific(read_buffer_key, b);
	return b ? b->data : NULL;
}

/*
 * Valid replies:
 *   fuse_reply_buf
 *   fuse_reply_err
 */
void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_read);
	char *buffer = read_buffer(size);
	struct data_file *f = NULL;
	ssize_t n;

	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = offset < 0 ? -EINVAL : use(v, ino, fi, &f);
	if (!n) {
		n = data_read(f, (uint64_t)offset, size, buffer);
		unuse(fi, f);
	}
	/* That this came here means that the kernel does not know what is cached of it, or not any more. */
	if (n > 0)
		publish_data(v->publish, ino, (uint64_t)offset, (uint64_t)n);
	if (n < 0)
		fuse_reply_err(req, -fs_data_error(ino, "reading", (int)n));
	else
		fuse_reply_buf(req, buffer, (size_t)n);
}

/*
 * Valid replies:
 *   fuse_reply_write
 *   fuse_reply_err
 */
void fs_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
              struct fuse_file_info *fi)
{
	/* What comes out of a memory mapping has its place, whatever the descriptor was opened with. */
	bool append = fi->flags & O_APPEND && !fi->writepage;
	int r;

	fs_begin(req, DAEMON_OP_write);
	if (!handle(fi))
		r = -EBADF;
	else if (offset < 0 || offset > INT64_MAX - (off_t)size)
		r = -EFBIG;
	else
		r = data_write(handle(fi), (uint64_t)offset, size, data, append);
	/* From now on, by itself. What comes out of a mapping, the kernel sends whatever it is lent. */
	if (r == 0 && !fi->writepage)
		lend(fi, handle(fi), (uint64_t)offset, size);
	if (r < 0)
		fuse_reply_err(req, -fs_data_error(ino, "writing", r));
	else
		fuse_reply_write(req, size);
}

static int flush(struct volume *v, const struct fuse_file_info *fi, uint64_t ino,
                 int (*how)(struct data_file *f))
{
	struct data_file *f;
	int r = use(v, ino, fi, &f);

	if (!r) {
		r = how(f);
		unuse(fi, f);
	}
	return r < 0 ? fs_data_error(ino, "storing", r) : 0;
}

/*
 * close(2): returns after the data is in the object store and committed.
 *
 * Valid replies:
 *   fuse_reply_err
 */
void fs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_flush);

	fs_reply_result(req,
	                flush(v, fi, ino, data_flush)); /* of whichever open: fi->flags is not set here */
}

/*
 * The last reference is gone. A shared mapping may have written after the last close.
 *
 * Valid replies:
 *   fuse_reply_err
 */
void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_release);
	int r = 0;

	if (is_writable(fi))
		r = flush(v, fi, ino, data_flush);
	data_file_put(handle(fi));
	fs_reply_result(req, r);
}

/*
 * Valid replies:
 *   fuse_reply_err
 */
void fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_fsync);
	uint64_t moment = meta_moment(v->meta);
	int r;

	r = flush(v, fi, ino, data_fsync);
	/* Modes and times of a file without new data. */
	if (!r && !datasync)
		r = meta_sync_to(v->meta, moment);
	fs_reply_result(req, r);
}

/* ---- ranges ---- */

/*
 * Plain, PUNCH_HOLE and ZERO_RANGE; what moves bytes about (COLLAPSE, INSERT) or is about blocks is not
 * there. The kernel cleared the set-id bits and checked RLIMIT_FSIZE.
 *
 * Valid replies:
 *   fuse_reply_err
 */
void fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_fallocate);
	bool keep_size = mode & FALLOC_FL_KEEP_SIZE;
	int what = mode & ~FALLOC_FL_KEEP_SIZE, r;

	if ((what && what != FALLOC_FL_ZERO_RANGE && what != FALLOC_FL_PUNCH_HOLE) ||
	    (what == FALLOC_FL_PUNCH_HOLE && !keep_size))
		r = -EOPNOTSUPP;
	else if (!handle(fi))
		r = -EBADF;
	else if (offset < 0 || length <= 0)
		r = -EINVAL;
	else if (offset > INT64_MAX - length)
		r = -EFBIG;
	else
		r = data_fallocate(handle(fi), what, keep_size, (uint64_t)offset, (uint64_t)length);
	publish_inode(v->publish, ino);
	if (r < 0 && r != -EOPNOTSUPP && r != -EINVAL)
		r = fs_data_error(ino, "allocating", r);
	fs_reply_result(req, r);
}

/*
 * SEEK_DATA and SEEK_HOLE; the others are the kernel's. What was changed through a mapping and not written
 * back is not known here: to make the kernel write it would be to throw away its pages, at each call, since
 * whether there is a mapping is not known either.
 *
 * Valid replies:
 *   fuse_reply_lseek
 *   fuse_reply_err
 */
void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_lseek);
	struct data_file *f;
	uint64_t found;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		r = -EINVAL;
	else if (offset < 0)
		r = -ENXIO;
	else
		r = use(v, ino, fi, &f);
	if (!r) {
		r = data_seek(f, (uint64_t)offset, whence == SEEK_HOLE, &found);
		unuse(fi, f);
	}
	if (r == 0)
		fuse_reply_lseek(req, (off_t)found);
	else
		fuse_reply_err(req, r == -ENXIO || r == -EINVAL ? -r : -fs_data_error(ino, "seeking in", r));
}

/*
 * The kernel wrote the pages of both ranges out before, and drops those of the destination after it.
 *
 * Valid replies:
 *   fuse_reply_write
 *   fuse_reply_err
 */
void fs_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in, struct fuse_file_info *fi_in,
                        fuse_ino_t ino_out, off_t offset_out, struct fuse_file_info *fi_out, size_t length,
                        int flags)
{
	struct volume *v = fs_begin(req, DAEMON_OP_copy_file_range);
	struct data_file *from;
	ssize_t n;

	if (length > MAX_COPY)
		length = MAX_COPY;
	if (!handle(fi_out))
		n = -EBADF;
	else if (flags || offset_in < 0 || offset_out < 0)
		n = -EINVAL;
	else
		n = use(v, ino_in, fi_in, &from);
	if (!n) {
		n = data_copy(from, (uint64_t)offset_in, handle(fi_out), (uint64_t)offset_out, length);
		unuse(fi_in, from);
	}
	publish_inode(v->publish, ino_out);
	if (n >= 0)
		fuse_reply_write(req, (size_t)n);
	else
		fuse_reply_err(req, n == -EINVAL ? EINVAL : -fs_data_error(ino_out, "copying to", (int)n));
}
