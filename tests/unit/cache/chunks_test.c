/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cache/chunks.h"

static void a_chunk_is_found_by_number_and_stays_where_it_is(void **state)
{
	struct chunks t = {};
	struct chunk *c, *first;
	size_t n = 0;

	(void)state;
	assert_null(chunks_find(&t, 0));
	first = chunks_add(&t, UINT64_MAX);
	assert_int_equal(first->present, 0);
	for (uint64_t i = 0; i < 5000; i++)
		chunks_add(&t, (2 * i + 1) << (i % 40))->present = i;
	assert_ptr_equal(chunks_find(&t, UINT64_MAX), first);
	for (uint64_t i = 0; i < 5000; i++) {
		c = chunks_find(&t, (2 * i + 1) << (i % 40));
		assert_non_null(c);
		assert_int_equal(c->present, i);
	}
	assert_null(chunks_find(&t, UINT64_MAX - 1));
	chunks_for_each (&t, c)
		n++;
	assert_int_equal(n, 5001);
	assert_int_equal(n, t.n);
	chunks_free(&t);
	assert_null(chunks_find(&t, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunk_is_found_by_number_and_stays_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
