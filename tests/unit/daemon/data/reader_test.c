/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching: what is asked of the store, and what many readers, writers and evictions see. */
#include "tests/unit/daemon/data/fixture.h"

/* A committed file, nothing of it cached. */
static uint64_t cold_file(struct fixture *f, struct model *m, size_t size)
{
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);

	model_init(m, ino, 7);
	model_write(m, file, 0, size);
	data_file_put(file);
	fixture_close(f);
	fixture_open(f);
	if (f->cache)
		cache_forget(f->cache, ino);
	return ino;
}

static uint64_t gets(struct fixture *f)
{
	struct store_stats stats;

	store_get_stats(f->store, &stats);
	return stats.requests[STORE_GET];
}

static uint64_t got_bytes(struct fixture *f)
{
	struct store_stats stats;

	store_get_stats(f->store, &stats);
	return stats.bytes[STORE_GET];
}

static void a_small_read_fetches_one_sub_block(void **state)
{
	struct fixture *f = *state;
	struct model m;
	uint64_t ino = cold_file(f, &m, 2 * MIB);
	struct data_file *file = get(f, ino);

	f->changed = 0;
	expect_bytes(file, MIB + 5, m.bytes + MIB + 5, 100);
	assert_int_equal(gets(f), 1);
	assert_int_equal(got_bytes(f), data_object_bytes(BLOCK));
	assert_int_equal(f->changed, 1);
	expect_bytes(file, MIB + 5, m.bytes + MIB + 5, BLOCK - 5);
	assert_int_equal(gets(f), 1);
	assert_int_equal(f->changed, 1); /* nothing new */
	data_file_put(file);
	free(m.bytes);
}

struct reader {
	struct data_file *file;
	struct model *m;
	pthread_barrier_t *start;
};

static void *read_main(void *arg)
{
	struct reader *r = arg;
	char buffer[1000];

	pthread_barrier_wait(r->start);
	if (data_read(r->file, 3000, sizeof(buffer), buffer) != sizeof(buffer) ||
	    memcmp(buffer, r->m->bytes + 3000, sizeof(buffer)) != 0)
		return "wrong";
	return NULL;
}

static void readers_of_the_same_range_fetch_it_once(void **state)
{
	struct fixture *f = *state;
	struct reader r;
	pthread_barrier_t start;
	pthread_t threads[8];
	struct model m;
	uint64_t ino = cold_file(f, &m, MIB);

	fixture_close(f);
	f->faults = "get:delay_ms=200";
	fixture_open(f);
	pthread_barrier_init(&start, NULL, 8);
	r = (struct reader){get(f, ino), &m, &start};
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, read_main, &r);
	for (int i = 0; i < 8; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	assert_int_equal(gets(f), 1);
	data_file_put(r.file);
	pthread_barrier_destroy(&start);
	free(m.bytes);
}

static void reading_in_order_fetches_ahead(void **state)
{
	struct fixture *f = *state;
	struct model m;
	uint64_t ino = cold_file(f, &m, MODEL_MAX);
	struct data_file *file = get(f, ino);

	for (uint64_t at = 0; at < 3 * MIB; at += 128 * KIB)
		expect_bytes(file, at, m.bytes + at, 128 * KIB);
	data_file_put(file);
	assert_int_equal(data_close(f->data), 0); /* waits for those under way */
	f->data = NULL;
	assert_true(got_bytes(f) > 3 * MIB);
	/* Nothing twice, unless the cache is too small for what is fetched ahead. */
	if (f->kind != TINY)
		assert_true(got_bytes(f) <= MODEL_MAX);
	assert_int_equal(data_open(f->meta, f->store, f->cache, NULL, NULL, &f->data), 0);
	free(m.bytes);
}

static void reading_here_and_there_does_not(void **state)
{
	struct fixture *f = *state;
	struct model m;
	uint64_t ino = cold_file(f, &m, MODEL_MAX);
	struct data_file *file = get(f, ino);

	for (uint64_t i = 0; i < 20; i++) {
		uint64_t at = i * 7 % 20 * 300 * KIB;

		expect_bytes(file, at, m.bytes + at, 4 * KIB);
	}
	assert_int_equal(gets(f), 20);
	data_file_put(file);
	free(m.bytes);
}

static void a_write_into_what_is_not_cached_fetches_nothing(void **state)
{
	struct fixture *f = *state;
	struct model m;
	uint64_t ino = cold_file(f, &m, 2 * MIB);
	struct data_file *file = get(f, ino);

	model_write(&m, file, MIB + 1000, 10);
	assert_int_equal(data_flush(file), 0);
	assert_int_equal(gets(f), 0);
	model_write(&m, file, MIB + 2000, 10);
	model_check(&m, f, file);
	data_file_put(file);
	free(m.bytes);
}

static void a_fetched_file_is_read_from_the_cache(void **state)
{
	struct fixture *f = *state;
	struct model m;
	uint64_t ino = cold_file(f, &m, 3 * MIB + 77), bytes, before;
	struct cache_file *cached;
	struct data_file *file;
	struct meta_attr attr;

	assert_int_equal(data_fetch(f->data, ino, &bytes), 0);
	assert_int_equal(bytes, 3 * MIB + 77);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_int_equal(cache_file_get(f->cache, ino, attr.version, attr.size, &cached), 0);
	assert_true(cache_is_complete(cached));
	cache_file_put(cached);
	before = gets(f);
	file = get(f, ino);
	model_check(&m, f, file);
	assert_int_equal(gets(f), before);
	data_file_put(file);
	assert_int_equal(data_fetch(f->data, ino, &bytes), 0);
	assert_int_equal(bytes, 0);
	free(m.bytes);
}

