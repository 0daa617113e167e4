/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cache/fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

static void limit(struct fixture *x, uint64_t max_bytes)
{
	x->options.max_bytes = max_bytes;
	fixture_reopen(x);
}

static bool is_cached(struct fixture *x, uint64_t ino)
{
	return cache_cached_bytes(x->c, ino) > 0;
}

static void the_least_recently_used_files_go_first(void **state)
{
	struct fixture *x = *state;

	limit(x, 64 * B);
	for (uint64_t ino = 1; ino <= 100; ino++) {
		put_whole(x, ino, 1, 2 * B);
		put_whole(x, 1, 1, 2 * B); /* always in use */
		assert_true(stats(x).bytes <= 64 * B);
	}
	assert_true(is_cached(x, 1));
	assert_true(is_cached(x, 100));
	assert_true(is_cached(x, 90));
	for (uint64_t ino = 2; ino <= 60; ino++)
		assert_false(is_cached(x, ino));
	assert_in_range(stats(x).evictions, 2 * 60, 2 * 99);
	assert_int_equal(stats(x).full, 0);
	assert_true(x->n_drops >= 60);
	for (unsigned i = 0; i < x->n_drops; i++)
		assert_int_not_equal(x->drops[i].ino, 1);
}

static void the_order_of_use_survives_a_restart(void **state)
{
	struct fixture *x = *state;

	for (uint64_t ino = 1; ino <= 20; ino++)
		put_whole(x, ino, 1, 2 * B);
	put_whole(x, 3, 1, 2 * B);
	fixture_reopen(x);
	put_whole(x, 5, 1, 2 * B);
	limit(x, stats(x).bytes);
	for (uint64_t ino = 101; ino <= 110; ino++)
		put_whole(x, ino, 1, 2 * B);
	assert_true(is_cached(x, 3));
	assert_true(is_cached(x, 5));
	assert_true(is_cached(x, 20));
	assert_false(is_cached(x, 1));
	assert_false(is_cached(x, 2));
	assert_false(is_cached(x, 4));
}

static void more_than_the_limit_is_not_cached_at_all(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	limit(x, 10 * B);
	put_whole(x, 1, 1, 2 * B);
	f = get(x, 2, 1, 40 * B);
	assert_int_equal(fill(f, 1, 0, 40 * B), -ENOSPC);
	assert_int_equal(stats(x).full, 1);
	assert_true(is_cached(x, 1));
	assert_int_equal(read_checked(f, 1, 0, 40 * B), 0);
	cache_file_put(f);
}

static void nothing_changed_is_ever_evicted(void **state)
{
	struct fixture *x = *state;
	_cleanup_free_ char *data = malloc(B);
	struct cache_file *f, *g;
	uint64_t written = 0;
	int r = 0;

	limit(x, 64 * B);
	f = get(x, 1, 1, 0);
	for (; written < 100 * B && !r; written += r ? 0 : B) {
		pattern_fill(1, 1, written, B, data);
		r = cache_write(f, written, B, data);
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(written >= 50 * B);
	g = get(x, 2, 1, 100); /* there may be room for this one */
	fill(g, 1, 0, 100);
	cache_file_put(g);
	assert_int_equal(read_checked(f, 1, 0, 100 * B), written);
	assert_true(stats(x).full >= 1);
	/* Uploaded, but not committed: still not. */
	assert_int_equal(cache_begin_upload(f, 0, written), 0);
	assert_int_equal(cache_write(f, written, B, data), -ENOSPC);
	cache_end_upload(f, 0, written, true);
	assert_int_equal(cache_write(f, written, B, data), -ENOSPC);
	assert_int_equal(read_checked(f, 1, 0, 100 * B), written);
	/* Committed: there is room again. */
	assert_int_equal(cache_commit(f, 2, written), 0);
	assert_int_equal(cache_write(f, written, B, data), 0);
	cache_file_put(f);
}

static void a_file_larger_than_the_cache_is_read_through_it(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;
	uint64_t id, same;

	limit(x, 4 * C);
	f = get(x, 1, 1, 16 * C);
	assert_int_equal(cache_file_id(f, &id), 0);
	for (uint64_t at = 0; at < 16 * C; at += C / 4) {
		assert_int_equal(fill(f, 1, at, C / 4), 0);
		assert_int_equal(read_checked(f, 1, at, C / 4), C / 4);
		assert_true(stats(x).bytes <= 4 * C + B);
	}
	assert_int_equal(stats(x).full, 0);
	assert_true(stats(x).evictions >= 12 * 64);
	assert_true(cache_cached_bytes(x->c, 1) >= 2 * C);
	assert_int_equal(read_checked(f, 1, 15 * C, C), C); /* the oldest chunks went, not the newest */
	assert_int_equal(cache_file_id(f, &same), 0);
	assert_int_equal(id, same);
	for (unsigned i = 0; i < x->n_drops; i++)
		assert_true(x->drops[i].last != UINT64_MAX);
	cache_file_put(f);
}

static void a_large_idle_file_goes_chunk_by_chunk(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 1, 1, 5 * C);
	limit(x, 6 * C);
	put_whole(x, 2, 1, 2 * C - 4 * B);
	assert_true(is_cached(x, 1));
	assert_in_range(cache_cached_bytes(x->c, 1), 2 * C, 4 * C);
	f = get(x, 1, 1, 5 * C);
	assert_int_equal(read_checked(f, 1, 4 * C, C), C);
	cache_file_put(f);
}

