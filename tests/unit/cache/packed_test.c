/* SPDX-License-Identifier: Apache-2.0 */
/* Small files in pack files, seen from the owner of the cache. */
#include "tests/unit/cache/fixture.h"

#define SIZE 2600

static int packed_setup(void **state)
{
	struct fixture *x;
	int r = setup(state);

	x = *state;
	x->options.pack_max = CACHE_PACK_MAX;
	fixture_reopen(x);
	return r;
}

static struct cache_place place_of(struct cache_file *f)
{
	struct cache_place place = {};

	assert_int_equal(cache_file_pack(f, &place), 0);
	assert_true(place.offset);
	assert_int_equal(place.offset % 4096, 0);
	return place;
}

/** What somebody sees who has the place only. */
static void assert_at_place(const struct cache_place *place, uint64_t ino, uint64_t version, size_t size)
{
	_cleanup_free_ char *data = malloc(size);

	assert_int_equal(pread(place->fd, data, size, (off_t)place->offset), size);
	assert_pattern(ino, version, 0, size, data);
}

static void write_whole(struct cache_file *f, uint64_t version, uint64_t size)
{
	_cleanup_free_ char *data = malloc(size);

	pattern_fill(cache_file_ino(f), version, 0, size, data);
	assert_int_equal(cache_write(f, 0, size, data), 0);
	upload(f, 0, size, true);
	assert_int_equal(cache_commit(f, version, size), 0);
}

static void small_files_share_a_file(void **state)
{
	static const uint64_t sizes[] = {1, 2600, 4096, 4097, B - 1, B};
	struct fixture *x = *state;

	for (uint64_t i = 0; i < 6; i++)
		put_whole(x, i + 1, 7, sizes[i]);
	put_whole(x, 9, 7, B + 1);
	assert_int_equal(for_data_files(x, NULL, NULL), 1);
	assert_int_equal(stats(x).files, 7);
	assert_int_equal(stats(x).packed, 6);
	assert_int_equal(stats(x).packs, 1);
	for (uint64_t i = 0; i < 6; i++) {
		struct cache_file *f = get(x, i + 1, 7, sizes[i]);
		struct cache_place place = place_of(f);
		uint64_t valid = 0;

		assert_true(cache_is_complete(f));
		assert_int_equal(cache_valid(f, 0, &valid), 0);
		assert_int_equal(valid, 1);
		assert_int_equal(read_checked(f, 7, 0, B + 100), sizes[i]);
		assert_int_equal(read_checked(f, 7, sizes[i] - 1, 100), 1);
		assert_at_place(&place, i + 1, 7, sizes[i]);
		assert_int_equal(fill(f, 7, 0, sizes[i]), 0); /* there is nothing to fill */
		assert_int_equal(cache_cached_bytes(x->c, i + 1), sizes[i]);
		cache_file_put(f);
	}
	assert_int_equal(stats(x).packed, 6);
	assert_int_equal(x->n_drops, 0);
}

static void they_are_there_after_a_restart(void **state)
{
	struct fixture *x = *state;
	uint64_t bytes;

	for (uint64_t ino = 1; ino <= 300; ino++)
		put_whole(x, ino, ino, SIZE + ino);
	bytes = stats(x).bytes;
	assert_int_equal(bytes, 300 * 4096);
	for (unsigned round = 0; round < 2; round++) {
		fixture_reopen(x);
		assert_int_equal(stats(x).packed, 300);
		assert_int_equal(stats(x).files, 300);
		assert_int_equal(stats(x).bytes, bytes);
		for (uint64_t ino = 1; ino <= 300; ino++) {
			struct cache_file *f;

			assert_int_equal(cache_cached_bytes(x->c, ino), SIZE + ino);
			f = get(x, ino, ino, SIZE + ino);
			assert_int_equal(read_checked(f, ino, 0, B), SIZE + ino);
			cache_file_put(f);
		}
		/* A new one takes nobody's place. */
		put_whole(x, 1000 + round, 1, SIZE);
		cache_forget(x->c, 1000 + round);
	}
}

