/* SPDX-License-Identifier: Apache-2.0 */
/* OPEN, FLUSH, RELEASE, STATFS, and the extended attributes that a file does not have. */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define TEXT "hello"

struct fixture {
	struct tfs *t;
	uint64_t ino;
	char *path;
};

/* A file of TEXT; @p cached: wholly, and so published. */
static struct fixture setup(bool cached, const struct extfuse_config *config)
{
	struct fixture f = {.t = tfs_start()};

	f.ino = tfs_add(f.t, FUSE_ROOT_ID, "file", S_IFREG | 0644, TEXT);
	tfs_attach(f.t, config);
	tfs_publish_name(f.t, FUSE_ROOT_ID, "file", f.ino);
	tfs_publish_inode(f.t, f.ino, cached ? tfs_backing(f.t, TEXT, strlen(TEXT), NULL) : 0);
	f.path = strdup(tfs_path(f.t, "file"));
	return f;
}

/* RELEASE is sent when nobody waits for it: two requests later it has been served. */
static unsigned long releases(struct tfs *t)
{
	struct stat st;

	for (int i = 0; i < 20; i++) {
		stat(tfs_path(t, "nothing"), &st);
		usleep(1000);
	}
	return tfs_requests(t, FUSE_RELEASE);
}

static void open_read_close_of_a_cached_file_asks_nobody(void)
{
	struct fixture f = setup(true, NULL);
	char buf[16];
	int fd;

	for (int i = 0; i < 100; i++) {
		fd = open(f.path, O_RDONLY);
		check(fd >= 0);
		check_equal(read(fd, buf, sizeof(buf)), 5);
		check(!memcmp(buf, TEXT, 5));
		check(close(fd) == 0);
	}
	check_equal(tfs_requests(f.t, FUSE_OPEN), 0);
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	check_equal(tfs_requests(f.t, FUSE_FLUSH), 0);
	check_equal(releases(f.t), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_OPEN, EXTFUSE_HIT), 100);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_RELEASE, EXTFUSE_HIT), 100);
	tfs_stop(f.t);
}

static void whoever_wants_to_write_is_the_daemons(void)
{
	struct fixture f = setup(true, NULL);
	static const int flags[] = {O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_RDWR | O_TRUNC};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		int fd = open(f.path, flags[i]);

		check(fd >= 0);
		check(close(fd) == 0);
		check_equal(tfs_requests(f.t, FUSE_OPEN), i + 1);
	}
	check_equal(tfs_requests(f.t, FUSE_FLUSH), 4);
	check_equal(releases(f.t), 4);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_OPEN, EXTFUSE_DROP), 1); /* O_TRUNC */
	/* which dropped the entry: so the next one is asked for */
	close(open(f.path, O_RDONLY));
	check_equal(tfs_stat(f.t, EXTFUSE_OP_OPEN, EXTFUSE_MISS), 1);
	check_equal(releases(f.t), 5);
	tfs_stop(f.t);
}

static void what_is_not_cached_wants_a_handle(void)
{
	struct fixture f = setup(false, NULL);
	uint64_t empty = tfs_add(f.t, FUSE_ROOT_ID, "empty", S_IFREG | 0644, "");

	tfs_publish_name(f.t, FUSE_ROOT_ID, "empty", empty);
	tfs_publish_inode(f.t, empty, 0);
	close(open(f.path, O_RDONLY));
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_OPEN, EXTFUSE_UNCOVERED), 1);
	/* of an empty one there is nothing to be cached */
	close(open(tfs_path(f.t, "empty"), O_RDONLY));
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);
	tfs_stop(f.t);
}

static void a_file_opened_here_is_read_by_the_daemon_when_it_must(void)
{
	struct fixture f = setup(true, NULL);
	char buf[16], *map;
	int fd = open(f.path, O_RDONLY);

	check(fd >= 0);
	tfs_publish_inode(f.t, f.ino, 0); /* not cached any more */
	check_equal(pread(fd, buf, sizeof(buf), 0), 5);
	check_equal(tfs_requests(f.t, FUSE_READ), 1);
	map = mmap(NULL, 5, PROT_READ, MAP_SHARED, fd, 0);
	check(map != MAP_FAILED && !memcmp(map, TEXT, 5));
	munmap(map, 5);
	check(close(fd) == 0);
	check_equal(tfs_requests(f.t, FUSE_OPEN), 0);
	check_equal(releases(f.t), 0);
	tfs_stop(f.t);
}

