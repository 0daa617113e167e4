/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "tests/harness/chance.h"
#include "tests/harness/tree.h"

static const struct {
	const char *name;
	unsigned often;
	const char *args;
} kinds[] = {
#define X(name, often, args) {#name, often, args},
	TREE_KINDS(X)
#undef X
};

/* One is the beginning of another, and one is too long for a short key. */
static const char *const names[TREE_NAMES] = {
	"a",
	"b",
	"ab",
	"c",
	"long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long",
};

const char *tree_kind_name(unsigned kind)
{
	return kinds[kind].name;
}

const char *tree_name(unsigned n)
{
	return names[n];
}

unsigned tree_name_number(const char *name)
{
	unsigned n = 0;

	while (n < TREE_NAMES && strcmp(name, names[n]) != 0)
		n++;
	return n;
}

const char *tree_target(unsigned n)
{
	/* Names that are nowhere. */
	static const char *const targets[TREE_TARGETS] = {"x", "y/z", "no-such-name", "../a-b-c/d"};

	return targets[n % TREE_TARGETS];
}

mode_t tree_mode(unsigned n)
{
	static const mode_t modes[] = {0700, 0711, 0740, 0755};

	return modes[n % ARRAY_SIZE(modes)];
}

const char *tree_type_name(unsigned type)
{
	static const char *const types[] = {"nothing", "directory", "file", "symbolic link", "fifo"};

	return type < ARRAY_SIZE(types) ? types[type] : "wonder";
}

static struct tree_op draw_op(uint64_t *state)
{
	struct tree_op op = {};
	uint64_t sum = 0, pick;

	for (unsigned k = 0; k < TREE_KIND_COUNT; k++)
		sum += kinds[k].often;
	pick = chance_below(state, sum);
	for (op.kind = 0; pick >= kinds[op.kind].often; op.kind++)
		pick -= kinds[op.kind].often;
	for (const char *arg = kinds[op.kind].args; *arg; arg++) {
		switch (*arg) {
		case 'd': /* the top is never gone: the way to what is there */
			op.dir = chance_below(state, op.kind == TREE_enter ? 2 : 4)
			                 ? (uint8_t)chance_below(state, TREE_DIRS)
			                 : 0;
			break;
		case 'D': /* often the same one */
			op.dir2 = chance_below(state, 2) ? op.dir : (uint8_t)chance_below(state, TREE_DIRS);
			break;
		case 'n':
			op.name = (uint8_t)chance_below(state, TREE_NAMES);
			break;
		case 'N':
			op.name2 = (uint8_t)chance_below(state, TREE_NAMES);
			break;
		case 'e':
			op.slot = (uint8_t)(1 + chance_below(state, TREE_DIRS - 1));
			break;
		case 'f':
			op.slot = (uint8_t)(TREE_DIRS + chance_below(state, TREE_FILES));
			break;
		case 'v':
			op.value = (uint8_t)(1 + chance_below(state, TREE_VALUES));
			break;
		default: /* m, t */
			op.value = (uint8_t)chance_below(state, TREE_TARGETS);
			break;
		}
	}
	return op;
}

/* A directory for each slot, and all in them. */
static size_t draw_setup(unsigned processes, struct tree_op *ops)
{
	size_t n = 0;

	for (unsigned i = 1; i < TREE_DIRS; i++)
		ops[n++] = (struct tree_op){.kind = TREE_mkdir, .name = (uint8_t)i};
	for (unsigned p = 0; p < processes; p++)
		for (unsigned i = 1; i < TREE_DIRS; i++)
			ops[n++] = (struct tree_op){.round = 1,
			                            .process = (uint8_t)p,
			                            .kind = TREE_enter,
			                            .name = (uint8_t)i,
			                            .slot = (uint8_t)i};
	return n;
}

