/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static void random_holes_and_writes_hold_what_they_must(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 7);
	for (int i = 0; i < 120; i++) {
		uint64_t at = model_random(&m, 5 * MIB), n = 1 + model_random(&m, i % 4 ? 100000 : MIB);
		uint64_t size = m.size, end = at + n;
		bool zero = i % 3, keep = i % 2;

		switch (model_random(&m, 4)) {
		case 0:
			model_write(&m, file, at, n);
			break;
		case 1:
			assert_int_equal(data_flush(file), 0);
			break;
		default:
			assert_int_equal(data_fallocate(file, zero, keep, at, n), 0);
			if (zero && at < size)
				memset(m.bytes + at, 0, (end < size ? end : size) - at);
			if (!keep && end > size)
				m.size = end;
		}
		if (i % 8 == 0)
			model_check(&m, f, file);
	}
	model_finish(&m, f, file);
}

static void what_is_staged_is_punched_too(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), at;
	struct data_file *file = get(f, ino);

	put_bytes(file, 0, "0123456789", 10);
	f->watched = ino;
	f->will_write = 0;
	assert_int_equal(data_fallocate(file, true, true, 2, 5), 0);
	expect_bytes(file, 0,
	             "01\0\0\0\0\0"
	             "789",
	             10);
	assert_int_equal(data_seek(file, 0, true, &at), 0);
	assert_int_equal(at, 2);
	assert_int_equal(data_seek(file, 2, false, &at), 0);
	assert_int_equal(at, 7);
	put_bytes(file, 4, "x", 1);
	assert_int_equal(data_seek(file, 2, false, &at), 0);
	assert_int_equal(at, 4);
	expect_bytes(file, 0,
	             "01\0\0x\0\0"
	             "789",
	             10);
	data_file_put(file);
}

static void those_outside_are_told_before_and_after(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct meta_attr attr = {.ino = ino};

	commit_bytes(file, 0, "0123456789", 10);
	assert_false(data_pending(f->data, &attr));
	f->watched = ino;
	f->will_write = f->changed = 0;
	assert_int_equal(data_fallocate(file, true, true, 2, 5), 0);
	assert_int_equal(f->will_write, 1);
	assert_true(f->pending_seen);
	assert_true(f->changed >= 1);
	assert_false(data_pending(f->data, &attr));
	data_file_put(file);
}

static void unsound_ranges_are_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), at = 77;
	struct data_file *file = get(f, ino);

	assert_int_equal(data_fallocate(file, false, false, 0, 0), -EINVAL);
	assert_int_equal(data_fallocate(file, true, true, META_SIZE_MAX, 1), -EFBIG);
	assert_int_equal(data_seek(file, 0, false, &at), -ENXIO);
	assert_int_equal(data_fallocate(file, false, false, 0, META_SIZE_MAX), 0);
	assert_int_equal(data_seek(file, 0, false, &at), -ENXIO);
	assert_int_equal(at, 77);
	assert_int_equal(attr_of(f, ino).size, META_SIZE_MAX);
	data_file_put(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_EACH_CACHE(random_holes_and_writes_hold_what_they_must),
		WITH_EACH_CACHE(what_is_staged_is_punched_too),
		WITH_EACH_CACHE(those_outside_are_told_before_and_after),
		WITH_EACH_CACHE(unsound_ranges_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
