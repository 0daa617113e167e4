/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_H
#define CURVEFS_CACHE_H

/*
 * The local data cache: one sparse file per cached inode, same offsets as the
 * file it caches, plus an index that survives restarts.  Knows nothing of FUSE,
 * of the object store or of BPF: the owner fills it, and is told before bytes
 * that somebody may be reading go away.
 *
 * Geometry: chunks of 4 MiB, sub-blocks of 64 KiB; per sub-block a valid bit and
 * the CRC32C of its bytes (up to the end of file for the last one).  A
 * sub-block is checked against its CRC once per life of the process, before it
 * is first handed out; a bad one is dropped and counted as a miss.
 *
 * Versions.  Every inode has a data version that its metadata counts up with
 * each commit.  Cached bytes belong to one version; opening a cached inode with
 * another version drops them.  So a lost or torn index never serves old bytes.
 *
 * Staging.  Writes go into the same file and are marked dirty (in memory, by
 * byte range); the owner reads them back, uploads and commits them, and then
 * says so.  A sub-block's valid bit leaves the durable index before its bytes
 * change.  Dirty bytes are never evicted; after a crash they are gone (they
 * were never acknowledged by fsync or close).
 *
 * Limits.  The data files keep below `max_bytes`, and the file system they lie
 * on keeps `free_space_ratio` free.  Evicting: least recently used inodes
 * first, by whole file or chunk.  Out of space is not an error to the reader:
 * cache_fill() returns -ENOSPC and the owner reads through.
 *
 * Durability promise: what cache_commit() recorded is found again after a
 * restart or is a miss, never wrong.
 *
 * Locks: all calls are thread-safe. `before_drop` is called with no cache lock
 * held that cache_*() calls of other threads need, and must not call into the cache.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CACHE_CHUNK_SIZE (4u << 20)
#define CACHE_BLOCK_SIZE (64u << 10)
#define CACHE_BLOCKS_PER_CHUNK 64

struct cache;
struct cache_file; /* a cached inode, reference counted */

/**
 * Somebody outside may read the cache file by itself (the kernel, through a
 * registered backing file).  Called before sub-blocks of @p ino in chunks
 * [first_chunk, last_chunk] are punched or replaced; when it returns nobody
 * reads them any more (entries dropped, barrier passed).
 */
typedef void (*cache_before_drop_fn)(void *arg, uint64_t ino, uint64_t first_chunk, uint64_t last_chunk);

struct cache_options {
	const char *dir;         /* made with mode 0700 if it is not there; one process at a time (-EBUSY) */
	uint64_t max_bytes;      /* of data files on disk; 0: no limit but the next one */
	double free_space_ratio; /* of the file system kept free, 0.0 ... 1.0 */
	const char *volume_uuid; /* a cache of another volume in dir is emptied first */
	cache_before_drop_fn before_drop; /* NULL: nobody */
	void *before_drop_arg;
};

struct cache_stats {
	uint64_t bytes;     /* on disk now */
	uint64_t files;     /* inodes with anything cached */
	uint64_t hits;      /* sub-blocks that cache_read() found */
	uint64_t misses;    /* ... and did not */
	uint64_t evictions; /* sub-blocks dropped to keep a limit */
	uint64_t corrupt;   /* sub-blocks dropped because their CRC did not fit */
	uint64_t full;      /* fills and writes refused for want of space */
	uint64_t dirty_bytes;
};

/** @return 0, -EBUSY (another process has dir), -EINVAL, -ENOSPC, ...; *ret_why (free it) says it for people.
 */
int cache_open(const struct cache_options *options, struct cache **ret, char **ret_why);

/** Write the index out and close. Every cache_file must have been put. */
void cache_close(struct cache *c);

void cache_get_stats(struct cache *c, struct cache_stats *ret);

/**
 * Get the cached inode @p ino whose data version is @p version and size is @p size bytes; makes an empty one.
 * What is cached of another version is dropped, unless it has dirty bytes: then -EBUSY
 * (the owner must not ask with a version that is not its own while it writes).
 * @return 0 and a reference (cache_file_put()), -ENOSPC, -EIO, -ENOMEM.
 */
int cache_file_get(struct cache *c, uint64_t ino, uint64_t version, uint64_t size, struct cache_file **ret);
void cache_file_put(struct cache_file *f);

uint64_t cache_file_ino(const struct cache_file *f);
uint64_t cache_file_version(struct cache_file *f);

/** The data file, open for reading and writing; belongs to @p f. Stays the same while anyone holds a
 * reference. */
int cache_file_fd(struct cache_file *f);

/**
 * Read what is valid (or dirty) from the start of the range on.
 * @return bytes read from @p offset on, up to the first sub-block that is not
 * there (0: the first one is missing), or -EIO. Counts hits and misses.
 */
ssize_t cache_read(struct cache_file *f, uint64_t offset, size_t length, void *buffer);

/** Set *ret_valid to the valid bits of @p chunk, each checked against its CRC (see above). */
int cache_valid(struct cache_file *f, uint64_t chunk, uint64_t *ret_valid);

/** @return true if every byte below the file's size is valid. Checks as cache_valid() does. */
bool cache_is_complete(struct cache_file *f);

/**
 * Put fetched bytes of version cache_file_version() in; @p offset is a multiple
 * of the sub-block, and so is @p length, or the range ends at the file's size.
 * Sub-blocks that are valid or dirty already are left alone.
 * @return 0, -ENOSPC (nothing changed; read through), -EIO.
 */
int cache_fill(struct cache_file *f, uint64_t offset, size_t length, const void *data);

/**
 * Stage written bytes: any range. A partial first or last sub-block that is not
 * valid stays invalid, but its dirty bytes are readable and uploadable.
 * Grows the file's size if the range ends beyond it.
 * @return 0, -ENOSPC (nothing changed), -EIO.
 */
int cache_write(struct cache_file *f, uint64_t offset, size_t length, const void *data);

/** Set the size; valid and dirty ranges beyond it go. Growing reads as zeros (a hole that is valid). */
int cache_truncate(struct cache_file *f, uint64_t size);

/** Call @p fn for each maximal dirty range that intersects [offset, offset + length), in order. */
typedef int (*cache_dirty_fn)(uint64_t offset, uint64_t length, void *arg);
int cache_for_dirty(struct cache_file *f, uint64_t offset, uint64_t length, cache_dirty_fn fn, void *arg);

/** Read bytes of a dirty range back for upload: exactly @p length or -EIO. */
int cache_read_dirty(struct cache_file *f, uint64_t offset, size_t length, void *buffer);

/**
 * [offset, offset + length) was uploaded: no longer dirty. Sub-blocks that are
 * whole in the file become valid (their CRC is computed).
 * The bytes belong to the version of the next cache_commit().
 */
int cache_clean(struct cache_file *f, uint64_t offset, uint64_t length);

/** The metadata was committed as data version @p version, of @p size bytes: what is valid belongs to it from
 * now on. */
int cache_commit(struct cache_file *f, uint64_t version, uint64_t size);

bool cache_file_is_dirty(struct cache_file *f);

/** Bytes of @p ino that are cached, without opening it; 0 if none. */
uint64_t cache_cached_bytes(struct cache *c, uint64_t ino);

/** Forget @p ino altogether, dirty or not (the inode was deleted). Calls before_drop. */
void cache_forget(struct cache *c, uint64_t ino);

#endif