static void another_version_is_a_miss_and_the_old_place_stays_readable(void **state)
{
	struct fixture *x = *state;
	struct cache_place place;
	struct cache_file *old, *f;

	put_whole(x, 5, 1, SIZE);
	old = get(x, 5, 1, SIZE);
	place = place_of(old);
	f = get(x, 5, 2, SIZE);
	assert_int_equal(x->n_drops, 1);
	assert_int_equal(x->drops[0].ino, 5);
	assert_true(x->drops[0].last == UINT64_MAX);
	assert_int_equal(read_checked(f, 2, 0, SIZE), 0);
	assert_int_equal(fill(f, 2, 0, SIZE), 0);
	assert_true(place_of(f).offset != place.offset);
	assert_at_place(&place, 5, 1, SIZE);
	assert_int_equal(read_checked(old, 1, 0, SIZE), SIZE);
	assert_int_equal(read_checked(f, 2, 0, SIZE), SIZE);
	assert_int_equal(stats(x).packed, 2);
	cache_file_put(old);
	cache_file_put(f);
	assert_int_equal(stats(x).packed, 1);
	fixture_reopen(x);
	assert_int_equal(cache_cached_bytes(x->c, 5), SIZE);
	f = get(x, 5, 3, SIZE); /* not loaded: the record goes */
	assert_int_equal(x->n_drops, 2);
	assert_int_equal(stats(x).packed, 0);
	assert_int_equal(stats(x).bytes, 0);
	cache_file_put(f);
}

static void a_write_leaves_the_pack_first(void **state)
{
	struct fixture *x = *state;
	struct cache_place place;
	struct cache_file *f;
	char data[SIZE];

	put_whole(x, 5, 1, SIZE);
	f = get(x, 5, 1, SIZE);
	place = place_of(f);
	assert_int_equal(cache_write(f, 10, 5, "hello"), 0);
	/* Told that its place goes, after it was out of it. */
	assert_int_equal(x->n_drops, 1);
	assert_true(x->drops[0].first == 0 && x->drops[0].last == UINT64_MAX);
	assert_int_equal(cache_file_pack(f, &place), -EBUSY);
	assert_int_equal(cache_read(f, 0, SIZE, data), SIZE);
	assert_memory_equal(data + 10, "hello", 5);
	assert_pattern(5, 1, 0, 10, data);
	assert_pattern(5, 1, 15, SIZE - 15, data + 15);
	assert_int_equal(stats(x).packed, 0);
	assert_int_equal(stats(x).files, 1);
	write_whole(f, 2, SIZE);
	/* Its writer has it still. */
	assert_int_equal(cache_file_pack(f, &place), -EBUSY);
	cache_file_put(f);
	f = get(x, 5, 2, SIZE);
	place = place_of(f);
	assert_at_place(&place, 5, 2, SIZE);
	assert_int_equal(read_checked(f, 2, 0, SIZE), SIZE);
	assert_int_equal(for_data_files(x, NULL, NULL), 0);
	assert_int_equal(stats(x).files, 1);
	assert_int_equal(stats(x).packed, 1);
	assert_int_equal(stats(x).bytes, 4096);
	cache_file_put(f);
	assert_int_equal(x->n_drops, 1);
	fixture_reopen(x);
	f = get(x, 5, 2, SIZE);
	assert_int_equal(read_checked(f, 2, 0, SIZE), SIZE);
	cache_file_put(f);
}

