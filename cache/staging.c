/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/internal.h"

#include <fcntl.h>

#include "cache/crc.h"

void staging_mark_uncommitted(struct cache_file *f)
{
	if (f->uncommitted)
		return;
	pthread_mutex_lock(&f->cache->lock);
	f->uncommitted = true;
	pthread_mutex_unlock(&f->cache->lock);
}

int staging_unindex(struct cache_file *f, struct chunk *c, uint64_t begin, uint64_t end)
{
	uint64_t mask = file_chunk_mask(c->number, begin, end), partial = 0, bad;
	int r;

	for (uint64_t bits = mask; bits; bits &= bits - 1) {
		int bit = __builtin_ctzll(bits);
		struct range b = file_block_range(f, c->number * CACHE_BLOCKS_PER_CHUNK + (unsigned)bit);

		if (b.begin < begin || b.end > end)
			partial |= UINT64_C(1) << bit;
	}
	r = file_verify(f, c, partial, &bad);
	if (r)
		return r;
	if (bad) { /* not handed out to anyone yet, so nobody needs to be told */
		c->present &= ~bad;
		f->cache->corrupt += (unsigned)__builtin_popcountll(bad);
	}
	c->present &= ~(mask & ~c->verified); /* wholly overwritten: present again after that */
	c->dropping &= ~mask;
	file_index(f, c, mask | bad, 0, NULL);
	return 0;
}

int staging_unindex_end(struct cache_file *f)
{
	uint64_t block = f->size / CACHE_BLOCK_SIZE * CACHE_BLOCK_SIZE;
	struct chunk *c;
	int r;

	if (block == f->size || !f->name.id)
		return 0;
	r = file_load_chunk(f, block / CACHE_CHUNK_SIZE, &c);
	/* As if its last byte was changed. */
	return r ? r : staging_unindex(f, c, f->size - 1, f->size);
}

/** [begin, end) has been changed: the sub-blocks that are whole by it are present. */
static void mark_present(struct cache_file *f, struct chunk *c, uint64_t begin, uint64_t end)
{
	end = min_u64(end,
	              f->size); /* behind it sub-blocks are empty, and an empty range is always covered */
	for (uint64_t bits = file_chunk_mask(c->number, begin, end) & ~c->present; bits; bits &= bits - 1) {
		int bit = __builtin_ctzll(bits);
		struct range b = file_block_range(f, c->number * CACHE_BLOCKS_PER_CHUNK + (unsigned)bit);

		if (ranges_cover(&f->changed, b.begin, b.end)) {
			c->present |= UINT64_C(1) << bit;
			c->verified |= UINT64_C(1) << bit;
		}
	}
}

int staging_reserve(struct cache_file *f)
{
	int r = ranges_reserve(&f->changed, 3);

	if (!r)
		r = ranges_reserve(&f->dirty, 3);
	if (!r)
		r = ranges_reserve(&f->uploading, 3);
	if (!r)
		r = ranges_reserve(&f->lent, 3);
	return r ? r : ranges_reserve(&f->hidden, 3);
}

/** Take the space before a byte changes, so that a full disk leaves everything as it was. */
static int take_space(struct cache_file *f, uint64_t begin, uint64_t end)
{
	if (ranges_cover(&f->dirty, begin, end))
		return 0;
	while (fallocate(f->fd, FALLOC_FL_KEEP_SIZE, (off_t)begin, (off_t)(end - begin)) < 0) {
		if (errno == EINTR)
			continue;
		return errno == EOPNOTSUPP ? 0 : file_space_error(-errno);
	}
	return 0;
}

void staging_written(struct cache_file *f, uint64_t begin, uint64_t end)
{
	staging_mark_uncommitted(f);
	if (end > f->size) {
		ranges_add(&f->changed, min_u64(f->size, begin), end);
		f->size = end;
	}
	ranges_add(&f->changed, begin, end);
	ranges_add(&f->dirty, begin, end);
	ranges_remove(&f->hidden, begin, end);
	for (uint64_t n = begin / CACHE_CHUNK_SIZE; n * CACHE_CHUNK_SIZE < end; n++) {
		struct chunk *c = chunks_find(&f->chunks, n);

		mark_present(f, c, begin, end);
		c->used = f->last_use;
	}
}

