/* SPDX-License-Identifier: Apache-2.0 */
/* LOOKUP and GETATTR: who answers, and what. */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <time.h>
#include <unistd.h>

/* stat(2) of a path that must be there, and the requests that the daemon got for it. */
static unsigned long stat_requests(struct tfs *t, const char *name, struct stat *ret)
{
	unsigned long before = tfs_requests(t, FUSE_LOOKUP) + tfs_requests(t, FUSE_GETATTR);

	check(stat(tfs_path(t, name), ret) == 0);
	return tfs_requests(t, FUSE_LOOKUP) + tfs_requests(t, FUSE_GETATTR) - before;
}

static void publish(struct tfs *t, uint64_t parent, const char *name, uint64_t ino)
{
	tfs_publish_name(t, parent, name, ino);
	tfs_publish_inode(t, ino, 0);
}

static void a_published_file_is_answered_in_the_kernel(void)
{
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	struct stat st;

	tfs_attach(t, NULL);
	publish(t, FUSE_ROOT_ID, "file", ino);
	check_equal(stat_requests(t, "file", &st), 0);
	check_equal(stat_requests(t, "file", &st), 0);
	check_equal(st.st_ino, ino);
	check_equal(st.st_size, 5);
	check_equal(st.st_mtime, 1000000 + (time_t)ino);
	check_equal(st.st_mode, S_IFREG | 0644);
	check(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT) >= 2);
	check(tfs_stat(t, EXTFUSE_OP_GETATTR, EXTFUSE_HIT) >= 2);
	check_equal(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_MISS), 0);
	tfs_stop(t);
}

static void what_is_not_published_is_asked_of_the_daemon(void)
{
	struct tfs *t = tfs_start();
	struct stat st;

	tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	tfs_attach(t, NULL);
	check(stat_requests(t, "file", &st) > 0);
	check_equal(st.st_size, 5);
	check_errno(stat(tfs_path(t, "nothing"), &st), ENOENT);
	check(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_MISS) >= 2);
	check_equal(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT), 0);
	tfs_stop(t);
}

static void a_name_without_its_inode_is_a_miss(void)
{
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	struct stat st;

	tfs_attach(t, NULL);
	tfs_publish_name(t, FUSE_ROOT_ID, "file", ino);
	check(stat_requests(t, "file", &st) > 0);
	check_equal(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT), 0);
	tfs_stop(t);
}

static void names_that_begin_alike_are_told_apart(void)
{
	static const char *const names[] = {"f", "f1", "f12", "f123", "f1234567", "f12345678", "f1.", "F1"};
	struct tfs *t = tfs_start();
	uint64_t ino[8];
	struct stat st;

	tfs_attach(t, NULL);
	for (int i = 0; i < 8; i++) {
		ino[i] = tfs_add(t, FUSE_ROOT_ID, names[i], S_IFREG | 0644, "");
		if (i % 2) /* every other one is the daemon's */
			publish(t, FUSE_ROOT_ID, names[i], ino[i]);
	}
	for (int i = 0; i < 8; i++) {
		unsigned long asked = stat_requests(t, names[i], &st);

		check_equal(st.st_ino, ino[i]);
		check_equal(asked != 0, i % 2 == 0);
	}
	tfs_stop(t);
}

static void names_of_every_length_around_the_borders(void)
{
	static const int lengths[] = {1, 7, 8, 9, 39, 40, 41, 47, 48, 254, 255};
	struct tfs *t = tfs_start();
	char name[257];
	struct stat st;

	tfs_attach(t, NULL);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		uint64_t ino;

		memset(name, 'n', sizeof(name));
		name[lengths[i]] = '\0';
		ino = tfs_add(t, FUSE_ROOT_ID, name, S_IFREG | 0644, "");
		publish(t, FUSE_ROOT_ID, name, ino);
		check_equal(stat_requests(t, name, &st), 0);
		check_equal(st.st_ino, ino);
	}
	/* longer than any name in the maps, but not than FUSE takes: the daemon's */
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	check_errno(stat(tfs_path(t, name), &st), ENOENT);
	check_equal(tfs_requests(t, FUSE_LOOKUP), 1);
	tfs_stop(t);
}

static void an_absent_name_is_answered_with_and_without_a_validity(void)
{
	for (int with = 0; with < 2; with++) {
		struct extfuse_config config = {.negative_valid_ns = with ? 1000000000 : 0};
		struct tfs *t = tfs_start();
		unsigned long before;
		struct stat st;

		tfs_attach(t, &config);
		tfs_publish_name(t, FUSE_ROOT_ID, "absent", 0);
		before = tfs_requests(t, FUSE_LOOKUP);
		check_errno(stat(tfs_path(t, "absent"), &st), ENOENT);
		check_errno(stat(tfs_path(t, "absent"), &st), ENOENT);
		check_equal(tfs_requests(t, FUSE_LOOKUP), before);
		/* a negative dentry with a validity is not asked again */
		check_equal(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_NEGATIVE), with ? 1 : 2);
		tfs_stop(t);
	}
}

static void an_absent_name_can_be_made(void)
{
	struct extfuse_config config = {.negative_valid_ns = 1000000000};
	struct tfs *t = tfs_start();
	int fd;

	tfs_attach(t, &config);
	tfs_publish_name(t, FUSE_ROOT_ID, "new", 0);
	check_errno(access(tfs_path(t, "new"), F_OK), ENOENT);
	fd = open(tfs_path(t, "new"), O_CREAT | O_EXCL | O_WRONLY, 0644);
	check(fd >= 0);
	check(!tfs_has_name(t, FUSE_ROOT_ID, "new"));
	check(access(tfs_path(t, "new"), F_OK) == 0);
	close(fd);
	tfs_stop(t);
}

