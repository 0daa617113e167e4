/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of files against a model in memory, and what is pending and kept on the way. */
#include "tests/unit/daemon/data/fixture.h"

#include <time.h>

static void reads_back_what_was_written(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);

	put_bytes(file, 0, "hello", 5);
	expect_bytes(file, 0, "hello", 5);
	put_bytes(file, 5, " world", 6);
	put_bytes(file, 0, "J", 1);
	expect_bytes(file, 0, "Jello world", 11);
	assert_int_equal(attr_of(f, ino).size, 11);
	assert_int_equal(data_flush(file), 0);
	expect_bytes(file, 2, "llo w", 5);
	data_file_put(file);

	fixture_reopen(f);
	file = get(f, ino);
	assert_int_equal(attr_of(f, ino).size, 11);
	expect_bytes(file, 0, "Jello world", 11);
	data_file_put(file);
	expect_no_leftover(f, ino);
}

static void random_operations_match_the_model(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 1);
	for (int i = 0; i < 100; i++) {
		unsigned what = model_random(&m, 100);

		if (what < 60) {
			unsigned max = model_random(&m, 10) ? 20 * KIB : 700 * KIB;
			size_t length = 1 + model_random(&m, max);
			uint64_t offset = model_random(&m, MODEL_MAX - length);

			if (model_random(&m, 3) == 0)
				offset &= ~((uint64_t)BLOCK - 1);
			model_write(&m, file, offset, length);
		} else if (what < 70) {
			model_truncate(&m, f, model_random(&m, MODEL_MAX));
		} else if (what < 85) {
			assert_int_equal(data_flush(file), 0);
			assert_false(data_pending(f->data, &(struct meta_attr){.ino = ino}));
		} else if (what < 90) {
			data_file_put(file);
			file = get(f, ino);
		} else if (what < 93) {
			data_file_put(file);
			fixture_reopen(f);
			file = get(f, ino);
		} else if (m.size) {
			uint64_t at = model_random(&m, m.size);
			size_t n = 1 + model_random(&m, 200 * KIB);

			expect_bytes(file, at, m.bytes + at, n < m.size - at ? n : m.size - at);
		}
		if (i % 10 == 9)
			model_check(&m, f, file);
	}
	model_finish(&m, f, file);
}

static void a_large_file_is_written_and_read_in_order(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 2);
	for (uint64_t at = 0; at + 128 * KIB <= MODEL_MAX; at += 128 * KIB)
		model_write(&m, file, at, 128 * KIB);
	assert_int_equal(data_flush(file), 0);
	/* One object a chunk where there is room to collect them. */
	if (f->kind == ROOMY)
		assert_int_equal(objects_of(f, ino), MODEL_MAX / CHUNK);
	data_file_put(file);
	fixture_reopen(f);
	file = get(f, ino);
	for (uint64_t at = 0; at < m.size; at += 64 * KIB)
		expect_bytes(file, at, m.bytes + at, 64 * KIB);
	data_file_put(file);
	expect_no_leftover(f, ino);
	free(m.bytes);
}

static void appends_go_to_the_end_wherever_that_is(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);

	assert_int_equal(data_write(file, 0, 3, "abc", true), 0);
	assert_int_equal(data_write(file, 0, 3, "def", true), 0);
	truncate_to(f, ino, 4);
	assert_int_equal(data_write(file, 77, 3, "ghi", true), 0);
	expect_bytes(file, 0, "abcdghi", 7);
	assert_int_equal(attr_of(f, ino).size, 7);
	data_file_put(file);
	assert_int_equal(attr_of(f, ino).size, 7);
}

#define APPENDS 40 /* each */

struct appender {
	struct data_file *file;
	char byte;
};

static void *append_main(void *arg)
{
	struct appender *a = arg;
	char record[100];

	memset(record, a->byte, sizeof(record));
	for (int i = 0; i < APPENDS; i++)
		if (data_write(a->file, 0, sizeof(record), record, true) < 0)
			return "write failed";
	return NULL;
}

