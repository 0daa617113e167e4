/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads at once, and a process killed in the middle of its work. The program runs itself as
 * `workload_test child DIR ACKS SEED` for the latter: RocksDB's threads do not survive a fork.
 */
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

enum { THREADS = 4 };

/* ---- threads in one directory ---- */

struct worker {
	struct fixture *f;
	int number;
	uint64_t dir, other;
	pthread_t thread;
};

static void run_workers(struct fixture *f, void *(*fn)(void *), uint64_t dir, uint64_t other)
{
	struct worker workers[THREADS];

	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.f = f, .number = i, .dir = dir, .other = other};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, fn, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

static int count_entry(const struct meta_dirent *entry, void *arg)
{
	(void)entry;
	++*(size_t *)arg;
	return 0;
}

static size_t count_entries(struct fixture *f, uint64_t dir)
{
	size_t count = 0;

	assert_int_equal(meta_readdir(f->m, dir, 0, true, count_entry, &count), 0);
	return count;
}

static void *create_rename_unlink(void *arg)
{
	struct worker *w = arg;
	struct meta *m = w->f->m;
	char name[32], other[32];

	for (int i = 0; i < 300; i++) {
		uint32_t mode = i % 3 ? S_IFREG | 0644 : S_IFDIR | 0755;

		snprintf(name, sizeof(name), "w%d-%d", w->number, i);
		snprintf(other, sizeof(other), "w%d-%d.moved", w->number, i);
		assert_int_equal(meta_create(m, w->dir, name, &fixture_cred, mode, 0, NULL, NULL, NULL), 0);
		if (i % 2)
			assert_int_equal(meta_rename(m, w->dir, name, w->dir, other, 0, NULL), 0);
		if (i % 5 == 1)
			assert_int_equal(S_ISDIR(mode) ? meta_rmdir(m, w->dir, other, NULL, NULL)
			                               : meta_unlink(m, w->dir, other, NULL, NULL),
			                 i % 2 ? 0 : -ENOENT);
	}
	return NULL;
}

static void no_name_is_lost_where_many_work(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = make_dir(f, 1, "dir");
	size_t removed = 0, subdirs = 0;

	run_workers(f, create_rename_unlink, dir, 0);
	for (int i = 0; i < 300; i++) {
		bool gone = i % 5 == 1 && i % 2;

		removed += gone;
		subdirs += i % 3 == 0 && !gone;
	}
	assert_int_equal(count_entries(f, dir), THREADS * (300 - removed));
	assert_int_equal(attr_of(f, dir).nlink, 2 + THREADS * subdirs);
	assert_consistent(f);
	fixture_reopen(f);
	assert_int_equal(count_entries(f, dir), THREADS * (300 - removed));
}

static void *create_the_same(void *arg)
{
	struct worker *w = arg;
	static atomic_int made;
	char name[32];

	if (!w)
		return (void *)(intptr_t)atomic_exchange(&made, 0);
	for (int i = 0; i < 200; i++) {
		int r;

		snprintf(name, sizeof(name), "same-%d", i);
		r = meta_create(w->f->m, w->dir, name, &fixture_cred, S_IFREG | 0644, 0, NULL, NULL, NULL);
		assert_true(r == 0 || r == -EEXIST);
		made += !r;
	}
	return NULL;
}

static void a_name_is_made_by_one_only(void **state)
{
	struct fixture *f = *state;

	run_workers(f, create_the_same, 1, 0);
	assert_int_equal((intptr_t)create_the_same(NULL), 200);
	assert_int_equal(count_entries(f, 1), 200);
}

/*
 * p/a goes below q/b and q/b below p/a: the two moves lock no inode in common, and both would be fine
 * alone. At most one of them may succeed at a time, or a and b are a loop.
 */
static void *move_below_each_other(void *arg)
{
	struct worker *w = arg;
	struct meta *m = w->f->m;
	uint64_t p = w->dir, q = p + 1, x = p + 4, y = p + 5;

	for (int i = 0; i < 200; i++) {
		bool odd = w->number % 2;
		int r;

		r = odd ? meta_rename(m, p, "a", y, "a", 0, NULL) : meta_rename(m, q, "b", x, "b", 0, NULL);
		assert_true(r == 0 || r == -ENOENT || r == -EINVAL);
		r = odd ? meta_rename(m, y, "a", p, "a", 0, NULL) : meta_rename(m, x, "b", q, "b", 0, NULL);
		assert_true(r == 0 || r == -ENOENT);
	}
	return NULL;
}

