/* SPDX-License-Identifier: Apache-2.0 */
/* Histories of a register: one value that is written and read. */
#include "tests/harness/linear.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

struct call {
	struct linear_op op;
	char what; /* 'w' write, 'r' read, 'm' move: reads and then writes one more, in two steps */
	int value;
};

struct state {
	int value, seen;
};

static enum linear_verdict step(void *state, size_t op, unsigned n, void *context)
{
	const struct call *call = (const struct call *)context + op;
	struct state *s = state;

	if (call->what == 'w')
		s->value = call->value;
	else if (call->what == 'r' && s->value != call->value)
		return LINEAR_IMPOSSIBLE;
	if (call->what != 'm')
		return LINEAR_DONE;
	if (n == 0) {
		s->seen = s->value;
		return LINEAR_MORE;
	}
	s->value = s->seen + 1;
	s->seen = 0;
	return LINEAR_DONE;
}

static bool ends_with_3(void *state, void *context)
{
	(void)context;
	return ((struct state *)state)->value == 3;
}

static int check(struct call *calls, size_t count, bool (*end)(void *, void *), struct state *ret_end,
                 size_t *ret_order)
{
	struct linear_model model = {
		.state_size = sizeof(struct state), .step = step, .end = end, .context = calls};
	struct linear_op ops[64];
	struct state start = {};

	assert_true(count <= ARRAY_SIZE(ops));
	for (size_t i = 0; i < count; i++)
		ops[i] = calls[i].op;
	return linear_check(&model, ops, count, &start, ret_end, ret_order);
}

#define CHECK(...)                                                   \
	({                                                           \
		struct call _calls[] = {__VA_ARGS__};                \
		check(_calls, ARRAY_SIZE(_calls), NULL, NULL, NULL); \
	})

static void what_happens_one_after_the_other_is_seen_so(void **state)
{
	(void)state;
	assert_int_equal(CHECK({{0, 1, 2}, 'r', 0}, {{0, 3, 4}, 'w', 1}, {{1, 5, 6}, 'r', 1}), 1);
	assert_int_equal(CHECK({{0, 1, 2}, 'w', 1}, {{1, 3, 4}, 'r', 0}), 0);
	assert_int_equal(CHECK({{0, 1, 2}, 'r', 7}), 0);
}

static void what_overlaps_may_be_seen_or_not(void **state)
{
	(void)state;
	assert_int_equal(CHECK({{0, 1, 9}, 'w', 1}, {{1, 2, 3}, 'r', 0}, {{1, 4, 5}, 'r', 1}), 1);
	assert_int_equal(CHECK({{0, 1, 9}, 'w', 1}, {{1, 2, 3}, 'r', 1}, {{2, 2, 3}, 'r', 0}), 1);
}

static void what_was_seen_stays(void **state)
{
	(void)state;
	/* By the same process and by another one. */
	assert_int_equal(CHECK({{0, 1, 9}, 'w', 1}, {{1, 2, 3}, 'r', 1}, {{1, 4, 5}, 'r', 0}), 0);
	assert_int_equal(CHECK({{0, 1, 9}, 'w', 1}, {{1, 2, 3}, 'r', 1}, {{2, 4, 5}, 'r', 0}), 0);
	/* Two writers, two readers who disagree about who was last. */
	assert_int_equal(
		CHECK({{0, 1, 9}, 'w', 1}, {{1, 1, 9}, 'w', 2}, {{2, 10, 11}, 'r', 1}, {{3, 12, 13}, 'r', 2}),
		0);
}

static void what_did_not_return_may_have_been_done(void **state)
{
	(void)state;
	assert_int_equal(CHECK({{0, 1, LINEAR_NEVER}, 'w', 1}, {{1, 2, 3}, 'r', 0}, {{1, 4, 5}, 'r', 0}), 1);
	assert_int_equal(CHECK({{0, 1, LINEAR_NEVER}, 'w', 1}, {{1, 2, 3}, 'r', 0}, {{1, 4, 5}, 'r', 1}), 1);
	assert_int_equal(CHECK({{0, 1, LINEAR_NEVER}, 'w', 1}, {{1, 2, 3}, 'r', 1}, {{1, 4, 5}, 'r', 0}), 0);
	assert_int_equal(CHECK({{0, 4, LINEAR_NEVER}, 'w', 1}, {{1, 2, 3}, 'r', 1}), 0);
}

static void others_may_come_between_the_steps_of_an_operation(void **state)
{
	(void)state;
	/* Both add one to 0. */
	assert_int_equal(CHECK({{0, 1, 9}, 'm', 0}, {{1, 1, 9}, 'm', 0}, {{2, 10, 11}, 'r', 1}), 1);
	assert_int_equal(CHECK({{0, 1, 4}, 'm', 0}, {{1, 5, 9}, 'm', 0}, {{2, 10, 11}, 'r', 1}), 0);
}

static void the_end_must_be_as_it_was_seen(void **state)
{
	struct call both[] = {{{0, 1, 9}, 'w', 3}, {{1, 2, 8}, 'w', 4}};
	struct call late[] = {{{0, 1, 3}, 'w', 3}, {{1, 4, 8}, 'w', 4}};
	size_t order[2];
	struct state end;

	(void)state;
	assert_int_equal(check(both, 2, ends_with_3, &end, order), 1);
	assert_int_equal(end.value, 3);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 0);
	assert_int_equal(check(late, 2, ends_with_3, NULL, NULL), 0);
}

static void one_process_does_not_do_two_things_at_once(void **state)
{
	(void)state;
	assert_int_equal(CHECK({{0, 1, 9}, 'w', 1}, {{0, 2, 10}, 'w', 2}), -EINVAL);
	assert_int_equal(CHECK({{0, 3, 2}, 'w', 1}), -EINVAL);
	assert_int_equal(CHECK({{LINEAR_PROCESSES_MAX, 1, 2}, 'w', 1}), -EINVAL);
}

/* 48 operations at once have 10^26 orders, but few states. */
static void many_orders_are_few_configurations(void **state)
{
	struct call calls[49];
	size_t count = 0;

	(void)state;
	for (unsigned p = 0; p < 4; p++)
		for (unsigned i = 0; i < 12; i++)
			calls[count++] = (struct call){{p, i, i + 1}, i % 2 ? 'r' : 'w', (int)(i / 2)};
	for (size_t i = 0; i < count; i++) {
		/* All of a process in one stretch of time, as if nobody knew when. */
		calls[i].op.start = 1;
		calls[i].op.end = 1;
	}
	assert_int_equal(check(calls, count, NULL, NULL, NULL), 1);
	calls[count++] = (struct call){{4, 2, 3}, 'r', 77};
	assert_int_equal(check(calls, count, NULL, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_happens_one_after_the_other_is_seen_so),
		cmocka_unit_test(what_overlaps_may_be_seen_or_not),
		cmocka_unit_test(what_was_seen_stays),
		cmocka_unit_test(what_did_not_return_may_have_been_done),
		cmocka_unit_test(others_may_come_between_the_steps_of_an_operation),
		cmocka_unit_test(the_end_must_be_as_it_was_seen),
		cmocka_unit_test(one_process_does_not_do_two_things_at_once),
		cmocka_unit_test(many_orders_are_few_configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
