/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_INTERNAL_H
#define CURVEFS_CACHE_INTERNAL_H

/*
 * What the parts of the cache share.
 *
 *   cache.c    open and close, the table of loaded inodes, references, retiring
 *   file.c     one inode: data file, chunk state, reading, checking
 *   fill.c     fetched bytes come in, sub-blocks are dropped
 *   packed.c   a small file goes into a pack and leaves it
 *   staging.c  written bytes: write, truncate, invalidate, upload, commit
 *   lend.c     bytes that the owner has somebody else write
 *   evict.c    limits, the choice of victims, the thread
 *   pack.c, index.c, datadir.c, chunks.c, ranges.c   know nothing of the others
 *
 * Loaded and not.  An inode is in memory ("loaded") while it is referenced, has
 * uncommitted changes, or is one of the IDLE_FILES put last; its data file is then open. All others
 * are on disk only.  So 100 000 cached files cost no memory.
 *
 * Locks, in the order in which they are taken:
 *
 *   cache_file.lock   (rwlock, writers first)  state and bytes of one inode. Shared: bytes that are present
 *                     do not change or go away. Exclusive: they may.
 *   cache.evict_lock  the list of victims
 *   cache.lock        table, references, idle list, inode records in the index. Never held over file I/O.
 *
 * A packed file (cache_file.pack) is whole, committed and has its CRC in its inode record: of its chunks
 * there is number 0 with one sub-block, and name and fd are empty. Who wants to change anything of it calls
 * cache_unpack() first and finds it so no more.
 *
 * before_drop is called with none of them held. So a drop has two halves: the
 * bits go (in memory and index) under the lock; before_drop; then, under the lock again, those bytes
 * are punched that nobody has put in anew meanwhile.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/chunks.h"
#include "cache/datadir.h"
#include "cache/index.h"
#include "cache/pack.h"
#include "cache/ranges.h"
#include "common/cleanup.h"
#include "common/log.h"

#define TABLE_SLOTS 4096
#define IDLE_FILES 256

struct cache_file {
	struct cache *cache;
	uint64_t ino;

	/* cache.lock */
	struct cache_file *next; /* in its slot of the table */
	struct cache_file *idle_newer, *idle_older;
	unsigned refs;
	bool idle; /* on the idle list: loaded, not referenced */

	/* written with cache.lock held */
	_Atomic bool detached; /* not in the table any more: it may still be read by who holds it */

	/* No lock. */
	_Atomic bool
		own; /* written, or its data file handed out, since it was referenced: not to be packed */
	_Atomic uint64_t last_use;
	_Atomic uint64_t disk_bytes; /* part of cache.bytes */

	/* lock. The first four change with cache.lock as well (size: only while uncommitted without it), for
	 * cache_file_get() and the inode record. */
	pthread_rwlock_t lock;
	uint64_t version;        /* last committed */
	uint64_t committed_size; /* ... and its size */
	uint64_t size;           /* with what was staged */
	bool uncommitted;        /* size or bytes differ from the version last committed */

	struct pack *pack;     /* NULL: not packed */
	uint32_t slot;         /* ... its place there */
	uint32_t crc;          /* ... and of its bytes */
	struct data_name name; /* id 0: no data file of its own yet */
	int fd;                /* -1: not open */
	bool unlinked;         /* the data file has no name any more */
	bool unindexed; /* the index could not be written: it is not read or written any more for this inode,
	                   and the data file has no name, so that nobody believes the index later */
	uint64_t file_size; /* of the data file: `size`, less if the file system cannot, more while a cut is
	                       pending */
	struct chunks chunks;

	/* lock. dirty and uploading are parts of changed and may have a common part: rewritten during upload.
	 */
	struct ranges changed;   /* bytes that differ from the committed version: never dropped */
	struct ranges dirty;     /* ... and are to be uploaded */
	struct ranges uploading; /* ... and are being uploaded */
	struct ranges hidden;    /* changed past the cache: not to be filled until the next commit */
	bool on_loan;            /* from cache_lend() to cache_lend_end() */
	bool loan_cut;           /* ... and something that was lent has been dropped since */
	struct ranges lent; /* part of changed: the bytes may change at any moment; not sealed by a commit */
	uint64_t dirty_counted; /* part of cache.dirty_bytes */
};

