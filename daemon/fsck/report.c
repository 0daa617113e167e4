/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fsck/report.h"

#include <errno.h>
#include <string.h>

#define TEXT_MAX (256 << 10) /* bytes of problems that are named; an answer is one line of bounded length */

struct report {
	json_t *problems, *left;
	size_t room;
	fsck_progress_fn progress;
	void *arg;
};

static void add_problem(const char *problem, bool left, void *arg)
{
	struct report *r = arg;
	size_t length = strlen(problem) + 8;

	if (length > r->room)
		return;
	r->room -= length;
	/* Names are escaped, but a byte that is no UTF-8 cannot be in JSON. */
	if (json_array_append_new(left ? r->left : r->problems, json_string(problem)) < 0)
		json_array_append_new(left ? r->left : r->problems, json_string("a name that is not UTF-8"));
}

static bool progress(const char *phase, uint64_t done, uint64_t total, void *arg)
{
	struct report *r = arg;

	return !r->progress || r->progress(phase, done, total, r->arg);
}

int fsck_report(struct meta *meta, struct store *store, const struct fsck_options *options,
                fsck_progress_fn fn, void *arg, json_t **ret)
{
	struct report report = {
		.problems = json_array(), .left = json_array(), .room = TEXT_MAX, .progress = fn, .arg = arg};
	const struct fsck_hooks hooks = {.problem = add_problem, .progress = progress, .arg = &report};
	struct fsck_result result;
	json_t *j = NULL;
	int r = report.problems && report.left ? 0 : -ENOMEM;

	if (r == 0)
		r = fsck_run(meta, store, options, &hooks, &result);
	if (r == 0) {
		j = json_pack("{s:O,s:I,s:O,s:I,s:I,s:I,s:I,s:I}", "problems", report.problems,
		              "problem_count", (json_int_t)result.problems, "left",
		              options->repair ? report.left : report.problems, "left_count",
		              (json_int_t)result.left, "objects", (json_int_t)result.objects, "bytes",
		              (json_int_t)result.bytes, "unused_objects", (json_int_t)result.unused_objects,
		              "unused_bytes", (json_int_t)result.unused_bytes);
		r = j ? 0 : -ENOMEM;
	}
	if (r == 0 && options->read_data &&
	    (json_object_set_new(j, "read_objects", json_integer((json_int_t)result.read_objects)) < 0 ||
	     json_object_set_new(j, "read_bytes", json_integer((json_int_t)result.read_bytes)) < 0)) {
		json_decref(j);
		r = -ENOMEM;
	}
	json_decref(report.problems);
	json_decref(report.left);
	if (r == 0)
		*ret = j;
	return r;
}

int gc_report(struct meta *meta, struct store *store, const struct fsck_options *options, fsck_progress_fn fn,
              void *arg, json_t **ret)
{
	struct report report = {.progress = fn, .arg = arg};
	const struct fsck_hooks hooks = {.progress = progress, .arg = &report};
	struct gc_result result;
	json_t *j;
	int r = gc_run(meta, store, options, &hooks, &result);

	if (r < 0)
		return r;
	j = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:b}", "orphans", (json_int_t)result.orphans, "pending",
	              (json_int_t)result.pending, "objects", (json_int_t)result.objects, "bytes",
	              (json_int_t)result.bytes, "young", (json_int_t)result.young, "failed",
	              (json_int_t)result.failed, "dry_run", options->dry_run);
	if (!j)
		return -ENOMEM;
	*ret = j;
	return 0;
}
