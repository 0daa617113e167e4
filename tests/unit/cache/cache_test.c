/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cache/fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static void a_warm_cache_is_warm_after_a_restart(void **state)
{
	struct fixture *x = *state;
	struct cache_stats before, after;
	struct cache_file *f;

	for (uint64_t ino = 1; ino <= 20; ino++)
		put_whole(x, ino, ino, ino * 10000);
	before = stats(x);
	fixture_reopen(x);
	after = stats(x);
	assert_int_equal(before.files, 20);
	assert_int_equal(after.files, 20);
	assert_int_equal(after.bytes, before.bytes);
	assert_int_equal(x->n_drops, 0);
	for (uint64_t ino = 1; ino <= 20; ino++) {
		f = get(x, ino, ino, ino * 10000);
		assert_int_equal(read_checked(f, ino, 0, ino * 10000), ino * 10000);
		assert_int_equal(cache_cached_bytes(x->c, ino), ino * 10000);
		cache_file_put(f);
	}
	assert_int_equal(stats(x).corrupt, 0);
}

static void another_version_drops_what_is_cached(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	for (int restart = 0; restart <= 1; restart++) {
		x->n_drops = 0;
		put_whole(x, 7, 1, 3 * B);
		if (restart)
			fixture_reopen(x);
		f = get(x, 7, 2, 3 * B);
		assert_int_equal(x->n_drops, 1);
		assert_int_equal(x->drops[0].first, 0);
		assert_true(x->drops[0].last == UINT64_MAX);
		assert_int_equal(read_checked(f, 2, 0, 3 * B), 0);
		assert_int_equal(stats(x).files, 0);
		assert_int_equal(for_data_files(x, NULL, NULL), 0);
		cache_file_put(f);
		cache_forget(x->c, 7);
	}
}

static void the_same_version_of_another_size_is_not_believed(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 7, 1, 3 * B);
	f = get(x, 7, 1, 2 * B);
	assert_int_equal(read_checked(f, 1, 0, 3 * B), 0);
	cache_file_put(f);
}

static void who_holds_the_old_version_goes_on_reading_it(void **state)
{
	struct fixture *x = *state;
	struct cache_file *old, *new;
	uint64_t old_id, new_id;

	put_whole(x, 7, 1, 3 * B);
	fixture_reopen(x); /* so that the old one still needs its index records */
	old = get(x, 7, 1, 3 * B);
	assert_int_equal(cache_file_id(old, &old_id), 0);
	new = get(x, 7, 2, 4 * B);
	assert_ptr_not_equal(old, new);
	assert_int_equal(fill(new, 2, 0, 4 * B), 0);
	assert_int_equal(cache_file_id(new, &new_id), 0);
	assert_int_not_equal(old_id, new_id);
	assert_int_equal(for_data_files(x, NULL, NULL), 1);
	assert_int_equal(read_checked(old, 1, 0, 4 * B), 3 * B);
	assert_int_equal(read_checked(new, 2, 0, 4 * B), 4 * B);
	assert_int_equal(cache_write(old, 0, 1, "x"), -ESTALE);
	assert_int_equal(cache_commit(old, 3, 3 * B), -ESTALE);
	assert_int_equal(stats(x).files, 2);
	cache_file_put(old);
	assert_int_equal(stats(x).files, 1);
	assert_in_range(stats(x).bytes, 4 * B, 5 * B);
	cache_file_put(new);
	fixture_reopen(x);
	new = get(x, 7, 2, 4 * B);
	assert_int_equal(read_checked(new, 2, 0, 4 * B), 4 * B);
	cache_file_put(new);
}

static void a_forgotten_inode_is_gone_but_readable_to_its_holders(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f, *again;

	f = get(x, 7, 1, 2 * B);
	assert_int_equal(fill(f, 1, 0, 2 * B), 0);
	assert_int_equal(cache_write(f, 0, 1, "x"), 0);
	cache_forget(x->c, 7);
	assert_int_equal(x->n_drops, 1);
	assert_int_equal(for_data_files(x, NULL, NULL), 0);
	assert_int_equal(read_checked(f, 1, B, B), B);
	assert_int_equal(cache_write(f, 0, 1, "x"), -ESTALE);
	again = get(x, 7, 9, 5);
	assert_int_equal(read_checked(again, 9, 0, 5), 0);
	cache_file_put(again);
	cache_file_put(f);
	assert_int_equal(stats(x).bytes, 0);
	assert_int_equal(stats(x).dirty_bytes, 0);
	cache_forget(x->c, 12345);
}