static void an_owner_who_wants_all_space_free_gets_nothing_cached(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 1, 1, B);
	x->options.free_space_ratio = 1.0;
	fixture_reopen(x);
	f = get(x, 2, 1, B);
	assert_int_equal(fill(f, 1, 0, B), -ENOSPC);
	assert_int_equal(cache_write(f, 0, 3, "abc"), -ENOSPC);
	assert_int_equal(stats(x).full, 2);
	assert_false(is_cached(x, 1));
	cache_file_put(f);
}

/* ---- before_drop: what a reader past the cache would see ---- */

struct witness {
	struct fixture *x;
	int fd;         /* of the data file, as a registered backing file has it */
	unsigned holes; /* sub-blocks that were gone already when before_drop was called */
	unsigned asked;
};

static void look(void *arg, uint64_t ino, uint64_t first, uint64_t last)
{
	struct witness *w = arg;
	uint8_t byte;

	if (ino != 1)
		return;
	if (last == UINT64_MAX)
		last = 1;
	w->asked++;
	for (uint64_t at = first * C; at < (last + 1) * C; at += B)
		if (pread(w->fd, &byte, 1, (off_t)at) != 1 || byte != pattern(1, 1, at))
			w->holes++;
}

static void the_owner_is_told_before_bytes_go(void **state)
{
	struct fixture *x = *state;
	struct witness w = {.x = x};
	struct cache_file *f;
	uint8_t byte = 1;

	x->options.before_drop = look;
	x->options.before_drop_arg = &w;
	limit(x, 2 * C + 8 * B);
	f = get(x, 1, 1, 2 * C);
	assert_int_equal(fill(f, 1, 0, 2 * C), 0);
	w.fd = dup(cache_file_fd(f));
	put_whole(x, 2, 1, C); /* a chunk goes; maybe both */
	assert_in_range(w.asked, 1, 2);
	assert_int_equal(w.holes, 0);
	assert_int_equal(pread(w.fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
	cache_file_put(f);
	close(w.fd);
}

static void the_owner_is_told_before_bytes_are_cut_or_the_file_is_replaced(void **state)
{
	struct fixture *x = *state;
	struct witness w = {.x = x};
	struct cache_file *f;

	x->options.before_drop = look;
	x->options.before_drop_arg = &w;
	fixture_reopen(x);
	f = get(x, 1, 1, 2 * C);
	assert_int_equal(fill(f, 1, 0, 2 * C), 0);
	w.fd = dup(cache_file_fd(f));
	cache_file_put(f);
	f = get(x, 1, 2, 2 * C);
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.holes, 0);
	cache_file_put(f);
	cache_forget(x->c, 1);
	close(w.fd);

	f = get(x, 1, 1, 2 * C);
	assert_int_equal(fill(f, 1, 0, 2 * C), 0);
	w.fd = dup(cache_file_fd(f));
	w.asked = 0;
	assert_int_equal(cache_invalidate(f, C, B), 0);
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.holes, 0);
	assert_int_equal(cache_commit(f, 2, 2 * C), 0);
	assert_int_equal(cache_truncate(f, C + 1), 0);
	assert_int_equal(w.asked, 2);
	assert_int_equal(w.holes, 1); /* what was invalidated */
	cache_file_put(f);
	close(w.fd);
}

