/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "daemon/meta/slices.h"

static int set_size(struct fixture *f, uint64_t ino, uint64_t size)
{
	return meta_setattr(f->m, ino, META_SET_SIZE, &(struct meta_attr){.size = size}, NULL);
}

/* The object under a byte of a chunk; 0: zeros. */
static uint64_t object_at(struct fixture *f, uint64_t ino, uint64_t chunk, uint32_t pos)
{
	_cleanup_slices_ struct meta_slices list = {};
	_cleanup_free_ struct meta_extent *extents = NULL;
	size_t count = 0;

	assert_int_equal(meta_slices(f->m, ino, chunk, &list), 0);
	assert_true(meta_slices_normal(&list));
	assert_int_equal(meta_flatten(&list, pos, 1, &extents, &count), 0);
	assert_int_equal(count, 1);
	return extents[0].object;
}

static size_t slice_count(struct fixture *f, uint64_t ino, uint64_t chunk)
{
	_cleanup_slices_ struct meta_slices list = {};

	assert_int_equal(meta_slices(f->m, ino, chunk, &list), 0);
	return list.count;
}

static void committed_data_is_found_after_a_reopen(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), object;
	struct meta_attr before = attr_of(f, ino), after;

	object = write_slice(f, ino, 3, 1000, 5000);
	after = attr_of(f, ino);
	assert_int_equal(after.size, 3ull * CHUNK + 6000);
	assert_true(after.version > before.version);
	assert_true(time_order(&after.mtime, &before.mtime) > 0);
	fixture_reopen(f);
	assert_int_equal(object_at(f, ino, 3, 999), 0);
	assert_int_equal(object_at(f, ino, 3, 1000), object);
	assert_int_equal(object_at(f, ino, 3, 5999), object);
	assert_int_equal(object_at(f, ino, 3, 6000), 0);
	assert_int_equal(slice_count(f, ino, 0), 0);
	assert_int_equal(garbage_count(f), 0);
}

static void the_newest_write_is_on_top(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	uint64_t big = write_slice(f, ino, 0, 0, 10000), small = write_slice(f, ino, 0, 4000, 100);

	assert_int_equal(object_at(f, ino, 0, 3999), big);
	assert_int_equal(object_at(f, ino, 0, 4000), small);
	assert_int_equal(object_at(f, ino, 0, 4100), big);
	assert_int_equal(garbage_count(f), 0);
}

static void a_covered_object_is_garbage_once_nothing_of_it_is_left(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	uint64_t old = write_slice(f, ino, 0, 0, 1000), middle = write_slice(f, ino, 0, 400, 100);

	/* `old` is in the list twice now; taking one half leaves the other. */
	write_slice(f, ino, 0, 0, 450);
	assert_false(is_garbage(f, old));
	assert_false(is_garbage(f, middle));
	write_slice(f, ino, 0, 450, 550);
	assert_true(is_garbage(f, old));
	assert_true(is_garbage(f, middle));
	assert_int_equal(garbage_count(f), 2);
	assert_int_equal(slice_count(f, ino, 0), 2);
}

static void one_commit_can_write_to_many_chunks_and_over_itself(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), objects[4];
	struct meta_write w[4] = {
		{.chunk = 0, .slice = {.pos = 0, .length = CHUNK, .size = CHUNK}},
		{.chunk = 1, .slice = {.pos = 0, .length = 100, .size = 100}},
		{.chunk = 0, .slice = {.pos = 10, .length = 10, .size = 10}},
		{.chunk = 1, .slice = {.pos = 0, .length = 200, .size = 200}},
	};
	struct timespec mtime = {77, 88};
	struct meta_attr attr;

	for (int i = 0; i < 4; i++) {
		assert_int_equal(meta_new_object(f->m, &objects[i]), 0);
		w[i].slice.object = objects[i];
	}
	assert_int_equal(meta_commit_write(f->m, ino, w, 4, CHUNK + 200, mtime, false, true, &attr), 0);
	assert_int_equal(attr.size, CHUNK + 200);
	assert_int_equal(time_order(&attr.mtime, &mtime), 0);
	assert_int_equal(object_at(f, ino, 0, 9), objects[0]);
	assert_int_equal(object_at(f, ino, 0, 10), objects[2]);
	assert_int_equal(object_at(f, ino, 1, 0), objects[3]);
	assert_true(is_garbage(f, objects[1]));
	assert_int_equal(garbage_count(f), 1);
}

