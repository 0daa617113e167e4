/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts that the module repeats without asking a program: that it does, and that it never does so once
 * what they came from is another. What the maps say differs from what the daemon says, to tell by an answer
 * who gave it; how often the programs ran tells whether they were asked.
 */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { TIMES = 200 };

/* As the daemon has it; without a validity of attributes no name is remembered. */
static const struct extfuse_config one_tick = {.attr_valid_ns = 1};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- who was asked ---- */

static uint64_t run_count(const struct bpf_program *program)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	check(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0);
	return info.run_cnt;
}

/*
 * How often the programs ran, but for GETATTR: that is never remembered, and comes by when the tick is over
 * for which a directory on the way had its attributes.
 */
static uint64_t ran(struct tfs *t)
{
	static int counting = -1;
	struct bpf_program *p = NULL;
	uint64_t n = 0;

	if (counting < 0)
		counting = bpf_enable_stats(BPF_STATS_RUN_TIME);
	check(counting >= 0);
	while ((p = bpf_object__next_program(t->object, p)))
		n += run_count(p);
	return n - tfs_stat(t, EXTFUSE_OP_GETATTR, EXTFUSE_HIT);
}

static unsigned long asked(struct tfs *t)
{
	unsigned long n = 0;

	for (unsigned i = 0; i < TFS_OPCODES; i++)
		n += tfs_requests(t, i);
	return n;
}

struct mark {
	struct tfs *t;
	enum extfuse_op op;
	enum extfuse_outcome outcome;
	uint64_t ran, counted;
	unsigned long asked;
};

static struct mark mark(struct tfs *t, enum extfuse_op op, enum extfuse_outcome outcome)
{
	return (struct mark){t, op, outcome, ran(t), tfs_stat(t, op, outcome), asked(t)};
}

/* Since then, were there @p times of it, with the programs run for @p programs of them, and the daemon for
 * none? */
static bool was(const struct mark *m, uint64_t times, uint64_t programs)
{
	uint64_t ran_now = ran(m->t) - m->ran, counted = tfs_stat(m->t, m->op, m->outcome) - m->counted;
	unsigned long asked_now = asked(m->t) - m->asked;

	if (ran_now == programs && counted == times && !asked_now)
		return true;
	fprintf(stderr, "of %llu times the programs ran %llu, %llu were counted, the daemon was asked %lu\n",
	        (unsigned long long)times, (unsigned long long)ran_now, (unsigned long long)counted,
	        asked_now);
	return false;
}

static bool were_repeated(const struct mark *m, uint64_t times)
{
	return was(m, times, 0);
}

static bool were_asked(const struct mark *m, uint64_t times)
{
	return was(m, times, times);
}

/* ---- a file "file", and other entries ---- */

#define CACHED "cached"
#define DAEMONS "daemon"

struct fixture {
	struct tfs *t;
	uint64_t ino, id;
	int cache_fd, fd; /* O_DIRECT: what is not read in the kernel, the daemon is asked for */
	char *path;
};

static void publish_file(struct fixture *f)
{
	tfs_publish_name(f->t, FUSE_ROOT_ID, "file", f->ino);
	tfs_publish_inode(f->t, f->ino, f->id);
}

static struct fixture setup(void)
{
	struct fixture f = {.t = tfs_start()};

	f.ino = tfs_add(f.t, FUSE_ROOT_ID, "file", S_IFREG | 0644, DAEMONS);
	tfs_attach(f.t, &one_tick);
	f.id = tfs_backing(f.t, CACHED, strlen(CACHED), &f.cache_fd);
	publish_file(&f);
	f.path = strdup(tfs_path(f.t, "file"));
	f.fd = open(f.path, O_RDONLY | O_DIRECT);
	check(f.fd >= 0);
	return f;
}

static void teardown(struct fixture *f)
{
	close(f->fd);
	close(f->cache_fd);
	free(f->path);
	tfs_stop(f->t);
}

