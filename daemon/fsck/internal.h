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

struct meta_objects;
struct meta_object;

/** Told of an object that is not as it should be, by the thread that called. */
struct fsck_read_hooks {
	/** -ENOENT: it is not there; -EBADMSG, -ENODATA: damaged from byte @p at on; else @p why says it. */
	void (*bad)(const struct meta_object *o, int error, uint64_t at, const char *why, void *arg);
	bool (*progress)(uint64_t done, uint64_t total, void *arg);
	void *arg;
};

/**
 * Read all objects that are in use and not marked as seen, some at a time, and compare them with their
 * checksums. Takes 1 MiB for each of a few threads. @return 0, whatever was found; -ECANCELED; what the store
 * fails with when it does so again and again.
 */
int fsck_read(struct store *store, const struct meta_objects *objects, const struct fsck_read_hooks *hooks,
              uint64_t *ret_objects, uint64_t *ret_bytes);

static inline bool fsck_progress(const struct fsck_hooks *hooks, const char *phase, uint64_t done,
                                 uint64_t total)
{
	return !hooks->progress || hooks->progress(phase, done, total, hooks->arg);
}

#endif
