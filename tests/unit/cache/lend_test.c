/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that somebody else writes straight into the data file. */
#include "tests/unit/cache/fixture.h"

/** What the one it is lent to does: version @p version's bytes of [offset, offset + n), and not a word of it.
 */
static void scribble(struct cache_file *f, uint64_t version, uint64_t offset, size_t n)
{
	_cleanup_free_ char *data = malloc(n);

	pattern_fill(cache_file_ino(f), version, offset, n, data);
	assert_int_equal(pwrite(cache_file_fd(f), data, n, (off_t)offset), n);
}

static int count_dirty(uint64_t offset, uint64_t length, void *arg)
{
	(void)offset;
	*(uint64_t *)arg += length;
	return 0;
}

static uint64_t dirty_bytes(struct cache_file *f)
{
	uint64_t n = 0;

	cache_for_dirty(f, 0, INT64_MAX, count_dirty, &n);
	return n;
}

static void what_was_written_is_as_if_by_a_write(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 1, 7, 0);
	char data[100];

	assert_int_equal(cache_lend(f, 0, 0, B), 0);
	scribble(f, 8, 0, 3 * B + 100);
	assert_int_equal(dirty_bytes(f), 0);
	assert_int_equal(cache_lent_written(f, 0, B), 0);
	assert_int_equal(cache_lent_written(f, B, 2 * B + 100), 0);
	assert_int_equal(dirty_bytes(f), 3 * B + 100);
	assert_int_equal(read_checked(f, 8, 0, 4 * B), 3 * B + 100);
	upload(f, 0, 3 * B + 100, true);
	assert_int_equal(cache_commit(f, 8, 3 * B + 100), 0);
	assert_true(cache_is_complete(f));
	/* written on, with a hole before it */
	scribble(f, 9, C + 10, 50);
	assert_int_equal(cache_lent_written(f, C + 10, 50), 0);
	assert_int_equal(cache_read(f, 3 * B + 100, 50, data), 50);
	for (int i = 0; i < 50; i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(read_checked(f, 9, C + 10, 50), 50);
	upload(f, C + 10, 50, true);
	assert_int_equal(cache_commit(f, 9, C + 60), 0);
	cache_lend_end(f);
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 1, 9, C + 60);
	assert_int_equal(read_checked(f, 8, 0, 3 * B), 3 * B);
	assert_int_equal(read_checked(f, 9, C + 10, 50), 50);
	assert_int_equal(stats(x).corrupt, 0);
	cache_file_put(f);
}

static void nothing_stays_of_a_file_that_stays_empty(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 1, 1, 0);

	assert_int_equal(cache_lend(f, 0, 0, B), 0);
	assert_int_equal(for_data_files(x, NULL, NULL), 1);
	cache_file_put(f); /* while it is lent, it stays */
	assert_int_equal(for_data_files(x, NULL, NULL), 1);
	f = get(x, 1, 1, 0);
	cache_lend_end(f);
	cache_file_put(f);
	assert_int_equal(for_data_files(x, NULL, NULL), 0);
	assert_int_equal(stats(x).files, 0);
	assert_int_equal(x->n_drops, 0);
	/* and it is lent again as a new one */
	f = get(x, 1, 1, 0);
	assert_int_equal(cache_lend(f, 0, 0, B), 0);
	scribble(f, 2, 0, 100);
	assert_int_equal(cache_lent_written(f, 0, 100), 0);
	upload(f, 0, 100, true);
	assert_int_equal(cache_commit(f, 2, 100), 0);
	cache_lend_end(f);
	cache_file_put(f);
	assert_int_equal(for_data_files(x, NULL, NULL), 1);
	f = get(x, 1, 2, 100);
	assert_int_equal(read_checked(f, 2, 0, 100), 100);
	cache_file_put(f);
}

static void the_index_lets_go_of_what_is_lent_and_of_nothing_else(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 1, 7, 3 * C);
	f = get(x, 1, 7, 3 * C);
	assert_int_equal(cache_lend(f, C + 5, 10, B), 0);
	scribble(f, 8, C + 5, 10); /* and then everything stops */
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 1, 7, 3 * C);
	assert_int_equal(read_checked(f, 7, 0, C), C);
	assert_int_equal(read_checked(f, 7, C, C), 0);
	assert_int_equal(read_checked(f, 7, 2 * C, C), C);
	assert_int_equal(stats(x).corrupt, 0);
	cache_file_put(f);
}

static void nothing_written_and_all_is_as_before(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 1, 7, 2 * C + 5);
	f = get(x, 1, 7, 2 * C + 5);
	assert_int_equal(cache_lend(f, 0, 2 * C + 5, B), 0);
	cache_lend_end(f);
	assert_false(cache_file_is_dirty(f));
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 1, 7, 2 * C + 5);
	assert_int_equal(read_checked(f, 7, 0, 2 * C + 5), 2 * C + 5);
	assert_int_equal(stats(x).corrupt, 0);
	cache_file_put(f);
}