static bool reads(int fd, const char *text)
{
	char buf[64];
	ssize_t n = pread(fd, buf, sizeof(buf), 0);

	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

static ino_t leads_to(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return st.st_ino;
	check_equal(errno, ENOENT);
	return 0;
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

static mode_t mode_of(const char *path)
{
	struct stat st;

	check(stat(path, &st) == 0);
	return st.st_mode & 07777;
}

/* Often enough that whatever can be remembered is. */
static void warm_up(const char *path)
{
	struct stat st;

	for (int i = 0; i < 3; i++)
		(void)!stat(path, &st);
}

static struct extfuse_inode inode_of(struct tfs *t, uint64_t ino)
{
	struct extfuse_inode v;

	check(bpf_map_lookup_elem(t->inode, &ino, &v) == 0);
	return v;
}

static void put_inode(struct tfs *t, const struct extfuse_inode *v)
{
	check(tfs_put(t, t->inode, &v->attr.ino, v) == 0);
}

static void say_all_names_are_there(struct tfs *t, uint64_t dir)
{
	struct extfuse_inode v = inode_of(t, dir);

	v.flags |= EXTFUSE_INODE_ALL_NAMES;
	put_inode(t, &v);
}

static struct extfuse_dentry_key key_of(uint64_t parent, const char *name)
{
	struct extfuse_dentry_key key = {.parent = parent};

	memcpy(key.name, name, strlen(name));
	return key;
}

static uint32_t changes_of(struct tfs *t, uint64_t ino)
{
	return *(uint32_t *)(t->changes + (size_t)extfuse_epoch_slot(ino) * 8);
}

/* In a long time, but it does expire. */
static void let_name_expire(struct tfs *t, uint64_t parent, const char *name)
{
	const struct extfuse_dentry_key key = key_of(parent, name);
	struct extfuse_dentry v;

	check(bpf_map_lookup_elem(t->dentry, &key, &v) == 0);
	v.expires_ns = now_ns() + 1000000000000;
	check(tfs_put(t, t->dentry, &key, &v) == 0);
}

static void let_inode_expire(struct tfs *t, uint64_t ino)
{
	struct extfuse_inode v = inode_of(t, ino);

	v.expires_ns = now_ns() + 1000000000000;
	put_inode(t, &v);
}

/* All that nobody holds, of this mount alone and at once: a remount does that. RCU frees them. */
static void drop_dentries(struct tfs *t)
{
	check(mount(NULL, t->dir, NULL, MS_REMOUNT, NULL) == 0);
	usleep(50000);
}

/* ---- a file that is lent ---- */

static void put_written(struct fixture *f, uint64_t max_bytes)
{
	const struct extfuse_chunk_key key = {.ino = f->ino};
	const struct extfuse_dirty none = {};
	const struct extfuse_written w = {.ino = f->ino,
	                                  .size = strlen(CACHED),
	                                  .max_bytes = max_bytes,
	                                  .fresh_chunk = 1,
	                                  .first_chunk = UINT64_MAX};

	check(bpf_map_update_elem(f->t->written, &f->ino, &w, BPF_ANY) == 0);
	check(bpf_map_update_elem(f->t->dirty, &key, &none, BPF_ANY) == 0);
}

static struct extfuse_written written(struct fixture *f)
{
	struct extfuse_written w;

	check(bpf_map_lookup_elem(f->t->written, &f->ino, &w) == 0);
	return w;
}

/* Is the page of the first chunk noted as written? */
static bool is_dirty(struct fixture *f, int page)
{
	const struct extfuse_chunk_key key = {.ino = f->ino};
	struct extfuse_dirty d;

	check(bpf_map_lookup_elem(f->t->dirty, &key, &d) == 0);
	return d.pages[page / 64] >> page % 64 & 1;
}

/* Lent, without extended attributes, and open for writing. */
static struct fixture setup_lent(int flags)
{
	struct fixture f = setup();

	close(f.fd);
	f.fd = open(f.path, flags);
	check(f.fd >= 0);
	put_written(&f, 64 << 20);
	tfs_publish_lent_bare(f.t, f.ino, f.id);
	return f;
}

static void write_twice(struct fixture *f) /* the first write is told to the program */
{
	check_equal(pwrite(f->fd, "C", 1, 0), 1);
	check_equal(pwrite(f->fd, "C", 1, 0), 1);
}

/* ---- 1: what is repeated ---- */

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

	close(open(f.path, O_RDONLY));
	warm_up(f.path);
	opens = mark(f.t, EXTFUSE_OP_OPEN, EXTFUSE_HIT);
	releases = mark(f.t, EXTFUSE_OP_RELEASE, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check(close(open(f.path, O_RDONLY)) == 0);
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

/* ---- 2: what ends it ---- */

static void other_attributes_are_seen_by_the_next_stat(void)
{
	struct fixture f = setup();
	struct extfuse_inode v = inode_of(f.t, f.ino);
	struct stat st;
	struct mark m;

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
		check(were_repeated(&m, 1));
	}
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
	close(open(f.path, O_RDONLY));
	warm_up(f.path);
	check_equal(mode_of(f.path), 0644);
	check(tfs_take_out(f.t, f.t->inode, &f.ino) == 0);
	check_equal(mode_of(f.path), 0600);
	check(reads(f.fd, DAEMONS));
	check_equal(tfs_requests(f.t, FUSE_OPEN), 0);
	close(open(f.path, O_RDONLY));
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
	close(open(f.path, O_RDONLY));
	check(reads(f.fd, CACHED));
	tfs_publish_inode(f.t, f.ino, 0);
	close(open(f.path, O_RDONLY));
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

static bool stats_are_asked(struct fixture *f, const char *path, enum extfuse_outcome outcome)
{
	struct mark m;

	warm_up(path);
	m = mark(f->t, EXTFUSE_OP_LOOKUP, outcome);
	for (int i = 0; i < TIMES; i++)
		check_equal(leads_to(path), outcome == EXTFUSE_HIT ? f->ino : 0);
	return were_asked(&m, TIMES);
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
	m = mark(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check(reads(f.fd, CACHED));
	check(were_asked(&m, TIMES));
	close(open(f.path, O_RDONLY));
	m = mark(f.t, EXTFUSE_OP_OPEN, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		close(open(f.path, O_RDONLY));
	check(was(&m, TIMES, 2 * TIMES)); /* the name and the open; to release it is always the same */
	teardown(&f);
}

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
		put_written(&f, 1000);
		tfs_publish_lent_bare(f.t, f.ino, f.id);
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
	put_written(&f, 100);
	tfs_publish_lent_bare(f.t, f.ino, f.id);
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
		put_written(&f, 1000);
		tfs_publish_lent_bare(f.t, f.ino, f.id);
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

static void another_question_has_its_own_answer(void)
{
	struct fixture f = setup();
	int fd;

	close(open(f.path, O_RDONLY));
	close(open(f.path, O_RDONLY));
	/* to write is the daemon's, and so is the end of its handle */
	fd = open(f.path, O_WRONLY);
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);
	close(fd);
	for (int i = 0; i < 1000 && !tfs_requests(f.t, FUSE_RELEASE); i++)
		usleep(1000);
	check_equal(tfs_requests(f.t, FUSE_RELEASE), 1);
	close(open(f.path, O_RDONLY));
	check_equal(tfs_requests(f.t, FUSE_OPEN), 1);
	/* empties it */
	close(open(f.path, O_RDWR | O_TRUNC));
	check_equal(tfs_requests(f.t, FUSE_OPEN), 2);
	check(reads(f.fd, ""));
	teardown(&f);
}

/* ---- requests of the kernel itself ---- */

/* Two directories with a file each; of a name "nothing" in either the maps say that it is not there. */
struct tree {
	struct tfs *t;
	char top[16];
	uint64_t a, b, a_file, b_file;
	int a_fd, b_fd;
};

/* What a request drops. */
enum { A = 1, B = 2, A_FILE = 4, B_FILE = 8 };

static const char *below(struct tree *r, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", r->top, name);
	return tfs_path(r->t, path);
}

static struct tree plant(struct tfs *t)
{
	static unsigned number;
	struct tree r = {.t = t};
	uint64_t top, sub;

	snprintf(r.top, sizeof(r.top), "%u", number++);
	top = tfs_add(t, FUSE_ROOT_ID, r.top, S_IFDIR | 0755, NULL);
	r.a = tfs_add(t, top, "a", S_IFDIR | 0755, NULL);
	r.b = tfs_add(t, top, "b", S_IFDIR | 0755, NULL);
	r.a_file = tfs_add(t, r.a, "file", S_IFREG | 0644, DAEMONS);
	r.b_file = tfs_add(t, r.b, "file", S_IFREG | 0644, DAEMONS);
	sub = tfs_add(t, r.a, "sub", S_IFDIR | 0755, NULL);
	tfs_publish_name(t, FUSE_ROOT_ID, r.top, top);
	tfs_publish_inode(t, top, 0);
	tfs_publish_name(t, top, "a", r.a);
	tfs_publish_name(t, top, "b", r.b);
	tfs_publish_name(t, r.a, "file", r.a_file);
	tfs_publish_name(t, r.b, "file", r.b_file);
	tfs_publish_name(t, r.a, "sub", sub);
	tfs_publish_inode(t, r.a, 0);
	tfs_publish_inode(t, r.b, 0);
	tfs_publish_inode(t, sub, 0);
	say_all_names_are_there(t, r.a);
	say_all_names_are_there(t, r.b);
	tfs_publish_inode(t, r.a_file, tfs_backing(t, CACHED, strlen(CACHED), NULL));
	tfs_publish_inode(t, r.b_file, tfs_backing(t, CACHED, strlen(CACHED), NULL));
	r.a_fd = open(below(&r, "a/file"), O_RDONLY | O_DIRECT);
	r.b_fd = open(below(&r, "b/file"), O_RDONLY | O_DIRECT);
	check(r.a_fd >= 0 && r.b_fd >= 0);
	return r;
}

static void uproot(struct tree *r)
{
	close(r->a_fd);
	close(r->b_fd);
}

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

static void do_chmod(struct tree *r)
{
	check(chmod(below(r, "a/file"), 0600) == 0);
}

static void do_truncate(struct tree *r)
{
	check(truncate(below(r, "a/file"), 1) == 0);
}

static void with_file(struct tree *r, int flags, int (*what)(int fd))
{
	int fd = open(below(r, "a/file"), flags);

	check(fd >= 0 && (!what || what(fd) == 0));
	close(fd);
}

static int write_one(int fd)
{
	return pwrite(fd, "W", 1, 0) == 1 ? 0 : -1;
}

static int allocate(int fd)
{
	return fallocate(fd, 0, 0, 1);
}

static void do_write(struct tree *r)
{
	with_file(r, O_WRONLY, write_one);
}

static void do_fallocate(struct tree *r)
{
	with_file(r, O_WRONLY, allocate);
}

static void do_open_truncate(struct tree *r)
{
	with_file(r, O_WRONLY | O_TRUNC, NULL);
}

static void do_setxattr(struct tree *r)
{
	check(setxattr(below(r, "a/file"), "user.x", "y", 1, 0) == 0);
}

static void do_unlink(struct tree *r)
{
	check(unlink(below(r, "a/file")) == 0);
}

static void do_rename_away(struct tree *r)
{
	check(rename(below(r, "a/file"), below(r, "b/new")) == 0);
}

static void do_rename_over(struct tree *r)
{
	check(rename(below(r, "a/file"), below(r, "b/file")) == 0);
}

static void do_exchange(struct tree *r)
{
	check(renameat2(AT_FDCWD, below(r, "a/file"), AT_FDCWD, below(r, "b/file"), RENAME_EXCHANGE) == 0);
}

static void do_link(struct tree *r)
{
	check(link(below(r, "b/file"), below(r, "a/new")) == 0);
}

static void do_create(struct tree *r)
{
	check(close(open(below(r, "a/new"), O_CREAT | O_EXCL | O_WRONLY, 0644)) == 0);
}

static void do_mknod(struct tree *r)
{
	check(mknod(below(r, "a/new"), S_IFIFO | 0644, 0) == 0);
}

static void do_symlink(struct tree *r)
{
	check(symlink("file", below(r, "a/new")) == 0);
}

static void do_mkdir(struct tree *r)
{
	check(mkdir(below(r, "a/new"), 0755) == 0);
}

static void do_rmdir(struct tree *r)
{
	check(rmdir(below(r, "a/sub")) == 0);
}

/* What it touches is the daemon's from then on, and only that. */
static void a_request_that_changes_something_ends_what_it_changes(void)
{
	static const struct {
		void (*request)(struct tree *r);
		const char *name;
		unsigned touches;
	} requests[] = {
#define REQUEST(what, touches) {do_##what, #what, touches}
		REQUEST(chmod, A_FILE),
		REQUEST(truncate, A_FILE),
		REQUEST(write, A_FILE),
		REQUEST(fallocate, A_FILE),
		REQUEST(open_truncate, A_FILE),
		REQUEST(setxattr, A_FILE),
		REQUEST(unlink, A | A_FILE),
		REQUEST(rename_away, A | A_FILE | B),
		REQUEST(rename_over, A | A_FILE | B | B_FILE),
		REQUEST(exchange, A | A_FILE | B | B_FILE),
		REQUEST(link, A | B_FILE),
		REQUEST(create, A),
		REQUEST(mknod, A),
		REQUEST(symlink, A),
		REQUEST(mkdir, A),
		REQUEST(rmdir, A),
	};
	struct tfs *t = tfs_start();

	tfs_attach(t, &one_tick);
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		const unsigned touches = requests[i].touches;
		struct tree r = plant(t);
		uint64_t a, b;

		warm_tree(&r);
		requests[i].request(&r);
		for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
			if (strcmp(names[n], "a/new") != 0 || requests[i].request != do_symlink)
				check_name(&r, names[n]);
		}
		/* the maps have it, or had it, that there is nothing */
		a = tfs_add(t, r.a, "nothing", S_IFREG | 0644, "");
		b = tfs_add(t, r.b, "nothing", S_IFREG | 0644, "");
		if ((leads_to(below(&r, "a/nothing")) == a) != !!(touches & A) ||
		    (leads_to(below(&r, "b/nothing")) == b) != !!(touches & B) ||
		    reads(r.a_fd, CACHED) != !(touches & A_FILE) ||
		    reads(r.b_fd, CACHED) != !(touches & B_FILE))
			die("%s ends something else", requests[i].name);
		uproot(&r);
	}
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
			close(open(path, O_CREAT | O_EXCL | O_WRONLY, 0644));
			check(leads_to(path) != 0);
			check(unlink(path) == 0);
		} else { /* by somebody else: the daemon says so */
			uint64_t ino = tfs_add(f.t, FUSE_ROOT_ID, "made", S_IFREG | 0644, "");

			tfs_publish_inode(f.t, ino, 0);
			tfs_publish_name(f.t, FUSE_ROOT_ID, "made", ino);
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

/* ---- 3: names ---- */

/* Links of one inode, which the kernel keeps; every other one is in no map, so only the daemon knows. */
static void links_of_one_inode_are_told_apart(void)
{
	enum { LINKS = 100 };
	struct fixture f = setup();
	unsigned long before;
	char name[32];

	for (int i = 0; i < LINKS; i++) {
		snprintf(name, sizeof(name), "link%d", i);
		check(link(f.path, tfs_path(f.t, name)) == 0);
	}
	for (int i = 0; i < LINKS; i += 2) {
		snprintf(name, sizeof(name), "link%d", i);
		tfs_publish_name(f.t, FUSE_ROOT_ID, name, f.ino);
	}
	tfs_publish_inode(f.t, f.ino, f.id);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < LINKS; i++) {
			snprintf(name, sizeof(name), "link%d", i);
			leads_to(tfs_path(f.t, name));
			before = tfs_requests(f.t, FUSE_LOOKUP);
			check_equal(leads_to(tfs_path(f.t, name)), f.ino);
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
			tfs_publish_inode(f.t, inos[length], 0);
		}
		if (length % 3 != 1)
			tfs_publish_name(f.t, FUSE_ROOT_ID, name, inos[length]);
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
	struct tfs *t = tfs_start();
	struct tree r;

	tfs_attach(t, &one_tick);
	r = plant(t);
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
	while (changes_of(t, r.a) != changes_of(t, r.b))
		tfs_changed(t, changes_of(t, r.a) < changes_of(t, r.b) ? r.a : r.b);
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
	char name[32];

	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "absent%d", i);
		tfs_publish_name(f.t, FUSE_ROOT_ID, name, 0);
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < NAMES; i++) {
			snprintf(name, sizeof(name), "absent%d", i);
			warm_up(tfs_path(f.t, name));
		}
		drop_dentries(f.t);
		before = tfs_requests(f.t, FUSE_LOOKUP);
		for (int i = 0; i < NAMES; i++) {
			snprintf(name, sizeof(name), "unknown%d", i);
			for (int again = 0; again < 2; again++)
				check_equal(leads_to(tfs_path(f.t, name)), 0);
		}
		check_equal(tfs_requests(f.t, FUSE_LOOKUP) - before, 2 * NAMES);
		drop_dentries(f.t);
	}
	teardown(&f);
}

