/* SPDX-License-Identifier: Apache-2.0 */
#include "vmtest/kernel/trivialfs.h"
#include "vmtest/kernel/case.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static struct tfs *tfs_of(fuse_req_t req, unsigned opcode)
{
	struct tfs *t = fuse_req_userdata(req);

	atomic_fetch_add(&t->requests[opcode], 1);
	pthread_mutex_lock(&t->lock);
	return t;
}

static struct tfs_node *node_of(struct tfs *t, uint64_t ino)
{
	return ino && ino < TFS_NODES && t->nodes[ino].st.st_ino ? &t->nodes[ino] : NULL;
}

static struct tfs_name *name_of(struct tfs *t, uint64_t parent, const char *name)
{
	for (int i = 0; i < TFS_NAMES; i++) {
		if (t->names[i].ino && t->names[i].parent == parent && !strcmp(t->names[i].name, name))
			return &t->names[i];
	}
	return NULL;
}

static void link_name(struct tfs *t, uint64_t parent, const char *name, uint64_t ino)
{
	for (int i = 0; i < TFS_NAMES; i++) {
		if (t->names[i].ino)
			continue;
		t->names[i].parent = parent;
		t->names[i].ino = ino;
		snprintf(t->names[i].name, sizeof(t->names[i].name), "%s", name);
		return;
	}
	die("too many names");
}

static uint64_t add_node(struct tfs *t, mode_t mode, const char *data)
{
	uint64_t ino = ++t->last_ino;
	struct stat *st = &t->nodes[ino].st;

	check(ino < TFS_NODES);
	st->st_ino = ino;
	st->st_mode = mode;
	st->st_nlink = S_ISDIR(mode) ? 2 : 1;
	st->st_blksize = 4096;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = 1000000 + (time_t)ino;
	if (data) {
		t->nodes[ino].data = strdup(data);
		st->st_size = (off_t)strlen(data);
	}
	return ino;
}

uint64_t tfs_add(struct tfs *t, uint64_t parent, const char *name, mode_t mode, const char *data)
{
	uint64_t ino;

	pthread_mutex_lock(&t->lock);
	ino = add_node(t, mode, data);
	link_name(t, parent, name, ino);
	pthread_mutex_unlock(&t->lock);
	return ino;
}

/* ---- requests; no reply carries a validity, so the kernel asks each time ---- */

static void done(struct tfs *t, fuse_req_t req, int error)
{
	pthread_mutex_unlock(&t->lock);
	fuse_reply_err(req, error);
}

static void reply_entry(struct tfs *t, fuse_req_t req, uint64_t ino, struct fuse_file_info *fi)
{
	struct fuse_entry_param e = {.ino = ino, .generation = 1, .attr = t->nodes[ino].st};

	pthread_mutex_unlock(&t->lock);
	if (fi)
		fuse_reply_create(req, &e, fi);
	else
		fuse_reply_entry(req, &e);
}

static void tfs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct tfs *t = tfs_of(req, FUSE_LOOKUP);
	struct tfs_name *n = name_of(t, parent, name);

	if (n)
		reply_entry(t, req, n->ino, NULL);
	else
		done(t, req, ENOENT);
}

static void tfs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	struct tfs *t = fuse_req_userdata(req);

	atomic_fetch_add(&t->forgotten, count);
	fuse_reply_none(req);
}

static void tfs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tfs *t = tfs_of(req, FUSE_GETATTR);
	struct tfs_node *n = node_of(t, ino);
	struct stat st;

	if (!n)
		return done(t, req, ESTALE);
	st = n->st;
	pthread_mutex_unlock(&t->lock);
	fuse_reply_attr(req, &st, 0);
}

static void resize(struct tfs_node *n, size_t size)
{
	n->data = realloc(n->data, size + 1);
	if (size > (size_t)n->st.st_size)
		memset(n->data + n->st.st_size, 0, size - (size_t)n->st.st_size);
	n->st.st_size = (off_t)size;
}

static void tfs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                        struct fuse_file_info *fi)
{
	struct tfs *t = tfs_of(req, FUSE_SETATTR);
	struct tfs_node *n = node_of(t, ino);
	struct stat st;

	if (!n)
		return done(t, req, ESTALE);
	if (to_set & FUSE_SET_ATTR_SIZE && (attr->st_size < 0 || attr->st_size > t->size_limit))
		return done(t, req, EFBIG);
	if (to_set & FUSE_SET_ATTR_MODE)
		n->st.st_mode = attr->st_mode;
	if (to_set & FUSE_SET_ATTR_SIZE)
		resize(n, (size_t)attr->st_size);
	st = n->st;
	pthread_mutex_unlock(&t->lock);
	fuse_reply_attr(req, &st, 0);
}

static void make(fuse_req_t req, unsigned opcode, fuse_ino_t parent, const char *name, mode_t mode,
                 const char *data, struct fuse_file_info *fi)
{
	struct tfs *t = tfs_of(req, opcode);
	uint64_t ino;

	if (name_of(t, parent, name))
		return done(t, req, EEXIST);
	ino = add_node(t, mode, data);
	link_name(t, parent, name, ino);
	reply_entry(t, req, ino, fi);
}

