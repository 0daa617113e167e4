/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a repetition: that an entry is another, is taken out, or expires, and what a write does. */
#include "vmtest/kernel/recall.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- entries that change or go ---- */

static void other_attributes_are_seen_by_the_next_stat(void)
{
	struct fixture f = setup();
	struct extfuse_inode v = inode_of(f.t, f.ino);
	struct stat st;
	struct mark m;
	int repeated = 0;

	for (int i = 0; i < 30; i++) {
		uint64_t *const longs[] = {&v.attr.size, &v.attr.mtime, &v.attr.ctime, &v.attr.blocks};
		uint32_t *const shorts[] = {&v.attr.uid, &v.attr.gid, &v.attr.nlink, &v.attr.mtimensec};

		if (i % 2)
			++*longs[i / 2 % 4];
		else
			++*shorts[i / 2 % 4];
		v.attr.mode ^= i % 9 ? 0 : 0111;
		put_inode(f.t, &v);
		for (int again = 0; again < 3; again++) {
			m = mark(f.t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT);
			check(stat(f.path, &st) == 0);
			check(st.st_mode == v.attr.mode && st.st_uid == v.attr.uid &&
			      st.st_gid == v.attr.gid);
			check(st.st_nlink == v.attr.nlink && st.st_blocks == (blkcnt_t)v.attr.blocks);
			check(st.st_size == (off_t)v.attr.size && st.st_mtim.tv_nsec == v.attr.mtimensec);
			check(st.st_mtim.tv_sec == (time_t)v.attr.mtime &&
			      st.st_ctim.tv_sec == (time_t)v.attr.ctime);
		}
		repeated += were_repeated(&m, 1);
	}
	check(repeated > 15); /* not where a tick passes during a stat: attributes are fetched anew then */
	check_equal(tfs_requests(f.t, FUSE_LOOKUP), 0);
	teardown(&f);
}

static void another_file_or_place_or_size_is_seen_by_the_next_read(void)
{
	struct fixture f = setup();
	uint64_t other = tfs_backing(f.t, "another and more", 16, NULL);
	struct extfuse_inode v = inode_of(f.t, f.ino);
	static const struct {
		const char *text;
		uint64_t offset;
		bool other;
	} steps[] = {
		{CACHED, 0, false},       {"anothe", 0, true},   {"other ", 2, true},
		{"another and", 0, true}, {"and more", 8, true}, {"cach", 0, false},
		{"a", 1, false},          {"", 0, false},        {CACHED, 0, false},
	};

	for (int i = 0; i < 5; i++) {
		for (size_t s = 0; s < sizeof(steps) / sizeof(*steps); s++) {
			v.backing_id = steps[s].other ? other : f.id;
			v.backing_offset = steps[s].offset;
			v.attr.size = strlen(steps[s].text);
			put_inode(f.t, &v);
			for (int again = 0; again < 3; again++)
				check(reads(f.fd, steps[s].text));
		}
	}
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	teardown(&f);
}

static struct extfuse_dentry_key key_of(uint64_t parent, const char *name)
{
	struct extfuse_dentry_key key = {.parent = parent};

	memcpy(key.name, name, strlen(name));
	return key;
}

/* In the daemon. */
static void lead_to(struct tfs *t, const char *name, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	for (int i = 0; i < TFS_NAMES; i++) {
		if (t->names[i].ino && !strcmp(t->names[i].name, name))
			t->names[i].ino = ino;
	}
	pthread_mutex_unlock(&t->lock);
}

