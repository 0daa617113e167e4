/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TOOLS_OFFLINE_H
#define CURVEFS_TOOLS_OFFLINE_H

/* What fsck and gc have in common: SOURCE is a volume that is not mounted, or a path in one that is. */

#include "daemon/fsck/report.h"
#include "tools/args.h"

#include <jansson.h>

struct meta;
struct store;

struct offline_options {
	const char *meta_dir, *endpoint_url, *region;
};
extern struct offline_options offline_options;

/* For the table of options. */
#define OFFLINE_ARGS                                                                \
	{"meta-dir", 0,                                                             \
	 ARG_STRING, &offline_options.meta_dir,                                     \
	 "DIR",      "where the metadata is (default /var/lib/curvefs/UUID)",       \
	 0,          0},                                                            \
		{"endpoint-url",                                                    \
	         0,                                                                 \
	         ARG_STRING,                                                        \
	         &offline_options.endpoint_url,                                     \
	         "URL",                                                             \
	         "s3: the server (default AWS_ENDPOINT_URL)",                       \
	         0,                                                                 \
	         0},                                                                \
	{                                                                           \
		"region", 0, ARG_STRING, &offline_options.region, "NAME",           \
			"s3: the region (default AWS_REGION, else us-east-1)", 0, 0 \
	}

/** Is it a path, not a URL? */
bool offline_is_path(const char *source);

/** Have the daemon of the mount that @p path is in answer @p request (taken). */
int offline_ask(const char *path, json_t *request, json_t **ret, char **ret_why);

enum offline_for { OFFLINE_TO_LOOK, OFFLINE_TO_REPAIR, OFFLINE_TO_CHANGE };

/**
 * Open both parts of the volume. But to change it, nothing is done on the way, and damage is no reason to
 * fail; but to look at it, the lease is held (daemon/lease.h).
 * -EBUSY: it is mounted, and *ret_why says where.
 */
int offline_open(const char *source, enum offline_for what_for, struct store **ret_store,
                 struct meta **ret_meta, char **ret_why);
/**
 * Before objects are deleted: what frees them must be in the copy of the metadata, if one is kept
 * (daemon/backup/backup.h).
 */
int offline_ship(struct store *store, struct meta *meta, char **ret_why);
void offline_close(struct store *store, struct meta *meta);

/* The bar, or lines. */
void offline_progress_start(const char *label);
bool offline_progress(const char *phase, uint64_t done, uint64_t total, void *arg);
void offline_progress_end(void);

#endif