static void directories_moved_below_each_other_make_no_loop(void **state)
{
	struct fixture *f = *state;
	uint64_t p = make_dir(f, 1, "p"), q = make_dir(f, 1, "q");
	uint64_t a = make_dir(f, p, "a"), b = make_dir(f, q, "b");
	uint64_t x = make_dir(f, a, "x"), y = make_dir(f, b, "y");

	assert_int_equal(y, p + 5);
	run_workers(f, move_below_each_other, p, 0);
	assert_consistent(f);
	assert_int_equal(look(f, a, "x"), x);
	assert_int_equal(look(f, b, "y"), y);
}

static void *swap_and_write(void *arg)
{
	struct worker *w = arg;
	struct timespec now = {1, 1};
	struct meta *m = w->f->m;

	for (int i = 0; i < 150; i++) {
		struct meta_write write = {.slice = {.pos = 100 * w->number, .length = 150, .size = 150}};
		int r;

		assert_int_equal(meta_rename(m, w->dir, "x", w->other, "y", RENAME_EXCHANGE, NULL), 0);
		assert_int_equal(meta_new_object(m, &write.slice.object), 0);
		r = meta_commit_write(m, i % 2 ? w->dir + 2 : w->dir + 3, &write, 1, 150, now, false, false,
		                      NULL);
		assert_int_equal(r, 0);
		if (i % 10 == 9)
			assert_int_equal(meta_setattr(m, w->dir + 2, META_SET_SIZE,
			                              &(struct meta_attr){.size = 120}, NULL),
			                 0);
	}
	return NULL;
}

static void swaps_and_writes_do_not_get_in_each_others_way(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_dir(f, 1, "a"), b = make_dir(f, 1, "b");

	assert_int_equal(make_file(f, a, "x"), a + 2);
	assert_int_equal(make_file(f, b, "y"), a + 3);
	run_workers(f, swap_and_write, a, b);
	assert_int_equal(count_entries(f, a), 1);
	assert_int_equal(count_entries(f, b), 1);
}

static void *read_all_the_time(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 30; i++) {
		if (w->number) {
			char name[32];

			snprintf(name, sizeof(name), "new%d-%d", w->number, i);
			make_file(w->f, w->dir, name);
			assert_int_equal(meta_unlink(w->f->m, w->dir, name, NULL, NULL), 0);
			snprintf(name, sizeof(name), "tmp%d", w->number);
			make_file(w->f, w->dir, name);
			assert_int_equal(meta_rename(w->f->m, w->dir, name, w->dir, "n250", 0, NULL), 0);
		} else {
			assert_in_range(count_entries(w->f, w->dir), 500, 500 + 2 * THREADS);
		}
	}
	return NULL;
}

static void a_reader_sees_each_name_that_stays_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 500; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		make_file(f, 1, name);
	}
	run_workers(f, read_all_the_time, 1, 0);
	assert_int_equal(count_entries(f, 1), 500);
}

/* ---- a process killed in the middle of its work ---- */

enum { NAMES = 12, DIRS = 4 };

/* Shared with the parent: how many files each thread was told that they are made. */
struct acks {
	_Atomic uint32_t made[THREADS];
};

struct child {
	struct meta *m;
	struct acks *acks;
	int number;
	unsigned seed;
};

static void child_fail(const char *what, int r)
{
	fprintf(stderr, "child: %s: %s\n", what, strerror(-r));
	_exit(1);
}

/* Errors that random operations on random names may give. */
static void child_expect(const char *what, int r)
{
	switch (r) {
	case 0:
	case -ENOENT:
	case -EEXIST:
	case -ENOTEMPTY:
	case -ENOTDIR:
	case -EISDIR:
	case -EINVAL:
	case -EPERM:
	case -ENODATA:
		return;
	default:
		child_fail(what, r);
	}
}

static uint64_t child_any(struct child *c, char *name)
{
	struct meta_attr attr;

	snprintf(name, 16, "n%d", rand_r(&c->seed) % NAMES);
	if (rand_r(&c->seed) % 2)
		return 1;
	snprintf(name + 8, 8, "d%d", rand_r(&c->seed) % DIRS);
	return meta_lookup(c->m, 1, name + 8, &attr) || !S_ISDIR(attr.mode) ? 1 : attr.ino;
}

