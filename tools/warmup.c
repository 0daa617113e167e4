/* SPDX-License-Identifier: Apache-2.0 */

/*
 * curvefs warmup: sorts the paths by mount, and has each daemon warm them in requests of
 * bounded size.
 */

#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/ctl/ctl.h"
#include "tools/cmd.h"
#include "tools/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REQUEST_BYTES (CTL_LINE_MAX / 4) /* of paths; JSON may need twice as much */
/* One big file at a slow store may keep the daemon from saying anything but "still at it". */
#define SILENCE_S 600

static const char *opt_list;
static bool opt_nul, opt_metadata_only, opt_check, opt_json;
static unsigned opt_threads = 16;

static const struct arg args[] = {
	{"file", 'f', ARG_STRING, &opt_list, "LIST", "also the paths in LIST, one a line (-: standard input)",
         0, 0},
	{"null", '0', ARG_FLAG, &opt_nul, NULL, "the paths in LIST end with NUL, as `find -print0` has them",
         0, 0},
	{"threads", 'p', ARG_UINT, &opt_threads, "THREADS", "files fetched at once (default 16)", 1, 256},
	{"metadata-only", 0, ARG_FLAG, &opt_metadata_only, NULL, "names and attributes only, no data", 0, 0},
	{"check", 0, ARG_FLAG, &opt_check, NULL, "fetch nothing, name what is not warm", 0, 0},
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print the result as JSON", 0, 0},
	{0},
};

/* What is asked of one mount. */
struct batch {
	unsigned minor;
	char *mountpoint;
	json_t *paths;
	size_t bytes;
};

static struct batch *batches;
static size_t batch_count;

static struct {
	uint64_t files, bytes, fetched_bytes, entries, failed;
	uint64_t total_files, total_bytes;
} sum;
static json_t *failures;
static struct progress bar;

static void add_failure(const char *mountpoint, const char *path, const char *message)
{
	_cleanup_free_ char *whole = NULL;

	if (asprintf(&whole, "%s%s%s", mountpoint, *mountpoint && *path ? "/" : "", path) < 0) {
		whole = NULL;
		return;
	}
	progress_end(&bar);
	if (opt_json)
		json_array_append_new(failures, json_pack("{s:s,s:s}", "path", whole, "message", message));
	else
		cmd_error("%s: %s", whole, message);
}

static void show_progress(json_t *p, void *arg)
{
	char text[128], bytes[HUMAN_MAX], total[HUMAN_MAX];
	uint64_t files = sum.files + cmd_number(p, "files"), done = sum.bytes + cmd_number(p, "bytes");
	uint64_t total_bytes = sum.total_bytes + cmd_number(p, "total_bytes");
	uint64_t total_files = sum.total_files + cmd_number(p, "total_files");

	(void)arg;
	if (total_files)
		snprintf(text, sizeof(text), "%" PRIu64 "/%" PRIu64 " files, %s/%s", files, total_files,
		         human_bytes(done, bytes), human_bytes(total_bytes, total));
	else
		snprintf(text, sizeof(text), "%" PRIu64 " files, %s", files, human_bytes(done, bytes));
	/* A file costs about as much as 64 KiB of data; many small ones would else look like nothing. */
	progress_update(&bar, done + files * 65536, total_bytes + total_files * 65536, text);
}

/* Have the paths in @p b warmed. @return 0, or negative errno (said already). */
static int send_batch(struct batch *b)
{
	json_t *request, *answer = NULL, *failed;
	_cleanup_free_ char *why = NULL, *mountpoint = text_escape(b->mountpoint);
	size_t i;
	int r;

	request = json_pack("{s:s,s:O,s:i,s:b,s:b,s:b}", "cmd", "warmup", "paths", b->paths, "threads",
	                    (int)opt_threads, "metadata_only", opt_metadata_only, "check", opt_check,
	                    "totals", bar.terminal);
	r = ctl_call(b->minor, request, SILENCE_S, show_progress, NULL, &answer, &why);
	json_decref(request);
	json_array_clear(b->paths);
	b->bytes = 0;
	if (r < 0) {
		progress_end(&bar);
		cmd_error("%s: %s", mountpoint ? mountpoint : "", why ? why : strerror(-r));
		return r;
	}
	sum.files += cmd_number(answer, "files");
	sum.bytes += cmd_number(answer, "bytes");
	sum.fetched_bytes += cmd_number(answer, "fetched_bytes");
	sum.entries += cmd_number(answer, "entries");
	sum.total_files += cmd_number(answer, "total_files");
	sum.total_bytes += cmd_number(answer, "total_bytes");
	sum.failed += cmd_number(answer, "failed_count");
	json_array_foreach(json_object_get(answer, "failed"), i, failed) add_failure(
		mountpoint ? mountpoint : "", cmd_string(failed, "path"), cmd_string(failed, "message"));
	if (cmd_number(answer, "failed_count") > i) {
		progress_end(&bar);
		cmd_error("... and %" PRIu64 " more", cmd_number(answer, "failed_count") - i);
	}
	json_decref(answer);
	return 0;
}

static struct batch *batch_of(const struct ctl_place *place)
{
	struct batch *more;

	for (size_t i = 0; i < batch_count; i++)
		if (batches[i].minor == place->minor)
			return &batches[i];
	more = realloc(batches, (batch_count + 1) * sizeof(*batches));
	if (!more)
		return NULL;
	batches = more;
	batches[batch_count] = (struct batch){
		.minor = place->minor, .mountpoint = strdup(place->mountpoint), .paths = json_array()};
	if (!batches[batch_count].mountpoint)
		return NULL;
	return &batches[batch_count++];
}

