/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/script.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t script_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static bool fails_again(const struct script_type *type, const struct script *s, int64_t end,
                        char ret_why[SCRIPT_WHY])
{
	char why[SCRIPT_WHY];

	for (unsigned i = 0; i < type->tries && (i == 0 || script_now() < end); i++) {
		if (type->run(s, why))
			continue;
		memcpy(ret_why, why, SCRIPT_WHY);
		return true;
	}
	return false;
}

/* Leave pieces out, smaller and smaller ones, as long as it fails without them. */
static void leave_out(const struct script_type *type, struct script *s, int64_t end, char why[SCRIPT_WHY])
{
	size_t size = type->op_size;
	struct script less = {.ops = calloc(s->count + 1, size)};

	for (size_t n = (s->count + 1) / 2; less.ops && n; n = n > 1 ? (n + 1) / 2 : 0) {
		for (size_t at = 0; at < s->count && script_now() < end;) {
			size_t cut = n < s->count - at ? n : s->count - at;

			less.count = s->count - cut;
			memcpy(less.ops, s->ops, at * size);
			memcpy((char *)less.ops + at * size, (char *)s->ops + (at + cut) * size,
			       (less.count - at) * size);
			if (fails_again(type, &less, end, why)) {
				memcpy(s->ops, less.ops, less.count * size);
				s->count = less.count;
			} else {
				at += cut;
			}
		}
	}
	free(less.ops);
}

static void shrink(const struct script_type *type, struct script *s, char why[SCRIPT_WHY])
{
	int64_t end = script_now() + SCRIPT_SHRINK_SECONDS;
	struct script shorter = {};

	if (type->cut && type->cut(&shorter)) {
		if (shorter.count < s->count && fails_again(type, &shorter, end, why)) {
			memcpy(s->ops, shorter.ops, shorter.count * type->op_size);
			s->count = shorter.count;
		}
		free(shorter.ops);
	}
	leave_out(type, s, end, why);
}

bool script_run(const struct script_type *type, struct script *s, const char *name)
{
	char why[SCRIPT_WHY];
	size_t count = s->count;

	if (type->run(s, why))
		return true;
	printf("%s: %s: %s\n", type->program, name, why);
	if (type->explain)
		type->explain(stdout);
	fflush(stdout);
	shrink(type, s, why);
	printf("%s: %zu of %zu operations remain: %s\n", type->program, s->count, count, why);
	if (type->explain)
		type->explain(stdout);
	type->print_head(stdout);
	for (size_t i = 0; i < s->count; i++)
		type->print_op(stdout, (char *)s->ops + i * type->op_size);
	return false;
}

bool script_replay(const struct script_type *type, const char *path)
{
	struct script s = {};
	FILE *in = fopen(path, "r");
	char line[256];
	bool ok;

	while (in && fgets(line, sizeof(line), in)) {
		if (*line == '#')
			continue;
		s.ops = reallocarray(s.ops, s.count + 1, type->op_size);
		if (!s.ops || !type->read_op(line, (char *)s.ops + s.count++ * type->op_size)) {
			fprintf(stderr, "%s: %s: not an operation: %s", type->program, path, line);
			exit(2);
		}
	}
	if (!in) {
		perror(path);
		exit(2);
	}
	fclose(in);
	ok = script_run(type, &s, path);
	free(s.ops);
	return ok;
}
