/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static size_t slices_in(struct fixture *f, uint64_t ino, uint64_t chunk)
{
	_cleanup_slices_ struct meta_slices list = {};

	assert_int_equal(meta_slices(f->meta, ino, chunk, &list), 0);
	return list.count;
}

/* The background is slow on a busy machine. */
static void wait_for_slices(struct fixture *f, uint64_t ino, size_t at_most)
{
	for (int i = 0; i < 600 && slices_in(f, ino, 0) > at_most; i++)
		usleep(50000);
	assert_in_range(slices_in(f, ino, 0), 1, at_most);
}

/* Pieces of 50 bytes, each @p step behind the one before: as many slices in one commit. */
static void write_pieces(struct model *m, struct data_file *file, unsigned count, unsigned step)
{
	for (unsigned i = 0; i < count; i++)
		model_write(m, file, 1000 + (uint64_t)i * step, 50);
	assert_int_equal(data_flush(file), 0);
}

static void a_chunk_of_many_slices_is_made_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), at;
	struct data_file *file = get(f, ino);
	struct meta_attr before, after;
	struct model m;

	model_init(&m, ino, 5);
	model_write(&m, file, 700 * KIB, 50);
	write_pieces(&m, file, 300, 100);
	before = attr_of(f, ino);
	wait_for_slices(f, ino, 2);
	after = attr_of(f, ino);
	assert_memory_equal(&before, &after, sizeof(after));
	model_check(&m, f, file);
	/* The large hole is one still. */
	assert_int_equal(data_seek(file, 100 * KIB, false, &at), 0);
	assert_int_equal(at, 700 * KIB);
	model_finish(&m, f, file);
}

static void a_file_that_is_written_meanwhile_loses_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 6);
	for (unsigned round = 0; round < 12; round++) {
		write_pieces(&m, file, 270, 100 + 7 * round);
		model_write(&m, file, model_random(&m, 20000), 30000);
		if (round % 4 == 3)
			model_truncate(&m, f, 20000);
		usleep(60000);
	}
	model_check(&m, f, file);
	data_file_put(file);
	expect_no_leftover(f, ino);
	free(m.bytes);
}

static void a_copy_is_not_touched_when_the_original_is_compacted(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), other = make_file(f, "b");
	struct data_file *file = get(f, ino), *copy = get(f, other);
	struct model m;

	model_init(&m, ino, 5);
	write_pieces(&m, file, 300, 100);
	assert_int_equal(data_copy(file, 0, copy, 0, MIB), m.size);
	wait_for_slices(f, ino, 2);
	expect_bytes(copy, 0, m.bytes, m.size);
	wait_for_slices(f, other, 2);
	expect_bytes(copy, 0, m.bytes, m.size);
	data_file_put(file);
	data_file_put(copy);
	fixture_reopen(f);
	assert_int_equal(objects_in_store(f), objects_of(f, ino) + objects_of(f, other));
	free(m.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_chunk_of_many_slices_is_made_whole, setup_roomy, teardown),
		WITH_EACH_CACHE(a_file_that_is_written_meanwhile_loses_nothing),
		cmocka_unit_test_setup_teardown(a_copy_is_not_touched_when_the_original_is_compacted,
	                                        setup_roomy, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