static void every_change_leaves_the_pack_first(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;
	char data[SIZE];

	for (uint64_t ino = 1; ino <= 4; ino++)
		put_whole(x, ino, 1, SIZE);

	f = get(x, 1, 1, SIZE);
	assert_int_equal(cache_truncate(f, 100), 0);
	assert_int_equal(read_checked(f, 1, 0, SIZE), 100);
	assert_int_equal(cache_truncate(f, 200), 0);
	assert_int_equal(cache_read(f, 0, SIZE, data), 200);
	for (unsigned i = 100; i < 200; i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(cache_commit(f, 2, 200), 0);
	cache_file_put(f);

	f = get(x, 2, 1, SIZE);
	assert_int_equal(cache_invalidate(f, 50, 10), 0);
	assert_int_equal(read_checked(f, 1, 0, SIZE), 0);
	assert_int_equal(fill(f, 1, 0, SIZE), 0); /* the bytes that it brings may be old */
	assert_int_equal(read_checked(f, 1, 0, SIZE), 0);
	assert_int_equal(cache_commit(f, 2, SIZE), 0);
	assert_int_equal(fill(f, 2, 0, SIZE), 0);
	cache_file_put(f);

	f = get(x, 3, 1, SIZE);
	assert_int_equal(cache_commit(f, 2, SIZE), 0);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
	cache_file_put(f);

	/* The data file that is asked for has the bytes at the offsets of the file. */
	f = get(x, 4, 1, SIZE);
	assert_true(cache_file_fd(f) >= 0);
	assert_int_equal(pread(cache_file_fd(f), data, SIZE, 0), SIZE);
	assert_pattern(4, 1, 0, SIZE, data);
	cache_file_put(f);
	assert_int_equal(stats(x).packed, 0);
	assert_int_equal(x->n_drops, 4 + 2); /* a cut and an invalidation are told once more */

	fixture_reopen(x);
	f = get(x, 4, 1, SIZE);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
	place_of(f);
	cache_file_put(f);
	f = get(x, 2, 2, SIZE);
	assert_int_equal(read_checked(f, 2, 0, SIZE), SIZE);
	cache_file_put(f);
}

static void what_is_not_whole_or_not_small_is_not_packed(void **state)
{
	struct fixture *x = *state;
	struct cache_place place;
	struct cache_file *f = get(x, 1, 1, SIZE);

	assert_int_equal(cache_file_pack(f, &place), -EBUSY);
	assert_int_equal(fill(f, 1, 0, SIZE), 0);
	place_of(f);
	cache_file_put(f);
	f = get(x, 2, 1, B + 1);
	assert_int_equal(fill(f, 1, 0, B + 1), 0);
	assert_int_equal(cache_file_pack(f, &place), -EFBIG);
	cache_file_put(f);
	f = get(x, 3, 1, 0);
	assert_int_equal(cache_file_pack(f, &place), -EFBIG);
	cache_file_put(f);
	/* Staged, not committed: in no pack, whoever asks. */
	f = get(x, 4, 1, 0);
	assert_int_equal(cache_write(f, 0, 5, "hello"), 0);
	cache_file_put(f);
	f = get(x, 4, 1, 5);
	assert_int_equal(cache_file_pack(f, &place), -EBUSY);
	cache_file_put(f);
	/* Without packs there is none. */
	x->options.pack_max = 0;
	fixture_reopen(x);
	put_whole(x, 5, 1, SIZE);
	f = get(x, 5, 1, SIZE);
	assert_int_equal(cache_file_pack(f, &place), -EFBIG);
	cache_file_put(f);
	/* But those that are there are read. */
	f = get(x, 1, 1, SIZE);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
	place_of(f);
	cache_file_put(f);
}

static void damage_pack(struct fixture *x, uint64_t offset)
{
	char path[4096];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/data/packs", x->dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			char file[8192];

			snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
			damage(file, &offset);
		}
	closedir(d);
}

