/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_H
#define CURVEFS_CACHE_H

/*
 * The local data cache: one sparse file per cached inode, same offsets as the
 * file it caches, small ones in pack files that thousands share (see pack.h for why),
 * plus an index that survives restarts.  Knows nothing of FUSE,
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
 * Staging.  Writes go into the same file.  What differs from the version last
 * committed is "changed" (in memory, by byte range): it is readable, never
 * evicted, and stays changed until the commit that has it.  Part of it is dirty:
 * not uploaded.  One round of upload:
 *
 *     cache_for_dirty()     which ranges
 *     cache_begin_upload()  they are being uploaded: a write from now on makes dirty again
 *     cache_read_dirty()    the bytes; upload; commit the metadata
 *     cache_end_upload()    did that succeed? if not, they are dirty as before
 *     cache_commit()        the version and size that the metadata has now
 *
 * A sub-block's valid bit leaves the index before its bytes change.  After a
 * crash changed bytes are gone (they were never acknowledged by fsync or close).
 *
 * Packed.  A file of at most CACHE_PACK_MAX bytes that is filled at once, or of which everything is there
 * and committed when cache_file_pack() is called, is in a pack file, and has no data file of its own.  Bytes
 * in a pack are never changed: whatever would change them, and cache_file_fd(), first gives the file a data
 * file of its own.  There it stays while anyone holds a reference.
 *
 * Lending.  The owner may have somebody else write straight into the data file:
 * cache_lend() before it, cache_lent_written() for what was written before anything
 * else is asked about the bytes, cache_lend_end() when nobody writes any more.
 *
 * Limits.  The data files keep below `max_bytes`, and the file system they lie
 * on keeps `free_space_ratio` free.  Evicting: least recently used inodes
 * first, by whole file or chunk; none that is mapped.  Out of space is not an error to the reader:
 * cache_fill() returns -ENOSPC and the owner reads through.  Nor to the writer:
 * on -ENOSPC from cache_write() the owner uploads what is dirty and tries again,
 * or writes past the cache and tells it so with cache_invalidate().
 *
 * Durability promise: what cache_commit() recorded is found again after a
 * restart or is a miss, never wrong.
 *
 * Locks: all calls are thread-safe. `before_drop` is called with no cache lock
 * held that cache_*() calls of other threads need, and must not call into the cache.
 * Offsets are below 2^63; a range beyond gives -EFBIG.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CACHE_CHUNK_SIZE (4u << 20)
#define CACHE_BLOCK_SIZE (64u << 10)
#define CACHE_BLOCKS_PER_CHUNK 64
#define CACHE_PACK_MAX CACHE_BLOCK_SIZE

struct cache;
struct cache_file; /* a cached inode, reference counted */

/**
 * Somebody outside may read the cache file by itself (the kernel, through a
 * registered backing file).  Called before sub-blocks of @p ino in chunks
 * [first_chunk, last_chunk] are punched, cut off or replaced; when it returns nobody
 * reads them any more (entries dropped, barrier passed).  They left cache_valid() before the call.
 *
 * first_chunk 0 and last_chunk UINT64_MAX: the data file as a whole goes, or the place in a pack, and what
 * was registered of the former must go too. Without such a call the data file of an inode stays the same,
 * referenced or not, so a registration need not hold a cache_file. The inode may have a new data file by the
 * time of the call (another cache_file_id()); dropping that as well costs a miss and nothing else.
 *
 * Threads: any that is in a call to the cache, and the cache's own evicting thread.
 */
typedef void (*cache_before_drop_fn)(void *arg, uint64_t ino, uint64_t first_chunk, uint64_t last_chunk);

/**
 * Has anybody outside mapped the data file that is open as @p fd, or is about to by what he found before
 * before_drop was called? Mapped bytes do not leave the data file, nor does the file leave the cache, until
 * they are not any more: a mapping sees what is written to the inode, as long as all of that goes into the
 * same data file. Called with cache locks held: must not call into the cache.
 */
typedef bool (*cache_is_mapped_fn)(void *arg, int fd);

struct cache_options {
	const char *dir;         /* made with mode 0700 if it is not there; one process at a time (-EBUSY) */
	uint64_t max_bytes;      /* of data files on disk; 0: no limit but the next one */
	double free_space_ratio; /* of the file system kept free, 0.0 ... 1.0 */
	const char *volume_uuid; /* a cache of another volume in dir is emptied first */
	uint32_t pack_max;       /* files up to this size are packed, at most CACHE_PACK_MAX; 0: none are */
	cache_before_drop_fn before_drop; /* NULL: nobody */
	void *before_drop_arg;
	cache_is_mapped_fn is_mapped; /* NULL: nobody */
	void *is_mapped_arg;
};

