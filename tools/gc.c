/* SPDX-License-Identifier: Apache-2.0 */

/* curvefs gc: delete what nothing needs. */

#include "common/cleanup.h"
#include "tools/cmd.h"
#include "tools/offline.h"

#include <inttypes.h>
#include <stdio.h>

static bool opt_dry_run, opt_json;
static unsigned opt_min_age = 3600;

static const struct arg args[] = {
	{"dry-run", 'n', ARG_FLAG, &opt_dry_run, NULL, "delete nothing, say what would be", 0, 0},
	{"min-age", 0, ARG_UINT, &opt_min_age, "SECONDS",
         "objects that nothing names stay until they are as old (default 3600)", 0, 0},
	OFFLINE_ARGS,
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print the result as JSON", 0, 0},
	{0},
};

static int collect(const char *source, json_t **ret, char **ret_why)
{
	const struct fsck_options options = {.dry_run = opt_dry_run, .min_age_s = opt_min_age};
	struct store *store = NULL;
	struct meta *meta = NULL;
	int r;

	if (offline_is_path(source))
		return offline_ask(source,
		                   json_pack("{s:s,s:b,s:I}", "cmd", "gc", "dry_run", opt_dry_run, "min_age",
		                             (json_int_t)opt_min_age),
		                   ret, ret_why);
	/* A dry run leaves everything as it is. */
	r = offline_open(source, opt_dry_run ? OFFLINE_TO_LOOK : OFFLINE_TO_CHANGE, &store, &meta, ret_why);
	if (r == 0 && !opt_dry_run)
		r = offline_ship(store, meta, ret_why);
	if (r == 0)
		r = gc_report(meta, store, &options, offline_progress, NULL, ret);
	offline_close(store, meta);
	return r;
}

static void print(const char *source, const json_t *j)
{
	const char *deleted = opt_dry_run ? "would be deleted" : "deleted";
	char bytes[HUMAN_MAX];

	printf("%s: %" PRIu64 " objects (%s) that nothing names %s", source, cmd_number(j, "objects"),
	       human_bytes(cmd_number(j, "bytes"), bytes), deleted);
	printf(", %" PRIu64 " pending ones, %" PRIu64 " files that were removed while open\n",
	       cmd_number(j, "pending"), cmd_number(j, "orphans"));
	if (cmd_number(j, "young"))
		printf("%" PRIu64 " objects that nothing names are younger than %u s and were left\n",
		       cmd_number(j, "young"), opt_min_age);
}

static int run(int count, char **operands)
{
	const char *source = operands[0];
	json_t *j = NULL;
	char *why = NULL;
	uint64_t failed;
	int r;

	(void)count;
	offline_progress_start(source);
	r = collect(source, &j, &why);
	offline_progress_end();
	if (r < 0)
		return cmd_fail(r, why, why ? NULL : source);
	failed = cmd_number(j, "failed");
	if (opt_json) {
		r = cmd_print_json(j, JSON_INDENT(2));
	} else {
		print(source, j);
		json_decref(j);
		r = EXIT_DONE;
	}
	if (failed)
		cmd_error("%" PRIu64 " objects could not be deleted; run it again", failed);
	return failed ? EXIT_FAILED : r;
}

const struct command cmd_gc = {
	.name = "gc",
	.operands = "SOURCE",
	.summary = "delete objects that no file of the volume needs",
	.details =
		"SOURCE is as for a mount, or a path in a mounted volume. Then only what an earlier mount\n"
		"left is deleted: the mount looks after its own.\n",
	.args = args,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
