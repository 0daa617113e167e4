/* SPDX-License-Identifier: Apache-2.0 */

/* curvefs fsck: what is wrong with a volume. Exit status as fsck(8) has it. */

#include "common/cleanup.h"
#include "tools/cmd.h"
#include "tools/offline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FSCK_CLEAN = 0, FSCK_REPAIRED = 1, FSCK_LEFT = 4, FSCK_FAILED = 8 };

static bool opt_repair, opt_read_data, opt_json;

static const struct arg args[] = {
	{"repair", 0, ARG_FLAG, &opt_repair, NULL, "put right what can be, without inventing data", 0, 0},
	{"read-data", 0, ARG_FLAG, &opt_read_data, NULL,
         "read all objects too, and compare them with their checksums", 0, 0},
	OFFLINE_ARGS,
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print the result as JSON", 0, 0},
	{0},
};

static int check(const char *source, json_t **ret, char **ret_why)
{
	const struct fsck_options options = {.repair = opt_repair, .read_data = opt_read_data};
	struct store *store = NULL;
	struct meta *meta = NULL;
	int r;

	if (offline_is_path(source))
		return offline_ask(source, json_pack("{s:s,s:b}", "cmd", "fsck", "read_data", opt_read_data),
		                   ret, ret_why);
	r = offline_open(source, opt_repair ? OFFLINE_TO_REPAIR : OFFLINE_TO_LOOK, &store, &meta, ret_why);
	if (r == 0)
		r = fsck_report(meta, store, &options, offline_progress, NULL, ret);
	offline_close(store, meta);
	return r;
}

static void print_list(const json_t *j, const char *list, const char *count, const char *label)
{
	json_t *problem;
	size_t i;

	json_array_foreach(json_object_get(j, list), i, problem)
		printf("%s%s\n", label, json_string_value(problem));
	if (cmd_number(j, count) > i)
		printf("%s... and %" PRIu64 " more\n", label, cmd_number(j, count) - i);
}

static void print(const char *source, const json_t *j)
{
	uint64_t problems = cmd_number(j, "problem_count"), left = cmd_number(j, "left_count");
	char bytes[HUMAN_MAX];

	print_list(j, "problems", "problem_count", "");
	if (opt_repair && left)
		print_list(j, "left", "left_count", "not repaired: ");
	if (cmd_number(j, "unused_objects"))
		printf("%" PRIu64
		       " objects (%s) in the store are named by nothing; `curvefs gc` deletes them\n",
		       cmd_number(j, "unused_objects"), human_bytes(cmd_number(j, "unused_bytes"), bytes));
	printf("%s: ", source);
	if (!problems)
		printf("clean");
	else if (!opt_repair)
		printf("%" PRIu64 " problems", problems);
	else
		printf("%" PRIu64 " problems, %s", problems, left ? "" : "repaired");
	if (opt_repair && left)
		printf("%" PRIu64 " left", left);
	printf("; %" PRIu64 " objects in use, %s", cmd_number(j, "objects"),
	       human_bytes(cmd_number(j, "bytes"), bytes));
	if (opt_read_data)
		printf("; %" PRIu64 " of them read and good, %s", cmd_number(j, "read_objects"),
		       human_bytes(cmd_number(j, "read_bytes"), bytes));
	putchar('\n');
}

static int run(int count, char **operands)
{
	const char *source = operands[0];
	json_t *j = NULL;
	char *why = NULL;
	uint64_t problems, left;
	int r;

	(void)count;
	if (opt_repair && offline_is_path(source)) {
		cmd_error("--repair wants the volume unmounted: give its SOURCE");
		return EXIT_USAGE;
	}
	offline_progress_start(source);
	r = check(source, &j, &why);
	offline_progress_end();
	if (r < 0) {
		cmd_fail(r, why, why ? NULL : source);
		return FSCK_FAILED;
	}
	problems = cmd_number(j, "problem_count");
	left = cmd_number(j, "left_count");
	if (!opt_json)
		print(source, j);
	if (opt_json && cmd_print_json(json_incref(j), JSON_INDENT(2)) != EXIT_DONE)
		left = 0, problems = 0, r = -EIO;
	json_decref(j);
	return r < 0 ? FSCK_FAILED : left ? FSCK_LEFT : problems ? FSCK_REPAIRED : FSCK_CLEAN;
}

const struct command cmd_fsck = {
	.name = "fsck",
	.operands = "SOURCE",
	.summary = "check a volume: its metadata, and that its objects are there",
	.details =
		"SOURCE is as for a mount, or a path in a mounted volume, which is then checked as it is.\n"
		"Exit status: 0 clean, 1 repaired, 4 problems are left, 8 it could not be checked.\n",
	.args = args,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