static void concurrent_appends_do_not_overlap(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct appender appenders[4];
	pthread_t threads[4];
	unsigned seen[4] = {};
	char record[100];

	for (int i = 0; i < 4; i++) {
		appenders[i] = (struct appender){file, (char)('a' + i)};
		assert_int_equal(pthread_create(&threads[i], NULL, append_main, &appenders[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(attr_of(f, ino).size, 4 * APPENDS * sizeof(record));
	for (int i = 0; i < 4 * APPENDS; i++) {
		assert_int_equal(data_read(file, i * sizeof(record), sizeof(record), record), sizeof(record));
		for (size_t j = 1; j < sizeof(record); j++)
			assert_int_equal(record[j], record[0]);
		seen[record[0] - 'a']++;
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen[i], APPENDS);
	data_file_put(file);
}

static void holes_read_as_zeros(void **state)
{
	struct fixture *f = *state;
	static const char zeros[256 * KIB];
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);

	put_bytes(file, 0, "x", 1);
	put_bytes(file, 3 * MIB + 5, "y", 1);
	expect_bytes(file, 1, zeros, sizeof(zeros));
	expect_bytes(file, 3 * MIB + 5 - sizeof(zeros), zeros, sizeof(zeros));
	expect_bytes(file, 3 * MIB + 5, "y", 1);
	assert_int_equal(data_flush(file), 0);
	expect_bytes(file, 1, zeros, sizeof(zeros));
	expect_bytes(file, 3 * MIB + 5 - sizeof(zeros), zeros, sizeof(zeros));
	expect_bytes(file, 3 * MIB + 5, "y", 1);
	data_file_put(file);
	assert_true(objects_of(f, ino) == 2);
}

static void a_file_of_exbibytes_is_handled(void **state)
{
	struct fixture *f = *state;
	static const char zeros[64 * KIB];
	uint64_t ino = make_file(f, "a"), end = INT64_MAX, fetched;
	struct data_file *file = get(f, ino);
	int r;

	truncate_to(f, ino, end);
	put_bytes(file, end / 2, "x", 1);
	put_bytes(file, end - 1, "y", 1);
	assert_int_equal(data_write(file, end, 1, "z", false), -EFBIG);
	assert_int_equal(data_write(file, 0, 1, "z", true), -EFBIG);
	expect_bytes(file, end / 2, "x", 1);
	expect_bytes(file, end - 1, "y", 1);
	expect_bytes(file, 1000, zeros, sizeof(zeros));
	assert_int_equal(data_flush(file), 0);
	expect_bytes(file, end / 2, "x", 1);
	expect_bytes(file, end / 2 + 1, zeros, sizeof(zeros));
	r = data_fetch(f->data, ino, &fetched);
	assert_true(r == 0 || (r == -ENOSPC && f->kind != ROOMY));
	truncate_to(f, ino, 10);
	expect_bytes(file, 0, zeros, 10);
	data_file_put(file);
	expect_no_leftover(f, ino);
}

static void what_was_cut_off_reads_as_zeros_when_the_file_grows(void **state)
{
	struct fixture *f = *state;
	static const char zeros[2 * MIB];
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct model m;

	for (int flushed = 0; flushed < 2; flushed++) {
		model_init(&m, ino, 3);
		truncate_to(f, ino, 0);
		model_write(&m, file, 0, 2 * MIB + 100);
		if (flushed)
			assert_int_equal(data_flush(file), 0);
		truncate_to(f, ino, 70000);
		truncate_to(f, ino, 2 * MIB + 50);
		expect_bytes(file, 0, m.bytes, 70000);
		expect_bytes(file, 70000, zeros, 2 * MIB + 50 - 70000);
		data_file_put(file);
		fixture_reopen(f);
		file = get(f, ino);
		expect_bytes(file, 0, m.bytes, 70000);
		expect_bytes(file, 70000, zeros, 2 * MIB + 50 - 70000);
		free(m.bytes);
	}
	data_file_put(file);
	expect_no_leftover(f, ino);
}

static void pending_data_shows_in_the_attributes(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct meta_attr committed, attr;

	f->watched = ino;
	assert_int_equal(meta_getattr(f->meta, ino, &committed), 0);
	attr = committed;
	assert_false(data_pending(f->data, &attr));

	put_bytes(file, 0, "hello", 5);
	assert_int_equal(f->will_write, 1);
	assert_true(f->pending_seen); /* it was set before the hook was called */
	attr = committed;
	assert_true(data_pending(f->data, &attr));
	assert_int_equal(attr.size, 5);
	assert_true(attr.mtime.tv_sec > committed.mtime.tv_sec ||
	            attr.mtime.tv_nsec > committed.mtime.tv_nsec);
	assert_memory_equal(&attr.mtime, &attr.ctime, sizeof(attr.mtime));
	put_bytes(file, 5, "!", 1);
	assert_int_equal(f->will_write, 1); /* nobody published it in between */

	f->changed = 0;
	assert_int_equal(data_flush(file), 0);
	assert_int_equal(f->changed, 1);
	assert_false(data_pending(f->data, &attr));
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_int_equal(attr.size, 6);

	put_bytes(file, 0, "J", 1);
	assert_int_equal(f->will_write, 2);
	data_file_put(file);
	assert_false(data_pending(f->data, &attr));
}

static void flush_of_a_clean_file_commits_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), version;
	struct data_file *file = get(f, ino);

	commit_bytes(file, 0, "hello", 5);
	version = attr_of(f, ino).version;
	assert_int_equal(data_flush(file), 0);
	assert_int_equal(attr_of(f, ino).version, version);
	data_file_put(file);
}

static void what_remains_of_a_truncated_file_stays_cached(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), fetched = 1;
	struct data_file *file = get(f, ino);
	struct store_stats before, after;
	struct model m;

	model_init(&m, ino, 4);
	model_write(&m, file, 0, 3 * MIB);
	data_file_put(file);
	model_truncate(&m, f, 2 * MIB + 10);
	file = get(f, ino);
	store_get_stats(f->store, &before);
	model_check(&m, f, file);
	store_get_stats(f->store, &after);
	assert_int_equal(after.requests[STORE_GET], before.requests[STORE_GET]);
	assert_int_equal(data_fetch(f->data, ino, &fetched), 0);
	assert_int_equal(fetched, 0);
	data_file_put(file);
	free(m.bytes);
}

