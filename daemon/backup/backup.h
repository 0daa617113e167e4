/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_BACKUP_H
#define CURVEFS_BACKUP_H

/*
 * The metadata backup: RocksDB is local, and a consistent copy of it is kept in the object store, so that a
 * volume outlives the machine (`curvefs restore`).
 *
 *   meta/part/<epoch>-<number>      changes (part.h): a checkpoint, and the log of what came after it
 *   meta/manifest/<epoch>-<number>  which parts make up the copy (manifest.h); put last, so that a copy is
 * there whole or not at all
 *
 * Shipping.  Every --meta-backup seconds, at `curvefs sync` and at the end of a mount: what is committed is
 * made durable here, then what changed since the last time goes out as parts of the log, then a manifest
 * with the new parts added, then the manifest before is deleted. When the log is larger than the checkpoint,
 * or the database no longer knows all changes (a long outage), a new checkpoint is made instead, and the
 * parts that no manifest names any more are deleted.  A mount goes on where the last one with the same
 * metadata stopped.
 *
 * What is lost with the machine: what was changed after the last shipping, at most the interval and the
 * time that shipping takes; nothing after a clean unmount or a `curvefs sync` that returned 0.
 *
 * Deleting objects.  A copy names data objects, so none that the newest copy in the store may name is
 * deleted: whoever deletes garbage asks backup_covers() whether the change that freed the object has been
 * shipped (data/garbage.c holds a list until then). An object that came and went between two shippings is in
 * no copy, and need not wait: backup_first_private(). With the backup off, nothing waits, and there must be
 * no old copy that somebody could restore: backup_remove().
 *
 * Fencing.  Everything here is done with the lease only (lease.h), checked before each object that is put,
 * and again before a shipping counts. Names have the epoch of the lease in them, are never written twice, and
 * the greatest counts: what a former holder still has under way changes nothing. Where such a one may
 * exist (the lease was broken), the first shipping is a checkpoint, so that no part is needed that the other
 * may be about to delete. Nothing of a later epoch is ever deleted.
 *
 * Thread-safe. Locks: one shipping at a time; meta.h below.
 */

#include <stdbool.h>
#include <stdint.h>

struct backup;
struct lease;
struct meta;
struct store;

struct backup_options {
	unsigned interval_s; /* > 0 */
	uint64_t part_bytes; /* of changes in a part; 0: 4 MiB */
	uint64_t log_bytes;  /* so much log is always less than a new checkpoint; 0: 4 MiB */
	/**
	 * Called before a copy counts: returns 0 when every object that was put up to now is in the store, so
	 * that the copy names nothing else. NULL: they are, always.
	 */
	int (*objects_stored)(void *arg);
	void *arg;
};

/**
 * Find out where the copy in the store stands, and ship from now on by a thread of its own.
 * @return 0, or negative errno with *ret_why (free it); -ESTALE: the copy is newer than this metadata.
 */
int backup_start(struct meta *meta, struct store *store, const struct lease *lease,
                 const struct backup_options *options, struct backup **ret, char **ret_why);

/** End the thread; ships nothing more. NULL is fine. */
void backup_stop(struct backup *b);

/** Ship now: everything committed when it is called is in the store when it returns 0. */
int backup_ship(struct backup *b);

/** Whether all up to change @p sequence (meta_sequence()) is in the copy in the store, and we hold the lease.
 */
bool backup_covers(struct backup *b, uint64_t sequence);

/**
 * Objects of this number and above are named by no copy in the store, nor by one that is being made;
 * UINT64_MAX: not known now, or the lease is not ours.
 */
uint64_t backup_first_private(struct backup *b);

struct backup_state {
	unsigned interval_s;
	uint64_t sequence, shipped;             /* newest change here, and in the store */
	int64_t shipped_s;                      /* Unix time of the newest manifest; 0: none */
	uint64_t shipments, checkpoints, bytes; /* since the start */
	bool failing;                           /* the last shipping failed */
};
void backup_get_state(struct backup *b, struct backup_state *ret);

/** Remove the copy in the store. @return how many manifests there were, or negative errno. */
int backup_remove(struct store *store);

#endif
