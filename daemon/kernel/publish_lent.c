/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that the kernel writes by itself: what is lent of each, and taking it back.
 *
 *   lend        "written" and "dirty" entries, then the inode with EXTFUSE_INODE_LENT
 *   take back   the inode entry goes; no write begins any more; wait for what is under way;
 *               read what was written; "written" goes, "dirty" is cleared for the next time
 *
 * lent.pml is a model of this, with who writes, publishes and reads meanwhile: `make model`.
 *
 * While the file is wholly cached all of it is read by the loan, too (EXTFUSE_INODE_CACHED). Else, and once
 * something of it was dropped, only the chunks are that are lent: they stay in the cache. lent_part.pml is a
 * model of that.
 *
 * The kernel drops the inode entry by itself, too (a change of mode, a rename): then writes pass until it is
 * published again, and what was written so far stays where it is.
 */
#include "cache/cache.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/kernel/publish_internal.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define PAGE (1ull << EXTFUSE_PAGE_SHIFT)

struct loan {
	uint64_t ino;
	uint64_t file;    /* the cache file ... */
	uint64_t id;      /* ... as it is registered for writing */
	bool lent;        /* there is a "written" entry */
	bool whole;       /* every byte of the file is in the cache file, lent or not */
	uint64_t fresh;   /* the kernel makes "dirty" entries from here to before fresh_end(), if lent */
	uint64_t *chunks; /* those before it that have one, ascending */
	size_t count, room;
};

static uint64_t fresh_end(const struct loan *loan)
{
	return loan->fresh + (loan->lent ? EXTFUSE_FRESH_CHUNKS : 0);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct loan *)a)->ino, y = ((const struct loan *)b)->ino;

	return (x > y) - (x < y);
}

static struct loan *find(struct stripe *stripe, uint64_t ino)
{
	const struct loan key = {.ino = ino};
	struct loan **node = tfind(&key, &stripe->loans, compare);

	return node ? *node : NULL;
}

static void loan_free(void *arg)
{
	struct loan *loan = arg;

	free(loan->chunks);
	free(loan);
}

void publish_loans_free(struct stripe *stripe)
{
	tdestroy(stripe->loans, loan_free);
	stripe->loans = NULL;
}

static void drop_dirty(struct publish *p, struct loan *loan)
{
	uint64_t end = fresh_end(loan);
	struct extfuse_written w;

	for (size_t i = 0; i < loan->count; i++)
		kernel_drop_dirty(p->kernel, loan->ino, loan->chunks[i]);
	loan->count = 0;
	/* Most files have few of those, or none. */
	if (loan->lent && kernel_get_written(p->kernel, loan->ino, &w) == 0 && w.last_chunk < end)
		end = w.first_chunk <= w.last_chunk ? w.last_chunk + 1 : loan->fresh;
	for (uint64_t n = loan->fresh; n < end; n++)
		kernel_drop_dirty(p->kernel, loan->ino, n);
}

void publish_drop_loan(struct publish *p, struct stripe *stripe, uint64_t ino)
{
	struct loan *loan = find(stripe, ino);

	if (!loan)
		return;
	kernel_drop_inode(p->kernel, ino);
	kernel_settle(p->kernel);
	drop_dirty(p, loan);
	if (loan->lent)
		kernel_drop_written(p->kernel, ino);
	kernel_backing_del(p->kernel, loan->id);
	tdelete(loan, &stripe->loans, compare);
	loan_free(loan);
}

uint64_t publish_lent_id(struct stripe *stripe, uint64_t ino, bool *ret_whole)
{
	struct loan *loan = find(stripe, ino);

	if (!loan || !loan->lent)
		return 0;
	*ret_whole = loan->whole;
	return loan->id;
}

void publish_lent_in_part(struct stripe *stripe, uint64_t ino)
{
	struct loan *loan = find(stripe, ino);

	if (loan)
		loan->whole = false;
}

void publish_lent_attr(struct publish *p, struct meta_attr *attr)
{
	struct extfuse_written w;
	struct timespec time;

	if (kernel_get_written(p->kernel, attr->ino, &w) < 0)
		return;
	attr->size = w.size;
	if (!w.time_ns)
		return;
	time = (struct timespec){.tv_sec = (time_t)(w.time_ns / 1000000000),
	                         .tv_nsec = (long)(w.time_ns % 1000000000)};
	attr->mtime = time;
	if (time.tv_sec > attr->ctime.tv_sec ||
	    (time.tv_sec == attr->ctime.tv_sec && time.tv_nsec > attr->ctime.tv_nsec))
		attr->ctime = time;
}