static void child_write(struct child *c, uint64_t ino)
{
	struct meta_write w[40] = {};
	struct timespec now = {1, 1};
	size_t count = rand_r(&c->seed) % 20 ? 1u + rand_r(&c->seed) % 3 : ARRAY_SIZE(w);
	uint64_t end = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		struct meta_slice *s = &w[i].slice;

		/* Now and then a file of so many chunks that cutting it takes more than one transaction. */
		w[i].chunk = count < ARRAY_SIZE(w) ? rand_r(&c->seed) % 3 : rand_r(&c->seed) % 2000;
		s->pos = rand_r(&c->seed) % 10000;
		s->length = s->size = 1 + rand_r(&c->seed) % 10000;
		r = meta_new_object(c->m, &s->object);
		if (r < 0)
			child_fail("new object", r);
		if (w[i].chunk * CHUNK + s->pos + s->length > end)
			end = w[i].chunk * CHUNK + s->pos + s->length;
	}
	child_expect("write", meta_commit_write(c->m, ino, w, count, end, now, false,
	                                        rand_r(&c->seed) % 20 == 0, NULL));
}

static void child_copy(struct child *c, uint64_t ino, uint64_t dir, const char *name)
{
	struct meta_attr to;
	uint64_t copied;
	int r = meta_lookup(c->m, dir, name, &to);

	child_expect("lookup", r);
	if (!r && S_ISREG(to.mode))
		child_expect("copy", meta_copy_range(c->m, ino, rand_r(&c->seed) % (2 * CHUNK), to.ino,
		                                     rand_r(&c->seed) % (2 * CHUNK),
		                                     rand_r(&c->seed) % (2 * CHUNK), &copied, NULL));
}

static void child_step(struct child *c)
{
	struct meta_garbage garbage[10];
	struct meta_renamed renamed = {};
	char name[16], other[16];
	uint64_t dir = child_any(c, name), to = child_any(c, other);
	struct meta_attr attr = {}, found = {};
	size_t count;
	int r;

	r = meta_lookup(c->m, dir, name, &found);
	child_expect("lookup", r);
	switch (rand_r(&c->seed) % 14) {
	case 0:
	case 1:
		child_expect("create", meta_create(c->m, dir, name, &fixture_cred, S_IFREG | 0644, 0, NULL,
		                                   NULL, NULL));
		break;
	case 2:
		child_expect("mkdir", meta_create(c->m, dir, name, &fixture_cred, S_IFDIR | 0755, 0, NULL,
		                                  NULL, NULL));
		snprintf(other, sizeof(other), "d%d", rand_r(&c->seed) % DIRS);
		child_expect("mkdir",
		             meta_create(c->m, 1, other, &fixture_cred, S_IFDIR | 0755, 0, NULL, NULL, NULL));
		break;
	case 3:
		r = meta_unlink(c->m, dir, name, &attr, NULL);
		child_expect("unlink", r);
		if (!r && !attr.nlink)
			child_expect("reap", meta_reap(c->m, attr.ino));
		break;
	case 4:
		child_expect("rmdir", meta_rmdir(c->m, dir, name, NULL, NULL));
		break;
	case 5:
	case 6:
		child_expect("rename", meta_rename(c->m, dir, name, to, other,
		                                   rand_r(&c->seed) % 3 ? 0 : RENAME_EXCHANGE, &renamed));
		if (renamed.other.ino && !renamed.other.nlink)
			child_expect("reap", meta_reap(c->m, renamed.other.ino));
		break;
	case 7:
		if (found.ino)
			child_expect("link", meta_link(c->m, found.ino, to, other, NULL, NULL));
		break;
	case 8:
		attr.size = rand_r(&c->seed) % (3 * CHUNK);
		if (S_ISREG(found.mode))
			child_expect("truncate", meta_setattr(c->m, found.ino, META_SET_SIZE, &attr, NULL));
		break;
	case 9:
		if (found.ino && rand_r(&c->seed) % 2)
			child_expect("setxattr", meta_setxattr(c->m, found.ino, "user.x", "y", 1, 0, NULL));
		else if (found.ino)
			child_expect("removexattr", meta_removexattr(c->m, found.ino, "user.x", NULL));
		break;
	case 10:
		r = meta_list_garbage(c->m, garbage, ARRAY_SIZE(garbage), &count);
		child_expect("list garbage", r);
		child_expect("garbage deleted", meta_garbage_deleted(c->m, garbage, count));
		break;
	case 11:
		if (S_ISREG(found.mode))
			child_copy(c, found.ino, to, other);
		break;
	case 12:
		if (S_ISREG(found.mode))
			child_expect("punch", meta_punch(c->m, found.ino, rand_r(&c->seed) % (2 * CHUNK),
			                                 rand_r(&c->seed) % (2 * CHUNK), 0, NULL));
		break;
	default:
		if (S_ISREG(found.mode))
			child_write(c, found.ino);
	}
}