struct victim {
	uint64_t ino;
	uint64_t last_use;
};

struct cache {
	struct cache_index *index;
	struct datadir *datadir;
	struct packs *packs;
	uint32_t pack_max;
	uint64_t max_bytes;
	double free_space_ratio;
	cache_before_drop_fn before_drop;
	void *before_drop_arg;
	cache_is_mapped_fn is_mapped;
	void *is_mapped_arg;

	pthread_mutex_t lock;
	struct cache_file *table[TABLE_SLOTS];
	struct cache_file *idle_newest, *idle_oldest;
	unsigned n_idle;

	_Atomic uint64_t next_id;
	_Atomic uint64_t clock; /* counts uses; the older, the sooner evicted */

	_Atomic uint64_t bytes, files, packed, hits, misses, evictions, corrupt, full, dirty_bytes;
	_Atomic uint64_t reserved; /* bytes that are about to be written */

	pthread_mutex_t evict_lock;
	struct victim *victims; /* oldest last */
	size_t n_victims;

	pthread_t thread;
	pthread_mutex_t thread_lock;
	pthread_cond_t thread_wake;
	bool thread_stop; /* thread_lock */
	bool thread_work; /* thread_lock */
};

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline void before_drop(struct cache *c, uint64_t ino, uint64_t first, uint64_t last)
{
	if (c->before_drop)
		c->before_drop(c->before_drop_arg, ino, first, last);
}

/* cache.c */

/** Under cache.lock. @return the loaded inode, or NULL. */
struct cache_file *cache_table_find(struct cache *c, uint64_t ino);

/** Under cache.lock. Load @p ino from its record, or make an empty one (@p record NULL); no reference yet. */
int cache_table_load(struct cache *c, uint64_t ino, uint64_t version, uint64_t size,
                     const struct cache_index_inode *record, struct cache_file **ret);

/** Under cache.lock. Take a reference to a loaded inode. */
void cache_file_ref(struct cache_file *f);

/** Under cache.lock. Nobody finds @p f any more, and its index records do not count any more. */
void cache_file_detach(struct cache_file *f);

/** No lock. Give back a reference to a detached inode, after what was registered of its data file is gone,
 * and unlink that. *ret_blocks (or NULL): sub-blocks that were freed by it, 0 if others hold references. */
void cache_file_retire(struct cache_file *f, uint64_t *ret_blocks);

/** No lock. The same for an inode that is not loaded and whose record was deleted. */
void cache_record_retire(struct cache *c, uint64_t ino, const struct cache_index_inode *record,
                         uint64_t *ret_blocks);

/** f.lock exclusive. Write the inode record. @return 0, -ESTALE (@p f is detached), -EIO. */
int cache_file_save(struct cache_file *f);

/** The same, if there is anything to write; on failure @p f becomes unindexed. */
void cache_file_put_record(struct cache_file *f);

/* packed.c */

/** f.lock exclusive. Put all of the file, @p data, into a pack; nothing of it is there yet. @return 0,
 * -ENOSPC, -EIO, ...; then nothing has changed. */
int packed_put(struct cache_file *f, const void *data);

/** Take a file of @p size bytes out of the counts, and its place back. Nobody can read it any more. */
void packed_release(struct cache *c, struct pack *k, uint32_t slot, uint64_t size);

/**
 * No lock; a reference is held. The file is to be changed, or to have a data file of its own: it gets one,
 * with the same bytes, and is not packed again while anyone holds a reference. Without room for one, nothing
 * of the file is cached any more. Calls before_drop if it was packed.
 */
void cache_unpack(struct cache_file *f);

/** No lock. What is in the pack is no good: nothing of the file is cached any more. @return sub-blocks
 * dropped. */
unsigned cache_drop_packed(struct cache_file *f);

/* file.c; all under f.lock, exclusive unless said */

/** The bytes of sub-block @p block (counted from the start of the file) that are below the size. */
struct range file_block_range(const struct cache_file *f, uint64_t block);