/** Filling what is there already takes no room from others. */
static void a_second_fill_evicts_nothing(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	limit(x, 20 * B);
	put_whole(x, 1, 1, 8 * B);
	put_whole(x, 2, 1, 8 * B);
	f = get(x, 2, 1, 8 * B);
	assert_int_equal(fill(f, 1, 0, 8 * B), 0);
	cache_file_put(f);
	assert_true(is_cached(x, 1));
}

/* ---- never a wrong byte while it is evicted and fetched again ---- */

#define RACE_SIZE (6 * C + 12345)
#define RACE_CHUNKS 7

struct race {
	struct fixture *x;
	struct cache_file *f;
	_Atomic bool stop;
	_Atomic uint64_t cached, fetched, past, wrong;

	/* What the kernel has: bits published per chunk, and a barrier. */
	pthread_rwlock_t barrier;
	uint64_t published[RACE_CHUNKS];
	uint64_t epoch; /* counts drops: a publish that raced with one must lose */
};

static void race_before_drop(void *arg, uint64_t ino, uint64_t first, uint64_t last)
{
	struct race *r = arg;

	if (ino != 1)
		return;
	pthread_rwlock_wrlock(&r->barrier);
	for (uint64_t i = first; i <= last && i < RACE_CHUNKS; i++)
		r->published[i] = 0;
	r->epoch++;
	pthread_rwlock_unlock(&r->barrier);
}

static void race_check(struct race *r, uint64_t at, size_t n, const uint8_t *data)
{
	for (size_t i = 0; i < n; i += i + 8 < n ? 8 : 1)
		if (data[i] != pattern(1, 1, at + i)) {
			r->wrong++;
			return;
		}
}

static uint64_t race_place(unsigned *seed)
{
	return (uint64_t)rand_r(seed) * 977 % RACE_SIZE;
}

/** The daemon: read, fetch what is missing, publish. */
static void *race_daemon(void *arg)
{
	struct race *r = arg;
	unsigned seed = (unsigned)(uintptr_t)&seed;
	_cleanup_free_ uint8_t *data = malloc(2 * B);

	while (!r->stop) {
		uint64_t at = race_place(&seed), epoch, valid;
		ssize_t n = cache_read(r->f, at, B, data);

		if (n < 0)
			r->wrong++;
		if (n > 0) {
			race_check(r, at, (size_t)n, data);
			r->cached++;
			continue;
		}
		at = at / B * B;
		fill(r->f, 1, at, at + 2 * B < RACE_SIZE ? 2 * B : RACE_SIZE - at);
		r->fetched++;
		pthread_rwlock_rdlock(&r->barrier);
		epoch = r->epoch;
		pthread_rwlock_unlock(&r->barrier);
		if (cache_valid(r->f, at / C, &valid))
			continue;
		pthread_rwlock_wrlock(&r->barrier);
		if (r->epoch == epoch)
			r->published[at / C] = valid;
		pthread_rwlock_unlock(&r->barrier);
	}
	return NULL;
}

/** The kernel: reads the data file where its map says it may. */
static void *race_kernel(void *arg)
{
	struct race *r = arg;
	unsigned seed = 5;
	_cleanup_free_ uint8_t *data = malloc(B);
	int fd = cache_file_fd(r->f);

	while (!r->stop) {
		uint64_t at = race_place(&seed) / B * B;
		size_t n = at + B < RACE_SIZE ? B : RACE_SIZE - at;

		pthread_rwlock_rdlock(&r->barrier);
		if (r->published[at / C] >> at / B % 64 & 1) {
			if (pread(fd, data, n, (off_t)at) != (ssize_t)n)
				r->wrong++;
			race_check(r, at, n, data);
			r->past++;
		}
		pthread_rwlock_unlock(&r->barrier);
	}
	return NULL;
}

/** Others, who need the room. */
static void *race_others(void *arg)
{
	struct race *r = arg;

	for (uint64_t i = 0; !r->stop; i++) {
		struct cache_file *f;

		if (cache_file_get(r->x->c, 2 + i % 5, 1, 8 * B, &f))
			continue;
		fill(f, 1, 0, 8 * B);
		cache_file_put(f);
		cache_forget(r->x->c, 2 + (i + 2) % 5);
	}
	return NULL;
}

