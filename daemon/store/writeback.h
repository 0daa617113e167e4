/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_WRITEBACK_H
#define CURVEFS_STORE_WRITEBACK_H

/*
 * A store that acknowledges at the local disk, and uploads later (--writeback).
 *
 * Stacked on another one.  A put goes to the journal, a directory here: one file per object, which is
 * written, synced and renamed into place before the put returns, so that it outlives the process and the
 * machine's power.  Threads upload what is there, oldest first, and delete the file when the store below has
 * the object. All that is asked of this store is answered as if everything were below already: get, head and
 * list see what is in the journal, and what is deleted before its upload never goes anywhere.
 *
 * Keys are for one object each, as those of data/ are: one that is deleted here before its upload is not
 * looked for below, where an earlier one of the same key may be.
 *
 * Only keys that begin with the prefix go to the journal; all others pass, and so does a put when the
 * journal has no room (free_space_ratio, or its disk is full): then the caller waits for the store as
 * without all this.
 *
 * An upload that fails (after the store's own retries) is tried again after a pause that doubles up to
 * WRITEBACK_PAUSE_MAX_S; logged once per outage.  Nothing is given up: what could not be uploaded when the
 * store is closed is in the journal still, and goes on at the next open, whatever the options are then.
 *
 * Who makes anything outlive this machine that names objects (a copy of the metadata) calls
 * writeback_drain() first.
 *
 * Thread-safe. The directory is one process's at a time; its owner sees to that.
 */

#include "daemon/store/store.h"

#define WRITEBACK_PAUSE_MAX_S 30

struct writeback_options {
	const char *dir;         /* of the journal; its parent is there */
	const char *prefix;      /* of the keys that go to the journal, e.g. "data/"; "" all */
	bool stage;              /* false: nothing new goes there, what is there is uploaded all the same */
	unsigned uploads;        /* at a time; 0: nothing is uploaded */
	unsigned delay_s;        /* an object stays here at least so long, unless somebody drains */
	double free_space_ratio; /* of the journal's file system, kept free */
};

/** Whether there is a journal in @p dir, so that it must be opened whatever the options. */
bool writeback_is_there(const char *dir);

/**
 * Stack on @p below, which the result owns.
 * @return 0, or negative errno with *ret_why (free it), @p below untouched.
 */
int writeback_open(struct store *below, const struct writeback_options *options, struct store **ret,
                   char **ret_why);

/**
 * Wait until all that was put before the call is in the store below (or was deleted); delays and pauses are
 * cut short. @return 0, or the error of the first upload that fails meanwhile (store_last_error() is set).
 */
int writeback_drain(struct store *s);

/**
 * Upload nothing more; what is under way is finished first. Called before the directory is let go of: who
 * opens it next must not find another one at work in it.
 */
void writeback_stop(struct store *s);

struct writeback_state {
	uint64_t objects, bytes;   /* in the journal now */
	int64_t oldest_s;          /* Unix time of the oldest of them; 0: none */
	uint64_t staged, uploaded; /* objects, since the open */
	uint64_t unneeded;         /* ... that were deleted before they were uploaded */
	uint64_t passed;           /* ... that went to the store at once, for want of room here */
	bool failing;              /* the last upload failed */
};
void writeback_get_state(struct store *s, struct writeback_state *ret);

#endif