static void two_references_share_one_file(void **state)
{
	struct fixture *x = *state;
	struct cache_file *a = get(x, 7, 1, B), *b = get(x, 7, 1, B);

	assert_ptr_equal(a, b);
	assert_int_equal(cache_file_fd(a), cache_file_fd(b));
	cache_file_put(a);
	assert_int_equal(fill(b, 1, 0, B), 0);
	assert_int_equal(cache_file_ino(b), 7);
	cache_file_put(b);
}

static void a_second_process_is_refused_with_a_reason(void **state)
{
	struct fixture *x = *state;
	struct cache *second = NULL;
	char *why = NULL;

	assert_int_equal(cache_open(&x->options, &second, &why), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(why, x->dir));
	free(why);
}

static void senseless_options_are_refused(void **state)
{
	struct fixture *x = *state;
	struct cache_options bad[] = {x->options, x->options, x->options, x->options, x->options};

	bad[0].dir = NULL;
	bad[1].volume_uuid = NULL;
	bad[2].free_space_ratio = -0.1;
	bad[3].free_space_ratio = 1.5;
	bad[4].free_space_ratio = __builtin_nan("");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct cache *c = NULL;
		char *why = NULL;

		assert_int_equal(cache_open(&bad[i], &c, &why), -EINVAL);
		assert_non_null(why);
		free(why);
	}
}

static void the_cache_of_another_volume_is_emptied(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 7, 1, B);
	x->options.volume_uuid = "another";
	fixture_reopen(x);
	assert_int_equal(stats(x).files, 0);
	assert_int_equal(for_data_files(x, NULL, NULL), 0);
	f = get(x, 7, 1, B);
	assert_int_equal(read_checked(f, 1, 0, B), 0);
	cache_file_put(f);
}

static void damage_sst(struct fixture *x)
{
	char path[4096], file[8192];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/index", x->dir);
	d = opendir(path);
	while ((e = readdir(d)))
		if (strstr(e->d_name, ".sst")) {
			snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
			assert_int_equal(truncate(file, 100), 0);
		}
	closedir(d);
}

static void a_damaged_index_starts_an_empty_cache(void **state)
{
	struct fixture *x = *state;

	put_whole(x, 7, 1, B);
	fixture_reopen(x); /* moves the log into a table */
	cache_close(x->c);
	damage_sst(x);
	fixture_open(x);
	assert_int_equal(stats(x).files, 0);
	assert_int_equal(for_data_files(x, NULL, NULL), 0);
	put_whole(x, 7, 1, B);
}

static void many_idle_inodes_keep_few_descriptors_open(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;
	unsigned open_fds = 0;
	struct dirent *e;
	DIR *d;

	for (uint64_t ino = 1; ino <= 1500; ino++)
		put_whole(x, ino, 1, 10);
	d = opendir("/proc/self/fd");
	while ((e = readdir(d)))
		open_fds++;
	closedir(d);
	assert_true(open_fds < 400);
	assert_int_equal(stats(x).files, 1500);
	for (uint64_t ino = 1; ino <= 1500; ino++) {
		f = get(x, ino, 1, 10);
		assert_int_equal(read_checked(f, 1, 0, 10), 10);
		cache_file_put(f);
	}
	assert_int_equal(x->n_drops, 0);
}

