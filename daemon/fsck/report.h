/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_FSCK_REPORT_H
#define CURVEFS_FSCK_REPORT_H

/* What fsck and gc found, as JSON: printed by `curvefs fsck --json` and sent over the control socket. */

#include "daemon/fsck/fsck.h"

#include <jansson.h>

/** As in struct fsck_hooks. */
typedef bool (*fsck_progress_fn)(const char *phase, uint64_t done, uint64_t total, void *arg);

/**
 * {"problems": [sentence...], "problem_count", "left": [...], "left_count", "objects", "bytes",
 * "unused_objects", "unused_bytes"}, with read_data also "read_objects", "read_bytes"; of very many problems
 * the first, all are counted. A new reference.
 */
int fsck_report(struct meta *meta, struct store *store, const struct fsck_options *options,
                fsck_progress_fn progress, void *arg, json_t **ret);

/** {"orphans", "pending", "objects", "bytes", "young", "failed", "dry_run"} */
int gc_report(struct meta *meta, struct store *store, const struct fsck_options *options,
              fsck_progress_fn progress, void *arg, json_t **ret);

#endif
