/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_WRITEBACK_INTERNAL_H
#define CURVEFS_STORE_WRITEBACK_INTERNAL_H

/*
 * What the files of the write-back store share; nobody else includes this.
 *
 *   writeback.c         entries, the calls of a store, open and close
 *   writeback_upload.c  the threads that upload, and who waits for them
 *   writeback_list.c    listing
 *
 * The journal is a file:// store of its own, flat: an object's name there is its key with '-' for '/'.  (A
 * key with a '-' in it passes.)  In memory there is an entry for each, in a tree by key and in a list by age.
 *
 * An entry is there before anybody can know of the object, and goes once the store below has it; so who finds
 * none asks below.  Whoever writes or uploads the file of an entry owns it meanwhile (`busy`).
 */

#include "daemon/store/driver.h"
#include "daemon/store/writeback.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/queue.h>

#define UPLOADS_MAX 64

struct staged {
	TAILQ_ENTRY(staged) age;
	uint64_t ticket;  /* counts up */
	uint64_t size;    /* bytes */
	int64_t staged_s; /* Unix time */
	bool busy;
	bool perhaps_below; /* an upload was tried; its answer may have been lost */
	char key[];
};

TAILQ_HEAD(staged_list, staged);

struct writeback {
	struct store base;
	struct store *below, *journal;
	char *dir, *prefix;
	struct writeback_options options;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t work;  /* for the uploaders: an entry, a drain, the end */
	pthread_cond_t moved; /* an upload ended, or an entry is gone */
	void *tree;           /* of keys, tsearch(3) */
	struct staged_list entries;
	uint64_t next_ticket;
	uint64_t hurry; /* entries below this ticket are uploaded without delay */
	struct writeback_state state;
	int64_t pause_until_ns; /* monotonic; after a failure */
	unsigned pause_s;
	uint64_t failures;
	int last_error;
	char last_text[512];
	bool ends;
	pthread_t threads[UPLOADS_MAX];
	unsigned thread_count;
};

static inline struct writeback *writeback(struct store *s)
{
	return (struct writeback *)s;
}

/** Name in the journal of the object @p key. */
void writeback_name(const char *key, char ret[STORE_COMPONENT_MAX + 1]);

/** The entry that a node of the tree (tsearch(3)) stands for. */
static inline struct staged *writeback_entry(const void *node)
{
	return (struct staged *)(*(char *const *)node - offsetof(struct staged, key));
}

/** Out of tree and list, with the lock held; it is the caller's then. */
void writeback_take_out(struct writeback *w, struct staged *e);

/* ---- writeback_upload.c ---- */

/** As many threads as options.uploads says, or as there can be. @return 0, or negative errno: none. */
int writeback_start(struct writeback *w);

/* ---- writeback_list.c ---- */

int writeback_list(struct store *s, const char *prefix, store_list_fn fn, void *arg);

#endif
