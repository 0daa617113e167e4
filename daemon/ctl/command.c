/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/command.h"

#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/data/data.h"
#include "daemon/volume.h"
#include "daemon/warmup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WARMUP_THREADS_MAX 256
#define WARMUP_FAILED_MAX 10000 /* named in the answer; all are counted */

static const struct {
	const char *name;
	int (*run)(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);
} commands[] = {
	{"stats", ctl_stats},   {"info", ctl_info}, {"warmup", ctl_warmup}, {"paths", ctl_paths},
	{"status", ctl_status}, {"sync", ctl_sync}, {"fsck", ctl_fsck},     {"gc", ctl_gc},
};

int ctl_bad_request(char **ret_why, const char *what)
{
	*ret_why = strdup(what);
	return -EINVAL;
}

int ctl_command(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));

	if (!json_is_object(request) || !name)
		return ctl_bad_request(ret_why, "a request is an object with a string \"cmd\"");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(session, request, ret, ret_why);
	return ctl_bad_request(ret_why, "no such command; is the daemon of another version than the tool?");
}

int ctl_sync(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	int r = volume_sync(session->volume);

	(void)request;
	(void)ret_why;
	if (r < 0)
		return r;
	*ret = json_object();
	return *ret ? 0 : -ENOMEM;
}

/* ---- warmup ---- */

struct warmup_call {
	struct ctl_session *session;
	json_t *failed;
	uint64_t failed_count;
};

static json_t *progress_json(const struct warmup_progress *p, bool totals)
{
	json_t *j =
		json_pack("{s:I,s:I,s:I,s:I}", "files", (json_int_t)p->files, "bytes", (json_int_t)p->bytes,
	                  "fetched_bytes", (json_int_t)p->fetched_bytes, "entries", (json_int_t)p->entries);

	if (j && totals) {
		json_object_set_new(j, "total_files", json_integer((json_int_t)p->total_files));
		json_object_set_new(j, "total_bytes", json_integer((json_int_t)p->total_bytes));
	}
	return j;
}

static bool warmup_progress(const struct warmup_progress *p, void *arg)
{
	struct warmup_call *call = arg;
	json_t *line = progress_json(p, p->total_known);
	bool go_on = line && call->session->progress(call->session, line);

	json_decref(line);
	return go_on;
}

static void warmup_failed(const char *path, const char *message, void *arg)
{
	struct warmup_call *call = arg;
	_cleanup_free_ char *text = text_escape(path);

	if (call->failed_count++ < WARMUP_FAILED_MAX && text)
		json_array_append_new(call->failed, json_pack("{s:s,s:s}", "path", text, "message", message));
}

static void free_strings(char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

/* An optional member of a type; false if it is there and of another. */
static bool get_bool(const json_t *request, const char *key, bool *ret)
{
	json_t *j = json_object_get(request, key);

	if (j && !json_is_boolean(j))
		return false;
	*ret = json_is_true(j);
	return true;
}

int ctl_warmup(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	struct warmup_call call = {.session = session};
	struct warmup_options options = {.threads = 1};
	struct warmup_progress done = {0};
	json_t *threads = json_object_get(request, "threads"), *paths = json_object_get(request, "paths"), *j;
	char **bytes;
	size_t i, count;
	int r = 0;

	if (!json_is_array(paths))
		return ctl_bad_request(ret_why, "\"paths\" is an array of strings");
	if (threads) {
		json_int_t n = json_integer_value(threads);

		if (n < 1 || n > WARMUP_THREADS_MAX)
			return ctl_bad_request(ret_why, "\"threads\" is a number from 1 to 256");
		options.threads = (unsigned)n;
	}
	if (!get_bool(request, "metadata_only", &options.metadata_only) ||
	    !get_bool(request, "check", &options.check) || !get_bool(request, "totals", &options.totals))
		return ctl_bad_request(ret_why,
		                       "\"metadata_only\", \"check\" and \"totals\" are true or false");

	count = json_array_size(paths);
	bytes = calloc(count + 1, sizeof(*bytes));
	call.failed = json_array();
	if (!bytes || !call.failed)
		r = -ENOMEM;
	json_array_foreach(paths, i, j)
	{
		if (r == 0)
			r = json_is_string(j) ? text_unescape(json_string_value(j), &bytes[i]) : -EINVAL;
		if (r == -EINVAL && !*ret_why)
			*ret_why = strdup("\"paths\" has something in it that is no path");
	}
	if (r == 0) {
		options.paths = (const char *const *)bytes;
		options.count = count;
		options.progress = warmup_progress;
		options.failed = warmup_failed;
		options.arg = &call;
		r = warmup_run(session->volume, &options, &done);
	}
	if (r == -ECANCELED)
		*ret_why = strdup("stopped: the mount is going away");
	if (r == 0) {
		*ret = progress_json(&done, done.total_known);
		if (*ret) {
			json_object_set(*ret, "failed", call.failed);
			json_object_set_new(*ret, "failed_count",
			                    json_integer((json_int_t)call.failed_count));
		} else {
			r = -ENOMEM;
		}
	}
	json_decref(call.failed);
	if (bytes)
		free_strings(bytes, count);
	return r;
}