/** Shared. The bits of @p chunk whose sub-blocks intersect [begin, end). */
uint64_t file_chunk_mask(uint64_t chunk, uint64_t begin, uint64_t end);

/** Open the data file if there is one. If it is gone, @p f is empty afterwards. @return 0, -EIO, -EMFILE, ...
 */
int file_open(struct cache_file *f);

/** Open the data file; make one if there is none. @return 0, -ENOSPC, -EIO, -EMFILE, ... */
int file_create(struct cache_file *f);

/** Make the data file as long as `size`, as far as the file system can. */
int file_settle(struct cache_file *f);

/** Get what the index knows of @p number. @return 0, -ENOMEM. */
int file_load_chunk(struct cache_file *f, uint64_t number, struct chunk **ret);

/** @p clear sub-blocks in the index, then set those of @p set to @p crc (or NULL if there are none). Cannot
 * fail: what cannot be cleared is made worthless by unlinking the data file; what cannot be set is not
 * indexed. */
void file_index(struct cache_file *f, struct chunk *c, uint64_t clear, uint64_t set, const uint32_t *crc);

/** The index is not to be trusted for @p f any more. */
void file_unindex(struct cache_file *f);

/** Shared. Check the sub-blocks @p mask of @p c, all present, against the index. *ret_bad: those that are not
 * as they were put. @return 0, -EIO, -ENOMEM. */
int file_verify(struct cache_file *f, struct chunk *c, uint64_t mask, uint64_t *ret_bad);

/** Shared. Read [begin, end), below the size; beyond the end of the data file are zeros. @return 0, -EIO. */
int file_pread(struct cache_file *f, uint64_t begin, uint64_t end, void *buffer);

/** Write all of it. @return 0, -ENOSPC, -EIO. */
int file_pwrite(struct cache_file *f, uint64_t begin, uint64_t end, const void *data);

/** Shared. Somebody outside has the data file mapped. */
bool file_is_mapped(struct cache_file *f);

/** Free the blocks of [begin, end) of the data file; of one that is mapped they stay as they are. */
void file_punch(struct cache_file *f, uint64_t begin, uint64_t end);

/** Bring cache.bytes up to date with the data file, and cache.dirty_bytes with the sets. */
void file_account(struct cache_file *f);

/** No lock. Now is the time that @p f was last used. */
void file_use(struct cache_file *f);

/** Turn what pwrite() and fallocate() say about space into -ENOSPC. */
int file_space_error(int err);

/* fill.c */

/** No lock. Drop sub-blocks @p mask of chunk @p number that are present and not changed; @p must: also while
 * another thread drops in the same chunk (then without freeing their space). @return how many. */
unsigned cache_drop_blocks(struct cache_file *f, uint64_t number, uint64_t mask, bool must);

/* staging.c; all under f.lock, exclusive */

/** Size or bytes are about to differ from the committed version. */
void staging_mark_uncommitted(struct cache_file *f);

/**
 * [begin, end) is about to be changed: the sub-blocks it touches leave the index,
 * in @p c. One of which a part stays, and that was not checked yet, is checked now: later
 * there is no CRC for it.
 */
int staging_unindex(struct cache_file *f, struct chunk *c, uint64_t begin, uint64_t end);

/** The last sub-block of the file ends where the file ends: its CRC goes when that changes. */
int staging_unindex_end(struct cache_file *f);

/** Exclusive. A data file to write to, and staging_reserve(). @return 0, -ESTALE if detached, ... */
int staging_begin(struct cache_file *f);

/** So that no set can fail to change after the bytes did. */
int staging_reserve(struct cache_file *f);

/** The bytes of [begin, end) are in the data file: changed and dirty. The chunks are loaded, the sets
 * reserved. */
void staging_written(struct cache_file *f, uint64_t begin, uint64_t end);

/* evict.c */

/**
 * No lock. Make room for @p bytes more, by evicting if need be, and reserve them.
 * @return 0 (then cache_unreserve() the same), or -ENOSPC (counted as `full`).
 */
int cache_reserve(struct cache *c, uint64_t bytes);
void cache_unreserve(struct cache *c, uint64_t bytes);

int cache_evict_start(struct cache *c);
void cache_evict_stop(struct cache *c);

#endif
