/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_STREAM_H
#define CURVEFS_META_STREAM_H

/*
 * The metadata as a stream of changes, for a copy kept elsewhere (daemon/backup/), and metadata made of such
 * a stream again. What the records mean nobody outside of daemon/meta/ has to know.
 */

#include "daemon/meta/kv.h"
#include "daemon/meta/meta.h"

/** Number of the newest change (kv_sequence()), and the name of the database that it belongs to. */
uint64_t meta_sequence(struct meta *m);
const char *meta_identity(const struct meta *m);

/** Where it lies, as meta_open() was told. */
const char *meta_directory(const struct meta *m);

/** Every record of one moment, as KV_PUT; *ret_sequence: the newest change of that moment. */
int meta_stream_all(struct meta *m, kv_change_fn fn, void *arg, uint64_t *ret_sequence);

/** As kv_changes(); -ENODATA: start over with meta_stream_all(). */
int meta_stream_changes(struct meta *m, uint64_t since, uint64_t until, kv_change_fn fn, void *arg);

/* ---- made metadata again ---- */

/*
 * The lost machine may have given out numbers after the last change that was copied. They are in names of
 * objects and of cached data, so they are skipped: far more than one machine gives out between two copies.
 */
#define META_SKIP_OBJECTS (1ull << 40)
#define META_SKIP_INOS (1ull << 32)
#define META_SKIP_OPENS 1024 /* each open has data versions of its own */

struct meta_rebuild;

/** New metadata in @p dir, which must be there and empty. *ret_why (free it) for people. */
int meta_rebuild_begin(const char *dir, struct meta_rebuild **ret, char **ret_why);
/** Make one change; a kv_change_fn, @p rebuild is the struct meta_rebuild. */
int meta_rebuild_apply(enum kv_op op, struct kv_slice key, struct kv_slice value, void *rebuild);
/**
 * All changes are made: skip numbers, make it durable, close and free. @p ret_identity: its name.
 * -EINVAL: it is not the metadata of @p volume; -EBADMSG: not of a whole volume.
 */
int meta_rebuild_finish(struct meta_rebuild *c, const struct meta_volume *volume,
                        char ret_identity[KV_IDENTITY_MAX], struct meta_usage *ret_usage, char **ret_why);
/** Close and free without; what is in the directory is the caller's to remove. NULL is fine. */
void meta_rebuild_abort(struct meta_rebuild *c);

#endif
