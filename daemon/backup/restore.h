/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_BACKUP_RESTORE_H
#define CURVEFS_BACKUP_RESTORE_H

/*
 * Metadata made again from its copy in the store, on another machine or after the directory was lost.
 *
 * The lease is held meanwhile, and afterwards names the new metadata: whoever still has the old one may no
 * longer write (lease.h).  Every part is checked before it is used; what is not whole is an error, never a
 * part of a volume.
 */

#include "daemon/meta/meta.h"

struct store;

struct restored {
	struct meta_volume volume;
	struct meta_usage usage;
	int64_t created_s; /* of the copy, Unix time: later changes are lost */
	uint64_t sequence, parts, changes, bytes;
};

/** Told after each part. */
typedef void (*restore_progress_fn)(uint64_t parts, uint64_t of_parts, void *arg);

/**
 * Restore the volume in @p store into @p dir, which must be there and empty.
 * @return 0; -ENODATA: there is no backup; -EBUSY: somebody has the volume mounted, unless @p break_lease;
 * -EBADMSG, -EPROTO: the copy cannot be used; or another negative errno. *ret_why (free it) for people; what
 * is in the directory then is the caller's to remove.
 */
int restore(struct store *store, const char *dir, bool break_lease, restore_progress_fn progress, void *arg,
            struct restored *ret, char **ret_why);

#endif
