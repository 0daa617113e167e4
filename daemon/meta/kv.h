/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_KV_H
#define CURVEFS_META_KV_H

/*
 * The transactional, ordered key-value store under the metadata.  RocksDB
 * (TransactionDB) is the embedded engine; a shared one fits behind the same
 * calls.  Keys and values are byte strings; keys are ordered bytewise.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv;
struct kv_txn;

struct kv_slice {
	const void *data;
	size_t size;
};

/** @return 0 to go on; anything else ends the scan and is returned by it. Slices are valid in the call. */
typedef int (*kv_scan_fn)(struct kv_slice key, struct kv_slice value, void *arg);

/**
 * Open the database in @p dir (made if @p create; the folder above it must be there). -ENOENT: there is none,
 * -EBUSY: somebody has it open. On failure *ret_why (free it; NULL only without memory) is for people.
 */
int kv_open(const char *dir, bool create, struct kv **ret, char **ret_why);
void kv_close(struct kv *kv);

/** Begin; every txn ends with kv_commit() or kv_rollback(), which free it. One thread at a time. */
int kv_begin(struct kv *kv, struct kv_txn **ret);

/** Begin one that only reads, and reads everything as it is now: no locks, no writes (-EINVAL). Cheap. */
int kv_begin_read(struct kv *kv, struct kv_txn **ret);

/**
 * Read in the transaction (sees its own writes). @p lock takes the key's lock
 * until the end: -EAGAIN if it is not to be had in time or would deadlock (roll back, try again).
 * @return 0 and a copy to free, or -ENOENT.
 */
int kv_get(struct kv_txn *txn, struct kv_slice key, bool lock, void **ret_value, size_t *ret_size);
int kv_put(struct kv_txn *txn, struct kv_slice key, struct kv_slice value);
int kv_delete(struct kv_txn *txn, struct kv_slice key);

/**
 * Add @p delta to the counter at @p key (8 bytes, little-endian, wraps; absent is 0) when the transaction
 * commits.  Takes no lock: any number of transactions may add to one counter at a time.  Not to be mixed with
 * kv_put() or a locked kv_get() of the key while others run.
 */
int kv_add(struct kv_txn *txn, struct kv_slice key, uint64_t delta);

/**
 * Each pair with first <= key and key starts with @p prefix, in order; sees the txn's own writes. Takes no
 * locks. @p fn must not write to @p txn.
 */
int kv_scan(struct kv_txn *txn, struct kv_slice prefix, struct kv_slice first, kv_scan_fn fn, void *arg);

/**
 * @p sync: durable when it returns; else durable against the end of the process only. Frees @p txn in any
 * case. After an error of the sync the changes are there, and may or may not outlive a crash.
 */
int kv_commit(struct kv_txn *txn, bool sync);
void kv_rollback(struct kv_txn *txn);

/** Make every earlier commit durable. Threads that ask at the same time share one fsync. */
int kv_sync(struct kv *kv);
/** @return how many commits there were since the opening. */
uint64_t kv_commits(struct kv *kv);
/** Make those durable that there were when kv_commits() was @p commits: nothing is left to do if an fsync
 * came after them. */
int kv_sync_to(struct kv *kv, uint64_t commits);

/* ---- for a copy of the database kept elsewhere ---- */

enum kv_op { KV_PUT = 1, KV_DELETE = 2, KV_ADD = 3 };

/** One change, as kv_put(), kv_delete() and kv_add() made it: KV_ADD has the delta, 8 bytes little-endian. */
typedef int (*kv_change_fn)(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg);

/** Number of the newest committed change; 0: it cannot be had. Numbers grow with every change, and across
 * openings. */
uint64_t kv_sequence(struct kv *kv);

/** As kv_begin_read(); the snapshot has just the changes up to *ret_sequence. Holds up commits for a moment.
 */
int kv_begin_cut(struct kv *kv, struct kv_txn **ret, uint64_t *ret_sequence);

/**
 * Call @p fn for every change behind @p since up to @p until (kv_sequence() gave both, or a cut, perhaps in
 * an earlier opening), in an order in which they may be made again. Do a kv_sync() before, if what is copied
 * may not be more than what a power failure leaves here.
 * @return 0; what @p fn ended with; -ENODATA: the log does not reach back so far (changes are kept for
 * KV_LOG_KEPT_S, and at least until the database has them in its tables).
 */
#define KV_LOG_KEPT_S 600
int kv_changes(struct kv *kv, uint64_t since, uint64_t until, kv_change_fn fn, void *arg);

/** A name that no other database has; the numbers above mean something in that one only. */
#define KV_IDENTITY_MAX 64
const char *kv_identity(const struct kv *kv);

/** As given to kv_open(). */
const char *kv_directory(const struct kv *kv);

#endif