static void the_next_number_is_told_without_taking_it(void **state)
{
	struct fixture *f = *state;
	uint64_t next, object = 0;

	/* Also at the start of a mount, and where one range of numbers ends and another begins. */
	for (int i = 0; i < 20000; i++) {
		assert_int_equal(meta_next_object(f->m, &next), 0);
		assert_true(next > object);
		assert_int_equal(meta_new_object(f->m, &object), 0);
		assert_int_equal(object, next);
	}
	fixture_reopen(f);
	assert_int_equal(meta_next_object(f->m, &next), 0);
	assert_true(next > object);
	assert_int_equal(meta_new_object(f->m, &object), 0);
	assert_int_equal(object, next);
}

static void zeros_make_a_hole_and_garbage(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), object = write_slice(f, ino, 0, 0, 1000);
	struct meta_write hole = {.slice = {.pos = 0, .length = 1000}};
	struct meta_attr before = attr_of(f, ino), attr;

	assert_int_equal(
		meta_commit_write(f->m, ino, &hole, 1, 0, (struct timespec){1, 1}, false, false, &attr), 0);
	assert_int_equal(attr.size, 1000);
	assert_true(attr.version > before.version);
	assert_int_equal(slice_count(f, ino, 0), 0);
	assert_true(is_garbage(f, object));
	assert_int_equal(garbage_count(f), 1);
}

static void what_lies_behind_the_size_is_cut_off(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), inside, outside;
	struct meta_write w[2] = {
		{.chunk = 0, .slice = {.pos = 0, .length = 1000, .size = 1000}},
		{.chunk = 1, .slice = {.pos = 0, .length = 1000, .size = 1000}},
	};

	assert_int_equal(meta_new_object(f->m, &inside), 0);
	assert_int_equal(meta_new_object(f->m, &outside), 0);
	w[0].slice.object = inside;
	w[1].slice.object = outside;
	assert_int_equal(meta_commit_write(f->m, ino, w, 2, 600, (struct timespec){1, 1}, false, false, NULL),
	                 0);
	assert_int_equal(attr_of(f, ino).size, 600);
	assert_true(is_garbage(f, outside));
	assert_int_equal(set_size(f, ino, 2ull * CHUNK), 0);
	assert_int_equal(object_at(f, ino, 0, 599), inside);
	assert_int_equal(object_at(f, ino, 0, 600), 0);
	assert_int_equal(object_at(f, ino, 1, 0), 0);
}

static void a_write_clears_suid_if_told(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make(f, 1, "a", S_IFREG | 06755);
	struct timespec now = {1, 1};

	assert_int_equal(meta_commit_write(f->m, ino, NULL, 0, 0, now, false, false, NULL), 0);
	assert_int_equal(attr_of(f, ino).mode, S_IFREG | 06755);
	assert_int_equal(meta_commit_write(f->m, ino, NULL, 0, 10, now, true, false, NULL), 0);
	assert_int_equal(attr_of(f, ino).mode, S_IFREG | 0755);
	assert_int_equal(attr_of(f, ino).size, 10);
}

static void unsound_writes_are_refused_and_leave_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct timespec now = {1, 1};
	struct meta_write bad[] = {
		{.slice = {.pos = 0, .length = 0, .object = 1, .size = 1}},
		{.slice = {.pos = CHUNK - 1, .length = 2, .object = 1, .size = 2}},
		{.slice = {.pos = UINT32_MAX, .length = 2, .object = 1, .size = 2}},
		{.slice = {.pos = 0, .length = 10, .object = 1, .size = 9}},
	};
	struct meta_write far = {.chunk = UINT64_MAX, .slice = {.length = 1, .object = 1, .size = 1}};
	struct meta_attr before = attr_of(f, ino), after;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(meta_commit_write(f->m, ino, &bad[i], 1, 1, now, false, false, NULL),
		                 -EINVAL);
	assert_int_equal(meta_commit_write(f->m, ino, &far, 1, 1, now, false, false, NULL), -EFBIG);
	assert_int_equal(meta_commit_write(f->m, ino, NULL, 0, UINT64_MAX, now, false, false, NULL), -EFBIG);
	now.tv_nsec = -1;
	assert_int_equal(meta_commit_write(f->m, ino, NULL, 0, 1, now, false, false, NULL), -EINVAL);
	after = attr_of(f, ino);
	assert_memory_equal(&before, &after, sizeof(after));
}

