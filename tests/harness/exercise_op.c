/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/exercise.h"

#include <string.h>

#include "tests/harness/chance.h"

static const struct {
	const char *name;
	unsigned often;
	bool apart;
} kinds[] = {
#define X(name, often, apart) {#name, often, apart},
	EXERCISE_KINDS(X)
#undef X
};

/* Often near a border of a page, a sub-block or a chunk, where mistakes live. */
static uint64_t random_place(uint64_t *state, uint64_t limit)
{
	static const uint64_t borders[] = {EXERCISE_PAGE, 65536, 4 << 20};
	uint64_t border, at;

	if (limit == 0 || chance_below(state, 2))
		return chance_below(state, limit + 1);
	border = borders[chance_below(state, 3)];
	at = chance_below(state, limit / border + 1) * border + chance_below(state, 17);
	at = at > 8 ? at - 8 : at;
	return at > limit ? limit : at;
}

struct exercise_op exercise_random_op(uint64_t *state)
{
	struct exercise_op op = {.process = chance_below(state, exercise.processes)};
	uint64_t region = exercise.apart
	                          ? exercise.max_size / exercise.processes / EXERCISE_PAGE * EXERCISE_PAGE
	                          : exercise.max_size;
	uint64_t base = exercise.apart ? op.process * region : 0, sum = 0, pick;

	for (unsigned k = 0; k < EXERCISE_COUNT; k++)
		sum += kinds[k].apart || !exercise.apart ? kinds[k].often : 0;
	pick = chance_below(state, sum);
	for (unsigned k = 0; k < EXERCISE_COUNT; k++) {
		unsigned often = kinds[k].apart || !exercise.apart ? kinds[k].often : 0;

		if (pick < often) {
			op.kind = k;
			break;
		}
		pick -= often;
	}
	op.at = random_place(state, region - 1);
	op.to = random_place(state, region - 1);
	op.length = 1 + chance_below(state, chance_below(state, 3) ? 5000 : EXERCISE_PIECE);
	if (op.kind == EXERCISE_copy || op.kind == EXERCISE_punch)
		op.length *= 1 + chance_below(state, 4);
	if (op.length > region - op.at)
		op.length = region - op.at;
	if (op.kind == EXERCISE_copy && op.length > region - op.to)
		op.length = region - op.to;
	op.at += base;
	op.to += base;
	op.seed = chance_next(state);
	return op;
}

const char *exercise_op_name(const struct exercise_op *op)
{
	return kinds[op->kind].name;
}

void exercise_print_op(FILE *out, const void *printed)
{
	const struct exercise_op *op = printed;

	fprintf(out, "%u %s %llu %llu %llu %llu\n", op->process, kinds[op->kind].name,
	        (unsigned long long)op->at, (unsigned long long)op->length, (unsigned long long)op->to,
	        (unsigned long long)op->seed);
}

bool exercise_read_op(const char *line, void *ret_op)
{
	unsigned long long at, length, to, seed;
	struct exercise_op op = {.kind = EXERCISE_COUNT};
	char name[32];

	if (sscanf(line, "%u %31s %llu %llu %llu %llu", &op.process, name, &at, &length, &to, &seed) != 6)
		return false;
	for (unsigned k = 0; k < EXERCISE_COUNT; k++)
		if (!strcmp(name, kinds[k].name))
			op.kind = k;
	op.at = at;
	op.length = length;
	op.to = to;
	op.seed = seed;
	*(struct exercise_op *)ret_op = op;
	return op.kind < EXERCISE_COUNT && op.process < exercise.processes && at <= exercise.max_size &&
	       length <= exercise.max_size - at && to <= exercise.max_size;
}