static void *child_thread(void *arg)
{
	struct child *c = arg;
	char name[32];

	for (;;) {
		uint32_t made = c->acks->made[c->number];
		int r;

		for (int i = 0; i < 10; i++)
			child_step(c);
		snprintf(name, sizeof(name), "ack-%d-%u", c->number, made);
		r = meta_create(c->m, 1, name, &fixture_cred, S_IFREG | 0644, 0, NULL, NULL, NULL);
		/* It may be there if the process before was killed between the commit and the count. */
		if (r < 0 && r != -EEXIST)
			child_fail("create", r);
		c->acks->made[c->number] = made + 1;
	}
	return NULL;
}

static struct acks *map_acks(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	struct acks *acks;

	if (fd < 0 || ftruncate(fd, sizeof(*acks)) < 0)
		return NULL;
	acks = mmap(NULL, sizeof(*acks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return acks == MAP_FAILED ? NULL : acks;
}

static unsigned all_acks(const struct acks *acks)
{
	unsigned total = 0;

	for (int i = 0; i < THREADS; i++)
		total += acks->made[i];
	return total;
}

static int child_main(char **argv)
{
	struct child children[THREADS];
	struct acks *acks = map_acks(argv[1]);
	struct meta *m;
	char *why = NULL;

	if (!acks || meta_open(argv[0], &m, &why) < 0) {
		fprintf(stderr, "child: %s\n", why ? why : "cannot map the acknowledgements");
		return 1;
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		children[i] =
			(struct child){.m = m, .acks = acks, .number = i, .seed = atoi(argv[2]) * 10 + i};
		if (pthread_create(&thread, NULL, child_thread, &children[i]))
			return 1;
	}
	for (;;)
		pause();
}

static void a_killed_process_leaves_a_consistent_volume(void **state)
{
	struct fixture *f = *state;
	char acks_path[PATH_MAX + 8];
	unsigned total = 0;
	struct acks *acks;

	snprintf(acks_path, sizeof(acks_path), "%s/acks", f->top);
	acks = map_acks(acks_path);
	assert_non_null(acks);
	for (int round = 0; round < 6; round++) {
		uint64_t *orphans = NULL;
		size_t count = 0;
		unsigned before = all_acks(acks);
		char seed[16];
		int status;
		pid_t pid;

		meta_close(f->m);
		f->m = NULL;
		snprintf(seed, sizeof(seed), "%d", round);
		pid = fork();
		if (!pid) {
			execl("/proc/self/exe", "workload_test", "child", f->dir, acks_path, seed, NULL);
			_exit(1);
		}
		assert_true(pid > 0);
		for (int i = 0; i < 3000 && all_acks(acks) == before; i++)
			usleep(10000);
		usleep(200000 + round * 37000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));

		fixture_open(f);
		assert_consistent(f);
		total = 0;
		for (int i = 0; i < THREADS; i++) {
			for (uint32_t n = 0; n < acks->made[i]; n++, total++) {
				char name[32];

				snprintf(name, sizeof(name), "ack-%d-%u", i, n);
				assert_int_not_equal(look(f, 1, name), 0);
			}
		}
		assert_int_equal(meta_list_orphans(f->m, &orphans, &count), 0);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(meta_reap(f->m, orphans[i]), 0);
		free(orphans);
		assert_consistent(f);
	}
	assert_true(total >= 6);
	munmap(acks, sizeof(*acks));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		META_TEST(no_name_is_lost_where_many_work),
		META_TEST(a_name_is_made_by_one_only),
		META_TEST(directories_moved_below_each_other_make_no_loop),
		META_TEST(swaps_and_writes_do_not_get_in_each_others_way),
		META_TEST(a_reader_sees_each_name_that_stays_once),
		META_TEST(a_killed_process_leaves_a_consistent_volume),
	};

	if (argc == 5 && !strcmp(argv[1], "child"))
		return child_main(argv + 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