/* ---- lend ---- */

/* @p chunk gets a "dirty" entry, of no page. */
static int add_chunk(struct publish *p, struct loan *loan, uint64_t chunk)
{
	static const struct extfuse_dirty none;
	size_t at = loan->count;
	int r;

	while (at && loan->chunks[at - 1] >= chunk)
		at--;
	if (at < loan->count && loan->chunks[at] == chunk)
		return kernel_put_dirty(p->kernel, loan->ino, chunk, &none);
	if (loan->count == loan->room) {
		size_t room = loan->room ? 2 * loan->room : 4;
		uint64_t *chunks = reallocarray(loan->chunks, room, sizeof(*chunks));

		if (!chunks)
			return -ENOMEM;
		loan->chunks = chunks;
		loan->room = room;
	}
	r = kernel_put_dirty(p->kernel, loan->ino, chunk, &none);
	if (r < 0)
		return r;
	memmove(loan->chunks + at + 1, loan->chunks + at, (loan->count - at) * sizeof(*loan->chunks));
	loan->chunks[at] = chunk;
	loan->count++;
	return 0;
}

static struct loan *get_loan(struct publish *p, struct stripe *stripe, uint64_t ino, struct cache_file *cache)
{
	int fd = cache_file_fd(cache);
	struct loan *loan;
	uint64_t file;

	if (fd < 0 || cache_file_id(cache, &file) < 0)
		return NULL;
	loan = find(stripe, ino);
	if (loan && loan->file != file) {
		publish_drop_loan(p, stripe, ino);
		loan = NULL;
	}
	if (loan)
		return loan;
	loan = calloc(1, sizeof(*loan));
	if (!loan)
		return NULL;
	loan->ino = ino;
	loan->file = file;
	loan->id = kernel_backing_add(p->kernel, fd);
	if (!loan->id || !tsearch(loan, &stripe->loans, compare)) {
		kernel_backing_del(p->kernel, loan->id);
		free(loan);
		return NULL;
	}
	return loan;
}

/*
 * Is all of it in the cache? Takes as long as reading it does, the first time after a restart, as its bytes
 * are checked: so without the lock.
 */
static bool may_be_whole(struct stripe *stripe, uint64_t ino, struct cache_file *cache)
{
	{
		struct loan *loan;

		SCOPED_LOCK(&stripe->lock);
		loan = find(stripe, ino);
		if (loan && loan->whole)
			return true;
	}
	return cache_is_complete(cache);
}

/* The same, with the lock held: what goes from now on comes by publish_before_drop(). */
static struct loan *get_loan_checked(struct publish *p, struct stripe *stripe, uint64_t ino,
                                     struct cache_file *cache, bool maybe)
{
	struct loan *loan = get_loan(p, stripe, ino, cache);
	bool whole;

	if (!loan || loan->whole || !maybe)
		return loan;
	whole = cache_is_complete(cache);
	loan = get_loan(p, stripe, ino, cache); /* what was found to be bad came by, too */
	if (loan)
		loan->whole = whole;
	return loan;
}

bool publish_lend(struct publish *p, uint64_t ino, const struct publish_loan *what)
{
	struct stripe *stripe = publish_stripe(p, ino);
	struct extfuse_written written = {
		.ino = ino,
		.size = what->size,
		.max_bytes = what->max_bytes,
		.fresh_chunk = (what->size + EXTFUSE_CHUNK_SIZE - 1) / EXTFUSE_CHUNK_SIZE,
		.first_chunk = UINT64_MAX,
	};
	struct loan *loan;
	bool maybe;
	int r = 0;

	if (!p->kernel)
		return false;
	maybe = may_be_whole(stripe, ino, what->cache);
	{
		SCOPED_LOCK(&stripe->lock);
		loan = get_loan_checked(p, stripe, ino, what->cache, maybe);
		if (!loan)
			return false;
		for (uint64_t n = what->first_chunk;
		     !what->none && !r && n <= what->last_chunk && n < written.fresh_chunk; n++)
			r = add_chunk(p, loan, n);
		if (!r)
			r = kernel_put_written(p->kernel, ino, &written);
		if (r < 0) {
			log_debug("inode %llu cannot be lent: %s", (unsigned long long)ino, strerror(-r));
			publish_drop_loan(p, stripe, ino);
			return false;
		}
		loan->lent = true;
		loan->fresh = written.fresh_chunk;
	}
	publish_inode(p, ino);
	return true;
}

/* ---- take back ---- */

struct harvest {
	uint64_t ino, size;
	int (*fn)(void *arg, uint64_t offset, uint64_t length);
	void *arg;
	uint64_t begin, end; /* a range that may go on; empty if equal */
};