struct cache_stats {
	uint64_t bytes;       /* on disk now */
	uint64_t files;       /* inodes with anything cached */
	uint64_t packed;      /* ... those of them in pack files */
	uint64_t packs;       /* pack files */
	uint64_t hits;        /* sub-blocks that cache_read() found */
	uint64_t misses;      /* ... and did not */
	uint64_t evictions;   /* sub-blocks dropped to keep a limit */
	uint64_t corrupt;     /* sub-blocks dropped because their CRC did not fit */
	uint64_t full;        /* fills and writes refused for want of space */
	uint64_t dirty_bytes; /* not uploaded, or being uploaded */
};

/** @return 0, -EBUSY (another process has dir), -EINVAL, -ENOSPC, ...; *ret_why (free it) says it for people.
 */
int cache_open(const struct cache_options *options, struct cache **ret, char **ret_why);

/** Write the index out and close. Every cache_file must have been put. */
void cache_close(struct cache *c);

void cache_get_stats(struct cache *c, struct cache_stats *ret);

/**
 * Get the cached inode @p ino whose data version is @p version and size is @p size bytes; makes an empty one.
 * What is cached of another version (or size) is dropped: who still holds a reference goes on reading
 * the old data file, the caller gets a new one. Unless it has uncommitted changes: then -EBUSY if the version
 * is another (the owner must not ask with a version that is not its own while it writes), and with the same
 * version the size that the cache has is kept.
 * @return 0 and a reference (cache_file_put()), -EBUSY, -ENOMEM, -EINVAL (ino 0), -EFBIG.
 */
int cache_file_get(struct cache *c, uint64_t ino, uint64_t version, uint64_t size, struct cache_file **ret);
void cache_file_put(struct cache_file *f);

uint64_t cache_file_ino(const struct cache_file *f);
uint64_t cache_file_version(struct cache_file *f);

/**
 * The data file, open for reading and writing; belongs to @p f. Stays the same while anyone holds a
 * reference. Made if it is not there yet; a packed file leaves its pack (calls before_drop). @return the
 * descriptor, or -ENOSPC, -EIO, -EMFILE, ...
 */
int cache_file_fd(struct cache_file *f);

/** Which data file that is: never 0, never used again while the cache is open. Errors as cache_file_fd(), in
 * *ret_id only on 0. */
int cache_file_id(struct cache_file *f, uint64_t *ret_id);

/** Where a packed file is. */
struct cache_place {
	int fd;          /* of the pack file, for reading; open until cache_close(), and so is the next */
	uint64_t id;     /* which pack file that is, as cache_file_id() */
	uint64_t offset; /* of the file's first byte in it, not 0; the size of the file ends it */
};

/**
 * Put the file into a pack, if it is not there yet. If it had a data file of its own, that is gone on return:
 * who registered it takes that back, but has to wait for nobody (those who still read it find the same
 * bytes). The place is good until before_drop() or another call to the cache with this inode. before_drop is
 * not called. @return 0; -EBUSY: not all of it is there and committed, or it is mapped, or somebody holds a
 * reference since cache_file_fd() or a write; -EFBIG: it is not small; -ENOSPC, -EIO, ...
 */
int cache_file_pack(struct cache_file *f, struct cache_place *ret);

/**
 * Read what is there (valid or changed) from the start of the range on.
 * @return bytes read from @p offset on, up to the first byte that is not
 * there (0: the first one is missing, or @p offset is not below the size), or -EIO.
 * Counts hits and misses.
 */
ssize_t cache_read(struct cache_file *f, uint64_t offset, size_t length, void *buffer);

/**
 * Set *ret_valid to the bits of the sub-blocks of @p chunk that are wholly there (valid or changed, as
 * cache_read() would find them), each checked against its CRC (see above). The last one of the file counts
 * as whole up to the size.
 */
int cache_valid(struct cache_file *f, uint64_t chunk, uint64_t *ret_valid);

/** @return true if every byte below the file's size is there. Checks as cache_valid() does. */
bool cache_is_complete(struct cache_file *f);

/**
 * Put fetched bytes in. @p version is cache_file_version() as it was *before* the owner looked up where to
 * fetch them: a fill that raced with a commit is refused with -ESTALE (nothing changed). Sub-blocks that are
 * valid already are left alone, and so are changed bytes: the rest is put around them. Sub-blocks that are
 * not whole then stay as they are: so let the range begin at a sub-block and end at one or at the file's
 * size.
 * @return 0, -ENOSPC (not or not wholly cached; read through), -ESTALE, -EIO.
 */
int cache_fill(struct cache_file *f, uint64_t version, uint64_t offset, size_t length, const void *data);

/**
 * Stage written bytes: any range. A partial first or last sub-block that is not
 * valid stays invalid, but its changed bytes are readable and uploadable.
 * Grows the file's size if the range ends beyond it; the gap reads as zeros.
 * @return 0, -ENOSPC (nothing changed), -ESTALE (dropped by cache_forget() or another version), -EIO.
 */
