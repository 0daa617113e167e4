/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exercise: random operations on a file by several processes, compared with a copy in memory, as fsx does.
 * usage() says how to call it.
 *
 * All operations are drawn before the first is done, each complete in itself, so that any part of them can be
 * done again: when something differs, operations are left out one piece after the other as long as it still
 * does, and the script that remains is printed.  It is read again by --replay.
 *
 * The processes take turns on the whole file, or with --apart work at once, each in a region of its own.
 * Each has it mapped, to read and write; with --mapped to read only, and looks there after each operation.
 */
#include <getopt.h>
#include <stdlib.h>

#include "tests/harness/exercise.h"

static void print_head(FILE *out)
{
	fprintf(out, "# exercise FILE --replay SCRIPT --processes %u --max-size %llu%s%s\n",
	        exercise.processes, (unsigned long long)exercise.max_size, exercise.apart ? " --apart" : "",
	        exercise.mapped ? " --mapped" : "");
}

static struct script_type type = {
	.program = "exercise",
	.op_size = sizeof(struct exercise_op),
	.tries = 1,
	.shrink_seconds = SCRIPT_SHRINK_SECONDS,
	.run = exercise_run,
	.print_head = print_head,
	.print_op = exercise_print_op,
	.read_op = exercise_read_op,
};

static bool run_seed(uint64_t seed, size_t count)
{
	struct exercise_op *ops = calloc(count + 1, sizeof(*ops));
	struct script script = {.ops = ops, .count = count};
	uint64_t state = seed;
	char name[40];
	bool ok;

	if (!ops) {
		perror("exercise: memory");
		exit(2);
	}
	for (size_t i = 0; i < count; i++)
		ops[i] = exercise_random_op(&state);
	snprintf(name, sizeof(name), "seed %llu", (unsigned long long)seed);
	ok = script_run(&type, &script, name);
	free(ops);
	return ok;
}

static void usage(void)
{
	fprintf(stderr, "usage: exercise FILE [--seed N] [--operations N] [--seconds N] [--processes N]\n"
	                "                     [--max-size BYTES] [--apart] [--mapped] [--replay SCRIPT]\n"
	                "--seconds: one seed after the other until then; --apart: each process in a region\n"
	                "of its own, all at once; --mapped: the mapping is read-only, and looked at after\n"
	                "each operation\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", 1, NULL, 's'},      {"operations", 1, NULL, 'o'}, {"seconds", 1, NULL, 't'},
		{"processes", 1, NULL, 'p'}, {"max-size", 1, NULL, 'm'},   {"apart", 0, NULL, 'a'},
		{"mapped", 0, NULL, 'M'},    {"replay", 1, NULL, 'r'},     {},
	};
	uint64_t seed = 1, operations = 800;
	const char *script = NULL;
	int64_t end = script_now();
	bool ok = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'o':
			operations = strtoull(optarg, NULL, 10);
			break;
		case 't':
			end += (int64_t)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			exercise.processes = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			exercise.max_size = strtoull(optarg, NULL, 10);
			break;
		case 'a':
			exercise.apart = true;
			break;
		case 'M':
			exercise.mapped = true;
			break;
		case 'r':
			script = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind + 1 != argc || !exercise.processes || exercise.processes > EXERCISE_PROCESSES_MAX ||
	    exercise.max_size < EXERCISE_PAGE * EXERCISE_PROCESSES_MAX)
		usage();
	exercise.path = argv[optind];
	if (exercise.apart)
		type.tries = 3; /* who comes first is not in the script */
	exercise_prepare();
	if (script)
		return script_replay(&type, script) ? 0 : 1;
	do {
		ok = run_seed(seed, operations);
		if (ok)
			printf("exercise: seed %llu: %llu operations by %u processes%s\n",
			       (unsigned long long)seed, (unsigned long long)operations, exercise.processes,
			       exercise.apart ? " at once" : "");
		seed++;
	} while (ok && script_now() < end);
	return ok ? 0 : 1;
}
