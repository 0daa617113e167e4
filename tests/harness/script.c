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

struct trying {
	int64_t end;     /* not after that */
	unsigned enough; /* runs */
	unsigned most;   /* good ones before one that failed */
	char *why;       /* it failed last */
};

/* Until it fails, or is tried often enough. */
static bool fails_again(const struct script_type *type, const struct script *s, struct trying *trying)
{
	char why[SCRIPT_WHY];
	unsigned tries = trying->enough < type->tries ? trying->enough : type->tries;

	for (unsigned i = 0; i < tries && (i == 0 || script_now() < trying->end); i++) {
		if (type->run(s, why))
			continue;
		memcpy(trying->why, why, SCRIPT_WHY);
		if (i > trying->most)
			trying->most = i;
		return true;
	}
	return false;
}

/* Leave pieces out, smaller and smaller ones, as long as it fails without them. */
static void leave_out(const struct script_type *type, struct script *s, struct trying *trying)
{
	size_t size = type->op_size;
	struct script less = {.ops = calloc(s->count + 1, size)};

	for (size_t n = (s->count + 1) / 2; less.ops && n; n = n > 1 ? (n + 1) / 2 : 0) {
		for (size_t at = 0; at < s->count && script_now() < trying->end;) {
			size_t cut = n < s->count - at ? n : s->count - at;

			less.count = s->count - cut;
			memcpy(less.ops, s->ops, at * size);
			memcpy((char *)less.ops + at * size, (char *)s->ops + (at + cut) * size,
			       (less.count - at) * size);
			trying->enough = 10 + 5 * trying->most;
			if (fails_again(type, &less, trying)) {
				memcpy(s->ops, less.ops, less.count * size);
				s->count = less.count;
			} else {
				at += cut;
			}
		}
	}
	free(less.ops);
}

/* @return false: it was cut, but did not fail again */
static bool shrink(const struct script_type *type, struct script *s, char why[SCRIPT_WHY])
{
	struct trying trying = {.end = script_now() + type->shrink_seconds, .enough = UINT32_MAX, .why = why};
	struct script shorter = {};
	bool again = true;

	if (type->cut && type->cut(&shorter)) {
		void *longer = s->ops;

		again = fails_again(type, &shorter, &trying);
		/* What only comes after all the rest is sought there, but not for ever. */
		if (!again) {
			trying.end = script_now() + type->shrink_seconds / 4;
			again = fails_again(type, s, &trying);
			if (again) {
				longer = shorter.ops;
				shorter = *s;
			}
		}
		*s = shorter;
		free(longer);
	}
	trying.end = script_now() + type->shrink_seconds;
	if (again)
		leave_out(type, s, &trying);
	return again;
}

static void tell(const struct script_type *type, struct script *s, const char *name, char why[SCRIPT_WHY])
{
	size_t count = s->count;

	printf("%s: %s: %s\n", type->program, name, why);
	if (type->explain)
		type->explain(stdout);
	fflush(stdout);
	if (shrink(type, s, why)) {
		printf("%s: %zu of %zu operations remain: %s\n", type->program, s->count, count, why);
		if (type->explain)
			type->explain(stdout);
	} else {
		printf("%s: it did not fail again; %zu operations lead to where it did\n", type->program,
		       s->count);
	}
	type->print_head(stdout);
	for (size_t i = 0; i < s->count; i++)
		type->print_op(stdout, (char *)s->ops + i * type->op_size);
}

bool script_run(const struct script_type *type, struct script *s, const char *name)
{
	char why[SCRIPT_WHY];

	if (type->run(s, why))
		return true;
	tell(type, s, name, why);
	return false;
}

bool script_replay(const struct script_type *type, const char *path)
{
	struct script s = {};
	FILE *in = fopen(path, "r");
	char line[256], why[SCRIPT_WHY];
	struct trying trying = {.enough = UINT32_MAX, .why = why};
	bool failed;

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
	trying.end = script_now() + type->shrink_seconds;
	failed = fails_again(type, &s, &trying);
	if (failed)
		tell(type, &s, path, why);
	free(s.ops);
	return !failed;
}