int staging_begin(struct cache_file *f)
{
	int r;

	if (f->detached)
		return -ESTALE;
	r = file_create(f);
	if (!r)
		r = file_settle(f);
	return r ? r : staging_reserve(f);
}

static int write_locked(struct cache_file *f, uint64_t begin, uint64_t end, const void *data)
{
	struct chunk *c;
	int r = staging_begin(f);

	if (!r && end > f->size)
		r = staging_unindex_end(f);
	if (!r)
		r = take_space(f, begin, end);
	for (uint64_t at = begin; !r && at < end; at = (c->number + 1) * CACHE_CHUNK_SIZE) {
		r = file_load_chunk(f, at / CACHE_CHUNK_SIZE, &c);
		if (!r)
			r = staging_unindex(f, c, begin, end);
		if (r)
			break;
	}
	if (r)
		return r;
	r = file_pwrite(f, begin, end, data);
	if (r) {
		/* Nobody knows which bytes it changed; what was dirty is no worse than half a write. */
		for (uint64_t n = begin / CACHE_CHUNK_SIZE; n * CACHE_CHUNK_SIZE < end; n++) {
			c = chunks_find(&f->chunks, n);
			c->present &= ~file_chunk_mask(n, begin, end);
			c->verified &= c->present;
		}
		file_settle(f);
		return r;
	}
	staging_written(f, begin, end);
	return 0;
}

int cache_write(struct cache_file *f, uint64_t offset, size_t length, const void *data)
{
	uint64_t end = offset + length, need;
	int r;

	if (end < offset || end > INT64_MAX)
		return -EFBIG;
	if (!length)
		return 0;
	file_use(f);
	cache_unpack(f);
	pthread_rwlock_rdlock(&f->lock);
	need = ranges_cover(&f->dirty, offset, end) ? 0 : length;
	pthread_rwlock_unlock(&f->lock);
	r = cache_reserve(f->cache, need);
	if (r)
		return r;
	pthread_rwlock_wrlock(&f->lock);
	r = write_locked(f, offset, end, data);
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	cache_unreserve(f->cache, need);
	if (r == -EMFILE || r == -ENFILE)
		r = -ENOSPC;
	if (r == -ENOSPC)
		f->cache->full++;
	return r;
}

/* ---- what is cut, punched or written past the cache ---- */

struct load_all {
	struct cache_file *f;
	int r;
};

static int load_one(uint64_t number, uint64_t valid, void *arg)
{
	struct load_all *l = arg;
	struct chunk *c;

	(void)valid;
	l->r = file_load_chunk(l->f, number, &c);
	return l->r;
}

/** Load every chunk in [first, last] that has a record: an exbibyte of hole has none. */
static int load_range(struct cache_file *f, uint64_t first, uint64_t last)
{
	struct load_all l = {.f = f};

	if (!f->name.id || f->unindexed)
		return 0;
	if (cache_index_for_chunks(f->cache->index, f->name.id, first, last, load_one, &l) < 0 && !l.r)
		file_unindex(f); /* those not loaded are misses from now on */
	return l.r;
}

/** Whatever touches [begin, end) is not present any more. */
static int drop_range(struct cache_file *f, uint64_t begin, uint64_t end)
{
	struct chunk *c;
	int r = load_range(f, begin / CACHE_CHUNK_SIZE, end / CACHE_CHUNK_SIZE);

	if (r)
		return r;
	chunks_for_each (&f->chunks, c) {
		uint64_t mask = file_chunk_mask(c->number, begin, end);

		c->present &= ~mask;
		c->verified &= ~mask;
		c->dropping &= ~mask;
		file_index(f, c, mask, 0, NULL);
	}
	return 0;
}

