/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "daemon/meta/internal.h"

static void punch(struct fixture *f, uint64_t ino, uint64_t offset, uint64_t length)
{
	struct meta_attr before = attr_of(f, ino), after;

	assert_int_equal(meta_punch(f->m, ino, offset, length, 0, &after), 0);
	assert_int_equal(after.size, before.size);
	assert_true(after.version > before.version);
	assert_true(time_order(&after.mtime, &before.mtime) > 0);
	assert_consistent(f);
}

/* Where data (or a hole) is from @p offset on; -1: nowhere. */
static int64_t seek(struct fixture *f, uint64_t ino, uint64_t offset, bool hole)
{
	uint64_t at = 77;
	int r = meta_seek(f->m, ino, offset, hole, &at);

	assert_true(r == 0 || (r == -ENXIO && at == 77));
	return r ? -1 : (int64_t)at;
}

static void a_punched_range_is_a_hole(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), whole[3];

	for (int i = 0; i < 3; i++)
		whole[i] = write_slice(f, ino, i, 0, CHUNK);
	punch(f, ino, CHUNK - 100, CHUNK + 200);
	assert_int_equal(garbage_count(f), 1);
	assert_true(is_garbage(f, whole[1]));
	assert_int_equal(seek(f, ino, 0, true), CHUNK - 100);
	assert_int_equal(seek(f, ino, CHUNK - 100, false), 2 * CHUNK + 100);
	assert_int_equal(seek(f, ino, 2 * CHUNK + 100, true), 3 * CHUNK);
	punch(f, ino, 50, 10);
	assert_int_equal(seek(f, ino, 0, true), 50);
	assert_int_equal(seek(f, ino, 50, false), 60);
	/* Of nothing, and of everything there may be. */
	punch(f, ino, 0, 0);
	punch(f, ino, 0, META_SIZE_MAX);
	assert_int_equal(garbage_count(f), 3);
	assert_int_equal(seek(f, ino, 0, false), -1);
	assert_int_equal(seek(f, ino, 0, true), 0);
}

static void a_punch_may_make_the_file_larger(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_attr after;

	write_slice(f, ino, 0, 0, 1000);
	assert_int_equal(meta_punch(f->m, ino, 500, 500, 3000, &after), 0);
	assert_int_equal(after.size, 3000);
	assert_int_equal(meta_punch(f->m, ino, 0, 10, 2000, &after), 0);
	assert_int_equal(after.size, 3000);
	assert_int_equal(seek(f, ino, 0, false), 10);
}

static void a_file_longer_than_a_transaction_is_punched_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");

	for (unsigned i = 0; i < 2500; i++)
		write_slice(f, ino, i * 3, 10, 20);
	punch(f, ino, 3ull * CHUNK + 15, 7400ull * CHUNK);
	assert_int_equal(seek(f, ino, 3ull * CHUNK + 15, false), 7404ull * CHUNK + 10);
	assert_int_equal(seek(f, ino, 11, true), 30);
	assert_int_equal(garbage_count(f), 2466);
}

static void a_punch_completes_a_cut_first(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");

	for (unsigned i = 0; i < 1500; i++)
		write_slice(f, ino, i, 10, 20);
	assert_int_equal(meta_setattr(f->m, ino, META_SET_SIZE, &(struct meta_attr){.size = 100}, NULL), 0);
	punch(f, ino, 0, 15);
	assert_int_equal(seek(f, ino, 0, false), 15);
	assert_int_equal(garbage_count(f), 1499);
}

static void data_and_holes_are_found(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), empty = make_file(f, 1, "b"), at;

	assert_int_equal(seek(f, empty, 0, false), -1);
	assert_int_equal(seek(f, empty, 0, true), -1);
	/* Two slices side by side, over the border of a chunk, are one piece of data. */
	write_slice(f, ino, 2, CHUNK - 100, 50);
	write_slice(f, ino, 2, CHUNK - 50, 50);
	write_slice(f, ino, 3, 0, 10);
	assert_int_equal(
		meta_setattr(f->m, ino, META_SET_SIZE, &(struct meta_attr){.size = META_SIZE_MAX}, NULL), 0);
	assert_int_equal(seek(f, ino, 0, false), 3 * CHUNK - 100);
	assert_int_equal(seek(f, ino, 0, true), 0);
	assert_int_equal(seek(f, ino, 3 * CHUNK - 99, false), 3 * CHUNK - 99);
	assert_int_equal(seek(f, ino, 3 * CHUNK - 100, true), 3 * CHUNK + 10);
	assert_int_equal(seek(f, ino, 3 * CHUNK + 10, false), -1);
	assert_int_equal(seek(f, ino, META_SIZE_MAX - 1, true), META_SIZE_MAX - 1);
	assert_int_equal(seek(f, ino, META_SIZE_MAX, true), -1);
	assert_int_equal(meta_seek(f->m, META_ROOT_INO, 0, true, &at), -EISDIR);
	assert_int_equal(meta_seek(f->m, 999, 0, true, &at), -ENOENT);
	assert_int_equal(meta_punch(f->m, META_ROOT_INO, 0, 1, 0, NULL), -EISDIR);
	assert_int_equal(meta_punch(f->m, ino, META_SIZE_MAX, 1, 0, NULL), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(a_punched_range_is_a_hole),
		META_TEST(a_punch_may_make_the_file_larger),
		META_TEST(a_file_longer_than_a_transaction_is_punched_whole),
		META_TEST(a_punch_completes_a_cut_first),
		META_TEST(data_and_holes_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