static void without_descriptors_the_owner_reads_through(void **state)
{
	struct fixture *x = *state;
	struct rlimit old, none;
	struct cache_file *f;
	int fd;

	put_whole(x, 7, 1, B);
	fixture_reopen(x);
	f = get(x, 7, 1, B);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	fd = dup(0);
	close(fd);
	none = (struct rlimit){(rlim_t)fd, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(read_checked(f, 1, 0, B), 0);
	assert_int_equal(fill(f, 1, 0, B), -ENOSPC);
	assert_int_equal(cache_write(f, 0, 1, "x"), -ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(read_checked(f, 1, 0, B), B);
	cache_file_put(f);
}

/* ---- kill -9 ---- */

#define CRASH_INODES 8
#define CRASH_SIZE (6 * B + 1000)

/** What the metadata of the child's volume says: written before the cache is told, as the owner does. */
struct crash_shared {
	_Atomic uint64_t version[CRASH_INODES];
	_Atomic uint64_t steps;
};

static struct crash_shared *crash_map(const char *dir)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	assert_true(asprintf(&path, "%s/shared", dir) > 0);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, sizeof(struct crash_shared)), 0);
	return mmap(NULL, sizeof(struct crash_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/** Fill, write, upload and commit for ever; version n of an inode is pattern n, as a whole. */
static int crash_child(const char *dir, unsigned seed)
{
	const struct cache_options options = {.dir = dir, .volume_uuid = FIXTURE_VOLUME};
	_cleanup_free_ char *data = malloc(CRASH_SIZE);
	struct crash_shared *shared = crash_map(dir);
	struct cache *c;
	char *why = NULL;

	if (cache_open(&options, &c, &why))
		_exit(1);
	for (;;) {
		unsigned i = (unsigned)rand_r(&seed) % CRASH_INODES;
		uint64_t version = shared->version[i], at = (unsigned)rand_r(&seed) % 6 * B;
		struct cache_file *f;

		if (cache_file_get(c, i + 1, version, CRASH_SIZE, &f))
			_exit(2);
		pattern_fill(i + 1, version, 0, CRASH_SIZE, data);
		if (rand_r(&seed) % 2) {
			if (cache_fill(f, version, at, CRASH_SIZE - at, data + at))
				_exit(3);
		} else {
			pattern_fill(i + 1, version + 1, 0, CRASH_SIZE, data);
			for (uint64_t done = 0; done < CRASH_SIZE; done += 10000)
				if (cache_write(f, done,
				                CRASH_SIZE - done < 10000 ? CRASH_SIZE - done : 10000,
				                data + done))
					_exit(4);
			if (cache_begin_upload(f, 0, CRASH_SIZE))
				_exit(5);
			shared->version[i] = version + 1;
			cache_end_upload(f, 0, CRASH_SIZE, true);
			if (cache_commit(f, version + 1, CRASH_SIZE))
				_exit(6);
		}
		cache_file_put(f);
		shared->steps++;
	}
}

static void a_killed_process_leaves_no_wrong_byte(void **state)
{
	struct fixture *x = *state;
	struct crash_shared *shared = crash_map(x->dir);
	uint64_t served = 0;

	assert_ptr_not_equal(shared, MAP_FAILED);
	for (unsigned i = 0; i < CRASH_INODES; i++)
		shared->version[i] = 1;
	for (unsigned round = 0; round < 10; round++) {
		struct timespec pause = {.tv_nsec = 1000000 + (long)round * 777777};
		uint64_t steps = shared->steps;
		char seed[16];
		int status;
		pid_t child;

		cache_close(x->c);
		snprintf(seed, sizeof(seed), "%u", round);
		child = fork();
		if (!child) {
			execl("/proc/self/exe", "cache_test", "crash", x->dir, seed, NULL);
			_exit(127);
		}
		do
			nanosleep(&pause, NULL);
		while (shared->steps < steps + 20 && waitpid(child, &status, WNOHANG) == 0);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		fixture_open(x);
		for (unsigned i = 0; i < CRASH_INODES; i++) {
			struct cache_file *f = get(x, i + 1, shared->version[i], CRASH_SIZE);

			for (uint64_t at = 0; at < CRASH_SIZE; at += B)
				served += read_checked(f, shared->version[i], at, B);
			cache_file_put(f);
		}
		/* The index was right before the bytes were changed, not only by the grace of the CRCs. */
		assert_int_equal(stats(x).corrupt, 0);
	}
	assert_true(served > 0);
	munmap(shared, sizeof(*shared));
}

static void what_a_crash_left_behind_is_swept_away(void **state)
{
	struct fixture *x = *state;
	uint64_t bytes;
	char path[4096];

	put_whole(x, 7, 1, B);
	bytes = stats(x).bytes;
	cache_close(x->c);
	snprintf(path, sizeof(path), "%s/data/07/7.1.99", x->dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	fixture_open(x);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(stats(x).bytes, bytes);
	assert_int_equal(for_data_files(x, NULL, NULL), 1);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "crash") == 0)
		return crash_child(argv[2], (unsigned)atoi(argv[3]));
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_warm_cache_is_warm_after_a_restart),
		TEST(another_version_drops_what_is_cached),
		TEST(the_same_version_of_another_size_is_not_believed),
		TEST(who_holds_the_old_version_goes_on_reading_it),
		TEST(a_forgotten_inode_is_gone_but_readable_to_its_holders),
		TEST(two_references_share_one_file),
		TEST(a_second_process_is_refused_with_a_reason),
		TEST(senseless_options_are_refused),
		TEST(the_cache_of_another_volume_is_emptied),
		TEST(a_damaged_index_starts_an_empty_cache),
		TEST(many_idle_inodes_keep_few_descriptors_open),
		TEST(without_descriptors_the_owner_reads_through),
		TEST(a_killed_process_leaves_no_wrong_byte),
		TEST(what_a_crash_left_behind_is_swept_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
