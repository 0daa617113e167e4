/* SPDX-License-Identifier: Apache-2.0 */
/* Each name has a verdict of its own; and an inode of the VFS that differs is not taken for the right one. */
#include "vmtest/kernel/recall.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <unistd.h>

/* All that nobody holds, of this mount alone and at once: a remount does that. RCU frees them. */
static void drop_dentries(struct tfs *t)
{
	check(mount(NULL, t->dir, NULL, MS_REMOUNT, NULL) == 0);
	usleep(50000);
}

/* For use until the next call. */
static const char *numbered(const char *what, int number)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s%d", what, number);
	return name;
}

/* Links of one inode, which the kernel keeps; every other one is in no map, so only the daemon knows. */
static void links_of_one_inode_are_told_apart(void)
{
	enum { LINKS = 100 };
	struct fixture f = setup();
	unsigned long before;

	for (int i = 0; i < LINKS; i++)
		check(link(f.path, tfs_path(f.t, numbered("link", i))) == 0);
	for (int i = 0; i < LINKS; i += 2)
		tfs_publish_name(f.t, FUSE_ROOT_ID, numbered("link", i), f.ino);
	tfs_publish_inode(f.t, f.ino, f.id);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < LINKS; i++) {
			const char *path = tfs_path(f.t, numbered("link", i));

			leads_to(path);
			before = tfs_requests(f.t, FUSE_LOOKUP);
			check_equal(leads_to(path), f.ino);
			check_equal(tfs_requests(f.t, FUSE_LOOKUP) - before, i % 2);
		}
		drop_dentries(f.t);
	}
	teardown(&f);
}

/* By turns there, known to be absent, and in no map, so that the daemon is asked each time. */
static void names_that_begin_alike_are_told_apart(void)
{
	enum { LENGTHS = 60 };
	struct fixture f = setup();
	uint64_t inos[LENGTHS] = {};
	char name[LENGTHS + 1] = {};
	unsigned long unknown = 0;

	for (int length = 1; length < LENGTHS; length++) {
		name[length - 1] = 'n';
		if (length % 3 == 0) {
			inos[length] = tfs_add(f.t, FUSE_ROOT_ID, name, S_IFREG | 0644, "");
			publish(f.t, FUSE_ROOT_ID, name, inos[length], 0);
		} else if (length % 3 == 2) {
			tfs_publish_name(f.t, FUSE_ROOT_ID, name, 0);
		}
	}
	for (int round = 0; round < 300; round++) {
		int length = 1 + round * 7 % (LENGTHS - 1);

		memset(name, 'n', (size_t)length);
		name[length] = '\0';
		unknown += length % 3 == 1;
		check_equal(leads_to(tfs_path(f.t, name)), inos[length]);
		check_equal(asked(f.t), unknown);
		if (round % 20 != 19 || length % 3 == 1)
			continue;
		/* the other way round, for this one */
		inos[length] = inos[length] ? 0 : f.ino;
		tfs_publish_name(f.t, FUSE_ROOT_ID, name, inos[length]);
		check_equal(leads_to(tfs_path(f.t, name)), inos[length]);
	}
	teardown(&f);
}

static void the_same_name_in_two_directories_is_two(void)
{
	struct tfs *t = start_attached();
	struct tree r = plant(t);

	for (int i = 0; i < 40; i++) {
		uint64_t in_a = i % 4 ? r.a_file : 0, in_b = i % 3 ? r.b_file : r.a_file;

		tfs_publish_name(t, i % 2 ? r.a : r.b, "file", i % 2 ? in_a : in_b);
		tfs_publish_name(t, i % 2 ? r.b : r.a, "file", i % 2 ? in_b : in_a);
		for (int again = 0; again < 4; again++) {
			check_equal(leads_to(below(&r, "a/file")), in_a);
			check_equal(leads_to(below(&r, "b/file")), in_b);
		}
	}
	check_equal(asked(t), 0);
	/* of a name the maps know that it is absent, but in one of them only */
	tfs_publish_inode(t, r.b, 0);
	tfs_publish_name(t, r.a, "absent", 0);
	if (changes_of(t, r.a) < changes_of(t, r.b))
		change_until(t, r.a, changes_of(t, r.b));
	else
		change_until(t, r.b, changes_of(t, r.a));
	for (unsigned long i = 1; i < 10; i++) {
		check_equal(leads_to(below(&r, "a/absent")), 0);
		check_equal(leads_to(below(&r, "a/absent")), 0);
		check_equal(leads_to(below(&r, "b/absent")), 0);
		check_equal(asked(t), i);
	}
	uproot(&r);
	tfs_stop(t);
}