static void a_file_read_flat_out_while_it_is_evicted_never_has_a_wrong_byte(void **state)
{
	struct fixture *x = *state;
	struct race r = {.x = x, .barrier = PTHREAD_RWLOCK_INITIALIZER};
	void *(*const run[])(void *) = {race_daemon, race_daemon, race_kernel, race_others};
	pthread_t threads[ARRAY_SIZE(run)];
	const struct timespec tick = {.tv_nsec = 20000000};

	x->options.before_drop = race_before_drop;
	x->options.before_drop_arg = &r;
	limit(x, 3 * C);
	r.f = get(x, 1, 1, RACE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run[i], &r), 0);
	/* Until all of it has happened often enough, or 20 s. */
	for (unsigned i = 0; i < 1000 && !r.wrong; i++) {
		nanosleep(&tick, NULL);
		if (r.cached > 2000 && r.fetched > 500 && r.past > 500 && stats(x).evictions > 2000)
			break;
	}
	r.stop = true;
	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(stats(x).corrupt, 0);
	assert_true(r.cached > 0 && r.fetched > 0 && r.past > 0);
	assert_true(stats(x).evictions > 0);
	cache_file_put(r.f);
	/* It may be evicting still, and then call with what is on this stack. */
	x->options.before_drop = NULL;
	fixture_reopen(x);
	pthread_rwlock_destroy(&r.barrier);
}

/* ---- writers, uploads and commits in threads of their own ---- */

#define STAGE_SIZE (2 * C)

struct stage {
	struct fixture *x;
	struct cache_file *f;
	_Atomic bool stop;
	_Atomic uint64_t wrong, commits;
	uint8_t *store; /* what was uploaded */
};

/** Each writer has its half, and writes numbers that only go up. */
static void *stage_writer(void *arg)
{
	struct stage *s = arg;
	unsigned seed = 3;
	uint64_t v = 0, out;

	while (!s->stop) {
		uint64_t at = (uint64_t)rand_r(&seed) % (STAGE_SIZE / 8) * 8;

		v++;
		if (cache_write(s->f, at, 8, &v) == 0) {
			ssize_t n = cache_read(s->f, at, 8, &out);

			/* 0: committed and evicted already */
			if (n && (n != 8 || out != v))
				s->wrong++;
		}
	}
	return NULL;
}

static int stage_upload(uint64_t offset, uint64_t length, void *arg)
{
	struct stage *s = arg;
	_cleanup_free_ uint8_t *data = malloc(length);
	bool ok = length % 3 != 0;

	if (cache_begin_upload(s->f, offset, length) || cache_read_dirty(s->f, offset, length, data)) {
		s->wrong++;
		return 1;
	}
	if (ok)
		memcpy(s->store + offset, data, length);
	cache_end_upload(s->f, offset, length, ok);
	return 0;
}

static void *stage_uploader(void *arg)
{
	struct stage *s = arg;

	while (!s->stop) {
		cache_for_dirty(s->f, 0, UINT64_MAX, stage_upload, s);
		if (cache_commit(s->f, 1 + ++s->commits, STAGE_SIZE))
			s->wrong++;
	}
	return NULL;
}

static void *stage_evicter(void *arg)
{
	struct stage *s = arg;

	for (uint64_t i = 0; !s->stop; i++) {
		struct cache_file *f;

		if (cache_file_get(s->x->c, 2 + i % 50, 1, 4 * B, &f))
			continue;
		fill(f, 1, 0, 4 * B);
		cache_file_put(f);
	}
	return NULL;
}

static int stage_rest(uint64_t offset, uint64_t length, void *arg)
{
	struct stage *s = arg;

	return cache_read_dirty(s->f, offset, length, s->store + offset);
}

static void what_is_written_during_uploads_is_never_forgotten(void **state)
{
	struct fixture *x = *state;
	struct stage s = {.x = x, .store = calloc(1, STAGE_SIZE)};
	void *(*const run[])(void *) = {stage_writer, stage_uploader, stage_evicter};
	pthread_t threads[ARRAY_SIZE(run)];
	const struct timespec a_while = {.tv_nsec = 700000000};
	_cleanup_free_ uint8_t *cached = malloc(STAGE_SIZE);

	limit(x, 3 * C);
	s.f = get(x, 1, 1, STAGE_SIZE);
	assert_int_equal(cache_fill(s.f, 1, 0, STAGE_SIZE, s.store), 0);
	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run[i], &s), 0);
	nanosleep(&a_while, NULL);
	s.stop = true;
	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s.wrong, 0);
	assert_true(s.commits > 0);
	/* What was uploaded, and what is still dirty, is all there ever was. */
	assert_int_equal(cache_for_dirty(s.f, 0, UINT64_MAX, stage_rest, &s), 0);
	for (uint64_t at = 0; at < STAGE_SIZE; at += B) {
		ssize_t n = cache_read(s.f, at, B, cached);

		assert_memory_equal(cached, s.store + at, (size_t)n);
	}
	cache_file_put(s.f);
	free(s.store);
}

