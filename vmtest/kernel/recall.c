/* SPDX-License-Identifier: Apache-2.0 */
/* What is repeated; and that a mount or an attachment repeats nothing of another one. */
#include "vmtest/kernel/recall.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <unistd.h>

/* ---- what is repeated ---- */

static void a_name_is_found_again_without_asking(void)
{
	struct fixture f = setup();
	struct stat st;
	struct mark m;

	warm_up(f.path);
	m = mark(f.t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++) {
		check(stat(f.path, &st) == 0);
		check(st.st_ino == f.ino && st.st_size == (off_t)strlen(CACHED));
	}
	check(were_repeated(&m, TIMES));
	teardown(&f);
}

/* Because the maps say so of it, or of its directory that all its names are there. */
static void a_name_is_absent_again_without_asking(void)
{
	static const char *const absent[] = {"absent", "no-other"};
	struct fixture f = setup();
	struct mark m;

	tfs_publish_name(f.t, FUSE_ROOT_ID, absent[0], 0);
	say_all_names_are_there(f.t, FUSE_ROOT_ID);
	for (int n = 0; n < 2; n++) {
		const char *path = tfs_path(f.t, absent[n]);

		warm_up(path);
		m = mark(f.t, EXTFUSE_OP_LOOKUP, EXTFUSE_NEGATIVE);
		for (int i = 0; i < TIMES; i++)
			check_equal(leads_to(path), 0);
		check(were_repeated(&m, TIMES));
	}
	teardown(&f);
}

static void a_file_is_read_again_without_asking(void)
{
	struct fixture f = setup();
	struct mark m;
	char buf[16];

	check(reads(f.fd, CACHED));
	m = mark(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check(reads(f.fd, CACHED));
	/* and wherever in it, to its end and behind */
	for (int i = 0; i < 9; i++) {
		check_equal(pread(f.fd, buf, 3, i), i < 3 ? 3 : i < 6 ? 6 - i : 0);
		check(i > 5 || buf[0] == CACHED[i]);
	}
	check_equal(pread(f.fd, buf, 1, 1L << 40), 0);
	check(were_repeated(&m, TIMES + 10));
	teardown(&f);
}

static void a_file_is_opened_and_closed_again_without_asking(void)
{
	struct fixture f = setup();
	struct mark opens, releases;

	open_and_close(f.path);
	warm_up(f.path);
	opens = mark(f.t, EXTFUSE_OP_OPEN, EXTFUSE_HIT);
	releases = mark(f.t, EXTFUSE_OP_RELEASE, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		open_and_close(f.path);
	check(were_repeated(&opens, TIMES));
	check(were_repeated(&releases, TIMES));
	teardown(&f);
}

static void a_page_is_written_again_without_asking(void)
{
	struct fixture f = setup_lent(O_RDWR);
	struct extfuse_written before, after;
	struct mark m;

	write_twice(&f);
	before = written(&f);
	m = mark(f.t, EXTFUSE_OP_WRITE, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check_equal(pwrite(f.fd, "CACH", 4, i % 30), 4);
	check(were_repeated(&m, TIMES));
	after = written(&f);
	check_equal(after.bytes - before.bytes, TIMES * 4);
	check_equal(after.size, 33);
	check(after.time_ns > before.time_ns);
	teardown(&f);
}

/* ---- mounts and attachments ---- */

static void two_mounts_do_not_see_what_the_other_remembers(void)
{
	struct fixture one = setup(), two = setup();
	uint64_t other;
	struct mark m;

	check_equal(one.ino, two.ino);
	other = tfs_backing(two.t, "second", 6, NULL);
	two.t->nodes[two.ino].st.st_mode = S_IFREG | 0600;
	tfs_publish_inode(two.t, two.ino, other);
	tfs_publish_inode(one.t, one.ino, one.id); /* as often */
	tfs_publish_name(one.t, FUSE_ROOT_ID, "name", 0);
	tfs_publish_name(two.t, FUSE_ROOT_ID, "name", two.ino);
	warm_up(one.path);
	warm_up(tfs_path(one.t, "name"));
	check(reads(one.fd, CACHED));
	m = mark(one.t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT);
	for (int i = 0; i < 50; i++) {
		check(reads(one.fd, CACHED) && reads(two.fd, "second"));
		check_equal(mode_of(one.path), 0644);
		check_equal(mode_of(two.path), 0600);
		check_equal(leads_to(tfs_path(one.t, "name")), 0);
		check_equal(leads_to(tfs_path(two.t, "name")), two.ino);
	}
	check(was(&m, 50, 0));
	/* what the one forgets, the other has still */
	check(tfs_take_out(one.t, one.t->inode, &one.ino) == 0);
	check(reads(one.fd, DAEMONS) && reads(two.fd, "second"));
	check_equal(asked(two.t), 0);
	teardown(&one);
	teardown(&two);
}

/* The counters are brought to where they were, so that nothing but the attachment is another. */
static void an_attachment_remembers_nothing_of_the_one_before(void)
{
	struct fixture f = setup();
	uint32_t root, file;

	for (int i = 0; i < 3; i++) {
		check(reads(f.fd, CACHED));
		open_and_close(f.path);
		warm_up(f.path);
		warm_up(tfs_path(f.t, "nothing"));
	}
	check_equal(tfs_requests(f.t, FUSE_READ) + tfs_requests(f.t, FUSE_OPEN), 0);
	root = changes_of(f.t, FUSE_ROOT_ID);
	file = changes_of(f.t, f.ino);
	tfs_detach(f.t);
	f.t->nodes[f.ino].st.st_mode = S_IFREG | 0600;
	tfs_attach(f.t, &one_tick);
	change_until(f.t, FUSE_ROOT_ID, root);
	change_until(f.t, f.ino, file);
	check_equal(mode_of(f.path), 0600);
	check(reads(f.fd, DAEMONS));
	open_and_close(f.path);
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);
	/* and is as good as the first */
	tfs_publish_inode(f.t, f.ino, tfs_backing(f.t, "second", 6, NULL));
	for (int i = 0; i < 3; i++)
		check(reads(f.fd, "second"));
	teardown(&f);
}

/* No map was named: each request is asked about, and answered as ever. */
static void without_the_maps_each_request_is_asked_about(void)
{
	struct fixture f = setup_lent(O_RDWR);
	struct mark m;

	tfs_detach(f.t);
	tfs_attach_asking(f.t, &one_tick);
	f.id = tfs_backing(f.t, CACHED, strlen(CACHED), NULL);
	publish_file(&f);
	check(stats_are_asked(&f, f.path, EXTFUSE_HIT));
	check(reads_are_asked(&f));
	m = mark(f.t, EXTFUSE_OP_RELEASE, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		open_and_close(f.path);
	check(was(&m, TIMES, 3 * TIMES)); /* the name, the open and its end */
	lend(&f, 1 << 20);
	m = mark(f.t, EXTFUSE_OP_WRITE, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check_equal(pwrite(f.fd, "C", 1, 0), 1);
	check(was(&m, TIMES, 2 * TIMES)); /* each has an end */
	teardown(&f);
}

const struct test recall_tests[] = {
	TEST(a_name_is_found_again_without_asking),
	TEST(a_name_is_absent_again_without_asking),
	TEST(a_file_is_read_again_without_asking),
	TEST(a_file_is_opened_and_closed_again_without_asking),
	TEST(a_page_is_written_again_without_asking),
	TEST(two_mounts_do_not_see_what_the_other_remembers),
	TEST(an_attachment_remembers_nothing_of_the_one_before),
	TEST(without_the_maps_each_request_is_asked_about),
	{},
};
