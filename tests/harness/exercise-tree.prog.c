/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exercise-tree: random operations on the names of a small tree by several processes, compared with a model.
 * usage() says how to call it.
 *
 * They are done in rounds. In each, every process does a few operations, all at once, and says when it began
 * and ended each and what came of it; then the tree is looked at. There must be an order of these operations
 * that explains all of it (linear.h, tree_model.c). One process alone leaves just one order.
 *
 * What fails is shrunk and printed as exercise does (script.h), beginning with the failing round and a tree
 * like the one before it; above it the smallest part of what was seen that has no explanation.
 */
#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/harness/tree.h"

static unsigned tries = 200;

static void print_head(FILE *out)
{
	fprintf(out, "# exercise-tree DIRECTORY --replay SCRIPT --processes %u --tries %u%s\n",
	        tree_options.processes, tries, tree_options.late_attributes ? " --late-attributes" : "");
}

static struct script_type type = {
	.program = "exercise-tree",
	.op_size = sizeof(struct tree_op),
	.shrink_seconds = SCRIPT_SHRINK_SECONDS,
	.run = tree_run,
	.cut = tree_cut,
	.explain = tree_explain,
	.print_head = print_head,
	.print_op = tree_print_op,
	.read_op = tree_read_op,
};

static bool run_seed(uint64_t seed, size_t count, unsigned burst)
{
	struct tree_op *ops = calloc(count + TREE_SETUP_OPS, sizeof(*ops));
	struct script script = {.ops = ops};
	char name[40];
	bool ok;

	if (!ops) {
		perror("exercise-tree: memory");
		exit(2);
	}
	script.count = tree_draw(seed, count, tree_options.processes, burst, ops);
	snprintf(name, sizeof(name), "seed %llu", (unsigned long long)seed);
	ok = script_run(&type, &script, name);
	free(script.ops);
	return ok;
}

static void print_counts(void)
{
	for (unsigned k = 0; k < TREE_KIND_COUNT; k++)
		printf("%10s: %8llu done, %8llu refused\n", tree_kind_name(k),
		       (unsigned long long)tree_counts.good[k], (unsigned long long)tree_counts.bad[k]);
}

static void usage(void)
{
	fprintf(stderr,
	        "usage: exercise-tree DIRECTORY [--seed N] [--operations N] [--seconds N] [--processes N]\n"
	        "                     [--burst N] [--tries N] [--shrink SECONDS] [--replay SCRIPT] "
	        "[--counts]\n"
	        "DIRECTORY is made, or emptied.\n"
	        "--seconds: one seed after the other until then; --burst: most operations of a process in\n"
	        "a round; --tries: runs of a script before it counts as good, when it is replayed or\n"
	        "shrunk; --late-attributes: links, modes and\n"
	        "sizes may be of a moment ago; --counts: print how often each operation was done\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", 1, NULL, 's'},
		{"operations", 1, NULL, 'o'},
		{"seconds", 1, NULL, 't'},
		{"processes", 1, NULL, 'p'},
		{"burst", 1, NULL, 'b'},
		{"tries", 1, NULL, 'n'},
		{"shrink", 1, NULL, 'k'},
		{"replay", 1, NULL, 'r'},
		{"late-attributes", 0, NULL, 'l'},
		{"counts", 0, NULL, 'c'},
		{},
	};
	uint64_t seed = 1, operations = 1000;
	const char *script = NULL;
	int64_t end = script_now();
	unsigned burst = 5;
	bool ok = true, counts = false;
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
			tree_options.processes = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'b':
			burst = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			tries = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'k':
			type.shrink_seconds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			script = optarg;
			break;
		case 'l':
			tree_options.late_attributes = true;
			break;
		case 'c':
			counts = true;
			break;
		default:
			usage();
		}
	}
	if (optind + 1 != argc || !tree_options.processes || tree_options.processes > TREE_PROCESSES_MAX ||
	    !burst || burst * tree_options.processes > TREE_ROUND_MAX || !tries || operations > 100000000)
		usage();
	tree_options.path = argv[optind];
	umask(0);
	type.tries = tree_options.processes > 1 ? tries : 1;
	if (script)
		return script_replay(&type, script) ? 0 : 1;
	do {
		ok = run_seed(seed, operations, burst);
		if (ok)
			printf("exercise-tree: seed %llu: %llu operations by %u processes\n",
			       (unsigned long long)seed, (unsigned long long)operations,
			       tree_options.processes);
		seed++;
	} while (ok && script_now() < end);
	if (counts)
		print_counts();
	return ok ? 0 : 1;
}
