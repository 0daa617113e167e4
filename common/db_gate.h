/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_COMMON_DB_GATE_H
#define CURVEFS_COMMON_DB_GATE_H

/*
 * When a RocksDB could not write its log it takes no changes any more, also when the disk has space again: it
 * has to be closed and opened.  (It says that it recovers by itself; the next write fails all the same, and
 * one built with assertions aborts.)  The gate counts who uses it, and finds the moment when nobody does.
 * Between db_gate_failed(), a write and the db_gate_fail() of it there must be no other write.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db_gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	unsigned users;
	bool closed;      /* somebody reopens */
	int failed;       /* why nothing can be changed; 0: it can */
	bool for_good;    /* reopening would not help */
	int64_t tried_ns; /* the last attempt to reopen, monotonic */
};

void db_gate_init(struct db_gate *g);
void db_gate_done(struct db_gate *g);

/**
 * Begin to use the database; waits while it is reopened. @return true: it failed, nobody uses it, and a
 * second has passed since the last attempt: reopen it, then call db_gate_reopened().
 */
bool db_gate_enter(struct db_gate *g);
/** @p r: what it fails with still; 0: it is well. The caller is in then. */
void db_gate_reopened(struct db_gate *g, int r);
void db_gate_leave(struct db_gate *g);

/** A change failed with @p r. @p for_good: what is to be seen may differ from what is on the disk, so
 * nothing can be changed until the next open. */
void db_gate_fail(struct db_gate *g, int r, bool for_good);
/** @return what changes fail with; 0: they do not. */
int db_gate_failed(struct db_gate *g);

/** Can @p size bytes be written to a file in @p dir? @return 0 or negative errno. */
int db_gate_probe(const char *dir, size_t size);

/**
 * Is there space to open the RocksDB in @p dir? That turns its logs into tables, and one built with
 * assertions aborts in the middle of it. @return 0, also if there is no @p dir yet; *ret_needed bytes of
 * space with -ENOSPC or -EDQUOT; or another negative errno.
 */
int db_gate_probe_open(const char *dir, uint64_t *ret_needed);

#endif