static void damaged_bytes_are_a_miss_and_their_neighbours_are_not(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;
	uint64_t offset;

	for (uint64_t ino = 1; ino <= 3; ino++)
		put_whole(x, ino, 1, SIZE);
	f = get(x, 2, 1, SIZE);
	offset = place_of(f).offset;
	cache_file_put(f);
	cache_close(x->c);
	damage_pack(x, offset + SIZE - 1);
	fixture_open(x);
	f = get(x, 2, 1, SIZE);
	assert_false(cache_is_complete(f));
	assert_int_equal(stats(x).corrupt, 1);
	assert_int_equal(x->n_drops, 1);
	assert_int_equal(read_checked(f, 1, 0, SIZE), 0);
	assert_int_equal(fill(f, 1, 0, SIZE), 0);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
	cache_file_put(f);
	for (uint64_t ino = 1; ino <= 3; ino += 2) {
		f = get(x, ino, 1, SIZE);
		assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
		cache_file_put(f);
	}
	/* Behind the bytes of a file nobody looks. */
	cache_close(x->c);
	damage_pack(x, 4096 + SIZE);
	fixture_open(x);
	f = get(x, 1, 1, SIZE);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
	cache_file_put(f);
	/* A write finds damage as well. */
	f = get(x, 3, 1, SIZE);
	offset = place_of(f).offset;
	cache_file_put(f);
	cache_close(x->c);
	damage_pack(x, offset);
	fixture_open(x);
	f = get(x, 3, 1, SIZE);
	assert_int_equal(cache_write(f, 10, 5, "hello"), 0);
	assert_int_equal(read_checked(f, 1, 0, 10), 0);
	cache_file_put(f);
}

static void a_pack_that_is_cut_or_gone_is_a_miss(void **state)
{
	struct fixture *x = *state;
	char path[4096];
	struct cache_file *f;

	put_whole(x, 1, 1, SIZE);
	put_whole(x, 2, 1, SIZE);
	cache_close(x->c);
	snprintf(path, sizeof(path), "%s/data/packs/1", x->dir);
	assert_int_equal(truncate(path, 2 * 4096), 0);
	fixture_open(x);
	f = get(x, 1, 1, SIZE);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
	cache_file_put(f);
	f = get(x, 2, 1, SIZE);
	assert_int_equal(read_checked(f, 1, 0, SIZE), 0);
	cache_file_put(f);
	cache_close(x->c);
	assert_int_equal(unlink(path), 0);
	fixture_open(x);
	assert_int_equal(stats(x).files, 0);
	f = get(x, 1, 1, SIZE);
	assert_int_equal(read_checked(f, 1, 0, SIZE), 0);
	assert_int_equal(fill(f, 1, 0, SIZE), 0);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
	cache_file_put(f);
}

/** The evicting thread may be about to give a place back. */
static void assert_empties(struct fixture *x, uint64_t files)
{
	for (unsigned i = 0; i < 5000 && stats(x).files > files; i++)
		usleep(1000);
	assert_int_equal(stats(x).files, files);
	assert_int_equal(stats(x).packed, files);
	assert_int_equal(stats(x).bytes, files * 4096);
}

static void forgetting_and_evicting_free_the_blocks(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;
	struct stat st;

	x->options.max_bytes = 64 * 4096;
	fixture_reopen(x);
	for (uint64_t ino = 1; ino <= 500; ino++) {
		put_whole(x, ino, 1, SIZE);
		assert_in_range(stats(x).bytes, 0, 64 * 4096);
	}
	assert_true(stats(x).evictions >= 500 - 64);
	assert_true(stats(x).packed >= 32);
	f = get(x, 500, 1, SIZE);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE);
	fsync(place_of(f).fd);
	assert_int_equal(fstat(place_of(f).fd, &st), 0);
	assert_in_range(512 * (uint64_t)st.st_blocks, 0, 96 * 4096);
	for (uint64_t ino = 1; ino <= 500; ino++)
		cache_forget(x->c, ino);
	assert_empties(x, 1);
	assert_int_equal(read_checked(f, 1, 0, SIZE), SIZE); /* it is held */
	assert_int_equal(fstat(place_of(f).fd, &st), 0);
	assert_in_range(512 * (uint64_t)st.st_blocks, 4096, 16 * 4096);
	cache_file_put(f);
	assert_empties(x, 0);
}

/* ---- a place is nobody else's while anyone may still read it ---- */

enum { INODES = 600, READERS = 3, ROUNDS = 3000 }; /* more than stay loaded */

/* As the kernel side does it: readers use a place between "begin" and "end"; before_drop() takes it away and
 * waits for those who were in between. */