static void forget_changes(struct cache_file *f, uint64_t begin, uint64_t end)
{
	ranges_remove(&f->changed, begin, end);
	ranges_remove(&f->dirty, begin, end);
	ranges_remove(&f->uploading, begin, end);
	ranges_remove(&f->hidden, begin, end);
	f->loan_cut |= ranges_intersect(&f->lent, begin, end);
	ranges_remove(&f->lent, begin, end);
}

/** The sub-block with the new end of the file stays, but not its CRC; all behind it goes. */
static int shrink(struct cache_file *f, uint64_t size)
{
	uint64_t whole = (size + CACHE_BLOCK_SIZE - 1) / CACHE_BLOCK_SIZE * CACHE_BLOCK_SIZE;
	struct chunk *c;
	int r = 0;

	if (size < whole && f->name.id) {
		r = file_load_chunk(f, size / CACHE_CHUNK_SIZE, &c);
		if (!r)
			r = staging_unindex(f, c, size, min_u64(whole, f->size));
	}
	if (!r)
		r = drop_range(f, whole, max_u64(whole, f->size));
	if (r)
		return r;
	staging_mark_uncommitted(f);
	forget_changes(f, size, UINT64_MAX);
	f->size = size;
	return 0;
}

static int grow(struct cache_file *f, uint64_t size)
{
	int r = file_settle(f); /* a cut may be pending: what lies behind the end is not zeros */

	if (!r)
		r = staging_unindex_end(f);
	if (r)
		return r;
	staging_mark_uncommitted(f);
	ranges_add(&f->changed, f->size, size);
	f->size = size;
	return file_settle(f);
}

int cache_truncate(struct cache_file *f, uint64_t size)
{
	uint64_t old;
	bool cut = false;
	int r;

	if (size > INT64_MAX)
		return -EFBIG;
	file_use(f);
	cache_unpack(f);
	pthread_rwlock_wrlock(&f->lock);
	old = f->size;
	r = f->detached ? -ESTALE : file_open(f);
	if (!r)
		r = staging_reserve(f);
	if (!r && size != old) {
		r = size < old ? shrink(f, size) : grow(f, size);
		cut = !r && size < old && f->name.id;
	}
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	if (!cut)
		return r;

	/* Nobody finds the bytes any more; once nobody reads them they go. If the file has grown again
	 * meanwhile, grow() or a write has cut it already. */
	before_drop(f->cache, f->ino, size / CACHE_CHUNK_SIZE, (old - 1) / CACHE_CHUNK_SIZE);
	pthread_rwlock_wrlock(&f->lock);
	r = file_settle(f);
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	return r;
}

/** @return true if no sub-block that touches [begin, end) is present or about to be dropped. */
static bool is_unused(struct cache_file *f, uint64_t begin, uint64_t end)
{
	struct chunk *c;

	if (ranges_intersect(&f->changed, begin, end))
		return false;
	chunks_for_each (&f->chunks, c) {
		uint64_t mask = file_chunk_mask(c->number, begin, end);

		if (mask && (c->busy || (c->present & mask)))
			return false;
	}
	return true;
}

int cache_invalidate(struct cache_file *f, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	int r;

	if (end < offset || end > INT64_MAX)
		return -EFBIG;
	if (!length)
		return 0;
	cache_unpack(f);
	pthread_rwlock_wrlock(&f->lock);
	r = f->detached ? -ESTALE : file_open(f);
	if (!r)
		r = staging_reserve(f);
	if (!r)
		r = drop_range(f, offset, end);
	if (!r) {
		staging_mark_uncommitted(f);
		forget_changes(f, offset, end);
		ranges_add(&f->hidden, offset, end);
	}
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	if (r)
		return r;
	before_drop(f->cache, f->ino, offset / CACHE_CHUNK_SIZE, (end - 1) / CACHE_CHUNK_SIZE);
	pthread_rwlock_wrlock(&f->lock);
	if (is_unused(f, offset, end)) /* else the bytes lie there unused until the file goes */
		file_punch(f, offset, end);
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	return 0;
}

