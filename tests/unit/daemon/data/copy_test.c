/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static void random_copies_and_writes_hold_what_they_must(void **state)
{
	struct fixture *f = *state;
	struct data_file *files[2];
	struct model m[2];

	for (int i = 0; i < 2; i++) {
		uint64_t ino = make_file(f, i ? "b" : "a");

		model_init(&m[i], ino, 11 + i);
		files[i] = get(f, ino);
	}
	for (int i = 0; i < 120; i++) {
		int from = model_random(m, 2), to = model_random(m, 2);
		uint64_t at = model_random(m, 5 * MIB), where = model_random(m, 5 * MIB);
		uint64_t n = 1 + model_random(m, i % 4 ? 100000 : MIB), wanted;

		if (model_random(m, 3) == 0) {
			model_write(&m[to], files[to], where, n);
			continue;
		}
		if (from == to && at < where + n && where < at + n) {
			assert_int_equal(data_copy(files[from], at, files[to], where, n), -EINVAL);
			continue;
		}
		wanted = at >= m[from].size ? 0 : n < m[from].size - at ? n : m[from].size - at;
		assert_int_equal(data_copy(files[from], at, files[to], where, n), wanted);
		memcpy(m[to].bytes + where, m[from].bytes + at, wanted);
		if (wanted && where + wanted > m[to].size)
			m[to].size = where + wanted;
		if (i % 8 == 0)
			model_check(&m[to], f, files[to]);
	}
	for (int i = 0; i < 2; i++) {
		model_check(&m[i], f, files[i]);
		data_file_put(files[i]);
	}
	fixture_reopen(f);
	for (int i = 0; i < 2; i++) {
		files[i] = get(f, m[i].ino);
		model_check(&m[i], f, files[i]);
		truncate_to(f, m[i].ino, 0);
		data_file_put(files[i]);
		free(m[i].bytes);
	}
	expect_no_leftover(f, 0);
}

static void a_copy_takes_no_object(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, "a"), b = make_file(f, "b");
	struct data_file *from = get(f, a), *to = get(f, b);
	struct model m;
	size_t objects;

	model_init(&m, a, 3);
	model_write(&m, from, 0, 3 * MIB);
	assert_int_equal(data_flush(from), 0);
	objects = objects_in_store(f);
	f->will_write = f->changed = 0;
	assert_int_equal(data_copy(from, 1000, to, 0, 3 * MIB), 3 * MIB - 1000);
	assert_int_equal(f->will_write, 1);
	assert_true(f->changed >= 1);
	assert_int_equal(data_flush(to), 0);
	expect_bytes(to, 0, m.bytes + 1000, 3 * MIB - 1000);
	assert_int_equal(objects_in_store(f), objects);
	data_file_put(from);
	data_file_put(to);
	free(m.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_EACH_CACHE(random_copies_and_writes_hold_what_they_must),
		WITH_EACH_CACHE(a_copy_takes_no_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