struct published {
	pthread_rwlock_t lock;
	struct cache_place place;
	uint64_t version;
	bool there;
};

struct world {
	struct fixture *x;
	struct published of[INODES + 1];
	_Atomic bool stop;
	_Atomic uint64_t reads;
};

static void world_before_drop(void *arg, uint64_t ino, uint64_t first, uint64_t last)
{
	struct world *w = arg;

	(void)first;
	(void)last;
	pthread_rwlock_wrlock(&w->of[ino].lock);
	w->of[ino].there = false;
	pthread_rwlock_unlock(&w->of[ino].lock);
}

static void *world_reader(void *arg)
{
	struct world *w = arg;

	for (uint64_t n = 0; !w->stop; n++) {
		struct published *p = &w->of[1 + n % INODES];

		pthread_rwlock_rdlock(&p->lock);
		if (p->there) {
			assert_at_place(&p->place, 1 + n % INODES, p->version, SIZE);
			w->reads++;
		}
		pthread_rwlock_unlock(&p->lock);
	}
	return NULL;
}

/* The lock of an inode is held while its place is asked for, so a drop comes before or after. */
static void world_publish(struct world *w, uint64_t ino, uint64_t version)
{
	struct cache_file *f;

	f = get(w->x, ino, version, SIZE);
	fill(f, version, 0, SIZE);
	pthread_rwlock_wrlock(&w->of[ino].lock);
	w->of[ino].there = cache_file_pack(f, &w->of[ino].place) == 0;
	w->of[ino].version = version;
	pthread_rwlock_unlock(&w->of[ino].lock);
	cache_file_put(f);
}

static void nobody_reads_another_files_bytes(void **state)
{
	struct fixture *x = *state;
	struct world w = {.x = x};
	pthread_t threads[READERS];
	uint64_t version[INODES + 1] = {};
	unsigned seed = 1;

	for (unsigned i = 0; i <= INODES; i++)
		pthread_rwlock_init(&w.of[i].lock, NULL);
	cache_close(x->c);
	x->options.before_drop = world_before_drop;
	x->options.before_drop_arg = &w;
	x->options.max_bytes = 4096 * INODES * 3 / 4; /* so that some are evicted all the time */
	fixture_open(x);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, world_reader, &w), 0);
	for (unsigned i = 0; i < ROUNDS || !w.reads; i++) {
		uint64_t ino = 1 + (unsigned)rand_r(&seed) % INODES;
		struct cache_file *f;

		switch (rand_r(&seed) % 8) {
		case 0:
			cache_forget(x->c, ino);
			break;
		case 1: /* written */
			f = get(x, ino, version[ino], SIZE);
			write_whole(f, version[ino] + 1, SIZE);
			version[ino]++;
			cache_file_put(f);
			world_publish(&w, ino, version[ino]);
			break;
		case 2: /* changed by another machine */
			world_publish(&w, ino, ++version[ino]);
			break;
		default:
			world_publish(&w, ino, version[ino]);
		}
	}
	w.stop = true;
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(w.reads > 0);
	for (unsigned i = 1; i <= INODES; i++)
		cache_forget(x->c, i);
	assert_empties(x, 0);
	x->options.before_drop = NULL;
	fixture_reopen(x);
	for (unsigned i = 0; i <= INODES; i++)
		pthread_rwlock_destroy(&w.of[i].lock);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, packed_setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(small_files_share_a_file),
		TEST(they_are_there_after_a_restart),
		TEST(another_version_is_a_miss_and_the_old_place_stays_readable),
		TEST(a_write_leaves_the_pack_first),
		TEST(every_change_leaves_the_pack_first),
		TEST(what_is_not_whole_or_not_small_is_not_packed),
		TEST(damaged_bytes_are_a_miss_and_their_neighbours_are_not),
		TEST(a_pack_that_is_cut_or_gone_is_a_miss),
		TEST(forgetting_and_evicting_free_the_blocks),
		TEST(nobody_reads_another_files_bytes),
	};

	return cmocka_run_group_tests_name("packed", tests, NULL, NULL);
}
