/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_BACKUP_PART_H
#define CURVEFS_BACKUP_PART_H

/*
 * A part: a run of changes of the metadata as one checked object, of a checkpoint (everything there is, as
 * puts) or of the log (what changed since).  All numbers little-endian:
 *
 *    0  8  "cfs-meta"          40  4  number of changes
 *    8  4  version, 1          44 36  uuid of the volume, text
 *   12  4  kind                80 12  zeros
 *   16  8  epoch of the lease  92  4  CRC-32C of the 92 bytes above and of all that follows
 *   24  8  number in the epoch 96     the changes, compressed (zlib): operation (1 byte), size of the key
 * (4), 32  4  size of the changes        of the value (4), key, value 36  4  ... compressed
 */

#include "daemon/meta/kv.h"

#define PART_RAW_MAX (256u << 20) /* of changes; larger is refused */
#define PART_UUID_SIZE 36

enum part_kind { PART_CHECKPOINT = 1, PART_LOG = 2 };

/** What a part is; its name in the store has epoch and number. */
struct part_id {
	enum part_kind kind;
	uint64_t epoch, number;
	const char *uuid;
};

/** Changes on their way into a part. Zeroed it is empty. */
struct part_buffer {
	unsigned char *bytes;
	size_t size, room;
	uint32_t changes;
};

int part_add(struct part_buffer *b, enum kv_op op, struct kv_slice key, struct kv_slice value);
void part_clear(struct part_buffer *b);

/** The object of what @p b has; free *ret. */
int part_print(const struct part_buffer *b, const struct part_id *id, void **ret, size_t *ret_size,
               uint32_t *ret_crc);

/** The checksum in an object, which need not be a part. */
uint32_t part_crc(const void *data, size_t size);

/**
 * Check @p data, and call @p fn for each change. @return 0; what @p fn ended with; -EBADMSG: damaged or not
 * the part that @p id says; -EPROTO: of a later version. *ret_wrong (not to be freed): what is wrong with it.
 */
int part_read(const void *data, size_t size, const struct part_id *id, kv_change_fn fn, void *arg,
              const char **ret_wrong);

#endif