int cache_write(struct cache_file *f, uint64_t offset, size_t length, const void *data);

/**
 * Set the size; valid and changed ranges beyond it go. Growing reads as zeros until the commit; after it
 * only those sub-blocks of the hole stay valid whose chunk holds something else too (a hole may have
 * exbibytes; the owner's metadata knows it anyway). Calls before_drop when it cuts. @return 0, -ESTALE, -EIO.
 */
int cache_truncate(struct cache_file *f, uint64_t size);

/**
 * [offset, offset + length) was or will be changed by the owner past the cache (written straight to the
 * store, punched, replaced by a slice copy): what is cached of it goes, changed or not; of partial
 * sub-blocks changed bytes outside the range stay. Calls before_drop. Whoever has it mapped goes on seeing
 * the old bytes, until cache_show(). Until the next cache_commit() the range
 * can not be filled: cache_fill() leaves it out (the bytes it brings may be older than the change).
 */
int cache_invalidate(struct cache_file *f, uint64_t offset, uint64_t length);

/** @return true if somebody outside has the data file mapped (is_mapped). */
bool cache_is_mapped(struct cache_file *f);

/** The same without opening it: one that is mapped may be so from before the cache was opened. */
bool cache_inode_is_mapped(struct cache *c, uint64_t ino);

/**
 * What was changed past the cache in [offset, offset + length) is committed, and these bytes (NULL: zeros)
 * are what is there now: whoever has the data file mapped sees them. They are not cached by it. The owner
 * lets nobody write there meanwhile. Without a mapping nothing is done.
 */
void cache_show(struct cache_file *f, uint64_t offset, uint64_t length, const void *data);

/**
 * Somebody else may write to the chunks of [offset, offset + length), and to any that begins behind the size,
 * from now on, about @p room bytes in all. Every byte of those chunks must be there. What is lent counts as
 * changed.
 * @return 0; -ENODATA (something is not there), -ENOSPC, -EIO: then nothing more is lent than was; -ESTALE:
 * what was lent before is not all there any more, cut or punched, so it must be ended.
 */
int cache_lend(struct cache_file *f, uint64_t offset, uint64_t length, uint64_t room);

/** That one has written [offset, offset + length): as if by cache_write(). Its chunks go on being lent, also
 * those that lay behind the size. @return 0, -ENOMEM (to be said again), -ESTALE. */
int cache_lent_written(struct cache_file *f, uint64_t offset, uint64_t length);

/** Nobody writes any more, and all that was written was told. */
void cache_lend_end(struct cache_file *f);

/** Call @p fn for each maximal dirty range that intersects [offset, offset + length), cut to it, in order.
 * Not those being uploaded. No lock is held during the calls; @return 0 or what @p fn returned (it ends the
 * walk). */
typedef int (*cache_dirty_fn)(uint64_t offset, uint64_t length, void *arg);
int cache_for_dirty(struct cache_file *f, uint64_t offset, uint64_t length, cache_dirty_fn fn, void *arg);

/**
 * What is dirty in the range is being uploaded from now on, and dirty no more: a write that comes later makes
 * it dirty again, whatever becomes of this upload.
 * @return 0, or -EBUSY (something dirty in it was rewritten while its last upload has not ended: one
 * upload of a byte at a time).
 */
int cache_begin_upload(struct cache_file *f, uint64_t offset, uint64_t length);

/** Read changed bytes back for upload. @return 0: exactly @p length; -ENODATA: not all of it is changed (a
 * truncate cut it); -EIO. */
int cache_read_dirty(struct cache_file *f, uint64_t offset, size_t length, void *buffer);

/**
 * The upload that began with the same range has ended. @p ok: the metadata that has it is
 * committed (cache_commit() follows); else all of it is dirty as before.
 */
void cache_end_upload(struct cache_file *f, uint64_t offset, uint64_t length, bool ok);

/**
 * The metadata was committed as data version @p version, of @p size bytes: what is neither dirty nor being
 * uploaded now belongs to it. Sub-blocks that are whole and no longer changed become valid (their CRC is
 * computed). Bytes written since, also beyond @p size, stay changed. @return 0, -ESTALE.
 */
int cache_commit(struct cache_file *f, uint64_t version, uint64_t size);

/** @return true if something is dirty or being uploaded. */
bool cache_file_is_dirty(struct cache_file *f);

/** Bytes of @p ino that are cached, without opening it; 0 if none. */
uint64_t cache_cached_bytes(struct cache *c, uint64_t ino);

/** Forget @p ino altogether, dirty or not (the inode was deleted). Calls before_drop. Who holds a reference
 * can go on reading, but not writing (-ESTALE). */
void cache_forget(struct cache *c, uint64_t ino);

#endif