static void tfs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	make(req, FUSE_MKNOD, parent, name, mode, "", NULL);
}

static void tfs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, FUSE_MKDIR, parent, name, S_IFDIR | mode, NULL, NULL);
}

static void tfs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	make(req, FUSE_SYMLINK, parent, name, S_IFLNK | 0777, target, NULL);
}

static void tfs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                       struct fuse_file_info *fi)
{
	make(req, FUSE_CREATE, parent, name, mode, "", fi);
}

static void remove_name(fuse_req_t req, unsigned opcode, fuse_ino_t parent, const char *name)
{
	struct tfs *t = tfs_of(req, opcode);
	struct tfs_name *n = name_of(t, parent, name);

	if (n) {
		t->nodes[n->ino].st.st_nlink--;
		n->ino = 0;
	}
	done(t, req, n ? 0 : ENOENT);
}

static void tfs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, FUSE_UNLINK, parent, name);
}

static void tfs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, FUSE_RMDIR, parent, name);
}

static void tfs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                       const char *newname, unsigned flags)
{
	struct tfs *t = tfs_of(req, flags ? FUSE_RENAME2 : FUSE_RENAME);
	struct tfs_name *from = name_of(t, parent, name), *to = name_of(t, newparent, newname);
	uint64_t ino;

	if (!from)
		return done(t, req, ENOENT);
	if (flags & RENAME_EXCHANGE && to) {
		ino = from->ino;
		from->ino = to->ino;
		to->ino = ino;
		return done(t, req, 0);
	}
	if (to)
		to->ino = 0;
	from->parent = newparent;
	snprintf(from->name, sizeof(from->name), "%s", newname);
	done(t, req, 0);
}

static void tfs_link_op(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct tfs *t = tfs_of(req, FUSE_LINK);

	if (!node_of(t, ino) || name_of(t, parent, name))
		return done(t, req, EEXIST);
	t->nodes[ino].st.st_nlink++;
	link_name(t, parent, name, ino);
	reply_entry(t, req, ino, NULL);
}

static void tfs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tfs *t = tfs_of(req, FUSE_OPEN);
	struct tfs_node *n = node_of(t, ino);

	if (n && fi->flags & O_TRUNC)
		resize(n, 0);
	pthread_mutex_unlock(&t->lock);
	fi->fh = 1;               /* any but EXTFUSE_FH_NONE */
	fuse_reply_open(req, fi); /* pages are not kept: each open reads anew */
}

static void tfs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct tfs *t = tfs_of(req, FUSE_READ);
	struct tfs_node *n = node_of(t, ino);
	int delay = atomic_load(&t->read_delay_ms);
	char *copy;

	if (!n)
		return done(t, req, ESTALE);
	if (off < 0 || off >= n->st.st_size)
		size = 0;
	else if (off + (off_t)size > n->st.st_size)
		size = (size_t)(n->st.st_size - off);
	copy = malloc(size + 1);
	if (size)
		memcpy(copy, n->data + off, size);
	pthread_mutex_unlock(&t->lock);
	if (delay)
		usleep((useconds_t)delay * 1000);
	fuse_reply_buf(req, copy, size);
	free(copy);
}

static void tfs_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                      struct fuse_file_info *fi)
{
	struct tfs *t = tfs_of(req, FUSE_WRITE);
	struct tfs_node *n = node_of(t, ino);

	if (!n)
		return done(t, req, ESTALE);
	if (off < 0 || off > t->size_limit - (off_t)size)
		return done(t, req, EFBIG);
	if ((size_t)off + size > (size_t)n->st.st_size)
		resize(n, (size_t)off + size);
	memcpy(n->data + off, buf, size);
	pthread_mutex_unlock(&t->lock);
	fuse_reply_write(req, size);
}

static void tfs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                         int flags)
{
	done(tfs_of(req, FUSE_SETXATTR), req, 0);
}

/* Everything has the one attribute "user.here". */
#define HERE "user.here"

static void reply_sized(fuse_req_t req, const char *data, size_t length, size_t size)
{
	if (size)
		fuse_reply_buf(req, data, length);
	else
		fuse_reply_xattr(req, length);
}

static void tfs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct tfs *t = tfs_of(req, FUSE_GETXATTR);

	if (strcmp(name, HERE) != 0)
		return done(t, req, ENODATA);
	pthread_mutex_unlock(&t->lock);
	reply_sized(req, "x", 1, size);
}

static void tfs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct tfs *t = tfs_of(req, FUSE_LISTXATTR);

	pthread_mutex_unlock(&t->lock);
	reply_sized(req, HERE, sizeof(HERE), size);
}

static void tfs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	done(tfs_of(req, FUSE_FLUSH), req, 0);
}

static void tfs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	done(tfs_of(req, FUSE_RELEASE), req, 0);
}

static void tfs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	done(tfs_of(req, FUSE_REMOVEXATTR), req, 0);
}

