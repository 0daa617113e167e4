/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "daemon/meta/slices.h"

static uint64_t copied(struct fixture *f, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t offset,
                       uint64_t length)
{
	uint64_t n = UINT64_MAX;

	assert_int_equal(meta_copy_range(f->m, from, from_offset, to, offset, length, &n, NULL), 0);
	assert_consistent(f);
	return n;
}

/* What a byte of a file is: an object, and where in it; 0: a hole. */
static struct meta_extent extent_at(struct fixture *f, uint64_t ino, uint64_t offset)
{
	_cleanup_slices_ struct meta_slices list = {};
	_cleanup_free_ struct meta_extent *extents = NULL;
	size_t count = 0;

	assert_int_equal(meta_slices(f->m, ino, offset / CHUNK, &list), 0);
	assert_int_equal(meta_flatten(&list, offset % CHUNK, 1, &extents, &count), 0);
	assert_int_equal(count, 1);
	return extents[0];
}

static void assert_same_byte(struct fixture *f, uint64_t a, uint64_t at, uint64_t b, uint64_t bt)
{
	struct meta_extent x = extent_at(f, a, at), y = extent_at(f, b, bt);

	assert_int_equal(x.object, y.object);
	if (x.object)
		assert_int_equal(x.offset, y.offset);
}

static void a_copy_names_the_same_objects(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), b = make_file(f, 1, "b"), object = write_slice(f, a, 0, 0, 10000);
	struct meta_attr before = attr_of(f, b), after;

	assert_int_equal(copied(f, a, 0, b, 0, 1 << 20), 10000);
	after = attr_of(f, b);
	assert_int_equal(after.size, 10000);
	assert_true(after.version > before.version);
	assert_true(time_order(&after.mtime, &before.mtime) > 0);
	assert_int_equal(extent_at(f, b, 9999).object, object);
	fixture_reopen(f);
	assert_same_byte(f, a, 9999, b, 9999);
}

static void an_object_lives_as_long_as_any_file_names_it(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), b = make_file(f, 1, "b"), object = write_slice(f, a, 0, 0, 10000);
	struct meta_attr attr;

	copied(f, a, 0, b, 0, 10000);
	copied(f, a, 100, b, 20000, 100);
	assert_int_equal(meta_unlink(f->m, 1, "a", &attr, NULL), 0);
	assert_int_equal(meta_reap(f->m, a), 0);
	assert_int_equal(garbage_count(f), 0);
	assert_int_equal(meta_setattr(f->m, b, META_SET_SIZE, &(struct meta_attr){.size = 5000}, NULL), 0);
	assert_int_equal(garbage_count(f), 0);
	write_slice(f, b, 0, 100, 100);
	assert_int_equal(garbage_count(f), 0);
	write_slice(f, b, 0, 0, 5000);
	assert_true(is_garbage(f, object));
}

static void slices_are_cut_at_the_chunks_of_both_files(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), b = make_file(f, 1, "b");
	const uint64_t to = 3 * (uint64_t)CHUNK - 1000, length = 2 * (uint64_t)CHUNK + 500;

	for (int i = 0; i < 3; i++)
		write_slice(f, a, i, 0, CHUNK);
	write_slice(f, a, 1, 3000, 10);
	assert_int_equal(copied(f, a, 777, b, to, length), length);
	assert_int_equal(attr_of(f, b).size, to + length);
	for (uint64_t at = 0; at < length; at += 499)
		assert_same_byte(f, a, 777 + at, b, to + at);
	assert_same_byte(f, a, 777 + length - 1, b, to + length - 1);
	assert_int_equal(extent_at(f, b, to - 1).object, 0);
}

static void holes_are_copied_over_data(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), b = make_file(f, 1, "b"), old = write_slice(f, b, 0, 0, 1000);

	write_slice(f, a, 0, 500, 500);
	assert_int_equal(copied(f, a, 0, b, 0, 500), 500);
	assert_int_equal(extent_at(f, b, 499).object, 0);
	assert_int_equal(extent_at(f, b, 500).object, old);
	assert_int_equal(copied(f, a, 0, b, 500, 500), 500);
	assert_true(is_garbage(f, old));
}

static void a_file_is_copied_into_itself_but_not_onto_itself(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), n = 77;

	write_slice(f, a, 0, 0, 1000);
	write_slice(f, a, 0, 1000, 1000);
	assert_int_equal(copied(f, a, 0, a, 1000, 1000), 1000);
	assert_int_equal(garbage_count(f), 1);
	assert_same_byte(f, a, 0, a, 1000);
	assert_int_equal(meta_copy_range(f->m, a, 0, a, 999, 1000, &n, NULL), -EINVAL);
	assert_int_equal(meta_copy_range(f->m, a, 999, a, 0, 1000, &n, NULL), -EINVAL);
	assert_int_equal(n, 77);
}

static void what_cannot_be_copied_is_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), dir = make_dir(f, 1, "d"), n = 77;

	write_slice(f, a, 0, 0, 1000);
	assert_int_equal(meta_copy_range(f->m, a, 0, dir, 0, 10, &n, NULL), -EISDIR);
	assert_int_equal(meta_copy_range(f->m, dir, 0, a, 0, 10, &n, NULL), -EISDIR);
	assert_int_equal(meta_copy_range(f->m, a, 0, 999, 0, 10, &n, NULL), -ENOENT);
	assert_int_equal(meta_copy_range(f->m, a, 0, a, META_SIZE_MAX - 5, 10, &n, NULL), -EFBIG);
	assert_int_equal(meta_copy_range(f->m, a, META_SIZE_MAX - 5, a, 0, 10, &n, NULL), -EFBIG);
	assert_int_equal(copied(f, a, 1000, a, 0, 10), 0);
	assert_int_equal(attr_of(f, a).size, 1000);
}

static void a_copy_of_very_many_slices_is_done_in_part(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), b = make_file(f, 1, "b"), done = 0, n;
	struct meta_write *w = calloc(6000, sizeof(*w));
	struct timespec now = {1, 1};
	int calls = 0;

	assert_non_null(w);
	for (unsigned i = 0; i < 6000; i++) {
		w[i].chunk = i / 500;
		w[i].slice = (struct meta_slice){.pos = i % 500 * 10, .length = 10, .size = 10};
		assert_int_equal(meta_new_object(f->m, &w[i].slice.object), 0);
	}
	assert_int_equal(meta_commit_write(f->m, a, w, 6000, 12ull * CHUNK, now, false, false, NULL), 0);
	while ((n = copied(f, a, done, b, done, 12ull * CHUNK - done))) {
		done += n;
		calls++;
	}
	assert_int_equal(done, 12ull * CHUNK);
	assert_in_range(calls, 2, 3);
	for (unsigned i = 0; i < 6000; i++)
		assert_int_equal(extent_at(f, b, i / 500 * CHUNK + i % 500 * 10).object, w[i].slice.object);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(a_copy_names_the_same_objects),
		META_TEST(an_object_lives_as_long_as_any_file_names_it),
		META_TEST(slices_are_cut_at_the_chunks_of_both_files),
		META_TEST(holes_are_copied_over_data),
		META_TEST(a_file_is_copied_into_itself_but_not_onto_itself),
		META_TEST(what_cannot_be_copied_is_refused),
		META_TEST(a_copy_of_very_many_slices_is_done_in_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
