/* SPDX-License-Identifier: Apache-2.0 */
#include "vmtest/kernel/recall.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <time.h>
#include <unistd.h>

const struct extfuse_config one_tick = {.attr_valid_ns = 1};

uint64_t now_ns(void)
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

unsigned long asked(struct tfs *t)
{
	unsigned long n = 0;

	for (unsigned i = 0; i < TFS_OPCODES; i++)
		n += tfs_requests(t, i);
	return n;
}

struct mark mark(struct tfs *t, enum extfuse_op op, enum extfuse_outcome outcome)
{
	return (struct mark){t, op, outcome, ran(t), tfs_stat(t, op, outcome), asked(t)};
}

bool was(const struct mark *m, uint64_t times, uint64_t programs)
{
	uint64_t ran_now = ran(m->t) - m->ran, counted = tfs_stat(m->t, m->op, m->outcome) - m->counted;
	unsigned long asked_now = asked(m->t) - m->asked;

	/* A few more are no mistake: a caller's buffer whose page is not there just then is asked about
	 * again. */
	if (ran_now >= programs && ran_now <= programs + times / 20 && counted == times && !asked_now)
		return true;
	fprintf(stderr, "of %llu times the programs ran %llu, %llu were counted, the daemon was asked %lu\n",
	        (unsigned long long)times, (unsigned long long)ran_now, (unsigned long long)counted,
	        asked_now);
	return false;
}

bool were_repeated(const struct mark *m, uint64_t times)
{
	return was(m, times, 0);
}

bool were_asked(const struct mark *m, uint64_t times)
{
	return was(m, times, times);
}

/* ---- a file "file" ---- */

void publish_file(struct fixture *f)
{
	publish(f->t, FUSE_ROOT_ID, "file", f->ino, f->id);
}

struct fixture setup(void)
{
	struct fixture f = {.t = tfs_start()};

	f.ino = tfs_add(f.t, FUSE_ROOT_ID, "file", S_IFREG | 0644, DAEMONS);
	tfs_attach(f.t, &one_tick);
	f.id = tfs_backing(f.t, CACHED, strlen(CACHED), &f.cache_fd);
	publish_file(&f);
	f.path = strdup(tfs_path(f.t, "file"));
	f.fd = open_direct(f.path);
	return f;
}

void teardown(struct fixture *f)
{
	close(f->fd);
	close(f->cache_fd);
	free(f->path);
	tfs_stop(f->t);
}

void lend(struct fixture *f, uint64_t max_bytes)
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
	tfs_publish_lent_bare(f->t, f->ino, f->id);
}

struct extfuse_written written(struct fixture *f)
{
	struct extfuse_written w;

	check(bpf_map_lookup_elem(f->t->written, &f->ino, &w) == 0);
	return w;
}

struct fixture setup_lent(int flags)
{
	struct fixture f = setup();

	close(f.fd);
	f.fd = open(f.path, flags);
	check(f.fd >= 0);
	lend(&f, 64 << 20);
	return f;
}

void write_twice(struct fixture *f)
{
	check_equal(pwrite(f->fd, "C", 1, 0), 1);
	check_equal(pwrite(f->fd, "C", 1, 0), 1);
}

bool stats_are_asked(struct fixture *f, const char *path, enum extfuse_outcome outcome)
{
	struct mark m;

	warm_up(path);
	m = mark(f->t, EXTFUSE_OP_LOOKUP, outcome);
	for (int i = 0; i < TIMES; i++)
		check_equal(leads_to(path), outcome == EXTFUSE_HIT ? f->ino : 0);
	return were_asked(&m, TIMES);
}

bool reads_are_asked(struct fixture *f)
{
	struct mark m = mark(f->t, EXTFUSE_OP_READ, EXTFUSE_HIT);

	for (int i = 0; i < TIMES; i++)
		check(reads(f->fd, CACHED));
	return were_asked(&m, TIMES);
}

/* ---- two directories ---- */

const char *below(struct tree *r, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", r->top, name);
	return tfs_path(r->t, path);
}

struct tree plant(struct tfs *t)
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
	publish(t, FUSE_ROOT_ID, r.top, top, 0);
	publish(t, top, "a", r.a, 0);
	publish(t, top, "b", r.b, 0);
	publish(t, r.a, "sub", sub, 0);
	publish(t, r.a, "file", r.a_file, tfs_backing(t, CACHED, strlen(CACHED), NULL));
	publish(t, r.b, "file", r.b_file, tfs_backing(t, CACHED, strlen(CACHED), NULL));
	say_all_names_are_there(t, r.a);
	say_all_names_are_there(t, r.b);
	r.a_fd = open_direct(below(&r, "a/file"));
	r.b_fd = open_direct(below(&r, "b/file"));
	return r;
}

void uproot(struct tree *r)
{
	close(r->a_fd);
	close(r->b_fd);
}

/* ---- any path and entry ---- */

struct tfs *start_attached(void)
{
	struct tfs *t = tfs_start();

	tfs_attach(t, &one_tick);
	return t;
}

bool reads(int fd, const char *text)
{
	char buf[64];
	ssize_t n = pread(fd, buf, sizeof(buf), 0);

	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

ino_t leads_to(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return st.st_ino;
	check_equal(errno, ENOENT);
	return 0;
}

mode_t mode_of(const char *path)
{
	struct stat st;

	check(stat(path, &st) == 0);
	return st.st_mode & 07777;
}

int open_direct(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT);

	check(fd >= 0);
	return fd;
}

void open_and_close(const char *path)
{
	int fd = open(path, O_RDONLY);

	check(fd >= 0 && close(fd) == 0);
}

void warm_up(const char *path)
{
	struct stat st;

	for (int i = 0; i < 3; i++)
		(void)!stat(path, &st);
}

struct extfuse_inode inode_of(struct tfs *t, uint64_t ino)
{
	struct extfuse_inode v;

	check(bpf_map_lookup_elem(t->inode, &ino, &v) == 0);
	return v;
}

void put_inode(struct tfs *t, const struct extfuse_inode *v)
{
	check(tfs_put_inode(t, v->attr.ino, v) == 0);
}

void say_all_names_are_there(struct tfs *t, uint64_t dir)
{
	struct extfuse_inode v = inode_of(t, dir);

	v.flags |= EXTFUSE_INODE_ALL_NAMES;
	put_inode(t, &v);
}

void publish(struct tfs *t, uint64_t parent, const char *name, uint64_t ino, uint64_t id)
{
	tfs_publish_name(t, parent, name, ino);
	tfs_publish_inode(t, ino, id);
}

uint32_t changes_of(struct tfs *t, uint64_t ino)
{
	return *(uint32_t *)(t->changes + (size_t)extfuse_epoch_slot(ino) * 8);
}

void change_until(struct tfs *t, uint64_t ino, uint32_t changes)
{
	while (changes_of(t, ino) != changes)
		tfs_changed(t, ino);
}
