/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_KV_BATCH_H
#define CURVEFS_META_KV_BATCH_H

/*
 * Reads the bytes of a RocksDB WriteBatch, as the log of the database gives them out: 8 bytes sequence,
 * 4 bytes count (both little-endian), then records of a tag and length-prefixed strings. The C interface's
 * own iteration leaves out the merges, which kv_add() makes.
 */

#include "daemon/meta/kv.h"

/**
 * Call @p fn for each change of @p batch, in order. @return 0; what @p fn ended with; -EBADMSG: not a batch;
 * -EPROTO: it has something in it that kv.h never writes.
 */
int kv_batch_read(struct kv_slice batch, kv_change_fn fn, void *arg);

/** How many changes it says it has, each with a sequence number of its own; -EBADMSG. */
int kv_batch_count(struct kv_slice batch, uint32_t *ret);

#endif
