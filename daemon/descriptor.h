/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_DESCRIPTOR_H
#define CURVEFS_DESCRIPTOR_H

/*
 * The volume descriptor: the object "curvefs.json" at the root of a volume's store,
 * {"magic": "curvefs", "version": 2, "uuid", "name", "chunk_size", "created"}.
 * Its uuid ties the store, the metadata and the cache of a volume together.
 */

#include "daemon/meta/meta.h"

#define DESCRIPTOR_KEY "curvefs.json"
#define DESCRIPTOR_MAX 65536 /* bytes */

struct store;

/**
 * Read and check. @return 0; -ENOENT: not formatted; -EBADMSG: not a descriptor; -EPROTO: of a later
 * version; or the store's error. *ret_why (free it) says what to do.
 */
int descriptor_read(struct store *s, struct meta_volume *ret, char **ret_why);

/** Write a new one; -EEXIST if the store holds a volume already. */
int descriptor_write(struct store *s, const struct meta_volume *volume, char **ret_why);

#endif
