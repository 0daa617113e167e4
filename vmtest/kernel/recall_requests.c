/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the kernel itself: what they change is not repeated any more, and what they do not is. */
#include "vmtest/kernel/recall.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What a request drops. */
enum { A = 1, B = 2, A_FILE = 4, B_FILE = 8 };

static const char *const names[] = {"a/file", "b/file", "a/new", "b/new", "a/sub", "a/nothing", "b/nothing"};

static void warm_tree(struct tree *r)
{
	for (int i = 0; i < 3; i++) {
		for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++)
			warm_up(below(r, names[n]));
		check(reads(r->a_fd, CACHED) && reads(r->b_fd, CACHED));
	}
}

/* What the daemon itself would say. */
static void check_name(struct tree *r, const char *name)
{
	const uint64_t parent = name[0] == 'a' ? r->a : r->b;
	const struct stat *want = NULL;
	struct stat st;

	for (int i = 0; i < TFS_NAMES; i++) {
		struct tfs_name *n = &r->t->names[i];

		if (n->ino && n->parent == parent && !strcmp(n->name, name + 2))
			want = &r->t->nodes[n->ino].st;
	}
	if (!want) {
		check_errno(stat(below(r, name), &st), ENOENT);
		return;
	}
	check(stat(below(r, name), &st) == 0);
	check_equal(st.st_ino, want->st_ino);
	check_equal(st.st_mode, want->st_mode);
	check_equal(st.st_size, want->st_size);
	check_equal(st.st_nlink, want->st_nlink);
}

static int write_one(const char *path)
{
	int fd = open(path, O_WRONLY);

	check(fd >= 0 && pwrite(fd, "W", 1, 0) == 1);
	return close(fd);
}

static int allocate(const char *path)
{
	int fd = open(path, O_WRONLY);

	check(fd >= 0 && fallocate(fd, 0, 0, 1) == 0);
	return close(fd);
}

static int exchange(const char *one, const char *other)
{
	return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

/* Its name, what it drops, and itself. */
#define REQUESTS(X)                                                       \
	X(chmod, A_FILE, chmod(file, 0600))                               \
	X(truncate, A_FILE, truncate(file, 1))                            \
	X(write, A_FILE, write_one(file))                                 \
	X(fallocate, A_FILE, allocate(file))                              \
	X(open_truncate, A_FILE, close(open(file, O_WRONLY | O_TRUNC)))   \
	X(setxattr, A_FILE, setxattr(file, "user.x", "y", 1, 0))          \
	X(unlink, A | A_FILE, unlink(file))                               \
	X(rename_away, A | A_FILE | B, rename(file, below(r, "b/new")))   \
	X(rename_over, A | A_FILE | B | B_FILE, rename(file, other))      \
	X(exchange, A | A_FILE | B | B_FILE, exchange(file, other))       \
	X(link, A | B_FILE, link(other, new))                             \
	X(create, A, close(open(new, O_CREAT | O_EXCL | O_WRONLY, 0644))) \
	X(mknod, A, mknod(new, S_IFIFO | 0644, 0))                        \
	X(symlink, A, symlink("file", new))                               \
	X(mkdir, A, mkdir(new, 0755))                                     \
	X(rmdir, A, rmdir(below(r, "a/sub")))

#define DEFINE(what, touches, call)                                                                \
	static int do_##what(struct tree *r, const char *file, const char *other, const char *new) \
	{                                                                                          \
		return call;                                                                       \
	}
REQUESTS(DEFINE)

/* What it touches is the daemon's from then on, and only that. */
static void ends_what_it_changes(struct tfs *t, const char *request, unsigned touches,
                                 int (*send)(struct tree *r, const char *file, const char *other,
                                             const char *new))
{
	struct tree r = plant(t);
	uint64_t a, b;

	warm_tree(&r);
	if (send(&r, below(&r, "a/file"), below(&r, "b/file"), below(&r, "a/new")) != 0)
		die("%s: %s", request, strerror(errno));
	for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
		if (strcmp(names[n], "a/new") != 0 || send != do_symlink)
			check_name(&r, names[n]);
	}
	/* the maps have it, or had it, that there is nothing */
	a = tfs_add(t, r.a, "nothing", S_IFREG | 0644, "");
	b = tfs_add(t, r.b, "nothing", S_IFREG | 0644, "");
	if ((leads_to(below(&r, "a/nothing")) == a) != !!(touches & A) ||
	    (leads_to(below(&r, "b/nothing")) == b) != !!(touches & B) ||
	    reads(r.a_fd, CACHED) != !(touches & A_FILE) || reads(r.b_fd, CACHED) != !(touches & B_FILE))
		die("%s ends something else", request);
	uproot(&r);
}

static void a_request_that_changes_something_ends_what_it_changes(void)
{
	struct tfs *t = start_attached();

#define TRY(what, touches, call) ends_what_it_changes(t, #what, touches, do_##what);
	REQUESTS(TRY);
	tfs_stop(t);
}

static void an_absent_name_that_is_made_is_there(void)
{
	struct fixture f = setup();

	say_all_names_are_there(f.t, FUSE_ROOT_ID);
	for (int i = 0; i < 20; i++) {
		const char *path = tfs_path(f.t, "made");

		warm_up(path);
		check_equal(leads_to(path), 0);
		if (i % 2) {
			check(close(open(path, O_CREAT | O_EXCL | O_WRONLY, 0644)) == 0);
			check(leads_to(path) != 0);
			check(unlink(path) == 0);
		} else { /* by somebody else: the daemon says so */
			uint64_t ino = tfs_add(f.t, FUSE_ROOT_ID, "made", S_IFREG | 0644, "");

			publish(f.t, FUSE_ROOT_ID, "made", ino, 0);
			check_equal(leads_to(path), ino);
			warm_up(path);
			check(unlink(path) == 0);
		}
		check_equal(leads_to(path), 0);
		tfs_publish_inode(f.t, FUSE_ROOT_ID, 0);
		say_all_names_are_there(f.t, FUSE_ROOT_ID);
	}
	teardown(&f);
}

const struct test recall_requests_tests[] = {
	TEST(a_request_that_changes_something_ends_what_it_changes),
	TEST(an_absent_name_that_is_made_is_there),
	{},
};
