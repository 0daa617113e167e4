/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/internal.h"

#include "cache/crc.h"

/**
 * Put [begin, end), all of it in sub-block @p b (its range), around what is changed.
 * @return 1: present now, and all of it came from @p data; 2: present, part of it is changed; 0: not whole,
 * nothing done; or a negative errno.
 */
static int fill_block(struct cache_file *f, struct range b, uint64_t begin, uint64_t end, const char *data)
{
	struct range changed;
	int r;

	/* What the range does not bring must be there already; what was changed past the cache must not come
	 * back. */
	if (!ranges_cover(&f->changed, b.begin, begin) || !ranges_cover(&f->changed, end, b.end) ||
	    ranges_intersect(&f->hidden, b.begin, b.end))
		return 0;
	if (!ranges_intersect(&f->changed, b.begin, b.end)) {
		r = file_pwrite(f, begin, end, data);
		return r ? r : 1;
	}
	for (uint64_t at = begin; at < end; at = changed.end) {
		if (!ranges_first(&f->changed, at, end, &changed))
			changed = (struct range){end, end};
		r = file_pwrite(f, at, changed.begin, data + (at - begin));
		if (r)
			return r;
	}
	return 2;
}

/** Is [begin, end) all of a small file of which nothing is there, nor was written? */
static bool is_for_pack(const struct cache_file *f, uint64_t begin, uint64_t end)
{
	return begin == 0 && end == f->size && end <= f->cache->pack_max && !f->name.id && !f->own &&
	       !f->unindexed && !f->uncommitted && !f->detached;
}

/** Under the lock, exclusive: the part of a fill that lies in one chunk. */
static int fill_chunk(struct cache_file *f, uint64_t number, uint64_t begin, uint64_t end, const char *data)
{
	uint64_t whole = 0, merged = 0;
	uint32_t crc[CACHE_BLOCKS_PER_CHUNK];
	struct chunk *c;
	int r;

	if (f->pack)
		return 0;
	if (is_for_pack(f, begin, end)) {
		r = packed_put(f, data);
		if (!r || r == -ENOSPC)
			return r;
	}
	r = file_create(f);
	if (!r)
		r = file_settle(f);
	if (!r)
		r = file_load_chunk(f, number, &c);
	if (r)
		return r;
	for (uint64_t bits = file_chunk_mask(number, begin, end) & ~c->present; bits; bits &= bits - 1) {
		int bit = __builtin_ctzll(bits);
		struct range b = file_block_range(f, number * CACHE_BLOCKS_PER_CHUNK + (unsigned)bit);
		uint64_t from = max_u64(b.begin, begin), to = min_u64(b.end, end);

		r = fill_block(f, b, from, to, data + (from - begin));
		if (r < 0) {
			/* Give back what a short write took; a changed byte lies only where it did before. */
			if (!ranges_intersect(&f->changed, b.begin, b.end))
				file_punch(f, b.begin, b.end);
			break;
		}
		if (r == 1) {
			whole |= UINT64_C(1) << bit;
			crc[bit] = cache_crc32c(data + (from - begin), to - from);
		} else if (r == 2) {
			merged |= UINT64_C(1) << bit;
		}
	}
	c->present |= whole | merged;
	c->verified |= whole | merged;
	c->dropping &= ~(whole | merged); /* whoever is about to punch them leaves them alone */
	c->used = f->last_use;
	file_index(f, c, 0, whole, crc);
	file_account(f);
	return r < 0 ? r : 0;
}

/** @return how many bytes of sub-blocks in [begin, end) are not present, as far as that is known. */
static uint64_t missing(struct cache_file *f, uint64_t begin, uint64_t end)
{
	uint64_t blocks = 0;

	pthread_rwlock_rdlock(&f->lock);
	for (uint64_t n = begin / CACHE_CHUNK_SIZE; n * CACHE_CHUNK_SIZE < end; n++) {
		struct chunk *c = chunks_find(&f->chunks, n);
		uint64_t mask = file_chunk_mask(n, begin, end);

		blocks += (unsigned)__builtin_popcountll(c ? mask & ~c->present : mask);
	}
	pthread_rwlock_unlock(&f->lock);
	return min_u64(blocks * CACHE_BLOCK_SIZE, end - begin);
}