/*
 * Of some names the maps know that they are absent; of others they know nothing. The others' dentries come to
 * lie where the first ones' were, while no counter moves: of them the daemon is asked each time all the same.
 */
static void the_memory_of_a_name_is_anothers_later(void)
{
	enum { NAMES = 300 };
	struct fixture f = setup();
	unsigned long before;

	for (int i = 0; i < NAMES; i++)
		tfs_publish_name(f.t, FUSE_ROOT_ID, numbered("absent", i), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < NAMES; i++)
			warm_up(tfs_path(f.t, numbered("absent", i)));
		drop_dentries(f.t);
		before = tfs_requests(f.t, FUSE_LOOKUP);
		for (int i = 0; i < 2 * NAMES; i++)
			check_equal(leads_to(tfs_path(f.t, numbered("unknown", i / 2))), 0);
		check_equal(tfs_requests(f.t, FUSE_LOOKUP) - before, 2 * NAMES);
		drop_dentries(f.t);
	}
	teardown(&f);
}

/* A path leads through other directories then, although nothing below them has changed. */
static void a_directory_above_may_be_renamed(void)
{
	struct tfs *t = start_attached();
	struct tree r = plant(t);

	for (int i = 0; i < 6; i++) {
		warm_up(below(&r, "a/file"));
		warm_up(below(&r, "b/file"));
		check_equal(leads_to(below(&r, "a/file")), i % 2 ? r.b_file : r.a_file);
		check_equal(leads_to(below(&r, "b/file")), i % 2 ? r.a_file : r.b_file);
		if (i % 3) {
			check(renameat2(AT_FDCWD, below(&r, "a"), AT_FDCWD, below(&r, "b"),
			                RENAME_EXCHANGE) == 0);
			continue;
		}
		check(rename(below(&r, "a"), below(&r, "c")) == 0);
		check_equal(leads_to(below(&r, "a/file")), 0);
		check(rename(below(&r, "b"), below(&r, "a")) == 0);
		check_equal(leads_to(below(&r, "b/file")), 0);
		check(rename(below(&r, "c"), below(&r, "b")) == 0);
	}
	uproot(&r);
	tfs_stop(t);
}

/* It gets the daemon's attributes by a name that is in no map, while no counter moves. */
static void an_inode_that_differs_is_not_taken_for_the_right_one(void)
{
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, DAEMONS);
	struct stat *daemons = &t->nodes[ino].st, st;
	struct extfuse_inode v;
	unsigned long lookups;

	check(link(tfs_path(t, "file"), tfs_path(t, "link")) == 0);
	lookups = tfs_requests(t, FUSE_LOOKUP);
	tfs_attach(t, &one_tick);
	publish(t, FUSE_ROOT_ID, "file", ino, 0);
	v = inode_of(t, ino);
	for (int i = 0; i < 60; i++) {
		daemons->st_mode = S_IFREG | (i % 4 == 0 ? 0600 : 0644);
		daemons->st_size = i % 4 == 1 ? 3 : 6;
		daemons->st_uid = i % 4 == 2 ? 7 : 0;
		daemons->st_mtim.tv_nsec = i % 4 == 3 ? 7 : 0;
		warm_up(tfs_path(t, "file"));
		/* a LOOKUP and nothing else: a GETATTR would be answered from the maps */
		check(close(open(tfs_path(t, "link"), O_PATH)) == 0);
		check_equal(tfs_requests(t, FUSE_LOOKUP), ++lookups);
		check(stat(tfs_path(t, "file"), &st) == 0);
		check_equal(st.st_mode, v.attr.mode);
		check_equal(st.st_size, v.attr.size);
		check_equal(st.st_uid, v.attr.uid);
		check_equal(st.st_mtim.tv_nsec, v.attr.mtimensec);
	}
	tfs_stop(t);
}

const struct test recall_names_tests[] = {
	TEST(links_of_one_inode_are_told_apart),
	TEST(names_that_begin_alike_are_told_apart),
	TEST(the_same_name_in_two_directories_is_two),
	TEST(the_memory_of_a_name_is_anothers_later),
	TEST(a_directory_above_may_be_renamed),
	TEST(an_inode_that_differs_is_not_taken_for_the_right_one),
	{},
};
