/* SPDX-License-Identifier: Apache-2.0 */

/* fsck and gc of a volume that is mounted. */

#include "common/clock.h"
#include "daemon/ctl/command.h"
#include "daemon/fsck/report.h"
#include "daemon/volume.h"

#include <errno.h>
#include <string.h>

#define PAUSE_NS 100000000 /* between two progress lines */

struct call {
	struct ctl_session *session;
	int64_t last_ns;
};

static bool send_progress(const char *phase, uint64_t done, uint64_t total, void *arg)
{
	struct call *call = arg;
	int64_t now = monotonic_ns();
	json_t *line;
	bool go_on;

	if (now - call->last_ns < PAUSE_NS)
		return call->session->wanted(call->session);
	call->last_ns = now;
	line = json_pack("{s:s,s:I,s:I}", "phase", phase, "done", (json_int_t)done, "total",
	                 (json_int_t)total);
	go_on = line && call->session->progress(call->session, line);
	json_decref(line);
	return go_on;
}

static int answer(int r, char **ret_why)
{
	if (r == -ECANCELED)
		*ret_why = strdup("stopped: the mount is going away");
	return r;
}

int ctl_fsck(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	const json_t *read_data = json_object_get(request, "read_data");
	const struct fsck_options options = {.mounted = true, .read_data = json_is_true(read_data)};
	struct call call = {.session = session};

	if (read_data && !json_is_boolean(read_data))
		return ctl_bad_request(ret_why, "\"read_data\" is true or false");
	return answer(fsck_report(session->volume->meta, session->volume->store, &options, send_progress,
	                          &call, ret),
	              ret_why);
}

int ctl_gc(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	const json_t *dry_run = json_object_get(request, "dry_run"),
		     *min_age = json_object_get(request, "min_age");
	struct fsck_options options = {.mounted = true, .dry_run = json_is_true(dry_run)};
	struct call call = {.session = session};

	if (!json_is_boolean(dry_run) || !json_is_integer(min_age) || json_integer_value(min_age) < 0)
		return ctl_bad_request(ret_why,
		                       "\"dry_run\" is true or false, \"min_age\" a number of seconds");
	if (session->volume->options->read_only && !options.dry_run) {
		*ret_why = strdup("the mount is read-only");
		return -EROFS;
	}
	options.min_age_s = json_integer_value(min_age);
	return answer(
		gc_report(session->volume->meta, session->volume->store, &options, send_progress, &call, ret),
		ret_why);
}
