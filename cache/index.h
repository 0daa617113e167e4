/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_INDEX_H
#define CURVEFS_CACHE_INDEX_H

/*
 * What the data files hold, on disk (RocksDB).  One record per cached inode, and
 * one per chunk that has valid sub-blocks.  Chunk records are filed under the id
 * of the data file, not under the inode: deleting the inode record alone makes
 * all of them unreachable at once, and they are cleared away later.
 *
 *   "I" inode            (big endian)  ->  struct cache_index_inode; of a packed one in another layout, with
 *                                          its CRC: it has no chunk record
 *   "C" data file, chunk (big endian)  ->  struct cache_index_chunk, CRCs of valid sub-blocks only
 *   "M" "volume"                       ->  UUID of the volume
 *
 * Values are little endian, begin with the version of their layout, and are
 * checked when read: what does not fit exactly is -EBADMSG.
 *
 * A write is not synced: it survives the end of the process (it is in the kernel when the
 * call returns), but perhaps not the end of the machine. Then the CRCs and versions tell.
 *
 * Thread-safe; who changes one record from two threads must serialise that.
 */

#include "cache/cache.h"

struct cache_index;

struct cache_index_inode {
	uint64_t version;         /* data version that the bytes belong to */
	uint64_t size;            /* of the file at that version, below 2^63 */
	uint64_t id;              /* of the data file; of a packed one 0, else not */
	uint64_t created_version; /* data version when the data file was made; part of its name */
	uint64_t last_use;        /* the cache's use clock */
	uint64_t bytes;           /* on disk when the record was written; of a packed one follows from size */
	uint64_t pack;            /* not 0: packed there ... */
	uint32_t slot;            /* ... at this place (pack_is_place()) */
	uint32_t crc;             /* ... with this CRC32C */
};

struct cache_index_chunk {
	uint64_t valid; /* bit n: sub-block n */
	uint32_t crc[CACHE_BLOCKS_PER_CHUNK];
};

/**
 * Open the index in @p dir/index. One of another volume, or one that cannot be read,
 * is emptied, and any if @p empty. @return 0 or a negative errno; then *ret_why (free it) says why.
 */
int cache_index_open(const char *dir, const char *volume_uuid, bool empty, struct cache_index **ret,
                     char **ret_why);
void cache_index_close(struct cache_index *x);

/** @return 0, -ENOENT, -EBADMSG (a record that nobody here wrote), -EIO. */
int cache_index_get_inode(struct cache_index *x, uint64_t ino, struct cache_index_inode *ret);
int cache_index_get_chunk(struct cache_index *x, uint64_t id, uint64_t chunk, struct cache_index_chunk *ret);

/** @return 0, -EIO (also when the disk is full). A chunk without a valid sub-block is deleted. */
int cache_index_put_inode(struct cache_index *x, uint64_t ino, const struct cache_index_inode *inode);
int cache_index_put_chunk(struct cache_index *x, uint64_t id, uint64_t chunk,
                          const struct cache_index_chunk *record);
int cache_index_delete_inode(struct cache_index *x, uint64_t ino);

/** Delete the records of data file @p id from chunk @p first on; *ret_blocks (or NULL): their valid
 * sub-blocks. */
int cache_index_delete_chunks(struct cache_index *x, uint64_t id, uint64_t first, uint64_t *ret_blocks);

/** In order of inode; bad records are deleted, not shown. @p fn returns 0 to go on; else that is returned. */
typedef int (*cache_index_inode_fn)(uint64_t ino, const struct cache_index_inode *inode, void *arg);
int cache_index_for_inodes(struct cache_index *x, cache_index_inode_fn fn, void *arg);

/** The chunks of data file @p id in [first, last] with their valid bits, in order; bad records have none. */
typedef int (*cache_index_chunk_fn)(uint64_t chunk, uint64_t valid, void *arg);
int cache_index_for_chunks(struct cache_index *x, uint64_t id, uint64_t first, uint64_t last,
                           cache_index_chunk_fn fn, void *arg);

/** Each data file id that has chunk records, in order, once. */
typedef int (*cache_index_id_fn)(uint64_t id, void *arg);
int cache_index_for_ids(struct cache_index *x, cache_index_id_fn fn, void *arg);

#endif