size_t tree_draw(uint64_t seed, size_t count, unsigned processes, unsigned burst, struct tree_op *ret_ops)
{
	uint64_t state = seed;
	size_t n = draw_setup(processes, ret_ops), all = n + count;

	for (uint32_t round = 2; n < all; round++) {
		for (unsigned p = 0; p < processes; p++) {
			for (uint64_t some = 1 + chance_below(&state, burst); some && n < all; some--) {
				ret_ops[n] = draw_op(&state);
				ret_ops[n].round = round;
				ret_ops[n++].process = (uint8_t)p;
			}
		}
	}
	return n;
}

static uint8_t *field(struct tree_op *op, char arg)
{
	switch (arg) {
	case 'd':
		return &op->dir;
	case 'D':
		return &op->dir2;
	case 'n':
		return &op->name;
	case 'N':
		return &op->name2;
	case 'e':
	case 'f':
		return &op->slot;
	default:
		return &op->value;
	}
}

void tree_print_op(FILE *out, const void *printed)
{
	struct tree_op op = *(const struct tree_op *)printed;

	fprintf(out, "%u %u %s", op.round, op.process, kinds[op.kind].name);
	for (const char *arg = kinds[op.kind].args; *arg; arg++) {
		if (*arg == 'n' || *arg == 'N')
			fprintf(out, " %.4s", names[*field(&op, *arg)]);
		else
			fprintf(out, " %u", *field(&op, *arg));
	}
	fputc('\n', out);
}

static bool read_arg(const char *word, char arg, uint8_t *ret)
{
	unsigned n, low = arg == 'e' ? 1 : arg == 'f' ? TREE_DIRS : 0;
	unsigned high = arg == 'f' ? TREE_SLOTS : arg == 'v' ? TREE_VALUES + 1 : TREE_DIRS;

	if (arg == 'n' || arg == 'N') {
		for (n = 0; n < TREE_NAMES && strncmp(word, names[n], 4) != 0;)
			n++;
		*ret = (uint8_t)n;
		return n < TREE_NAMES;
	}
	if (sscanf(word, "%u", &n) != 1 || n < low || n >= high)
		return false;
	*ret = (uint8_t)n;
	return true;
}

bool tree_read_op(const char *line, void *ret_op)
{
	struct tree_op op = {};
	unsigned process;
	char name[16], words[4][16];
	int got = sscanf(line, "%u %u %15s %15s %15s %15s %15s", &op.round, &process, name, words[0],
	                 words[1], words[2], words[3]);

	if (got < 4 || process >= TREE_PROCESSES_MAX)
		return false;
	op.process = (uint8_t)process;
	while (op.kind < TREE_KIND_COUNT && strcmp(name, kinds[op.kind].name) != 0)
		op.kind++;
	if (op.kind == TREE_KIND_COUNT || strlen(kinds[op.kind].args) != (size_t)got - 3)
		return false;
	for (size_t i = 0; kinds[op.kind].args[i]; i++)
		if (!read_arg(words[i], kinds[op.kind].args[i], field(&op, kinds[op.kind].args[i])))
			return false;
	*(struct tree_op *)ret_op = op;
	return true;
}

void tree_print_result(FILE *out, const struct tree_result *result)
{
	if (result->error) {
		fputs(strerrorname_np(result->error) ?: "?", out);
		return;
	}
	fputs("ok", out);
	if (result->ino)
		fprintf(out, ", inode %llu", (unsigned long long)result->ino);
	if (result->type)
		fprintf(out, ", %s, %u links", tree_type_name(result->type), result->links);
	if (result->mode)
		fprintf(out, ", mode %o", result->mode);
	if (result->value)
		fprintf(out, ", %u", result->value);
	for (unsigned i = 0; i < TREE_NAMES; i++)
		if (result->names[i].type)
			fprintf(out, ", %.4s: %s %llu", names[i], tree_type_name(result->names[i].type),
			        (unsigned long long)result->names[i].ino);
	if (result->strange)
		fputs(", and what can never be", out);
}
