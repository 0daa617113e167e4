/* SPDX-License-Identifier: Apache-2.0 */
/* Every mutating request drops what it touches, then reaches the daemon. */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

/*
 * Two directories with files, everything published, so that a test can say
 * what is gone and that the rest is still there.
 */
struct tree {
	struct tfs *t;
	char top[16]; /* the folder that they are in */
	uint64_t a, b, a_file, a_other, b_file, a_sub;
};

#define LONG_NAME "a-name-of-more-than-forty-bytes-is-in-the-map-of-long-ones"

static struct tree plant(struct tfs *t)
{
	static unsigned number;
	struct tree r = {.t = t};
	uint64_t top;

	snprintf(r.top, sizeof(r.top), "%u", number++);
	top = tfs_add(t, FUSE_ROOT_ID, r.top, S_IFDIR | 0755, NULL);
	r.a = tfs_add(r.t, top, "a", S_IFDIR | 0755, NULL);
	r.b = tfs_add(r.t, top, "b", S_IFDIR | 0755, NULL);
	r.a_file = tfs_add(r.t, r.a, "file", S_IFREG | 0644, "hello");
	r.a_other = tfs_add(r.t, r.a, LONG_NAME, S_IFREG | 0644, "other");
	r.a_sub = tfs_add(r.t, r.a, "sub", S_IFDIR | 0755, NULL);
	r.b_file = tfs_add(r.t, r.b, "file", S_IFREG | 0644, "hello b");
	return r;
}

static void publish(struct tree *r)
{
	struct tfs *t = r->t;

	for (uint64_t ino = FUSE_ROOT_ID; ino <= t->last_ino; ino++)
		tfs_publish_inode(t, ino, 0);
	for (int i = 0; i < TFS_NAMES; i++) {
		if (t->names[i].ino)
			tfs_publish_name(t, t->names[i].parent, t->names[i].name, t->names[i].ino);
	}
	tfs_publish_name(t, r->a, "absent", 0);
	tfs_publish_name(t, r->b, "absent", 0);
}

static const char *path(struct tree *r, const char *name)
{
	char below[300];

	snprintf(below, sizeof(below), "%s/%s", r->top, name);
	return tfs_path(r->t, below);
}

/* ---- the requests ---- */

static void do_unlink(struct tree *r)
{
	check(unlink(path(r, "a/file")) == 0);
}

static void do_unlink_long(struct tree *r)
{
	check(unlink(path(r, "a/" LONG_NAME)) == 0);
}

static void do_rmdir(struct tree *r)
{
	check(rmdir(path(r, "a/sub")) == 0);
}

static void do_mkdir(struct tree *r)
{
	check(mkdir(path(r, "a/absent"), 0755) == 0);
}

static void do_mknod(struct tree *r)
{
	check(mknod(path(r, "a/absent"), S_IFIFO | 0644, 0) == 0);
}

static void do_symlink(struct tree *r)
{
	check(symlink("target", path(r, "a/absent")) == 0);
}

static void do_create(struct tree *r)
{
	int fd = open(path(r, "a/absent"), O_CREAT | O_WRONLY, 0644);

	check(fd >= 0);
	close(fd);
}

static void do_link(struct tree *r)
{
	check(link(path(r, "b/file"), path(r, "a/absent")) == 0);
}

static void do_rename(struct tree *r)
{
	check(rename(path(r, "a/file"), path(r, "b/file")) == 0);
}

static void do_rename_long(struct tree *r)
{
	check(rename(path(r, "a/" LONG_NAME), path(r, "b/absent")) == 0);
}

static void do_exchange(struct tree *r)
{
	check(renameat2(AT_FDCWD, path(r, "a/file"), AT_FDCWD, path(r, "b/file"), RENAME_EXCHANGE) == 0);
}

static void do_chmod(struct tree *r)
{
	check(chmod(path(r, "a/file"), 0600) == 0);
}

static void do_truncate(struct tree *r)
{
	check(truncate(path(r, "a/file"), 1) == 0);
}

static void do_setxattr(struct tree *r)
{
	check(setxattr(path(r, "a/file"), "user.x", "y", 1, 0) == 0);
}

static void do_removexattr(struct tree *r)
{
	check(removexattr(path(r, "a/file"), "user.x") == 0);
}

static void do_open_truncate(struct tree *r)
{
	int fd = open(path(r, "a/file"), O_WRONLY | O_TRUNC);

	check(fd >= 0);
	close(fd);
}

/* An open file to work on; the entries are published anew, since open may have dropped some. */
static int opened(struct tree *r, int flags)
{
	int fd = open(path(r, "a/file"), flags);

	check(fd >= 0);
	return fd;
}

static void do_write(struct tree *r)
{
	int fd = opened(r, O_WRONLY);

	check(tfs_has_inode(r->t, r->a_file)); /* opening is no change */
	check_equal(pwrite(fd, "x", 1, 0), 1);
	check(!tfs_has_inode(r->t, r->a_file));
	close(fd);
}

