/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CTL_COMMAND_H
#define CURVEFS_CTL_COMMAND_H

/* What the daemon answers to each request of the control protocol (ctl.h). */

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

struct volume;

/** One client's request under way. */
struct ctl_session {
	struct volume *volume;
	const json_t *mount; /* mount.json */
	time_t started;
	/** Send a progress line (not taken). @return false: the client or the mount goes away, stop. */
	bool (*progress)(struct ctl_session *session, json_t *progress);
	/** @return false: as above, nothing is sent. */
	bool (*wanted)(struct ctl_session *session);
};

/**
 * Carry out @p request, which may be anything.
 * @return 0 and the result, or negative errno, with *ret_why (free it) if there is more to say.
 */
int ctl_command(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);

/* The commands; each checks its own arguments. */
int ctl_stats(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);
int ctl_info(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);
int ctl_warmup(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);
int ctl_paths(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);
int ctl_status(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);
int ctl_sync(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);
int ctl_fsck(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);
int ctl_gc(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why);

/** -EINVAL and "<what>" in *ret_why: a request that cannot be understood. */
int ctl_bad_request(char **ret_why, const char *what);

#endif