/* The daemon has other things to say all the time; it is asked from then on that nothing else is known. */
static void what_is_taken_out_is_the_daemons(void)
{
	const struct extfuse_dentry_key absent = key_of(FUSE_ROOT_ID, "absent");
	const struct extfuse_dentry_key file = key_of(FUSE_ROOT_ID, "file");
	struct fixture f = setup();
	const char *path = tfs_path(f.t, "absent");
	uint64_t other = tfs_add(f.t, FUSE_ROOT_ID, "absent", S_IFREG | 0644, "");

	tfs_publish_name(f.t, FUSE_ROOT_ID, "absent", 0);
	warm_up(path);
	check_equal(leads_to(path), 0);
	check(tfs_take_out(f.t, f.t->dentry, &absent) == 0);
	check_equal(leads_to(path), other);

	f.t->nodes[f.ino].st.st_mode = S_IFREG | 0600;
	check(reads(f.fd, CACHED));
	open_and_close(f.path);
	warm_up(f.path);
	check_equal(mode_of(f.path), 0644);
	check(tfs_take_out(f.t, f.t->inode, &f.ino) == 0);
	check_equal(mode_of(f.path), 0600);
	check(reads(f.fd, DAEMONS));
	check_equal(tfs_requests(f.t, FUSE_OPEN), 0);
	open_and_close(f.path);
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);

	publish_file(&f);
	warm_up(f.path);
	lead_to(f.t, "file", other);
	check_equal(leads_to(f.path), f.ino);
	check(tfs_take_out(f.t, f.t->dentry, &file) == 0);
	check_equal(leads_to(f.path), other);
	teardown(&f);
}

static void what_an_entry_does_not_say_any_more_is_the_daemons(void)
{
	struct fixture f = setup();
	const char *path = tfs_path(f.t, "absent");
	uint64_t ino;

	/* that all names are there */
	say_all_names_are_there(f.t, FUSE_ROOT_ID);
	warm_up(path);
	ino = tfs_add(f.t, FUSE_ROOT_ID, "absent", S_IFREG | 0644, "");
	check_equal(leads_to(path), 0);
	tfs_publish_inode(f.t, FUSE_ROOT_ID, 0);
	check_equal(leads_to(path), ino);
	/* that it is cached */
	open_and_close(f.path);
	check(reads(f.fd, CACHED));
	tfs_publish_inode(f.t, f.ino, 0);
	open_and_close(f.path);
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);
	check(reads(f.fd, DAEMONS));
	teardown(&f);
}

/* Nothing moves in the maps; and what is registered next may have its memory. */
static void a_backing_file_that_is_gone_is_not_read(void)
{
	struct fixture f = setup();

	for (int i = 0; i < 20; i++) {
		check(reads(f.fd, CACHED) && reads(f.fd, CACHED));
		check(ioctl(f.t->device_fd, EXTFUSE_IOC_BACKING_DEL, &f.id) == 0);
		if (i % 2) {
			check(ioctl(f.t->device_fd, EXTFUSE_IOC_BARRIER) == 0);
			tfs_backing(f.t, "xxxxxx", 6, NULL);
		}
		check(reads(f.fd, DAEMONS) && reads(f.fd, DAEMONS));
		f.id = tfs_backing(f.t, CACHED, strlen(CACHED), NULL);
		tfs_publish_inode(f.t, f.ino, f.id);
	}
	teardown(&f);
}

/* ---- entries that expire ---- */

/* In a long time, but it does expire. */
static void let_name_expire(struct tfs *t, uint64_t parent, const char *name)
{
	const struct extfuse_dentry_key key = key_of(parent, name);
	struct extfuse_dentry v;

	check(bpf_map_lookup_elem(t->dentry, &key, &v) == 0);
	v.expires_ns = now_ns() + 1000000000000;
	check(tfs_put_dentry(t, t->dentry, &key, &v) == 0);
}

static void let_inode_expire(struct tfs *t, uint64_t ino)
{
	struct extfuse_inode v = inode_of(t, ino);

	v.expires_ns = now_ns() + 1000000000000;
	put_inode(t, &v);
}