static void a_handle_outlives_the_programs(void)
{
	struct fixture f = setup(true, NULL);
	char buf[16];
	int fd = open(f.path, O_RDONLY);

	check(fd >= 0);
	tfs_detach(f.t);
	check_equal(pread(fd, buf, sizeof(buf), 0), 5);
	check(close(fd) == 0);
	check_equal(releases(f.t), 1); /* of no handle, which the daemon must bear */
	tfs_stop(f.t);
}

static void permissions_are_checked_before(void)
{
	struct fixture f = setup(true, NULL);

	f.t->nodes[f.ino].st.st_mode = S_IFREG | 0600;
	tfs_publish_inode(f.t, f.ino, tfs_backing(f.t, TEXT, strlen(TEXT), NULL));
	check(setfsuid(12345) == 0);
	check_errno(open(f.path, O_RDONLY), EACCES);
	setfsuid(0);
	close(open(f.path, O_RDONLY));
	check_equal(tfs_requests(f.t, FUSE_OPEN), 0);
	tfs_stop(f.t);
}

/* ---- extended attributes ---- */

static void an_attribute_that_is_not_there_asks_nobody(void)
{
	static const char *const names[] = {"user.x", "trusted.overlay.opaque", "security.capability"};
	struct fixture f = setup(true, NULL);
	char value[16];

	tfs_publish_bare_inode(f.t, f.ino);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		check_errno(getxattr(f.path, names[i], value, sizeof(value)), ENODATA);
		check_errno(getxattr(f.path, names[i], NULL, 0), ENODATA);
	}
	/* without ACLs on the mount, as the daemon would say it */
	check_errno(getxattr(f.path, "system.posix_acl_access", value, sizeof(value)), EOPNOTSUPP);
	check_equal(tfs_requests(f.t, FUSE_GETXATTR), 0);
	check(tfs_stat(f.t, EXTFUSE_OP_GETXATTR, EXTFUSE_NEGATIVE) >= 7);
	check_equal(listxattr(f.path, value, sizeof(value)), 0);
	check_equal(listxattr(f.path, NULL, 0), 0);
	check_equal(tfs_requests(f.t, FUSE_LISTXATTR), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_LISTXATTR, EXTFUSE_NEGATIVE), 2);
	tfs_stop(f.t);
}

static void with_acls_there_is_none(void)
{
	struct extfuse_config config = {.flags = EXTFUSE_CONFIG_ACL};
	struct fixture f = setup(true, &config);
	char value[16];

	tfs_publish_bare_inode(f.t, f.ino);
	check_errno(getxattr(f.path, "system.posix_acl_access", value, sizeof(value)), ENODATA);
	check_errno(getxattr(f.path, "system.posix_acl_default", value, sizeof(value)), ENODATA);
	check_equal(tfs_requests(f.t, FUSE_GETXATTR), 0);
	tfs_stop(f.t);
}

static void an_attribute_that_may_be_there_is_the_daemons(void)
{
	struct fixture f = setup(true, NULL);
	char value[16];

	/* published, but nothing is said of its attributes */
	check_equal(getxattr(f.path, "user.here", value, sizeof(value)), 1);
	check_equal(listxattr(f.path, value, sizeof(value)), 10);
	check_equal(listxattr(f.path, NULL, 0), 10);
	check_equal(tfs_requests(f.t, FUSE_GETXATTR), 1);
	check_equal(tfs_requests(f.t, FUSE_LISTXATTR), 2);
	/* a prefix alone names nothing, and of other name spaces the daemon knows */
	tfs_publish_bare_inode(f.t, f.ino);
	check(getxattr(f.path, "system.other", value, sizeof(value)) < 0);
	check(getxattr(f.path, "security.", value, sizeof(value)) < 0);
	check(tfs_stat(f.t, EXTFUSE_OP_GETXATTR, EXTFUSE_NEGATIVE) == 0);
	tfs_stop(f.t);
}