/* ---- a full disk ---- */

static void balloon(const char *dir, bool up)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	char block[4096] = {1};

	assert_true(asprintf(&path, "%s/balloon", dir) > 0);
	if (!up) {
		assert_int_equal(unlink(path), 0);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
}

static void use_a_full_disk(struct fixture *x)
{
	struct cache_file *f, *g;
	uint64_t cached = 0, at;
	int r = 0;

	fixture_open(x);
	f = get(x, 1, 1, 100 * C);
	assert_int_equal(fill(f, 1, 0, C), 0);
	assert_int_equal(cache_write(f, 2 * C, 5, "dirty"), 0);
	balloon(x->dir, true);

	/* Fills and writes are refused, nothing else: what is there is read, what is not is a miss. */
	for (at = 3 * C; at < 99 * C && !r; at += C)
		r = fill(f, 1, at, C);
	assert_int_equal(r, -ENOSPC);
	assert_true(stats(x).full >= 1);
	for (at = 0; at < 99 * C; at += B)
		if (at / C != 2)
			cached += read_checked(f, 1, at, B);
	assert_true(cached > 0 || stats(x).evictions > 0);
	for (at = 2 * C + 100, r = 0; at < 30 * C && !r; at += C / 2) {
		char byte[5];

		r = fill(f, 1, at / C * C, C / 2);
		assert_int_equal(cache_read(f, 2 * C, 5, byte), 5);
		assert_memory_equal(byte, "dirty", 5);
	}
	g = get(x, 2, 1, 20 * C);
	assert_int_equal(fill(g, 1, 0, 20 * C), -ENOSPC);
	for (at = 0; at < 20 * C; at += B)
		read_checked(g, 1, at, B);
	cache_file_put(g);

	/* There is room again: it goes on, without a restart. */
	balloon(x->dir, false);
	for (unsigned i = 0; i < 200; i++) {
		const struct timespec tick = {.tv_nsec = 50000000};

		g = get(x, 3, 1, C);
		r = fill(g, 1, 0, C);
		if (!r)
			assert_true(cache_is_complete(g));
		cache_file_put(g);
		if (!r)
			break;
		nanosleep(&tick, NULL);
	}
	assert_int_equal(r, 0);
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 1, 1, 100 * C);
	for (at = 0; at < 99 * C; at += B)
		read_checked(f, 1, at, B);
	cache_file_put(f);
	cache_close(x->c);
}

/** In a process of its own: the mount is in its namespace only, and ends with it. */
static int full_disk_child(const char *dir)
{
	struct fixture x = {.dir = (char *)dir, .lock = PTHREAD_MUTEX_INITIALIZER};

	x.options = (struct cache_options){
		.dir = dir,
		.volume_uuid = FIXTURE_VOLUME,
		.before_drop = fixture_before_drop,
		.before_drop_arg = &x,
	};
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("full", dir, "tmpfs", 0, "size=40m,mode=0700") < 0)
		return 77;
	use_a_full_disk(&x);
	return 0;
}

static void a_full_disk_degrades_to_reading_through(void **state)
{
	char *dir = tempdir_make();
	int status = 0;
	pid_t child;

	(void)state;
	child = fork();
	if (!child) {
		execl("/proc/self/exe", "evict_test", "full", dir, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	tempdir_remove(dir);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("skipped: may not mount a small tmpfs in a name space of its own (not root)\n");
		skip();
	}
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "full") == 0)
		return full_disk_child(argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_least_recently_used_files_go_first),
		TEST(the_order_of_use_survives_a_restart),
		TEST(more_than_the_limit_is_not_cached_at_all),
		TEST(nothing_changed_is_ever_evicted),
		TEST(a_file_larger_than_the_cache_is_read_through_it),
		TEST(a_large_idle_file_goes_chunk_by_chunk),
		TEST(an_owner_who_wants_all_space_free_gets_nothing_cached),
		TEST(the_owner_is_told_before_bytes_go),
		TEST(the_owner_is_told_before_bytes_are_cut_or_the_file_is_replaced),
		TEST(a_second_fill_evicts_nothing),
		TEST(a_file_read_flat_out_while_it_is_evicted_never_has_a_wrong_byte),
		TEST(what_is_written_during_uploads_is_never_forgotten),
		cmocka_unit_test(a_full_disk_degrades_to_reading_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