static void an_expired_entry_is_stale(void)
{
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	struct extfuse_dentry_key key = {.parent = FUSE_ROOT_ID, .name = "file"};
	struct extfuse_dentry d = {.ino = ino, .generation = 1};
	struct timespec now;
	struct stat st;

	tfs_attach(t, NULL);
	publish(t, FUSE_ROOT_ID, "file", ino);
	clock_gettime(CLOCK_MONOTONIC, &now);
	d.expires_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + 1000000000000;
	check(tfs_put_dentry(t, t->dentry, &key, &d) == 0);
	check_equal(stat_requests(t, "file", &st), 0);
	d.expires_ns = 1;
	check(tfs_put_dentry(t, t->dentry, &key, &d) == 0);
	check(stat_requests(t, "file", &st) > 0);
	check(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_STALE) > 0);
	tfs_stop(t);
}

static void an_entry_of_somebody_else_is_stale(void)
{
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	uint64_t other = tfs_add(t, FUSE_ROOT_ID, "other", S_IFREG | 0644, "other");
	struct extfuse_dentry_key key = {.parent = FUSE_ROOT_ID, .name = "file"};
	struct extfuse_dentry_key others = {.parent = FUSE_ROOT_ID, .name = "other"};
	struct extfuse_dentry d;
	struct extfuse_inode i;
	struct stat st;

	tfs_attach(t, NULL);
	publish(t, FUSE_ROOT_ID, "file", ino);
	publish(t, FUSE_ROOT_ID, "other", other);
	check(bpf_map_lookup_elem(t->dentry, &others, &d) == 0);
	check(tfs_put(t, t->dentry, &key, &d) == 0);
	check(stat_requests(t, "file", &st) > 0);
	check_equal(st.st_ino, ino);
	publish(t, FUSE_ROOT_ID, "file", ino);
	check_equal(stat_requests(t, "file", &st), 0);
	check(bpf_map_lookup_elem(t->inode, &other, &i) == 0);
	check(tfs_put(t, t->inode, &ino, &i) == 0);
	check(stat_requests(t, "file", &st) > 0);
	check_equal(st.st_ino, ino);
	tfs_stop(t);
}

static void another_generation_is_stale(void)
{
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	struct extfuse_dentry_key key = {.parent = FUSE_ROOT_ID, .name = "file"};
	struct extfuse_dentry d = {.ino = ino, .generation = 2};
	struct stat st;

	tfs_attach(t, NULL);
	tfs_publish_inode(t, ino, 0);
	check(tfs_put_dentry(t, t->dentry, &key, &d) == 0);
	check(stat_requests(t, "file", &st) > 0);
	check(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_STALE) > 0);
	tfs_stop(t);
}

static void a_validity_of_attributes_saves_the_getattr(void)
{
	struct extfuse_config config = {.attr_valid_ns = 1000000000};
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	struct stat st;

	tfs_attach(t, &config);
	publish(t, FUSE_ROOT_ID, "file", ino);
	for (int i = 0; i < 10; i++)
		check_equal(stat_requests(t, "file", &st), 0);
	check(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT) >= 10);
	check(tfs_stat(t, EXTFUSE_OP_GETATTR, EXTFUSE_HIT) <= 2);
	tfs_stop(t);
}

static void permissions_are_checked_against_what_is_published(void)
{
	struct tfs *t = tfs_start();
	uint64_t dir = tfs_add(t, FUSE_ROOT_ID, "dir", S_IFDIR | 0700, NULL);
	uint64_t ino = tfs_add(t, dir, "file", S_IFREG | 0600, "hello");
	struct stat st;

	tfs_attach(t, NULL);
	publish(t, FUSE_ROOT_ID, "dir", dir);
	publish(t, dir, "file", ino);
	check_equal(stat_requests(t, "dir/file", &st), 0);
	/* fsuid decides; the mount is root's, so another user is kept out whole, here by the mode of dir */
	check(seteuid(1000) == 0);
	check_errno(stat(tfs_path(t, "dir/file"), &st), EACCES);
	check(seteuid(0) == 0);
	tfs_stop(t);
}

static void another_mount_is_untouched(void)
{
	struct tfs *t = tfs_start(), *other = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	struct stat st;

	tfs_add(other, FUSE_ROOT_ID, "file", S_IFREG | 0644, "other one");
	tfs_attach(t, NULL);
	publish(t, FUSE_ROOT_ID, "file", ino);
	check(stat_requests(other, "file", &st) > 0);
	check_equal(st.st_size, 9);
	check_equal(stat_requests(t, "file", &st), 0);
	check_equal(st.st_size, 5);
	check_equal(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_MISS), 0);
	tfs_stop(t);
	check(stat_requests(other, "file", &st) > 0);
	tfs_stop(other);
}

const struct test hit_tests[] = {
	TEST(a_published_file_is_answered_in_the_kernel),
	TEST(what_is_not_published_is_asked_of_the_daemon),
	TEST(a_name_without_its_inode_is_a_miss),
	TEST(names_that_begin_alike_are_told_apart),
	TEST(names_of_every_length_around_the_borders),
	TEST(an_absent_name_is_answered_with_and_without_a_validity),
	TEST(an_absent_name_can_be_made),
	TEST(an_expired_entry_is_stale),
	TEST(an_entry_of_somebody_else_is_stale),
	TEST(another_generation_is_stale),
	TEST(a_validity_of_attributes_saves_the_getattr),
	TEST(permissions_are_checked_against_what_is_published),
	TEST(another_mount_is_untouched),
	{},
};
