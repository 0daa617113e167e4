/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_DATA_INTERNAL_H
#define CURVEFS_DATA_INTERNAL_H

/*
 * What the files of data/ share.
 *
 * Locks, in the order in which they are taken:
 *
 *   data_file.flush   one flush, truncate or write past the cache of a file at a time: who holds it is the
 *                     only one to commit
 *   data_file.io      one change of the bytes or the size at a time
 *   data.table_lock   the table of files, their reference counts
 *   data_file.lock    the small fields; nothing is called under it
 *   data.flights_lock flights and the memory budget; nothing is called under it
 *
 * The hooks, and a cache that drops something (before_drop), take the publish
 * lock, under which data_pending() is called.  So data_pending() takes
 * table_lock and data_file.lock only, and under those no hook, no cache and no metadata is called.
 *
 * Memory: who waits for the budget holds no part of it, and who holds a part waits for the
 * store, the cache and nothing else of data/.
 */

#include "cache/cache.h"
#include "common/clock.h"
#include "daemon/data/data.h"
#include "daemon/data/transfer.h"
#include "daemon/meta/slices.h"
#include "daemon/store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define FILE_BUCKETS 1024
#define FLIGHT_MAX (1u << 20) /* a read fetches at most this in one go; a warm-up, object_size */

#define STREAMS 4 /* sequential readers of one inode that are told apart */
#define BLOCK_MASK ((uint64_t)CACHE_BLOCK_SIZE - 1)

/* A range in an object of its own, not named by the metadata yet. */
struct uploaded {
	uint64_t offset, length; /* in the file */
	struct meta_write write;
	bool tried; /* its commit failed, or only the fsync of it */
};

struct flight;
TAILQ_HEAD(flight_list, flight);

/* Where a sequential reader is. */
struct stream {
	uint64_t next;  /* offset behind its last read */
	uint64_t run;   /* bytes read one after the other */
	uint64_t ahead; /* end of what was asked for ahead; 0: nothing yet */
	uint64_t used;  /* for finding the oldest */
};

/* An upload in the background. */
struct later {
	struct later *next;
	struct data_file *f;
	uint64_t window;
};

struct data_file {
	struct data *d;
	uint64_t ino;

	/* table_lock */
	struct data_file *next;
	unsigned refs;
	bool loading;   /* its attributes are being read: wait for data.loaded */
	bool orphan;    /* without a name: nothing of it is stored */
	bool forgotten; /* an orphan that goes with its last reference */
	bool linkable;  /* an orphan that may get a name (O_TMPFILE) */
	bool reaping;   /* being reaped: not to be had any more */

	pthread_mutex_t flush;

	pthread_mutex_t io;
	struct cache_file **stale; /* io: what ->cache was; whoever reads from it may go on */
	size_t stale_count;

	pthread_mutex_t lock;  /* all below */
	pthread_cond_t quiet;  /* laters went empty */
	uint64_t size;         /* as a reader sees it */
	uint64_t version;      /* committed */
	struct timespec mtime; /* of the last write; if changed */
	int64_t changed_since; /* monotonic ns; if changed */
	bool changed;          /* bytes are staged in the cache that are not committed */
	bool lent;             /* the kernel writes it; changes under io only */
	bool on_loan;          /* ... or did, and what was lent of it is kept for the next time; likewise */
	int64_t lent_since;    /* monotonic ns; if lent: written since then, as far as is known */
	bool announced;        /* will_write was called since it became pending */
	bool written;          /* ... or ever, since it is in use */
	bool unsynced;         /* committed, perhaps not durable */
	bool warned;           /* its failing uploads were logged */
	bool flushing;         /* no uploads in the background */
	unsigned changers;     /* writes and truncates under way */
	struct later *laters;  /* uploads in the background */
	struct uploaded *uploaded; /* in the order of their writes */
	size_t uploaded_count;
	struct cache_file
		*cache; /* NULL: not asked for yet; written under io too, and kept while the file lives */
	struct stream streams[STREAMS];
	uint64_t stream_clock;

	struct flight_list flights; /* flights_lock */
};

/* An object that was uploaded in vain. */
struct unused {
	struct unused *next;
	uint64_t object;
	uint32_t size;
};