static void only_files_have_data(void **state)
{
	struct fixture *f = *state;
	struct meta_slices list = {.count = 7};
	struct timespec now = {1, 1};
	uint64_t fifo = make(f, 1, "p", S_IFIFO | 0600);

	assert_int_equal(meta_slices(f->m, 1, 0, &list), -EISDIR);
	assert_int_equal(meta_slices(f->m, fifo, 0, &list), -EINVAL);
	assert_int_equal(meta_slices(f->m, 999, 0, &list), -ENOENT);
	assert_int_equal(list.count, 7);
	assert_int_equal(meta_commit_write(f->m, 1, NULL, 0, 1, now, false, false, NULL), -EISDIR);
	assert_int_equal(meta_commit_write(f->m, fifo, NULL, 0, 1, now, false, false, NULL), -EINVAL);
	assert_int_equal(meta_commit_write(f->m, 999, NULL, 0, 1, now, false, false, NULL), -ENOENT);
}

static void bytes_cut_off_do_not_come_back(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), first = write_slice(f, ino, 0, 0, 10000);
	uint64_t second = write_slice(f, ino, 1, 0, 10000), third = write_slice(f, ino, 0, 8000, 10);

	assert_int_equal(set_size(f, ino, 5000), 0);
	assert_true(is_garbage(f, second));
	assert_true(is_garbage(f, third));
	assert_false(is_garbage(f, first));
	assert_int_equal(set_size(f, ino, 2ull * CHUNK), 0);
	assert_int_equal(object_at(f, ino, 0, 4999), first);
	assert_int_equal(object_at(f, ino, 0, 5000), 0);
	assert_int_equal(object_at(f, ino, 0, 8000), 0);
	assert_int_equal(object_at(f, ino, 1, 0), 0);
	assert_int_equal(set_size(f, ino, 0), 0);
	assert_true(is_garbage(f, first));
	assert_int_equal(garbage_count(f), 3);
}

static void a_cut_at_the_border_of_a_chunk_keeps_it_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), first = write_slice(f, ino, 0, 0, CHUNK);
	uint64_t second = write_slice(f, ino, 1, 0, 1);

	assert_int_equal(set_size(f, ino, CHUNK), 0);
	assert_int_equal(object_at(f, ino, 0, CHUNK - 1), first);
	assert_true(is_garbage(f, second));
	assert_int_equal(garbage_count(f), 1);
}

static void make_long_file(struct fixture *f, uint64_t ino, unsigned chunks)
{
	for (unsigned i = 0; i < chunks; i += 100) {
		struct meta_write w[100] = {};

		for (unsigned j = 0; j < 100; j++) {
			w[j].chunk = i + j;
			w[j].slice = (struct meta_slice){.length = CHUNK, .size = CHUNK};
			assert_int_equal(meta_new_object(f->m, &w[j].slice.object), 0);
		}
		assert_int_equal(meta_commit_write(f->m, ino, w, 100, (i + 100ull) * CHUNK,
		                                   (struct timespec){1, 1}, false, false, NULL),
		                 0);
	}
}

static void a_file_longer_than_a_transaction_is_cut_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_usage before, after;

	meta_get_usage(f->m, &before);
	make_long_file(f, ino, 2000);
	meta_get_usage(f->m, &after);
	assert_int_equal(after.bytes - before.bytes, 2000ull * CHUNK);
	assert_int_equal(set_size(f, ino, 3ull * CHUNK + 5), 0);
	assert_int_equal(garbage_count(f), 1996);
	assert_int_equal(set_size(f, ino, 2000ull * CHUNK), 0);
	for (unsigned i = 4; i < 2000; i++)
		assert_int_equal(slice_count(f, ino, i), 0);
	assert_int_equal(slice_count(f, ino, 3), 1);
	assert_int_equal(set_size(f, ino, 0), 0);
	assert_int_equal(garbage_count(f), 2000);
	meta_get_usage(f->m, &after);
	assert_int_equal(after.bytes, before.bytes);
}

static void object_ids_are_never_given_twice(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 0, id;

	for (int i = 0; i < 5000; i++) {
		if (i % 1500 == 1499)
			fixture_reopen(f);
		assert_int_equal(meta_new_object(f->m, &id), 0);
		assert_true(id > last);
		last = id;
	}
}

static void a_list_that_was_not_touched_is_compacted(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), first = write_slice(f, ino, 0, 0, 10000);
	uint64_t second = write_slice(f, ino, 0, 4000, 100), whole;
	struct meta_attr before = attr_of(f, ino), after;
	struct meta_slices list = {};
	struct meta_slice one = {.length = 10000, .size = 10000};
	const struct meta_slices with = {&one, 1};

	assert_int_equal(meta_slices(f->m, ino, 0, &list), 0);
	assert_int_equal(list.count, 3);
	assert_int_equal(meta_new_object(f->m, &whole), 0);
	one.object = whole;
	assert_int_equal(meta_replace_slices(f->m, ino, 0, &list, &with), 0);
	assert_int_equal(slice_count(f, ino, 0), 1);
	assert_int_equal(object_at(f, ino, 0, 4000), whole);
	assert_true(is_garbage(f, first));
	assert_true(is_garbage(f, second));
	after = attr_of(f, ino);
	assert_memory_equal(&before, &after, sizeof(after));

	/* The list is another now; the replacement is refused and recorded nowhere. */
	assert_int_equal(meta_new_object(f->m, &one.object), 0);
	assert_int_equal(meta_replace_slices(f->m, ino, 0, &list, &with), -ESTALE);
	assert_int_equal(object_at(f, ino, 0, 0), whole);
	assert_false(is_garbage(f, one.object));
	meta_slices_clear(&list);
}