static int queue(const char *path, bool follow)
{
	_cleanup_(ctl_place_free) struct ctl_place place = {0};
	_cleanup_free_ char *why = NULL, *text = NULL;
	struct batch *b;
	int r = ctl_find_place(path, follow, &place, &why);

	if (r == 0 && place.dead)
		r = -ENOTCONN;
	if (r < 0) {
		sum.failed++;
		text = text_escape(path);
		/* The reason names the path already. */
		if (opt_json || !why)
			add_failure("", text ? text : "", why ? why : strerror(-r));
		else
			cmd_error("%s", why);
		return 0;
	}
	text = text_escape(place.path);
	b = batch_of(&place);
	if (!text || !b)
		return -ENOMEM;
	json_array_append_new(b->paths, json_string(text));
	b->bytes += strlen(text) + 8;
	return b->bytes >= REQUEST_BYTES ? send_batch(b) : 0;
}

/* A symbolic link is warmed, and what it points to as well if that is on a curvefs mount. */
static int queue_path(const char *path)
{
	_cleanup_(ctl_place_free) struct ctl_place target = {0};
	_cleanup_free_ char *why = NULL;
	struct stat st;
	int r;

	/* "link/" means the target. */
	if (!*path || path[strlen(path) - 1] == '/' || lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
		return queue(path, true);
	if (ctl_find_place(path, false, &target, &why) == 0) {
		r = queue(path, false);
		ctl_place_free(&target);
		free(TAKE_PTR(why));
		/* A target that is nowhere, or somewhere else, has nothing to be warmed. */
		if (r < 0 || ctl_find_place(path, true, &target, &why) < 0)
			return r;
	}
	return queue(path, true);
}

static int queue_list(void)
{
	bool standard_input = strcmp(opt_list, "-") == 0;
	_cleanup_fclose_ FILE *opened = standard_input ? NULL : fopen(opt_list, "re");
	FILE *f = standard_input ? stdin : opened;
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int r = 0;

	if (!f) {
		r = -errno;
		cmd_fail(r, NULL, opt_list);
		return r;
	}
	while (r == 0 && (n = getdelim(&line, &size, opt_nul ? '\0' : '\n', f)) >= 0) {
		if (n && line[n - 1] == (opt_nul ? '\0' : '\n'))
			line[--n] = '\0';
		if (n == 0)
			continue;
		if (strlen(line) != (size_t)n) {
			cmd_error("%s: a line has a NUL in it; is this a list for --null?", opt_list);
			return -EINVAL;
		}
		r = queue_path(line);
	}
	if (ferror(f)) {
		cmd_error("%s: cannot be read", opt_list);
		return -EIO;
	}
	return r;
}

static int report(void)
{
	char bytes[HUMAN_MAX], fetched[HUMAN_MAX];

	if (opt_json) {
		int r = cmd_print_json(json_pack("{s:I,s:I,s:I,s:I,s:O,s:I}", "files", (json_int_t)sum.files,
		                                 "bytes", (json_int_t)sum.bytes, "fetched_bytes",
		                                 (json_int_t)sum.fetched_bytes, "entries",
		                                 (json_int_t)sum.entries, "failed", failures, "failed_count",
		                                 (json_int_t)sum.failed),
		                       JSON_INDENT(2));
		return sum.failed ? EXIT_FAILED : r;
	}
	if (opt_check)
		printf("%" PRIu64 " entries, %" PRIu64 " not warm\n", sum.entries, sum.failed);
	else if (opt_metadata_only)
		printf("warmed the metadata of %" PRIu64 " entries", sum.entries);
	else
		printf("warmed %" PRIu64 " entries, %" PRIu64 " files of %s; fetched %s", sum.entries,
		       sum.files, human_bytes(sum.bytes, bytes), human_bytes(sum.fetched_bytes, fetched));
	if (!opt_check && sum.failed)
		printf("; %" PRIu64 " failed", sum.failed);
	if (!opt_check)
		putchar('\n');
	return sum.failed ? EXIT_FAILED : EXIT_DONE;
}

static int run(int count, char **operands)
{
	int r = 0;

	if (count == 0 && !opt_list) {
		cmd_error("no PATH, and no --file either");
		return EXIT_USAGE;
	}
	if (opt_nul && !opt_list) {
		cmd_error("--null is about the list of --file");
		return EXIT_USAGE;
	}
	failures = json_array();
	progress_start(&bar, opt_check ? "checking" : "warming up");
	for (int i = 0; r == 0 && i < count; i++)
		r = queue_path(operands[i]);
	if (r == 0 && opt_list)
		r = queue_list();
	for (size_t i = 0; i < batch_count; i++) {
		if (r == 0 && json_array_size(batches[i].paths))
			r = send_batch(&batches[i]);
		free(batches[i].mountpoint);
		json_decref(batches[i].paths);
	}
	free(TAKE_PTR(batches));
	progress_end(&bar);
	if (r == 0)
		r = report();
	else
		r = EXIT_FAILED;
	json_decref(failures);
	return r;
}

const struct command cmd_warmup = {
	.name = "warmup",
	.operands = "[PATH...]",
	.summary = "fetch files and fill the kernel's maps, so that the first touch is fast",
	.details = "Each PATH is warmed with all below it. Ends with 1 and names what could not be warmed.\n",
	.args = args,
	.min_operands = 0,
	.max_operands = -1,
	.run = run,
};