static void setting_one_drops_what_was_known(void)
{
	struct fixture f = setup(true, NULL);
	char value[16];

	tfs_publish_bare_inode(f.t, f.ino);
	check(setxattr(f.path, "user.here", "x", 1, 0) == 0);
	check_equal(getxattr(f.path, "user.here", value, sizeof(value)), 1);
	check_equal(tfs_requests(f.t, FUSE_GETXATTR), 1);
	tfs_stop(f.t);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static unsigned long blocks(struct tfs *t)
{
	struct statvfs st;

	check(statvfs(t->dir, &st) == 0);
	return st.f_blocks;
}

static void statfs_is_answered_while_it_holds(void)
{
	struct extfuse_statfs s = {.st = {.blocks = 99, .bsize = 4096, .frsize = 4096}};
	struct tfs *t = tfs_start();

	tfs_attach(t, NULL);
	check_equal(blocks(t), 7); /* nothing is there yet */
	check_equal(tfs_stat(t, EXTFUSE_OP_STATFS, EXTFUSE_MISS), 1);
	s.seq = 2;
	s.expires_ns = now_ns() + 100000000000;
	tfs_publish_statfs(t, &s);
	for (int i = 0; i < 10; i++)
		check_equal(blocks(t), 99);
	check_equal(tfs_stat(t, EXTFUSE_OP_STATFS, EXTFUSE_HIT), 10);
	check_equal(tfs_requests(t, FUSE_STATFS), 1);
	/* it would be another by now; being written; out of date */
	s.changes = 1;
	tfs_publish_statfs(t, &s);
	check_equal(blocks(t), 7);
	s.seen = 1;
	s.seq = 3;
	tfs_publish_statfs(t, &s);
	check_equal(blocks(t), 7);
	s.seq = 4;
	s.expires_ns = now_ns() - 1;
	tfs_publish_statfs(t, &s);
	check_equal(blocks(t), 7);
	check_equal(tfs_stat(t, EXTFUSE_OP_STATFS, EXTFUSE_STALE), 3);
	check_equal(tfs_requests(t, FUSE_STATFS), 4);
	tfs_stop(t);
}

struct writer {
	struct extfuse_statfs *shared;
	atomic_bool stop;
};

/* What the daemon does, without a pause. */
static void *write_statfs(void *arg)
{
	struct writer *w = arg;
	struct extfuse_statfs *s = w->shared;

	for (uint64_t n = 100; !atomic_load(&w->stop); n++) {
		__atomic_store_n(&s->seq, s->seq | 1, __ATOMIC_SEQ_CST);
		s->st.blocks = s->st.bfree = s->st.bavail = s->st.files = s->st.ffree = n;
		__atomic_store_n(&s->seq, s->seq + 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void statfs_is_never_half_of_two(void)
{
	struct tfs *t = tfs_start();
	struct writer w = {};
	struct statvfs st;
	pthread_t thread;
	int same = 0;

	tfs_attach(t, NULL);
	w.shared = mmap(NULL, sizeof(*w.shared), PROT_READ | PROT_WRITE, MAP_SHARED, t->statfs, 0);
	check(w.shared != MAP_FAILED);
	check(pthread_create(&thread, NULL, write_statfs, &w) == 0);
	for (int i = 0; i < 20000; i++) {
		check(statvfs(t->dir, &st) == 0);
		if (st.f_blocks == 7)
			continue;
		same++;
		check(st.f_blocks == st.f_bfree && st.f_blocks == st.f_bavail && st.f_blocks == st.f_files &&
		      st.f_blocks == st.f_ffree);
	}
	check(same > 0);
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	tfs_stop(t);
}

const struct test open_tests[] = {
	TEST(open_read_close_of_a_cached_file_asks_nobody),
	TEST(whoever_wants_to_write_is_the_daemons),
	TEST(what_is_not_cached_wants_a_handle),
	TEST(a_file_opened_here_is_read_by_the_daemon_when_it_must),
	TEST(a_handle_outlives_the_programs),
	TEST(permissions_are_checked_before),
	TEST(an_attribute_that_is_not_there_asks_nobody),
	TEST(with_acls_there_is_none),
	TEST(an_attribute_that_may_be_there_is_the_daemons),
	TEST(setting_one_drops_what_was_known),
	TEST(statfs_is_answered_while_it_holds),
	TEST(statfs_is_never_half_of_two),
	{},
};