static void a_replacement_has_all_the_bytes_of_what_it_replaces(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), whole;
	struct meta_slices list = {};
	struct meta_slice two[2] = {{.pos = 0, .length = 10001, .size = 30000},
	                            {.pos = 20000, .length = 10000, .offset = 10000, .size = 30000}};
	struct meta_slices with = {two, 1};

	write_slice(f, ino, 0, 0, 10000);
	write_slice(f, ino, 0, 20000, 5000);
	write_slice(f, ino, 0, 25000, 5000);
	assert_int_equal(meta_slices(f->m, ino, 0, &list), 0);
	assert_int_equal(meta_new_object(f->m, &whole), 0);
	two[0].object = two[1].object = whole;
	assert_int_equal(meta_replace_slices(f->m, ino, 0, &list, &with), -EINVAL); /* not to the end */
	with.count = 2;
	two[1].length = 10001;
	assert_int_equal(meta_replace_slices(f->m, ino, 0, &list, &with), -EINVAL); /* behind the end */
	two[1].length = 10000;
	two[1].pos = 20001;
	assert_int_equal(meta_replace_slices(f->m, ino, 0, &list, &with), -EINVAL); /* a byte is missing */
	two[1].pos = 20000;
	assert_int_equal(meta_replace_slices(f->m, ino, 0, &list, &with), 0);
	assert_int_equal(slice_count(f, ino, 0), 2);
	assert_int_equal(object_at(f, ino, 0, 15000), 0);
	assert_int_equal(object_at(f, ino, 0, 29999), whole);
	assert_int_equal(garbage_count(f), 3);
	meta_slices_clear(&list);
	/* Its two slices are two references. */
	write_slice(f, ino, 0, 0, 10001);
	assert_false(is_garbage(f, whole));
	write_slice(f, ino, 0, 20000, 10000);
	assert_true(is_garbage(f, whole));
}

static void a_commit_that_is_repeated_counts_its_objects_once(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_write w[2] = {{.slice = {.pos = 0, .length = 100, .size = 200}},
	                          {.slice = {.pos = 5000, .length = 100, .offset = 100, .size = 200}}};
	struct timespec now = {1, 1};

	assert_int_equal(meta_new_object(f->m, &w[0].slice.object), 0);
	w[1].slice.object = w[0].slice.object;
	assert_int_equal(meta_commit_write(f->m, ino, w, 2, 5100, now, false, false, NULL), 0);
	write_slice(f, ino, 0, 50, 10);
	assert_consistent(f);
	assert_int_equal(meta_commit_write(f->m, ino, w, 2, 5100, now, false, false, NULL), 0);
	assert_consistent(f);
	assert_int_equal(set_size(f, ino, 5000), 0);
	assert_false(is_garbage(f, w[0].slice.object));
	assert_int_equal(set_size(f, ino, 0), 0);
	assert_true(is_garbage(f, w[0].slice.object));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(committed_data_is_found_after_a_reopen),
		META_TEST(the_newest_write_is_on_top),
		META_TEST(a_covered_object_is_garbage_once_nothing_of_it_is_left),
		META_TEST(one_commit_can_write_to_many_chunks_and_over_itself),
		META_TEST(the_next_number_is_told_without_taking_it),
		META_TEST(zeros_make_a_hole_and_garbage),
		META_TEST(what_lies_behind_the_size_is_cut_off),
		META_TEST(a_write_clears_suid_if_told),
		META_TEST(unsound_writes_are_refused_and_leave_nothing),
		META_TEST(only_files_have_data),
		META_TEST(bytes_cut_off_do_not_come_back),
		META_TEST(a_cut_at_the_border_of_a_chunk_keeps_it_whole),
		META_TEST(a_file_longer_than_a_transaction_is_cut_whole),
		META_TEST(object_ids_are_never_given_twice),
		META_TEST(a_list_that_was_not_touched_is_compacted),
		META_TEST(a_replacement_has_all_the_bytes_of_what_it_replaces),
		META_TEST(a_commit_that_is_repeated_counts_its_objects_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