/* ---- upload ---- */

int cache_for_dirty(struct cache_file *f, uint64_t offset, uint64_t length, cache_dirty_fn fn, void *arg)
{
	uint64_t end = length > INT64_MAX - min_u64(offset, INT64_MAX) ? INT64_MAX : offset + length;

	while (offset < end) {
		struct range dirty;
		bool found;
		int r;

		pthread_rwlock_rdlock(&f->lock);
		found = ranges_first(&f->dirty, offset, end, &dirty);
		pthread_rwlock_unlock(&f->lock);
		if (!found)
			break;
		r = fn(dirty.begin, dirty.end - dirty.begin, arg);
		if (r)
			return r;
		offset = dirty.end;
	}
	return 0;
}

int cache_begin_upload(struct cache_file *f, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	struct range dirty;
	int r;

	if (end < offset)
		return -EFBIG;
	pthread_rwlock_wrlock(&f->lock);
	r = ranges_reserve(&f->dirty, 1);
	for (uint64_t at = offset; !r && ranges_first(&f->dirty, at, end, &dirty); at = dirty.end)
		if (ranges_intersect(&f->uploading, dirty.begin, dirty.end))
			r = -EBUSY;
	for (uint64_t at = offset; !r && ranges_first(&f->dirty, at, end, &dirty); at = dirty.end)
		r = ranges_add(&f->uploading, dirty.begin, dirty.end);
	if (!r)
		ranges_remove(&f->dirty, offset, end);
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	return r;
}

int cache_read_dirty(struct cache_file *f, uint64_t offset, size_t length, void *buffer)
{
	uint64_t end = offset + length;
	int r;

	if (end < offset)
		return -EFBIG;
	pthread_rwlock_rdlock(&f->lock);
	r = ranges_cover(&f->changed, offset, end) ? file_pread(f, offset, end, buffer) : -ENODATA;
	pthread_rwlock_unlock(&f->lock);
	return r;
}

void cache_end_upload(struct cache_file *f, uint64_t offset, uint64_t length, bool ok)
{
	uint64_t end = offset + length;
	struct range up;

	pthread_rwlock_wrlock(&f->lock);
	while (ranges_first(&f->uploading, offset, end, &up)) {
		/* Without memory they stay "being uploaded": never dropped, never lost, uploaded no more. */
		if (ranges_reserve(&f->uploading, 1) || (!ok && ranges_add(&f->dirty, up.begin, up.end)))
			break;
		ranges_remove(&f->uploading, up.begin, up.end);
	}
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
}

/* ---- commit ---- */

/** Add to @p sum what @p set has in [begin, end). */
static int add_part(struct ranges *sum, const struct ranges *set, uint64_t begin, uint64_t end)
{
	struct range part;
	int r = 0;

	for (; !r && ranges_first(set, begin, end, &part); begin = part.end)
		r = ranges_add(sum, part.begin, part.end);
	return r;
}

/** What stays changed after a commit of @p size bytes: dirty, being uploaded, lent, or behind the committed
 * end. */
static int still_changed(struct cache_file *f, uint64_t size, struct ranges *ret)
{
	struct ranges rest = {};
	int r = add_part(&rest, &f->dirty, 0, UINT64_MAX);

	if (!r)
		r = add_part(&rest, &f->uploading, 0, UINT64_MAX);
	if (!r)
		r = add_part(&rest, &f->lent, 0, UINT64_MAX);
	if (!r)
		r = add_part(&rest, &f->changed, size, UINT64_MAX);
	if (r)
		ranges_free(&rest);
	else
		*ret = rest;
	return r;
}

