/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that somebody else writes into the data file, without a call for each write.  What is lent counts as
 * changed: no CRC is kept of it, and it is never dropped.  So the index has let go of it before its bytes
 * change, as for any other write.
 */
#include "cache/internal.h"

/** The chunks of [begin, end), with what is there of them checked by lock_checked() before, leave the index.
 */
static int lend_chunks(struct cache_file *f, uint64_t begin, uint64_t end)
{
	struct chunk *c;
	int r = 0;

	for (uint64_t n = begin / CACHE_CHUNK_SIZE; !r && n * CACHE_CHUNK_SIZE < end; n++) {
		uint64_t missing;

		r = file_load_chunk(f, n, &c);
		if (r)
			break;
		missing = file_chunk_mask(n, begin, end) & ~c->present;
		for (; !r && missing; missing &= missing - 1) {
			int bit = __builtin_ctzll(missing);
			struct range b = file_block_range(f, n * CACHE_BLOCKS_PER_CHUNK + (unsigned)bit);

			if (!ranges_cover(&f->changed, b.begin, b.end))
				r = -ENODATA;
		}
		if (!r)
			r = staging_unindex(f, c, begin, end);
	}
	return r;
}

static int lend_locked(struct cache_file *f, uint64_t begin, uint64_t end)
{
	int r = staging_begin(f);

	if (!r)
		r = staging_unindex_end(f);
	if (r || begin == end)
		return r;
	begin = begin / CACHE_CHUNK_SIZE * CACHE_CHUNK_SIZE;
	end = end < f->size - f->size % CACHE_CHUNK_SIZE
	              ? (end + CACHE_CHUNK_SIZE - 1) / CACHE_CHUNK_SIZE * CACHE_CHUNK_SIZE
	              : f->size;
	if (begin >= end)
		return 0;
	r = lend_chunks(f, begin, end);
	if (r)
		return r;
	staging_mark_uncommitted(f);
	ranges_add(&f->changed, begin, end);
	ranges_add(&f->lent, begin, end);
	return 0;
}

/** No lock. Have what is there of the chunks of [begin, end) checked. @return 0, -EIO, -ENOMEM. */
static int check_chunks(struct cache_file *f, uint64_t begin, uint64_t end)
{
	uint64_t valid;
	int r = 0;

	for (uint64_t n = begin / CACHE_CHUNK_SIZE; !r && n * CACHE_CHUNK_SIZE < end; n++)
		r = cache_valid(f, n, &valid);
	return r;
}

int cache_lend(struct cache_file *f, uint64_t offset, uint64_t length, uint64_t room)
{
	uint64_t end = offset + length;
	int r;

	if (end < offset || end > INT64_MAX)
		return -EFBIG;
	r = check_chunks(f, offset, end);
	if (!r)
		r = cache_reserve(f->cache, room);
	if (r)
		return r;
	cache_unreserve(f->cache, room);
	pthread_rwlock_wrlock(&f->lock);
	r = f->loan_cut ? -ESTALE : lend_locked(f, offset, end);
	if (!r)
		f->on_loan = true;
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	return r;
}

/** A chunk behind the end that was lent, which has been written to now, goes on being lent as a whole. */
static void keep_lent(struct cache_file *f, uint64_t begin, uint64_t end)
{
	begin = begin / CACHE_CHUNK_SIZE * CACHE_CHUNK_SIZE;
	end = min_u64((end + CACHE_CHUNK_SIZE - 1) / CACHE_CHUNK_SIZE * CACHE_CHUNK_SIZE, f->size);
	ranges_add(&f->changed, begin, end);
	ranges_add(&f->lent, begin, end);
}

int cache_lent_written(struct cache_file *f, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	struct chunk *c;
	int r;

	if (end < offset || end > INT64_MAX)
		return -EFBIG;
	if (!length)
		return 0;
	file_use(f);
	pthread_rwlock_wrlock(&f->lock);
	r = f->detached ? -ESTALE : staging_reserve(f);
	for (uint64_t n = offset / CACHE_CHUNK_SIZE; !r && n * CACHE_CHUNK_SIZE < end; n++)
		r = file_load_chunk(f, n, &c);
	if (!r) {
		f->file_size = max_u64(f->file_size, end);
		staging_written(f, offset, end);
		keep_lent(f, offset, end);
	}
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	return r;
}

void cache_lend_end(struct cache_file *f)
{
	uint64_t version, size;
	bool clean;

	pthread_rwlock_wrlock(&f->lock);
	clean = f->lent.n && !f->detached && !f->dirty.n && !f->uploading.n && f->size == f->committed_size;
	ranges_free(&f->lent);
	f->on_loan = f->loan_cut = false;
	version = f->version;
	size = f->size;
	pthread_rwlock_unlock(&f->lock);
	/* Else the next commit has it. */
	if (clean)
		cache_commit(f, version, size);
}