static void do_fallocate(struct tree *r)
{
	int fd = opened(r, O_WRONLY);

	check(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100) == 0);
	close(fd);
}

static void do_ioctl(struct tree *r)
{
	int fd = opened(r, O_RDONLY);

	check(ioctl(fd, _IO('x', 1)) == 0);
	close(fd);
}

static void do_copy(struct tree *r)
{
	int in = open(path(r, "b/file"), O_RDONLY), out = opened(r, O_WRONLY);

	check(in >= 0);
	check_equal(copy_file_range(in, NULL, out, NULL, 4, 0), 4);
	close(in);
	close(out);
}

/* What must be gone, and the counter that must say so.  What is not named must still be there. */
enum {
	DIR_A = 1,
	DIR_B = 2,
	A_FILE = 4,
	A_OTHER = 8,
	A_SUB = 16,
	B_FILE = 32,
	NAME_A_FILE = 64,
	NAME_A_OTHER = 128,
	NAME_A_SUB = 256,
	NAME_A_ABSENT = 512,
	NAME_B_FILE = 1024,
	NAME_B_ABSENT = 2048,
};

static const struct {
	const char *name;
	void (*run)(struct tree *r);
	unsigned opcode;
	enum extfuse_op op;
	unsigned gone;
} mutations[] = {
	{"unlink", do_unlink, FUSE_UNLINK, EXTFUSE_OP_UNLINK, DIR_A | A_FILE | NAME_A_FILE},
	{"unlink, long name", do_unlink_long, FUSE_UNLINK, EXTFUSE_OP_UNLINK, DIR_A | A_OTHER | NAME_A_OTHER},
	{"rmdir", do_rmdir, FUSE_RMDIR, EXTFUSE_OP_RMDIR, DIR_A | A_SUB | NAME_A_SUB},
	{"mkdir", do_mkdir, FUSE_MKDIR, EXTFUSE_OP_MKDIR, DIR_A | NAME_A_ABSENT},
	{"mknod", do_mknod, FUSE_MKNOD, EXTFUSE_OP_MKNOD, DIR_A | NAME_A_ABSENT},
	{"symlink", do_symlink, FUSE_SYMLINK, EXTFUSE_OP_SYMLINK, DIR_A | NAME_A_ABSENT},
	{"create", do_create, FUSE_CREATE, EXTFUSE_OP_CREATE, DIR_A | NAME_A_ABSENT},
	{"link", do_link, FUSE_LINK, EXTFUSE_OP_LINK, DIR_A | NAME_A_ABSENT | B_FILE},
	{"rename", do_rename, FUSE_RENAME, EXTFUSE_OP_RENAME,
         DIR_A | DIR_B | A_FILE | B_FILE | NAME_A_FILE | NAME_B_FILE},
	{"rename, long name", do_rename_long, FUSE_RENAME, EXTFUSE_OP_RENAME,
         DIR_A | DIR_B | A_OTHER | NAME_A_OTHER | NAME_B_ABSENT},
	{"exchange", do_exchange, FUSE_RENAME2, EXTFUSE_OP_RENAME,
         DIR_A | DIR_B | A_FILE | B_FILE | NAME_A_FILE | NAME_B_FILE},
	{"chmod", do_chmod, FUSE_SETATTR, EXTFUSE_OP_SETATTR, A_FILE},
	{"truncate", do_truncate, FUSE_SETATTR, EXTFUSE_OP_SETATTR, A_FILE},
	{"setxattr", do_setxattr, FUSE_SETXATTR, EXTFUSE_OP_SETXATTR, A_FILE},
	{"removexattr", do_removexattr, FUSE_REMOVEXATTR, EXTFUSE_OP_REMOVEXATTR, A_FILE},
	{"open with O_TRUNC", do_open_truncate, FUSE_OPEN, EXTFUSE_OP_OPEN, A_FILE},
	{"write", do_write, FUSE_WRITE, EXTFUSE_OP_WRITE, A_FILE},
	{"fallocate", do_fallocate, FUSE_FALLOCATE, EXTFUSE_OP_FALLOCATE, A_FILE},
	{"ioctl", do_ioctl, FUSE_IOCTL, EXTFUSE_OP_OTHER, 0}, /* isatty(3) of an open file, mostly */
	{"copy_file_range", do_copy, FUSE_COPY_FILE_RANGE, EXTFUSE_OP_COPY_FILE_RANGE, A_FILE},
};