struct data {
	struct meta *meta;
	struct store *store;
	struct cache *cache; /* NULL: none */
	struct data_options options;
	struct data_hooks hooks;
	uint32_t chunk_size;  /* of the volume */
	uint32_t object_size; /* a file's bytes are uploaded by windows of this size */
	struct transfer *transfer;

	_Atomic bool put_failed; /* and it was said */
	_Atomic bool store_full; /* since the janitor looked last */

	pthread_mutex_t table_lock;
	pthread_cond_t loaded;
	struct data_file *table[FILE_BUCKETS];
	uint64_t files;

	pthread_mutex_t flights_lock;
	pthread_cond_t memory_given;
	uint64_t memory_used;
	struct flight_list kept; /* finished, not in the cache, oldest first */
	uint64_t kept_bytes;

	/* garbage.c */
	pthread_t janitor;
	bool janitor_runs;
	pthread_mutex_t janitor_lock;
	pthread_cond_t janitor_wake;
	bool janitor_kicked, janitor_ends;
	struct unused *unused;
	/* The janitor's: garbage that was listed when the metadata was at change held_sequence. */
	struct meta_garbage *held;
	size_t held_count;
	uint64_t held_sequence;
	bool garbage_warned;
	_Atomic bool closing;
};

/* ---- data.c ---- */

static inline struct cache_file *cache_of(struct data_file *f)
{
	struct cache_file *cache;

	pthread_mutex_lock(&f->lock);
	cache = f->cache;
	pthread_mutex_unlock(&f->lock);
	return cache;
}

/** One more reference to a file that the caller has one of. */
void file_ref(struct data_file *f);

bool file_is_orphan(struct data_file *f);

/** table_lock is held. NULL: it is not in use. */
struct data_file *table_find(struct data *d, uint64_t ino);

/** data_file_put(), but if not @p flush, what is changed is left for the janitor. */
void file_put(struct data_file *f, bool flush);

/** The cache file, opened if need be; NULL: there is none. @p io_held: the caller holds f->io. */
struct cache_file *file_cache(struct data_file *f, bool io_held);

/** What we had was dropped (-ESTALE): ask again. f->io is held and nothing is changed. NULL: there is none.
 */
struct cache_file *file_cache_again(struct data_file *f);

/**
 * Set pending, take it back if it is lent (@p end: as file_take_back()), and call will_write; no lock is
 * held. Paired with file_end_change(), unless it failed.
 */
int file_begin_change(struct data_file *f, bool end);
void file_end_change(struct data_file *f);

/** So long may bytes be staged only. */
static inline int64_t expire_ns(const struct data *d)
{
	return d->options.expire_s * 1000000000ll;
}

/**
 * Files that are changed since @p before (monotonic ns) or longer, or not durable; with a reference each
 * (file_put()). Free *ret.
 */
int file_list_changed(struct data *d, int64_t before, struct data_file ***ret, size_t *ret_count);

/* ---- objects.c ---- */

/** Room for an object of @p size bytes, which go to its beginning. Free it. NULL: no memory. */
void *object_buffer(uint32_t size);
/**
 * Upload the @p size bytes of an object_buffer(), whose contents are lost, as a new object. Failures are
 * logged.
 */
int object_upload(struct data *d, void *buffer, uint32_t size, uint64_t *ret_object);
/**
 * Read a range, and check it.
 * @return 0; -ENOENT (deleted meanwhile?); -EIO if it is cut short or does not fit its checksums, which
 * is logged; another error.
 */
int object_get(struct data *d, uint64_t object, uint32_t size, uint32_t offset, uint32_t length,
               void *buffer);
int object_delete(struct data *d, uint64_t object, uint32_t size);

/* ---- flight.c: memory, and fetches that are under way ---- */

/** Wait until @p bytes of the budget are free, and take them. Whatever its size, a request gets through
 * alone. */
void memory_take(struct data *d, uint64_t bytes);
void memory_give(struct data *d, uint64_t bytes);

/* A range of a file, fetched by one thread for all that want it. */
struct flight {
	struct data_file *f;
	uint64_t offset; /* of a block */
	size_t length;
	uint64_t version; /* committed, before its slices were looked up */
	char *buffer;     /* length bytes, from the budget */

