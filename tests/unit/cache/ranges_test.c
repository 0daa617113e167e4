/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cache/ranges.h"

static void assert_ranges(const struct ranges *r, size_t n, const struct range *expected)
{
	uint64_t bytes = 0;

	assert_int_equal(r->n, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(r->v[i].begin, expected[i].begin);
		assert_int_equal(r->v[i].end, expected[i].end);
		bytes += expected[i].end - expected[i].begin;
	}
	assert_int_equal(r->bytes, bytes);
}

#define ASSERT_RANGES(r, ...)                                                          \
	assert_ranges(r, sizeof((struct range[]){__VA_ARGS__}) / sizeof(struct range), \
	              (struct range[]){__VA_ARGS__})

static void ranges_that_touch_become_one(void **state)
{
	struct ranges r = {};

	(void)state;
	ranges_add(&r, 10, 20);
	ranges_add(&r, 30, 40);
	ASSERT_RANGES(&r, {10, 20}, {30, 40});
	ranges_add(&r, 20, 30);
	ASSERT_RANGES(&r, {10, 40});
	ranges_add(&r, 5, 50);
	ASSERT_RANGES(&r, {5, 50});
	ranges_add(&r, 7, 9);
	ASSERT_RANGES(&r, {5, 50});
	ranges_free(&r);
	assert_int_equal(r.n, 0);
}

static void removing_the_middle_splits(void **state)
{
	struct ranges r = {};

	(void)state;
	ranges_add(&r, 10, 40);
	ranges_remove(&r, 20, 30);
	ASSERT_RANGES(&r, {10, 20}, {30, 40});
	ranges_remove(&r, 0, 15);
	ASSERT_RANGES(&r, {15, 20}, {30, 40});
	ranges_remove(&r, 18, 35);
	ASSERT_RANGES(&r, {15, 18}, {35, 40});
	ranges_remove(&r, 18, 35);
	ranges_remove(&r, 40, 90);
	ASSERT_RANGES(&r, {15, 18}, {35, 40});
	ranges_remove(&r, 0, UINT64_MAX);
	assert_int_equal(r.n, 0);
	ranges_free(&r);
}

static void an_empty_range_changes_nothing(void **state)
{
	struct ranges r = {};

	(void)state;
	ranges_add(&r, 5, 5);
	assert_int_equal(r.n, 0);
	ranges_add(&r, 1, 10);
	ranges_remove(&r, 5, 5);
	ASSERT_RANGES(&r, {1, 10});
	assert_true(ranges_cover(&r, 90, 90));
	assert_false(ranges_intersect(&r, 5, 5));
	ranges_free(&r);
}

static void the_largest_offsets_fit(void **state)
{
	struct ranges r = {};
	struct range first;

	(void)state;
	ranges_add(&r, 0, INT64_MAX);
	assert_true(ranges_cover(&r, INT64_MAX - 1, INT64_MAX));
	assert_false(ranges_cover(&r, INT64_MAX - 1, UINT64_MAX));
	assert_true(ranges_first(&r, INT64_MAX - 1, UINT64_MAX, &first));
	assert_int_equal(first.end, INT64_MAX);
	ranges_remove(&r, 1, UINT64_MAX);
	ASSERT_RANGES(&r, {0, 1});
	ranges_free(&r);
}

static void reserved_changes_do_not_allocate(void **state)
{
	struct ranges r = {};
	struct range *v;

	(void)state;
	assert_int_equal(ranges_reserve(&r, 100), 0);
	v = r.v;
	for (uint64_t i = 0; i < 50; i++)
		ranges_add(&r, 100 * i, 100 * i + 90);
	for (uint64_t i = 0; i < 50; i++)
		ranges_remove(&r, 100 * i + 10, 100 * i + 20);
	assert_ptr_equal(r.v, v);
	assert_int_equal(r.n, 100);
	ranges_free(&r);
}

/** Against a set of one byte per offset. */
static void random_changes_agree_with_a_plain_set(void **state)
{
	enum { N = 200 };
	char set[N + 1] = {};
	struct ranges r = {};
	unsigned seed = 1;

	(void)state;
	for (unsigned step = 0; step < 20000; step++) {
		uint64_t begin = (unsigned)rand_r(&seed) % N,
			 end = begin + (unsigned)rand_r(&seed) % (N - begin + 1);
		uint64_t to = begin, bytes = 0;
		struct range first;
		char *at;
		int op = rand_r(&seed) % 2;

		if (op)
			ranges_add(&r, begin, end);
		else
			ranges_remove(&r, begin, end);
		memset(set + begin, op, end - begin);
		begin = (unsigned)rand_r(&seed) % N;
		end = begin + (unsigned)rand_r(&seed) % (N - begin + 1);
		for (to = begin; to < N && set[to]; to++)
			;
		assert_int_equal(ranges_covered_to(&r, begin), to);
		assert_int_equal(ranges_cover(&r, begin, end), to >= end);
		at = memchr(set + begin, 1, end - begin);
		assert_int_equal(ranges_first(&r, begin, end, &first), at != NULL);
		assert_int_equal(ranges_intersect(&r, begin, end), at != NULL);
		if (at)
			assert_int_equal(first.begin, at - set);
		for (unsigned i = 0; i < N; i++)
			bytes += set[i];
		assert_int_equal(r.bytes, bytes);
		for (size_t i = 1; i < r.n; i++)
			assert_true(r.v[i - 1].end < r.v[i].begin);
	}
	ranges_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_that_touch_become_one),
		cmocka_unit_test(removing_the_middle_splits),
		cmocka_unit_test(an_empty_range_changes_nothing),
		cmocka_unit_test(the_largest_offsets_fit),
		cmocka_unit_test(reserved_changes_do_not_allocate),
		cmocka_unit_test(random_changes_agree_with_a_plain_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