/* The name itself, its inode, or its directory. */
static void a_name_that_expires_is_asked_about_each_time(void)
{
	struct fixture f = setup();

	let_name_expire(f.t, FUSE_ROOT_ID, "file");
	check(stats_are_asked(&f, f.path, EXTFUSE_HIT));
	publish_file(&f);
	let_inode_expire(f.t, f.ino);
	check(stats_are_asked(&f, f.path, EXTFUSE_HIT));
	tfs_publish_name(f.t, FUSE_ROOT_ID, "absent", 0);
	let_name_expire(f.t, FUSE_ROOT_ID, "absent");
	check(stats_are_asked(&f, tfs_path(f.t, "absent"), EXTFUSE_NEGATIVE));
	say_all_names_are_there(f.t, FUSE_ROOT_ID);
	let_inode_expire(f.t, FUSE_ROOT_ID);
	check(stats_are_asked(&f, tfs_path(f.t, "no-other"), EXTFUSE_NEGATIVE));
	teardown(&f);
}

static void a_file_that_expires_is_asked_about_each_time(void)
{
	struct fixture f = setup_lent(O_RDWR);
	struct mark m;

	let_inode_expire(f.t, f.ino);
	write_twice(&f);
	m = mark(f.t, EXTFUSE_OP_WRITE, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check_equal(pwrite(f.fd, "c", 1, 0), 1);
	check(were_asked(&m, TIMES)); /* its end is no question */
	publish_file(&f);
	let_inode_expire(f.t, f.ino);
	check(reads_are_asked(&f));
	open_and_close(f.path);
	m = mark(f.t, EXTFUSE_OP_OPEN, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		open_and_close(f.path);
	check(was(&m, TIMES, 2 * TIMES)); /* the name and the open; to release it is always the same */
	teardown(&f);
}

/* ---- files that are lent ---- */

/* Appending stays in one page, so it is repeated; its size and time are in another map. */
static void what_a_repeated_write_does_is_seen_at_once(void)
{
	struct fixture f = setup_lent(O_RDWR | O_APPEND);
	struct mark m = {};
	char buf[4096];
	struct stat st;

	for (int i = 0; i < TIMES; i++) {
		const off_t size = (off_t)strlen(CACHED) + i + 1;

		if (i == 2)
			m = mark(f.t, EXTFUSE_OP_WRITE, EXTFUSE_HIT);
		check_equal(write(f.fd, &"0123456789"[i % 10], 1), 1);
		if (i == 5)
			check(were_repeated(&m, 4));
		if (i < 6)
			continue;
		check(stat(f.path, &st) == 0);
		check_equal(st.st_size, size);
		check_equal(st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec, written(&f).time_ns);
		check_equal(pread(f.fd, buf, sizeof(buf), 0), size);
		check_equal(buf[size - 1], '0' + i % 10);
		check_equal(pread(f.fd, buf, sizeof(buf), size), 0);
	}
	check_equal(asked(f.t), 1); /* to open it for writing */
	/* of what may grow at any moment nothing is remembered */
	check(stats_are_asked(&f, f.path, EXTFUSE_HIT));
	m = mark(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check_equal(pread(f.fd, buf, 1, 0), 1);
	check(were_asked(&m, TIMES));
	teardown(&f);
}

static void what_was_read_before_it_was_lent_is_read_anew(void)
{
	struct fixture f = setup();
	int fd;

	for (int i = 0; i < 5; i++) {
		check(reads(f.fd, CACHED) && reads(f.fd, CACHED));
		warm_up(f.path);
		lend(&f, 1000);
		fd = open(f.path, O_WRONLY);
		for (int n = 0; n < 3; n++)
			check_equal(pwrite(fd, "more", 4, 6), 4);
		check(reads(f.fd, "cachedmore"));
		close(fd);
		/* taken back, and what was written is no more */
		check(tfs_take_out(f.t, f.t->inode, &f.ino) == 0);
		check(ioctl(f.t->device_fd, EXTFUSE_IOC_SETTLE) == 0);
		check(ftruncate(f.cache_fd, 6) == 0);
		check_equal(leads_to(f.path), f.ino);
		tfs_publish_inode(f.t, f.ino, f.id);
	}
	teardown(&f);
}

/* Is the page of the first chunk noted as written? */
static bool is_dirty(struct fixture *f, int page)
{
	const struct extfuse_chunk_key key = {.ino = f->ino};
	struct extfuse_dirty d;

	check(bpf_map_lookup_elem(f->t->dirty, &key, &d) == 0);
	return d.pages[page / 64] >> page % 64 & 1;
}

static void a_write_to_another_page_or_of_more_than_there_is_room_for_is_asked_about(void)
{
	struct fixture f = setup_lent(O_RDWR);

	write_twice(&f);
	check(is_dirty(&f, 0) && !is_dirty(&f, 1));
	check_equal(pwrite(f.fd, "xx", 2, 4095), 2);
	check(is_dirty(&f, 1));
	check_equal(pwrite(f.fd, "x", 1, 8192), 1);
	check(is_dirty(&f, 2));
	check_equal(pwrite(f.fd, "x", 1, 5 * 4096 - 1), 1);
	check(is_dirty(&f, 4) && !is_dirty(&f, 3));
	check_equal(pwrite(f.fd, "xx", 2, 4 * 4096 - 1), 2);
	check(is_dirty(&f, 3));

	check(ftruncate(f.fd, 6) == 0);
	lend(&f, 100);
	check_equal(asked(f.t), 2); /* the open, and that it is cut off */
	for (int i = 0; i < 200; i++)
		check_equal(pwrite(f.fd, "C", 1, 0), 1);
	check(tfs_requests(f.t, FUSE_WRITE) > 0);
	check(written(&f).bytes >= 100 && written(&f).bytes <= 101);
	teardown(&f);
}

static void what_is_not_lent_any_more_is_written_by_the_daemon(void)
{
	struct fixture f = setup_lent(O_RDWR);

	for (unsigned long n = 1; n <= 3; n++) {
		lend(&f, 1000);
		write_twice(&f);
		check_equal(tfs_requests(f.t, FUSE_WRITE), n - 1);
		if (n == 1)
			tfs_publish_inode(f.t, f.ino, f.id);
		else if (n == 2)
			check(tfs_take_out(f.t, f.t->inode, &f.ino) == 0);
		else /* nothing moves in the maps */
			check(ioctl(f.t->device_fd, EXTFUSE_IOC_BACKING_DEL, &f.id) == 0);
		check_equal(pwrite(f.fd, "x", 1, 0), 1);
		check_equal(tfs_requests(f.t, FUSE_WRITE), n);
		check(reads(f.cache_fd, "Cached"));
	}
	teardown(&f);
}

/* ---- another question ---- */

static void another_question_has_its_own_answer(void)
{
	struct fixture f = setup();
	int fd;

	open_and_close(f.path);
	open_and_close(f.path);
	/* to write is the daemon's, and so is the end of its handle */
	fd = open(f.path, O_WRONLY);
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);
	close(fd);
	for (int i = 0; i < 1000 && !tfs_requests(f.t, FUSE_RELEASE); i++)
		usleep(1000);
	check_equal(tfs_requests(f.t, FUSE_RELEASE), 1);
	open_and_close(f.path);
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);
	/* empties it */
	check(close(open(f.path, O_RDWR | O_TRUNC)) == 0);
	check_equal(tfs_requests(f.t, FUSE_OPEN), 2);
	check(reads(f.fd, ""));
	teardown(&f);
}

const struct test recall_ends_tests[] = {
	TEST(other_attributes_are_seen_by_the_next_stat),
	TEST(another_file_or_place_or_size_is_seen_by_the_next_read),
	TEST(what_is_taken_out_is_the_daemons),
	TEST(what_an_entry_does_not_say_any_more_is_the_daemons),
	TEST(a_backing_file_that_is_gone_is_not_read),
	TEST(a_name_that_expires_is_asked_about_each_time),
	TEST(a_file_that_expires_is_asked_about_each_time),
	TEST(what_a_repeated_write_does_is_seen_at_once),
	TEST(what_was_read_before_it_was_lent_is_read_anew),
	TEST(a_write_to_another_page_or_of_more_than_there_is_room_for_is_asked_about),
	TEST(what_is_not_lent_any_more_is_written_by_the_daemon),
	TEST(another_question_has_its_own_answer),
	{},
};