static void overwritten_objects_are_deleted(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct model m;

	model_init(&m, ino, 5);
	for (int i = 0; i < 5; i++) {
		struct data_file *file = get(f, ino);

		model_write(&m, file, 0, 300 * KIB);
		data_file_put(file);
	}
	expect_no_leftover(f, ino);
	assert_int_equal(objects_of(f, ino), 1);
	model_truncate(&m, f, 0);
	expect_no_leftover(f, ino);
	assert_int_equal(objects_in_store(f), 0);
	free(m.bytes);
}

static void an_unlinked_file_lives_until_its_last_user(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino), *again;
	struct meta_attr attr;

	commit_bytes(file, 0, "hello", 5);
	assert_int_equal(meta_unlink(f->meta, META_ROOT_INO, "a", &attr, NULL), 0);
	assert_int_equal(attr.nlink, 0);
	data_orphaned(f->data, ino);
	expect_bytes(file, 0, "hello", 5);
	commit_bytes(file, 5, " there", 6);
	again = get(f, ino);
	data_file_put(file);
	expect_bytes(again, 0, "hello there", 11);
	assert_int_equal(f->forgotten, 0);
	data_file_put(again);
	assert_int_equal(f->forgotten, 1);
	assert_int_equal(data_file_get(f->data, ino, &file), -ENOENT);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), -ENOENT);
	expect_no_leftover(f, 0);
}

static void an_unlinked_file_that_nobody_has_open_goes_at_once(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct meta_attr attr;

	put_bytes(file, 0, "hello", 5);
	data_file_put(file);
	assert_int_equal(meta_unlink(f->meta, META_ROOT_INO, "a", &attr, NULL), 0);
	data_orphaned(f->data, ino);
	assert_int_equal(f->forgotten, 1);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), -ENOENT);
	expect_no_leftover(f, 0);
}

static void an_orphan_found_by_its_number_goes_with_its_user(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;
	struct meta_attr attr;

	/* An open that overtook the end of its unlink. */
	assert_int_equal(meta_unlink(f->meta, META_ROOT_INO, "a", &attr, NULL), 0);
	file = get(f, ino);
	put_bytes(file, 0, "hello", 5);
	expect_bytes(file, 0, "hello", 5);
	data_orphaned(f->data, ino);
	data_file_put(file);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), -ENOENT);
	data_orphaned(f->data, ino);
	expect_no_leftover(f, 0);
}