/** Put the CRCs of what is whole, committed and not yet indexed into the index. */
static void seal_chunk(struct cache_file *f, struct chunk *c, void *buffer)
{
	uint32_t crc[CACHE_BLOCKS_PER_CHUNK];
	uint64_t seal = 0;

	for (uint64_t bits = c->present & ~c->indexed; bits; bits &= bits - 1) {
		int bit = __builtin_ctzll(bits);
		struct range b = file_block_range(f, c->number * CACHE_BLOCKS_PER_CHUNK + (unsigned)bit);

		if (ranges_intersect(&f->changed, b.begin, b.end) ||
		    file_pread(f, b.begin, b.end, buffer) < 0)
			continue;
		crc[bit] = cache_crc32c(buffer, b.end - b.begin);
		seal |= UINT64_C(1) << bit;
	}
	file_index(f, c, 0, seal, crc);
}

/** The version is in the index; the CRCs follow chunk by chunk, so that readers get in between. Each is true
 * whenever it comes, and one that never comes is a miss after a restart. */
static void seal(struct cache_file *f, uint64_t version)
{
	_cleanup_free_ uint64_t *numbers = NULL;
	_cleanup_free_ void *buffer = malloc(CACHE_BLOCK_SIZE);
	struct chunk *c;
	size_t n = 0;

	pthread_rwlock_rdlock(&f->lock);
	if (f->chunks.n)
		numbers = malloc(f->chunks.n * sizeof(*numbers));
	if (numbers && f->fd >= 0)
		chunks_for_each (&f->chunks, c)
			if (c->present & ~c->indexed)
				numbers[n++] = c->number;
	pthread_rwlock_unlock(&f->lock);
	for (size_t i = 0; buffer && i < n; i++) {
		pthread_rwlock_wrlock(&f->lock);
		if (f->version == version && !f->unindexed)
			seal_chunk(f, chunks_find(&f->chunks, numbers[i]), buffer);
		pthread_rwlock_unlock(&f->lock);
	}
}

static int commit_locked(struct cache_file *f, uint64_t version, uint64_t size)
{
	struct ranges rest = {};
	struct chunk *c;
	int r;

	if (f->detached)
		return -ESTALE;
	r = file_open(f);
	if (!r)
		r = still_changed(f, size, &rest);
	if (!r && size > f->size) {
		/* Written past the cache: nobody here knows the bytes behind the old end. */
		uint64_t block = f->size / CACHE_BLOCK_SIZE * CACHE_BLOCK_SIZE;

		if (block < f->size)
			r = drop_range(f, block, f->size);
	}
	if (r) {
		ranges_free(&rest);
		return r;
	}
	pthread_mutex_lock(&f->cache->lock);
	f->version = version;
	f->committed_size = size;
	if (size > f->size || !ranges_intersect(&f->changed, size, UINT64_MAX))
		f->size = size;
	f->uncommitted = rest.n || f->size != size;
	pthread_mutex_unlock(&f->cache->lock);
	/* Holes are no longer known as changed; those beside other data are kept as present. */
	if (f->changed.n)
		chunks_for_each (&f->chunks, c)
			mark_present(f, c, c->number * CACHE_CHUNK_SIZE, (c->number + 1) * CACHE_CHUNK_SIZE);
	ranges_free(&f->changed);
	f->changed = rest;
	ranges_free(&f->hidden);
	file_settle(f);
	cache_file_put_record(f);
	return 0;
}

int cache_commit(struct cache_file *f, uint64_t version, uint64_t size)
{
	bool cut;
	int r;

	if (size > INT64_MAX)
		return -EFBIG;
	cache_unpack(f);
	pthread_rwlock_rdlock(&f->lock);
	cut = size < f->size && !ranges_intersect(&f->changed, size, UINT64_MAX);
	pthread_rwlock_unlock(&f->lock);
	r = cut ? cache_truncate(f, size) : 0;
	if (r)
		return r;
	pthread_rwlock_wrlock(&f->lock);
	r = commit_locked(f, version, size);
	file_account(f);
	pthread_rwlock_unlock(&f->lock);
	if (!r)
		seal(f, version);
	return r;
}

bool cache_file_is_dirty(struct cache_file *f)
{
	bool dirty;

	pthread_rwlock_rdlock(&f->lock);
	dirty = f->dirty.n || f->uploading.n;
	pthread_rwlock_unlock(&f->lock);
	return dirty;
}