static void a_file_that_does_not_fit_is_not_fetched(void **state)
{
	struct fixture *f = *state;
	struct model m;
	uint64_t ino = cold_file(f, &m, 3 * MIB), bytes;
	struct data_file *file;

	assert_int_equal(data_fetch(f->data, ino, &bytes), -ENOSPC);
	file = get(f, ino);
	model_check(&m, f, file);
	data_file_put(file);
	free(m.bytes);
}

static void a_missing_object_is_an_error_not_zeros(void **state)
{
	struct fixture *f = *state;
	struct model m;
	uint64_t ino = cold_file(f, &m, 100), fetched = 42;
	struct data_file *file = get(f, ino);
	_cleanup_slices_ struct meta_slices list = {};
	char key[DATA_KEY_MAX], byte;

	assert_int_equal(meta_slices(f->meta, ino, 0, &list), 0);
	assert_int_equal(list.count, 1);
	data_object_key(list.slices[0].object, list.slices[0].size, key);
	assert_int_equal(store_delete(f->store, key), 0);
	assert_int_equal(data_read(file, 0, 1, &byte), -EIO);
	if (f->cache)
		assert_int_equal(data_fetch(f->data, ino, &fetched), -EIO);
	assert_int_equal(fetched, 42);
	data_file_put(file);
	free(m.bytes);
}

/* ---- many at once ---- */

#define RECORD 4096
#define RECORDS (3 * MIB / RECORD)

/* Records of one repeated number each, which only counts up: a reader that sees a mixture or a step back
 * has met old bytes. */
struct storm {
	struct fixture *f;
	struct data_file *file;
	_Atomic uint32_t least[RECORDS]; /* written for sure */
	_Atomic bool ends;
	_Atomic unsigned reads;
	const char *_Atomic wrong;
};

static void *storm_write(void *arg)
{
	struct storm *s = arg;
	uint32_t record[RECORD / 4], value = 1;
	unsigned seed = 9;

	while (!s->ends) {
		unsigned i = (unsigned)rand_r(&seed) % RECORDS;

		value++;
		for (size_t j = 0; j < RECORD / 4; j++)
			record[j] = value;
		if (data_write(s->file, i * RECORD, RECORD, record, false) < 0)
			s->wrong = "write failed";
		s->least[i] = value;
	}
	return NULL;
}

static void *storm_read(void *arg)
{
	struct storm *s = arg;
	uint32_t record[RECORD / 4];
	unsigned seed = (unsigned)(uintptr_t)&record;

	while (!s->ends) {
		unsigned i = (unsigned)rand_r(&seed) % RECORDS;
		uint32_t least = s->least[i];

		if (data_read(s->file, i * RECORD, RECORD, record) != RECORD)
			s->wrong = "read failed";
		if (record[0] < least || record[RECORD / 4 - 1] < least)
			s->wrong = "old bytes";
		s->reads++;
	}
	return NULL;
}

static void *storm_flush(void *arg)
{
	struct storm *s = arg;

	while (!s->ends) {
		usleep(3000);
		if (data_flush(s->file) < 0)
			s->wrong = "flush failed";
	}
	return NULL;
}

static void *storm_fetch(void *arg)
{
	struct storm *s = arg;
	uint64_t bytes;

	while (!s->ends) {
		int r = data_fetch(s->f->data, data_file_ino(s->file), &bytes);

		if (r < 0 && r != -ENOSPC)
			s->wrong = "fetch failed";
		usleep(5000);
	}
	return NULL;
}

static void readers_never_see_older_bytes_than_were_written(void **state)
{
	static void *(*const mains[])(void *) = {storm_write, storm_read, storm_read, storm_flush,
	                                         storm_fetch};
	struct fixture *f = *state;
	struct storm *s = calloc(1, sizeof(*s));
	uint64_t ino = make_file(f, "a");
	pthread_t threads[ARRAY_SIZE(mains)];

	assert_non_null(s);
	s->f = f;
	s->file = get(f, ino);
	truncate_to(f, ino, 3 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(mains); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, mains[i], s), 0);
	for (int ms = 0; ms < 1500 && !s->wrong; ms += 10)
		usleep(10000);
	s->ends = true;
	for (size_t i = 0; i < ARRAY_SIZE(mains); i++)
		pthread_join(threads[i], NULL);
	if (s->wrong)
		fail_msg("%s", s->wrong);
	assert_true(s->reads > 10);
	assert_int_equal(data_flush(s->file), 0);
	for (size_t i = 0; i < RECORDS; i++) {
		uint32_t record[RECORD / 4];

		assert_int_equal(data_read(s->file, i * RECORD, RECORD, record), RECORD);
		for (size_t j = 0; j < RECORD / 4; j++)
			assert_int_equal(record[j], s->least[i]);
	}
	data_file_put(s->file);
	free(s);
	expect_no_leftover(f, ino);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_small_read_fetches_one_sub_block, setup_roomy, teardown),
		WITH_EACH_CACHE(readers_of_the_same_range_fetch_it_once),
		WITH_EACH_CACHE(reading_in_order_fetches_ahead),
		cmocka_unit_test_setup_teardown(reading_here_and_there_does_not, setup_roomy, teardown),
		cmocka_unit_test_setup_teardown(a_write_into_what_is_not_cached_fetches_nothing, setup_roomy,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_fetched_file_is_read_from_the_cache, setup_roomy, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_does_not_fit_is_not_fetched, setup_tiny,
	                                        teardown),
		WITH_EACH_CACHE(a_missing_object_is_an_error_not_zeros),
		WITH_EACH_CACHE(readers_never_see_older_bytes_than_were_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