static void a_file_without_a_name_is_stored_when_it_gets_one(void **state)
{
	const struct meta_cred cred = {.uid = 1000, .gid = 100};
	struct fixture *f = *state;
	struct data_file *file, *held;
	struct meta_attr attr;
	uint64_t ino;

	assert_int_equal(meta_create_orphan(f->meta, META_ROOT_INO, &cred, 0644, &attr), 0);
	ino = attr.ino;
	file = get(f, ino);
	commit_bytes(file, 0, "hello", 5);
	assert_int_equal(data_link_begin(f->data, ino, &held), -ENOENT); /* nobody said that it may */
	data_file_set_linkable(file);
	assert_int_equal(data_link_begin(f->data, ino, &held), 0);
	assert_ptr_equal(held, file);
	assert_int_equal(attr_of(f, ino).size, 5);
	data_link_end(held, false); /* it did not get it */
	assert_int_equal(data_link_begin(f->data, ino, &held), 0);
	data_file_put(file); /* the last close, meanwhile */
	assert_int_equal(meta_link_orphan(f->meta, ino, META_ROOT_INO, "a", &attr, NULL), 0);
	data_link_end(held, true);
	assert_int_equal(f->forgotten, 0);
	file = get(f, ino);
	expect_bytes(file, 0, "hello", 5);
	assert_int_equal(data_link_begin(f->data, ino, &held), 0); /* as any other file now */
	assert_null(held);
	data_file_put(file);
	expect_no_leftover(f, ino);

	/* Nobody has it open, but somebody may know it; then nobody does. */
	assert_int_equal(meta_create_orphan(f->meta, META_ROOT_INO, &cred, 0644, &attr), 0);
	file = get(f, attr.ino);
	data_file_set_linkable(file);
	data_file_put(file);
	assert_int_equal(data_link_begin(f->data, attr.ino, &held), 0);
	assert_ptr_equal(held, file);
	data_link_end(held, false);
	data_orphaned(f->data, attr.ino);
	assert_int_equal(meta_link_orphan(f->meta, attr.ino, META_ROOT_INO, "b", NULL, NULL), -ENOENT);
}

static void an_unlinked_file_lives_until_it_is_forgotten(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct meta_attr attr;

	put_bytes(file, 0, "hello", 5);
	assert_int_equal(meta_unlink(f->meta, META_ROOT_INO, "a", &attr, NULL), 0);
	data_unlinked(f->data, ino);
	data_file_put(file);
	file = get(f, ino); /* by /proc/self/fd of one that has no handle */
	expect_bytes(file, 0, "hello", 5);
	data_file_put(file);
	assert_int_equal(f->forgotten, 0);
	data_orphaned(f->data, ino);
	assert_int_equal(f->forgotten, 1);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), -ENOENT);
	expect_no_leftover(f, 0);
}

static void only_files_have_contents(void **state)
{
	struct fixture *f = *state;
	struct data_file *file;

	assert_int_equal(data_file_get(f->data, META_ROOT_INO, &file), -EISDIR);
	assert_int_equal(data_file_get(f->data, 4711, &file), -ENOENT);
}

static void small_memory_is_enough_for_anything(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), fetched;
	struct data_file *file;
	struct data_stats stats;
	struct model m;

	fixture_close(f);
	f->options.memory_bytes = 100 * KIB; /* less than one object */
	fixture_open(f);
	file = get(f, ino);
	model_init(&m, ino, 6);
	model_write(&m, file, 0, 3 * MIB);
	data_file_put(file);
	if (f->cache)
		cache_forget(f->cache, ino);
	file = get(f, ino);
	model_check(&m, f, file);
	data_fetch(f->data, ino, &fetched);
	data_file_put(file);
	data_sync(f->data);
	fixture_reopen(f);
	data_get_stats(f->data, &stats);
	assert_int_equal(stats.memory_bytes, 0);
	assert_int_equal(stats.open_files, 0);
	free(m.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_EACH_CACHE(reads_back_what_was_written),
		WITH_EACH_CACHE(random_operations_match_the_model),
		WITH_EACH_CACHE(a_large_file_is_written_and_read_in_order),
		WITH_EACH_CACHE(appends_go_to_the_end_wherever_that_is),
		WITH_EACH_CACHE(concurrent_appends_do_not_overlap),
		WITH_EACH_CACHE(holes_read_as_zeros),
		WITH_EACH_CACHE(a_file_of_exbibytes_is_handled),
		WITH_EACH_CACHE(what_was_cut_off_reads_as_zeros_when_the_file_grows),
		WITH_EACH_CACHE(flush_of_a_clean_file_commits_nothing),
		WITH_EACH_CACHE(overwritten_objects_are_deleted),
		WITH_EACH_CACHE(an_unlinked_file_lives_until_its_last_user),
		WITH_EACH_CACHE(an_unlinked_file_that_nobody_has_open_goes_at_once),
		WITH_EACH_CACHE(an_orphan_found_by_its_number_goes_with_its_user),
		WITH_EACH_CACHE(a_file_without_a_name_is_stored_when_it_gets_one),
		WITH_EACH_CACHE(an_unlinked_file_lives_until_it_is_forgotten),
		WITH_EACH_CACHE(only_files_have_contents),
		WITH_EACH_CACHE(small_memory_is_enough_for_anything),
		cmocka_unit_test_setup_teardown(pending_data_shows_in_the_attributes, setup_roomy, teardown),
		cmocka_unit_test_setup_teardown(what_remains_of_a_truncated_file_stays_cached, setup_roomy,
	                                        teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