static void a_commit_does_not_vouch_for_what_is_lent_still(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 1, 7, C);
	f = get(x, 1, 7, C);
	assert_int_equal(cache_lend(f, 0, C, B), 0);
	scribble(f, 8, 0, 4096);
	assert_int_equal(cache_lent_written(f, 0, 4096), 0);
	upload(f, 0, 4096, true);
	assert_int_equal(cache_commit(f, 8, C), 0);
	scribble(f, 9, 4096, 4096); /* and then everything stops */
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 1, 8, C);
	assert_int_equal(read_checked(f, 8, 0, C), 0);
	assert_int_equal(stats(x).corrupt, 0);
	cache_file_put(f);
}

static void what_is_lent_is_not_evicted(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	x->options.max_bytes = 4 * C;
	fixture_reopen(x);
	put_whole(x, 1, 7, C);
	f = get(x, 1, 7, C);
	assert_int_equal(cache_lend(f, 0, C, B), 0);
	for (uint64_t i = 2; i < 12; i++)
		put_whole(x, i, 1, C);
	assert_true(stats(x).evictions > 0);
	assert_true(cache_is_complete(f));
	cache_lend_end(f);
	cache_file_put(f);
}

static void what_is_not_all_there_is_not_lent(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	x->options.max_bytes = 8 * C;
	fixture_reopen(x);
	f = get(x, 1, 7, 3 * C);
	assert_int_equal(fill(f, 7, 0, C), 0);
	assert_int_equal(fill(f, 7, C, B), 0);
	assert_int_equal(cache_lend(f, 2 * C, 10, B), -ENODATA);
	assert_int_equal(cache_lend(f, C, 10, B), -ENODATA);
	assert_int_equal(cache_lend(f, C - 5, 10, B), -ENODATA);
	assert_int_equal(cache_lend(f, UINT64_MAX - 5, 10, B), -EFBIG);
	assert_int_equal(cache_lent_written(f, UINT64_MAX - 5, 10), -EFBIG);
	assert_int_equal(cache_lend(f, 0, 10, 16 * C), -ENOSPC);
	assert_int_equal(cache_lend(f, 0, 10, B), 0);
	cache_lend_end(f);
	cache_file_put(f);
}

/* Of a file that is there in part, what is lent stays, and the rest comes and goes as ever. */
static void a_part_is_lent_and_the_rest_is_not_touched_by_it(void **state)
{
	struct fixture *x = *state;
	uint64_t valid;
	struct cache_file *f;

	x->options.max_bytes = 5 * C;
	fixture_reopen(x);
	f = get(x, 1, 7, 4 * C);
	assert_int_equal(fill(f, 7, C, 2 * C), 0);
	assert_int_equal(cache_lend(f, C + 10, 10, B), 0);
	scribble(f, 8, C, 4096);
	assert_int_equal(cache_lent_written(f, C, 4096), 0);
	for (uint64_t i = 2; i < 12; i++)
		put_whole(x, i, 1, C);
	assert_int_equal(cache_valid(f, 1, &valid), 0);
	assert_int_equal(valid, UINT64_MAX);
	assert_int_equal(cache_valid(f, 2, &valid), 0);
	assert_int_equal(valid, 0); /* evicted */
	assert_int_equal(fill(f, 7, 0, B), 0);
	assert_int_equal(read_checked(f, 8, C, 4096), 4096);
	assert_int_equal(read_checked(f, 7, C + 4096, B), B);
	upload(f, C, 4096, true);
	assert_int_equal(cache_commit(f, 8, 4 * C), 0);
	cache_lend_end(f);
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 1, 8, 4 * C);
	assert_int_equal(read_checked(f, 8, C, 4096), 4096);
	assert_int_equal(stats(x).corrupt, 0);
	cache_file_put(f);
}

static void what_was_lent_and_is_gone_must_be_given_up_first(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 1, 7, 3 * C);
	f = get(x, 1, 7, 3 * C);
	assert_int_equal(cache_lend(f, 0, 3 * C, B), 0);
	assert_int_equal(cache_invalidate(f, 2 * C, 10), 0);
	assert_int_equal(cache_lend(f, 0, 10, B), -ESTALE);
	cache_lend_end(f);
	assert_int_equal(cache_lend(f, 0, 10, B), 0);
	assert_int_equal(cache_lend(f, C, C, B), 0);
	assert_int_equal(cache_truncate(f, C + 5), 0);
	assert_int_equal(cache_lend(f, 0, 0, B), -ESTALE);
	cache_lend_end(f);
	cache_file_put(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_as_if_by_a_write, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_stays_of_a_file_that_stays_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(the_index_lets_go_of_what_is_lent_and_of_nothing_else, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(nothing_written_and_all_is_as_before, setup, teardown),
		cmocka_unit_test_setup_teardown(a_commit_does_not_vouch_for_what_is_lent_still, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(what_is_lent_is_not_evicted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_all_there_is_not_lent, setup, teardown),
		cmocka_unit_test_setup_teardown(a_part_is_lent_and_the_rest_is_not_touched_by_it, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(what_was_lent_and_is_gone_must_be_given_up_first, setup,
	                                        teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