int cache_fill(struct cache_file *f, uint64_t version, uint64_t offset, size_t length, const void *data)
{
	uint64_t end = offset + length, need;
	int r;

	if (end < offset || end > INT64_MAX)
		return -EFBIG;
	if (!length)
		return 0;
	file_use(f);
	need = missing(f, offset, end);
	r = cache_reserve(f->cache, need);
	if (r)
		return r;
	for (uint64_t at = offset; !r && at < end;) {
		uint64_t number = at / CACHE_CHUNK_SIZE;
		uint64_t stop = min_u64(end, (number + 1) * CACHE_CHUNK_SIZE);

		pthread_rwlock_wrlock(&f->lock);
		if (f->version != version)
			r = -ESTALE;
		else if (at < min_u64(stop, f->size)) /* it may have been cut meanwhile */
			r = fill_chunk(f, number, at, min_u64(stop, f->size),
			               (const char *)data + (at - offset));
		pthread_rwlock_unlock(&f->lock);
		at = stop;
	}
	cache_unreserve(f->cache, need);
	if (r == -EMFILE || r == -ENFILE)
		r = -ENOSPC; /* the same to the owner: read through */
	if (r == -ENOSPC)
		f->cache->full++;
	return r;
}

unsigned cache_drop_blocks(struct cache_file *f, uint64_t number, uint64_t mask, bool must)
{
	struct chunk *c;
	uint64_t drop = 0;
	bool punch;

	/* First half: nobody finds them any more. */
	pthread_rwlock_wrlock(&f->lock);
	if (f->pack) {
		pthread_rwlock_unlock(&f->lock);
		return number == 0 && mask & 1 ? cache_drop_packed(f) : 0;
	}
	if (file_open(f) < 0 || f->fd < 0 || file_load_chunk(f, number, &c) < 0 || (c->busy && !must)) {
		pthread_rwlock_unlock(&f->lock);
		return 0;
	}
	for (uint64_t bits = mask & c->present; bits; bits &= bits - 1) {
		int bit = __builtin_ctzll(bits);
		struct range b = file_block_range(f, number * CACHE_BLOCKS_PER_CHUNK + (unsigned)bit);

		if (!ranges_intersect(&f->changed, b.begin, b.end))
			drop |= UINT64_C(1) << bit;
	}
	c->present &= ~drop;
	c->verified &= ~drop;
	file_index(f, c, drop, 0, NULL);
	punch = drop && !c->busy; /* else they lie there unused until the file goes */
	if (punch) {
		c->dropping = drop;
		c->busy = true;
	}
	pthread_rwlock_unlock(&f->lock);
	if (!drop)
		return 0;

	before_drop(f->cache, f->ino, number, number);

	if (!punch)
		return (unsigned)__builtin_popcountll(drop);

	/* Second half: nobody reads them any more. Those that were put in anew meanwhile stay. */
	pthread_rwlock_wrlock(&f->lock);
	for (uint64_t bits = c->dropping; bits;) {
		unsigned first = (unsigned)__builtin_ctzll(bits);
		uint64_t run = ~(bits >> first);
		unsigned n = run ? (unsigned)__builtin_ctzll(run) : 64 - first;
		uint64_t begin = number * CACHE_CHUNK_SIZE + (uint64_t)first * CACHE_BLOCK_SIZE;

		file_punch(f, begin, begin + (uint64_t)n * CACHE_BLOCK_SIZE);
		bits &= first + n < 64 ? ~UINT64_C(0) << (first + n) : 0;
	}
	c->dropping = 0;
	c->busy = false;
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	return (unsigned)__builtin_popcountll(drop);
}
