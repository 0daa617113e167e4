/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_DATA_TRANSFER_H
#define CURVEFS_DATA_TRANSFER_H

/*
 * The threads that talk to the object store, and the limits on how many
 * requests are under way at once: one for uploads, one for downloads.
 *
 * A limit counts requests, wherever they are made: a thread of the pool, or the
 * thread of a request that wants the answer itself.  Whoever holds a slot waits
 * for nothing but the store, so slots cannot deadlock.
 */

#include <stdbool.h>
#include <stddef.h>

struct transfer;

enum transfer_kind { TRANSFER_UP, TRANSFER_DOWN, TRANSFER_KINDS };

/** Threads are made when there is work, at most @p limits[kind] of each kind (0: one). */
int transfer_new(const unsigned limits[TRANSFER_KINDS], struct transfer **ret);

/** Run what is queued, end the threads. NULL is ignored. */
void transfer_free(struct transfer *t);

/** Wait until every job has been run, those included that jobs submit meanwhile. */
void transfer_drain(struct transfer *t);

/** Run @p fn(@p arg) on a thread of the pool. @return 0, or -ENOMEM/-EAGAIN and it will not run. */
int transfer_submit(struct transfer *t, enum transfer_kind kind, void (*fn)(void *arg), void *arg);

/**
 * Call @p fn(@p arg, i) for each i < @p count, on the calling thread and on as many of the pool as are free;
 * returns when all have returned. The caller does all of it by itself if it must, so this may be called
 * from a thread of the pool. Clobbers nothing of the caller's locks: hold none that @p fn takes.
 */
void transfer_each(struct transfer *t, enum transfer_kind kind, size_t count, void (*fn)(void *arg, size_t i),
                   void *arg);

/** Around each request to the store; waits until one more is allowed. */
void transfer_begin(struct transfer *t, enum transfer_kind kind);
void transfer_end(struct transfer *t, enum transfer_kind kind);

/** Requests under way now. */
unsigned transfer_running(struct transfer *t, enum transfer_kind kind);

/** Jobs that wait for a thread. */
size_t transfer_queued(struct transfer *t, enum transfer_kind kind);

#endif