static void tfs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                          struct fuse_file_info *fi)
{
	done(tfs_of(req, FUSE_FALLOCATE), req, 0);
}

static void tfs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
                      unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	struct tfs *t = tfs_of(req, FUSE_IOCTL);

	pthread_mutex_unlock(&t->lock);
	fuse_reply_ioctl(req, 0, NULL, 0);
}

static void tfs_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t off_in, struct fuse_file_info *fi_in,
                                fuse_ino_t out, off_t off_out, struct fuse_file_info *fi_out, size_t len,
                                int flags)
{
	struct tfs *t = tfs_of(req, FUSE_COPY_FILE_RANGE);

	pthread_mutex_unlock(&t->lock);
	fuse_reply_write(req, len);
}

/* A file system of 7 blocks. */
static void tfs_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct tfs *t = tfs_of(req, FUSE_STATFS);
	const struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_blocks = 7, .f_namemax = 255};

	pthread_mutex_unlock(&t->lock);
	fuse_reply_statfs(req, &st);
}

static void tfs_init(void *userdata, struct fuse_conn_info *conn)
{
	/* O_TRUNC comes with OPEN; and no entries but those that LOOKUP answers */
	conn->want |= FUSE_CAP_ATOMIC_O_TRUNC;
	conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	conn->max_readahead = 0;
}

static const struct fuse_lowlevel_ops operations = {
	.init = tfs_init,
	.lookup = tfs_lookup,
	.forget = tfs_forget,
	.getattr = tfs_getattr,
	.setattr = tfs_setattr,
	.mknod = tfs_mknod,
	.mkdir = tfs_mkdir,
	.symlink = tfs_symlink,
	.create = tfs_create,
	.unlink = tfs_unlink,
	.rmdir = tfs_rmdir,
	.rename = tfs_rename,
	.link = tfs_link_op,
	.open = tfs_open,
	.read = tfs_read,
	.write = tfs_write,
	.flush = tfs_flush,
	.release = tfs_release,
	.getxattr = tfs_getxattr,
	.listxattr = tfs_listxattr,
	.setxattr = tfs_setxattr,
	.removexattr = tfs_removexattr,
	.fallocate = tfs_fallocate,
	.ioctl = tfs_ioctl,
	.statfs = tfs_statfs,
	.copy_file_range = tfs_copy_file_range,
};

/* ---- start and stop ---- */

enum { MOUNTS = 8 };
static struct tfs *_Atomic mounts[MOUNTS]; /* of this process */

void end_failed(void)
{
	for (int i = 0; i < MOUNTS; i++) {
		struct tfs *t = atomic_load(&mounts[i]);

		if (t)
			umount2(t->dir, MNT_FORCE | MNT_DETACH);
	}
	_exit(1);
}

static void remember(struct tfs *from, struct tfs *to)
{
	for (int i = 0; i < MOUNTS; i++) {
		struct tfs *expected = from;

		if (atomic_compare_exchange_strong(&mounts[i], &expected, to))
			return;
	}
	die("too many mounts");
}

static void *serve(void *arg)
{
	struct tfs *t = arg;

	fuse_session_loop(t->se);
	return NULL;
}

struct tfs *tfs_start(void)
{
	struct tfs *t = calloc(1, sizeof(*t));
	char *argv[] = {"trivialfs", "-odefault_permissions,fsname=trivialfs", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	const char *tmp = getenv("TMPDIR");

	check(t);
	t->device_fd = -1;
	t->size_limit = 1 << 30;
	pthread_mutex_init(&t->lock, NULL);
	check(add_node(t, S_IFDIR | 0755, NULL) == FUSE_ROOT_ID);
	snprintf(t->dir, sizeof(t->dir), "%s/trivialfs.XXXXXX", tmp ?: "/tmp");
	check(mkdtemp(t->dir));
	t->se = fuse_session_new(&args, &operations, sizeof(operations), t);
	check(t->se);
	check(fuse_session_mount(t->se, t->dir) == 0);
	remember(NULL, t);
	t->fuse_fd = fuse_session_fd(t->se);
	check(pthread_create(&t->thread, NULL, serve, t) == 0);
	t->running = true;
	return t;
}

void tfs_stop(struct tfs *t)
{
	tfs_detach(t);
	check(umount2(t->dir, MNT_DETACH) == 0); /* ends the loop */
	pthread_join(t->thread, NULL);
	remember(t, NULL);
	fuse_session_unmount(t->se);
	fuse_session_destroy(t->se);
	rmdir(t->dir);
	for (int i = 0; i < TFS_NODES; i++)
		free(t->nodes[i].data);
	free(t);
}

char *tfs_path(struct tfs *t, const char *name)
{
	static char ring[8][1024];
	static unsigned next;
	char *path = ring[next++ % 8];

	snprintf(path, sizeof(ring[0]), "%s/%s", t->dir, name);
	return path;
}

unsigned long tfs_requests(struct tfs *t, unsigned opcode)
{
	return atomic_load(&t->requests[opcode]);
}
