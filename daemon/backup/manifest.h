/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_BACKUP_MANIFEST_H
#define CURVEFS_BACKUP_MANIFEST_H

/*
 * The manifest: which parts, in which order, are the metadata of a moment. JSON with a checksum,
 *
 *   {"crc32c": "01234567", "manifest": {"magic": "curvefs-meta", "version": 1, "uuid", "meta_id", "epoch",
 *    "number", "sequence", "created", "checkpoint": [[epoch, number, size, crc32c], ...], "log": [...]}}
 *
 * "sequence" counts in the database "meta_id" (daemon/meta/stream.h). Its name, as that of a part, has the
 * epoch of the lease and a number that grows in it, so names are in the order of time, no name is written
 * twice, and what a writer without the lease may still put does not count: its epoch is smaller.
 */

#include "daemon/backup/part.h"
#include "daemon/meta/meta.h"

#define MANIFEST_PREFIX "meta/manifest/"
#define PART_PREFIX "meta/part/"
#define BACKUP_PREFIX "meta/"
#define BACKUP_KEY_MAX 64

struct store;

struct manifest_part {
	uint64_t epoch, number;
	uint64_t size; /* of the object */
	uint32_t crc;
};

struct manifest {
	char meta_id[KV_IDENTITY_MAX];
	uint64_t epoch, number;
	uint64_t sequence;
	int64_t created_s;           /* Unix time */
	struct manifest_part *parts; /* those of the checkpoint, then those of the log */
	size_t count, checkpoint_count;
};

void manifest_clear(struct manifest *m);

/** @return a string to free, or NULL without memory. */
char *manifest_print(const struct manifest *m, const char *uuid);
/** @return 0, -EBADMSG, -EPROTO: of a later version. *ret_wrong (not to be freed): what is wrong. */
int manifest_parse(const void *text, size_t length, const char *uuid, struct manifest *ret,
                   const char **ret_wrong);

void manifest_key(uint64_t epoch, uint64_t number, char ret[BACKUP_KEY_MAX]);
void manifest_part_key(uint64_t epoch, uint64_t number, char ret[BACKUP_KEY_MAX]);
/** Whether @p key begins with @p prefix, one of the above, and goes on as they do. */
bool manifest_parse_key(const char *key, const char *prefix, uint64_t *ret_epoch, uint64_t *ret_number);

/** The newest in the store. -ENOENT: there is none; or as manifest_parse() or the store has it, with
 * *ret_why. */
int manifest_newest(struct store *store, const char *uuid, struct manifest *ret, char **ret_why);

/** "2026-11-21 11:57:53 UTC" */
#define MANIFEST_TIME_MAX 32
void manifest_time(int64_t s, char ret[MANIFEST_TIME_MAX]);

#endif