	/* flights_lock */
	TAILQ_ENTRY(flight) entry; /* f->flights */
	TAILQ_ENTRY(flight) kept;  /* d->kept, if is_kept */
	unsigned refs;
	bool listed, is_kept, done;
	pthread_cond_t landed;

	/* once done */
	int error;        /* of the fetch */
	int fill;         /* of cache_fill(); 0: it is in the cache */
	uint64_t fetched; /* bytes that came from the store */
};

/**
 * Get the flight that has @p offset, and wait for it. One that is there is joined; otherwise the caller
 * flies it: from the block of @p offset on to at most @p end (a block's, or the size).
 * @p ret_whole: the bytes are what a reader that started now may see, whatever is staged; else
 * they are only to be had from the cache.
 * @return 0 and a reference, or a negative errno (also that of the fetch).
 */
int flight_get(struct data_file *f, struct cache_file *cache, uint64_t offset, uint64_t end,
               struct flight **ret, bool *ret_whole);
void flight_put(struct flight *flight);

/** Forget the kept flights of @p f, which goes away. */
void flights_forget(struct data_file *f);

/** Fetch committed bytes: objects and holes, by way of no cache. *ret_fetched: bytes that came from objects.
 */
int fetch_range(struct data *d, uint64_t ino, uint64_t offset, size_t length, char *buffer,
                uint64_t *ret_fetched);

/* ---- readahead.c ---- */

/** A read of [offset, end) was asked for; @p missed: not all of it was there. Fetch what is likely next. */
void read_ahead(struct data_file *f, uint64_t offset, uint64_t end, bool missed);

/* ---- writer.c ---- */

/* A change of the bytes of a range that goes to the metadata past the cache. */
struct past {
	struct data_file *f;
	struct cache_file *cache; /* NULL: none */
	uint64_t size;            /* before */
	int error;                /* of the cache, which is asked for anew then */
};

/**
 * f->flush and f->io are held and nothing is staged: what the cache has of the range goes, and it grows to
 * @p end if that is behind its size. The commit follows, and past_end() with what it said; NULL: it failed.
 */
void past_begin(struct data_file *f, uint64_t offset, uint64_t length, uint64_t end, struct past *ret);
void past_end(const struct past *past, const struct meta_attr *attr);
/** After past_end() of a change that was committed: who has the cache file mapped sees what is there now. */
void past_show(const struct past *past, uint64_t offset, uint64_t length);

/** data_truncate(); f->flush and f->io are held. */
int truncate_locked(struct data_file *f, unsigned set, const struct meta_attr *attr, struct meta_attr *ret);

/* ---- fetch.c ---- */

/** Read @p extents of one chunk; @p buffer begins at @p pos of it. -ENOENT: an object is not there. */
int fetch_extents(struct data *d, const struct meta_extent *extents, size_t count, uint32_t pos,
                  char *buffer);

/* ---- compact.c ---- */

/** Compact a chunk that has too many slices. @return false: there is none. */
bool compact_next(struct data *d);

/* ---- lend.c ---- */

/**
 * If the file is lent, have it back. f->io is held, and the caller has made it pending. @p end: with what was
 * kept for lending it again, which must be where the cache may lose some of it: for all but a
 * staged write, a read and an fsync. @return 0, or -ENOMEM: it is still lent.
 */
int file_take_back(struct data_file *f, bool end);

/** The bytes and the size are about to be asked for: have them here. No lock is held. */
int file_have(struct data_file *f);

/* ---- flush.c ---- */

/** Commit what is changed, also of a file without a name; it need not be durable. */
int file_commit(struct data_file *f);

/** Upload and commit all that is changed. f->flush is held, and f->io if @p io_held. */
int flush_locked(struct data_file *f, bool io_held);

/** The window @p window of the file filled up: upload it in the background. */
void upload_window_later(struct data_file *f, uint64_t window);

/* ---- garbage.c ---- */

int janitor_start(struct data *d);
/** End the thread ... */
void janitor_stop(struct data *d);
/** ... and after the last commit, delete what garbage there is within a few seconds. */
void janitor_finish(struct data *d);
/** There is garbage, or an orphan to look after. */
void janitor_kick(struct data *d);
/** Delete an object that no metadata names. */
void garbage_add(struct data *d, uint64_t object, uint32_t size);

#endif