static int tell(struct harvest *h)
{
	int r = 0;

	if (h->end > h->size)
		h->end = h->size;
	if (h->begin < h->end)
		r = h->fn(h->arg, h->begin, h->end - h->begin);
	h->begin = h->end = 0;
	return r;
}

static int harvest_pages(struct harvest *h, uint64_t chunk, const struct extfuse_dirty *dirty)
{
	int r = 0;

	for (unsigned i = 0; !r && i < EXTFUSE_PAGES_PER_CHUNK; i++) {
		uint64_t at = chunk * EXTFUSE_CHUNK_SIZE + i * PAGE;

		if (!(dirty->pages[i / 64] >> i % 64 & 1))
			continue;
		if (at != h->end || h->begin == h->end) {
			r = tell(h);
			h->begin = at;
		}
		h->end = at + PAGE;
	}
	return r;
}

/* Has the kernel an entry for the chunk, with pages in it? */
static bool get_pages(struct publish *p, const struct loan *loan, uint64_t chunk, struct extfuse_dirty *ret)
{
	static const struct extfuse_dirty none;

	return kernel_get_dirty(p->kernel, loan->ino, chunk, ret) == 0 &&
	       memcmp(ret, &none, sizeof(none)) != 0;
}

/* Call fn for what was written. Nothing changes in here, so that it can be done again. */
static int harvest(struct publish *p, const struct loan *loan, const struct extfuse_written *w,
                   struct harvest *h)
{
	struct extfuse_dirty dirty;
	int r = 0;

	for (size_t i = 0; !r && i < loan->count; i++)
		if (loan->chunks[i] >= w->first_chunk && loan->chunks[i] <= w->last_chunk &&
		    get_pages(p, loan, loan->chunks[i], &dirty))
			r = harvest_pages(h, loan->chunks[i], &dirty);
	for (uint64_t n = loan->fresh; !r && n < fresh_end(loan) && n <= w->last_chunk; n++)
		if (get_pages(p, loan, n, &dirty))
			r = harvest_pages(h, n, &dirty);
	return r ? r : tell(h);
}

/*
 * What was written is known now: those entries are empty again. A fresh chunk that was written to may be so
 * again; the cache takes it as lent. One that has no byte of the file got its entry for a write that failed.
 */
static void clear(struct publish *p, struct loan *loan, const struct extfuse_written *w)
{
	static const struct extfuse_dirty none;
	struct extfuse_dirty dirty;

	for (size_t i = 0; i < loan->count; i++)
		if (loan->chunks[i] >= w->first_chunk && loan->chunks[i] <= w->last_chunk &&
		    kernel_put_dirty(p->kernel, loan->ino, loan->chunks[i], &none) < 0)
			kernel_drop_dirty(p->kernel, loan->ino, loan->chunks[i]);
	for (uint64_t n = loan->fresh; n < fresh_end(loan) && n <= w->last_chunk; n++)
		if (n * EXTFUSE_CHUNK_SIZE >= w->size || !get_pages(p, loan, n, &dirty) ||
		    add_chunk(p, loan, n) < 0)
			kernel_drop_dirty(p->kernel, loan->ino, n);
}

int publish_take_back(struct publish *p, uint64_t ino, bool end,
                      int (*fn)(void *arg, uint64_t offset, uint64_t length), void *arg,
                      struct timespec *ret_time)
{
	struct stripe *stripe = publish_stripe(p, ino);
	struct extfuse_written w;
	struct loan *loan;
	int r;

	SCOPED_LOCK(&stripe->lock);
	loan = find(stripe, ino);
	if (!loan)
		return 0;
	if (!loan->lent) {
		if (end)
			publish_drop_loan(p, stripe, ino);
		return 0;
	}
	kernel_drop_inode(p->kernel, ino);
	kernel_settle(p->kernel);
	r = kernel_get_written(p->kernel, ino, &w);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && w.time_ns) {
		struct harvest h = {.ino = ino, .size = w.size, .fn = fn, .arg = arg};

		*ret_time = (struct timespec){.tv_sec = (time_t)(w.time_ns / 1000000000),
		                              .tv_nsec = (long)(w.time_ns % 1000000000)};
		r = harvest(p, loan, &w, &h);
		if (r < 0)
			return r;
	}
	if (r == 0 && !end && w.first_chunk <= w.last_chunk)
		clear(p, loan, &w);
	if (end) {
		publish_drop_loan(p, stripe, ino);
		return 0;
	}
	kernel_drop_written(p->kernel, ino);
	loan->lent = false;
	return 0;
}
