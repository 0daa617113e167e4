/* SPDX-License-Identifier: Apache-2.0 */
/* A round as a history, for linear.h. */
#include <string.h>

#include "tests/harness/linear.h"
#include "tests/harness/tree.h"

struct checking {
	const struct tree_round *round;
	const struct tree_part *part;
	size_t numbers[TREE_ROUND_MAX]; /* of the operations in it */
};

static bool is_known(const struct checking *c, size_t number)
{
	return c->round->done[number].end <= c->part->until;
}

static enum linear_verdict step(void *state, size_t op, unsigned n, void *context)
{
	const struct checking *c = context;
	size_t number = c->numbers[op];

	return (enum linear_verdict)tree_step(
		state, &c->round->done[number].op, (unsigned)(TREE_INODES - TREE_ROUND_MAX + number), n,
		is_known(c, number) ? &c->round->done[number].result : NULL, NULL);
}

static bool ends(void *state, void *context)
{
	const struct checking *c = context;

	return tree_is(state, &c->round->seen, NULL);
}

int tree_check_part(const struct tree_round *round, const struct tree_part *part, struct tree *ret_after)
{
	struct checking c = {.round = round, .part = part};
	struct linear_model model = {.state_size = sizeof(struct tree), .step = step, .context = &c};
	struct linear_op ops[TREE_ROUND_MAX] = {};
	size_t count = 0;

	if (part->until == LINEAR_NEVER)
		model.end = ends;
	for (size_t i = 0; i < round->count; i++) {
		if (part->without[i] || round->done[i].start > part->until)
			continue;
		c.numbers[count] = i;
		ops[count++] = (struct linear_op){
			.process = round->done[i].op.process,
			.start = round->done[i].start,
			.end = is_known(&c, i) ? round->done[i].end : LINEAR_NEVER,
		};
	}
	return linear_check(&model, ops, count, &round->before, ret_after, NULL);
}
