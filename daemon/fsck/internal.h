/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_FSCK_INTERNAL_H
#define CURVEFS_FSCK_INTERNAL_H

#include "daemon/fsck/fsck.h"

/** An object as the store lists it. */
struct stored {
	uint64_t object;
	uint64_t length; /* bytes it has */
	int64_t mtime_s;
	uint32_t size; /* bytes its name says */
};

struct stored_list {
	struct stored *list; /* sorted by object; free it */
	size_t count, room;
	const struct fsck_hooks *hooks;
};

int fsck_list_store(struct store *store, const struct fsck_hooks *hooks, struct stored_list *ret);

static inline bool fsck_progress(const struct fsck_hooks *hooks, const char *phase, uint64_t done,
                                 uint64_t total)
{
	return !hooks->progress || hooks->progress(phase, done, total, hooks->arg);
}

#endif