/* A path leads through other directories then, although nothing below them has changed. */
static void a_directory_above_may_be_renamed(void)
{
	struct tfs *t = tfs_start();
	struct tree r;

	tfs_attach(t, &one_tick);
	r = plant(t);
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

/* ---- 4: the inode of the VFS ---- */

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
	tfs_publish_name(t, FUSE_ROOT_ID, "file", ino);
	tfs_publish_inode(t, ino, 0);
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

/* ---- 5: while it changes ---- */

enum { FILES = 16, READERS = 3 };

static struct race {
	struct fixture f;
	atomic_ulong begun, done; /* publications */
	atomic_ulong reads, stats, wrong;
	atomic_bool stop;
} race;

static bool is_in(unsigned long n, unsigned long from, unsigned long to)
{
	for (unsigned long i = from; i <= to && i < from + FILES; i++) {
		if (i % FILES == n)
			return true;
	}
	return false;
}

static size_t size_of(unsigned long n)
{
	return 1000 + n % FILES * 16;
}

/* Of file @n, or of one of the publications between @from and @to if that is not -1. */
static void check_bytes(const char *buf, ssize_t n, unsigned long from, unsigned long to)
{
	unsigned long file = (unsigned long)(buf[0] - 'a');

	if (n <= 0 || file >= FILES || (size_t)n != size_of(file) ||
	    memcmp(buf, buf + 1, (size_t)n - 1) != 0 || !is_in(file, from, to))
		race.wrong++;
}

static void *read_on(void *arg)
{
	char buf[4096];

	while (!race.stop) {
		unsigned long from = race.done;
		ssize_t n = pread(race.f.fd, buf, sizeof(buf), 0);

		check_bytes(buf, n, from, race.begun);
		race.reads++;
	}
	return NULL;
}

static off_t size_now(void)
{
	struct stat st;

	check(stat(race.f.path, &st) == 0);
	return st.st_size;
}

/*
 * An answer from before may reach the inode after that, and stays for the tick that attributes hold: so a
 * size that is too old is asked for once more, later.
 */
static void *stat_on(void *arg)
{
	while (!race.stop) {
		unsigned long from = race.done;
		off_t size = size_now();

		if (!is_in((unsigned long)(size - 1000) / 16, from, race.begun)) {
			usleep(20000);
			size = size_now();
			if (!is_in((unsigned long)(size - 1000) / 16, from, race.begun))
				race.wrong++;
		}
		race.stats++;
	}
	return NULL;
}

/* File @n is of its own letter. */
static uint64_t make_file(unsigned long n, int *ret_fd)
{
	char buf[4096];

	memset(buf, 'a' + (int)(n % FILES), sizeof(buf));
	return tfs_backing(race.f.t, buf, size_of(n), ret_fd);
}

/* Publication @n. */
static void publish_next(struct extfuse_inode *v, unsigned long n, uint64_t id)
{
	v->backing_id = id;
	v->attr.size = size_of(n);
	race.begun = n;
	put_inode(race.f.t, v);
	race.done = n;
}

static void race_begin(struct extfuse_inode *ret, uint64_t id)
{
	race.f = setup();
	*ret = inode_of(race.f.t, race.f.ino);
	publish_next(ret, 0, id ?: make_file(0, NULL));
}

static void race_end(pthread_t *threads)
{
	race.stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	printf("     %lu publications, %lu reads, %lu stats\n", race.done, race.reads, race.stats);
	check_equal(race.wrong, 0);
	check(race.reads > 1000);
	teardown(&race.f);
}

/* Which begins after it: no need for a barrier. */
static void what_is_published_is_what_the_next_read_sees(void)
{
	struct extfuse_inode v;
	uint64_t ids[FILES], end;
	pthread_t threads[READERS];

	race_begin(&v, 0);
	for (unsigned long i = 0; i < FILES; i++)
		ids[i] = make_file(i, NULL);
	for (int i = 0; i < READERS; i++)
		check(pthread_create(&threads[i], NULL, read_on, NULL) == 0);
	end = now_ns() + 3000000000;
	for (unsigned long n = 1; now_ns() < end; n++) {
		publish_next(&v, n, ids[n % FILES]);
		for (volatile int i = 0; i < (int)(n % 64) * 100; i++)
			; /* so long that it is remembered, or not */
	}
	race_end(threads);
}

/* What was published before is overwritten then, as after an eviction. */
static void nobody_sees_the_old_file_behind_the_barrier(void)
{
	struct extfuse_inode v;
	pthread_t threads[READERS];
	int fd, old;
	uint64_t end;

	race_begin(&v, 0);
	old = -1;
	for (int i = 0; i < READERS; i++)
		check(pthread_create(&threads[i], NULL, i % 2 ? stat_on : read_on, NULL) == 0);
	end = now_ns() + 3000000000;
	for (unsigned long n = 1; now_ns() < end; n++) {
		publish_next(&v, n, make_file(n, &fd));
		check(ioctl(race.f.t->device_fd, EXTFUSE_IOC_BARRIER) == 0);
		if (old >= 0) {
			check(pwrite(old, "overwritten", 11, 0) == 11);
			close(old);
		}
		old = fd;
		usleep(2000 * (n % 3));
	}
	close(old);
	race_end(threads);
	check(race.stats > 1000);
}

/* ---- 6: mounts ---- */

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
		close(open(f.path, O_RDONLY));
		warm_up(f.path);
		warm_up(tfs_path(f.t, "nothing"));
	}
	check_equal(tfs_requests(f.t, FUSE_READ) + tfs_requests(f.t, FUSE_OPEN), 0);
	root = changes_of(f.t, FUSE_ROOT_ID);
	file = changes_of(f.t, f.ino);
	tfs_detach(f.t);
	f.t->nodes[f.ino].st.st_mode = S_IFREG | 0600;
	tfs_attach(f.t, &one_tick);
	while (changes_of(f.t, FUSE_ROOT_ID) != root)
		tfs_changed(f.t, FUSE_ROOT_ID);
	while (changes_of(f.t, f.ino) != file)
		tfs_changed(f.t, f.ino);
	check_equal(mode_of(f.path), 0600);
	check(reads(f.fd, DAEMONS));
	close(open(f.path, O_RDONLY));
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
	int fd;

	tfs_detach(f.t);
	tfs_attach_asking(f.t, &one_tick);
	f.id = tfs_backing(f.t, CACHED, strlen(CACHED), NULL);
	publish_file(&f);
	warm_up(f.path);
	m = mark(f.t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check_equal(leads_to(f.path), f.ino);
	check(were_asked(&m, TIMES));
	m = mark(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check(reads(f.fd, CACHED));
	check(were_asked(&m, TIMES));
	m = mark(f.t, EXTFUSE_OP_RELEASE, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++) {
		fd = open(f.path, O_RDONLY);
		close(fd);
	}
	check(was(&m, TIMES, 3 * TIMES)); /* the name, the open and its end */
	put_written(&f, 1 << 20);
	tfs_publish_lent_bare(f.t, f.ino, f.id);
	m = mark(f.t, EXTFUSE_OP_WRITE, EXTFUSE_HIT);
	for (int i = 0; i < TIMES; i++)
		check_equal(pwrite(f.fd, "C", 1, 0), 1);
	check(was(&m, TIMES, 2 * TIMES)); /* each has an end */
	teardown(&f);
}

/* ---- 7: limits ---- */

/* As the module has it: the same place for every so many counters. */
enum { PLACES = 1 << 14 };

/* Another node id, with the same place for what is remembered of it; one that only the maps know. */
static uint64_t same_place(uint64_t as)
{
	uint64_t ino = TFS_NODES;

	while (extfuse_epoch_slot(ino) % PLACES != extfuse_epoch_slot(as) % PLACES)
		ino++;
	return ino;
}

/* It is "another", and of the same place as the file. */
static int open_another(struct fixture *f)
{
	struct extfuse_inode v = inode_of(f->t, f->ino);
	int fd;

	v.attr.ino = same_place(f->ino);
	v.attr.size = strlen("another");
	v.backing_id = tfs_backing(f->t, "another", strlen("another"), NULL);
	put_inode(f->t, &v);
	tfs_publish_name(f->t, FUSE_ROOT_ID, "another", v.attr.ino);
	fd = open(tfs_path(f->t, "another"), O_RDONLY | O_DIRECT);
	check(fd >= 0);
	return fd;
}

static void two_files_of_one_place_are_told_apart(void)
{
	struct fixture f = setup();
	const uint64_t ino = same_place(f.ino);
	int fd = open_another(&f);
	char buf[8];

	for (int i = 0; i < 20; i++) {
		check(reads(f.fd, CACHED) && reads(f.fd, CACHED));
		check(reads(fd, "another") && reads(fd, "another"));
	}
	check_equal(asked(f.t), 0);
	check(tfs_take_out(f.t, f.t->inode, &ino) == 0);
	check(reads(f.fd, CACHED));
	check_errno(pread(fd, buf, sizeof(buf), 0), ESTALE);
	close(fd);
	teardown(&f);
}

struct half {
	int fd;
	const char *text;
	atomic_ulong wrong;
};

static void *read_half(void *arg)
{
	struct half *h = arg;
	const uint64_t end = now_ns() + 2000000000;

	while (now_ns() < end) {
		for (int i = 0; i < 100; i++)
			h->wrong += !reads(h->fd, h->text);
	}
	return NULL;
}

/* Each read may find the place while it is filled for the other one. */
static void a_place_is_never_half_of_two_files(void)
{
	struct fixture f = setup();
	struct half halves[] = {{.fd = f.fd, .text = CACHED}, {.text = "another"}};
	pthread_t threads[2];

	halves[1].fd = open_another(&f);
	for (int i = 0; i < 2; i++)
		check(pthread_create(&threads[i], NULL, read_half, &halves[i]) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	check_equal(halves[0].wrong + halves[1].wrong, 0);
	close(halves[1].fd);
	teardown(&f);
}

const struct test recall_tests[] = {
	TEST(a_name_is_found_again_without_asking),
	TEST(a_name_is_absent_again_without_asking),
	TEST(a_file_is_read_again_without_asking),
	TEST(a_file_is_opened_and_closed_again_without_asking),
	TEST(a_page_is_written_again_without_asking),
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
	TEST(a_request_that_changes_something_ends_what_it_changes),
	TEST(an_absent_name_that_is_made_is_there),
	TEST(links_of_one_inode_are_told_apart),
	TEST(names_that_begin_alike_are_told_apart),
	TEST(the_same_name_in_two_directories_is_two),
	TEST(the_memory_of_a_name_is_anothers_later),
	TEST(a_directory_above_may_be_renamed),
	TEST(an_inode_that_differs_is_not_taken_for_the_right_one),
	TEST(what_is_published_is_what_the_next_read_sees),
	TEST(nobody_sees_the_old_file_behind_the_barrier),
	TEST(two_mounts_do_not_see_what_the_other_remembers),
	TEST(an_attachment_remembers_nothing_of_the_one_before),
	TEST(without_the_maps_each_request_is_asked_about),
	TEST(two_files_of_one_place_are_told_apart),
	TEST(a_place_is_never_half_of_two_files),
	{},
};