static unsigned what_is_gone(struct tree *r)
{
	struct tfs *t = r->t;

	return (tfs_has_inode(t, r->a) ? 0 : DIR_A) | (tfs_has_inode(t, r->b) ? 0 : DIR_B) |
	       (tfs_has_inode(t, r->a_file) ? 0 : A_FILE) | (tfs_has_inode(t, r->a_other) ? 0 : A_OTHER) |
	       (tfs_has_inode(t, r->a_sub) ? 0 : A_SUB) | (tfs_has_inode(t, r->b_file) ? 0 : B_FILE) |
	       (tfs_has_name(t, r->a, "file") ? 0 : NAME_A_FILE) |
	       (tfs_has_name(t, r->a, LONG_NAME) ? 0 : NAME_A_OTHER) |
	       (tfs_has_name(t, r->a, "sub") ? 0 : NAME_A_SUB) |
	       (tfs_has_name(t, r->a, "absent") ? 0 : NAME_A_ABSENT) |
	       (tfs_has_name(t, r->b, "file") ? 0 : NAME_B_FILE) |
	       (tfs_has_name(t, r->b, "absent") ? 0 : NAME_B_ABSENT);
}

static void each_mutation_drops_what_it_touches_and_nothing_else(void)
{
	struct tfs *t = tfs_start();
	struct tree first;

	tfs_attach(t, NULL);
	/* Later kernels ask once for a copy that a daemon may not know, and then for the other. */
	first = plant(t);
	do_copy(&first);
	for (size_t i = 0; i < sizeof(mutations) / sizeof(*mutations); i++) {
		unsigned epochs[8], asked, gone;
		uint64_t drops;
		struct tree r = plant(t);
		uint64_t inodes[] = {r.a, r.b, r.a_file, r.a_other, r.a_sub, r.b_file};

		publish(&r);
		for (int n = 0; n < 6; n++)
			epochs[n] = tfs_epoch(r.t, inodes[n]);
		drops = tfs_stat(r.t, mutations[i].op, EXTFUSE_DROP);
		asked = (unsigned)tfs_requests(r.t, mutations[i].opcode);
		mutations[i].run(&r);
		gone = what_is_gone(&r);
		if (gone != mutations[i].gone)
			die("%s: gone is %#x, not %#x", mutations[i].name, gone, mutations[i].gone);
		for (int n = 0; n < 6; n++) { /* the first six bits, in this order */
			bool moved = tfs_epoch(r.t, inodes[n]) != epochs[n];

			if (moved != !!(gone & 1u << n))
				die("%s: epoch of inode %d %s", mutations[i].name, n,
				    moved ? "moved" : "did not move");
		}
		drops += gone != 0;
		if (tfs_stat(r.t, mutations[i].op, EXTFUSE_DROP) != drops)
			die("%s: counted as %s", mutations[i].name, gone ? "no drop" : "a drop");
		if (tfs_requests(r.t, mutations[i].opcode) != asked + 1)
			die("%s: the daemon was not asked", mutations[i].name);
	}
	tfs_stop(t);
}

static void the_next_stat_sees_a_mutation(void)
{
	struct tree r = plant(tfs_start());
	struct stat st;

	tfs_attach(r.t, NULL);
	for (unsigned i = 0; i < 200; i++) {
		publish(&r);
		check(chmod(path(&r, "a/file"), i % 8 | 0600) == 0);
		check(stat(path(&r, "a/file"), &st) == 0);
		check_equal(st.st_mode & 0777, i % 8 | 0600);
		publish(&r);
		check(truncate(path(&r, "a/file"), i) == 0);
		check(stat(path(&r, "a/file"), &st) == 0);
		check_equal(st.st_size, i);
	}
	tfs_stop(r.t);
}

/* ---- the ring ---- */

static struct extfuse_event last_event;
static int events_seen;

static void on_event(void *ctx, int cpu, void *data, uint32_t size)
{
	check(size >= sizeof(last_event));
	memcpy(&last_event, data, sizeof(last_event));
	events_seen++;
}

static void a_drop_writes_a_record_and_a_hit_does_not(void)
{
	struct extfuse_config config = {.events = 1};
	struct tree r = plant(tfs_start());
	struct perf_buffer *ring;
	struct stat st;

	tfs_attach(r.t, &config);
	publish(&r);
	ring = perf_buffer__new(r.t->events, 8, on_event, NULL, NULL, NULL);
	check(ring);
	check(stat(path(&r, "a/file"), &st) == 0);
	perf_buffer__consume(ring);
	check_equal(events_seen, 0);
	check(rename(path(&r, "a/file"), path(&r, "b/file")) == 0);
	perf_buffer__consume(ring);
	check_equal(events_seen, 1);
	check_equal(last_event.kind, EXTFUSE_EVENT_DROP);
	check_equal(last_event.op, EXTFUSE_OP_RENAME);
	check_equal(last_event.ino, r.a_file);
	check_equal(last_event.parent, r.a);
	check_equal(last_event.new_parent, r.b);
	check(last_event.time_ns > 0);
	perf_buffer__free(ring);
	tfs_stop(r.t);
}

const struct test invalidate_tests[] = {
	TEST(each_mutation_drops_what_it_touches_and_nothing_else),
	TEST(the_next_stat_sees_a_mutation),
	TEST(a_drop_writes_a_record_and_a_hit_does_not),
	{},
};
