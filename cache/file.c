/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "cache/crc.h"

struct range file_block_range(const struct cache_file *f, uint64_t block)
{
	uint64_t begin = block * CACHE_BLOCK_SIZE;

	return (struct range){min_u64(begin, f->size), min_u64(begin + CACHE_BLOCK_SIZE, f->size)};
}

uint64_t file_chunk_mask(uint64_t chunk, uint64_t begin, uint64_t end)
{
	uint64_t start = chunk * CACHE_CHUNK_SIZE, first, last;

	begin = max_u64(begin, start);
	end = min_u64(end, start + CACHE_CHUNK_SIZE);
	if (begin >= end)
		return 0;
	first = (begin - start) / CACHE_BLOCK_SIZE;
	last = (end - 1 - start) / CACHE_BLOCK_SIZE;
	return (~UINT64_C(0) << first) & (~UINT64_C(0) >> (63 - last));
}

int file_space_error(int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG: /* ext4 ends at 16 TiB */
		return -ENOSPC;
	case -ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

void file_use(struct cache_file *f)
{
	f->last_use = ++f->cache->clock;
}

void file_account(struct cache_file *f)
{
	struct cache *c = f->cache;
	uint64_t dirty = f->dirty.bytes + f->uploading.bytes;
	struct stat st;

	if (f->fd >= 0 && fstat(f->fd, &st) == 0) {
		uint64_t bytes = 512 * (uint64_t)st.st_blocks;

		c->bytes += bytes - f->disk_bytes; /* modulo 2^64: may be less */
		f->disk_bytes = bytes;
	}
	c->dirty_bytes += dirty - f->dirty_counted;
	f->dirty_counted = dirty;
}

/* ---- the data file ---- */

int file_settle(struct cache_file *f)
{
	if (f->fd < 0 || f->file_size == f->size)
		return 0;
	while (ftruncate(f->fd, (off_t)f->size) < 0) {
		if (errno == EINTR)
			continue;
		/* Longer than this file system can: no matter, it is as long as what it holds. */
		return f->size > f->file_size && file_space_error(-errno) == -ENOSPC ? 0 : -EIO;
	}
	f->file_size = f->size;
	return 0;
}

/** The data file is not there or not usable: nothing is cached. */
static void lose_file(struct cache_file *f)
{
	struct cache *c = f->cache;
	uint64_t id = f->name.id;
	struct chunk *chunk;

	pthread_mutex_lock(&c->lock);
	if (!f->detached)
		cache_index_delete_inode(c->index, f->ino);
	pthread_mutex_unlock(&c->lock);
	cache_index_delete_chunks(c->index, id, 0, NULL);
	c->bytes -= f->disk_bytes;
	c->files--;
	f->disk_bytes = 0;
	f->name = (struct data_name){};
	chunks_for_each (&f->chunks, chunk) {
		chunk->present = 0;
		chunk->indexed = 0;
		chunk->verified = 0;
		chunk->dropping = 0;
	}
}

int file_open(struct cache_file *f)
{
	struct stat st;
	int fd;

	if (f->fd >= 0 || !f->name.id)
		return 0;
	fd = datadir_open_file(f->cache->datadir, &f->name);
	if (fd == -ENOENT) {
		lose_file(f);
		return 0;
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return -EIO;
	}
	f->fd = fd;
	f->file_size = (uint64_t)st.st_size;
	/* After a crash it may be longer, by writes that were never committed. */
	return file_settle(f);
}

int file_create(struct cache_file *f)
{
	struct cache *c = f->cache;
	int r, fd;

	r = file_open(f);
	if (r || f->fd >= 0)
		return r;
	f->name = (struct data_name){f->ino, f->version, c->next_id++};
	fd = datadir_create(c->datadir, &f->name);
	if (fd < 0) {
		f->name = (struct data_name){};
		return fd == -EMFILE || fd == -ENFILE ? fd : file_space_error(fd);
	}
	f->fd = fd;
	f->file_size = 0;
	c->files++;
	if (f->detached) { /* whoever detached it may have looked for a file already */
		datadir_unlink(c->datadir, &f->name);
		f->unlinked = true;
	}
	cache_file_put_record(f);
	r = file_settle(f);
	file_account(f);
	return r;
}

int file_pread(struct cache_file *f, uint64_t begin, uint64_t end, void *buffer)
{
	char *p = buffer;

	if (f->pack)
		return pack_read(f->pack, f->slot, begin, end - begin, buffer);
	while (begin < end) {
		/* Beyond the end of the data file there is only what was never written: zeros. */
		uint64_t stop = f->fd >= 0 ? min_u64(end, f->file_size) : 0;
		ssize_t n;

		if (begin >= stop) {
			memset(p, 0, end - begin);
			return 0;
		}
		n = pread(f->fd, p, min_u64(stop - begin, 1u << 30), (off_t)begin);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		begin += (uint64_t)n;
		p += n;
	}
	return 0;
}

int file_pwrite(struct cache_file *f, uint64_t begin, uint64_t end, const void *data)
{
	const char *p = data;

	while (begin < end) {
		ssize_t n = pwrite(f->fd, p, min_u64(end - begin, 1u << 30), (off_t)begin);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? file_space_error(-errno) : -EIO;
		begin += (uint64_t)n;
		p += n;
		f->file_size = max_u64(f->file_size, begin);
	}
	return 0;
}

bool file_is_mapped(struct cache_file *f)
{
	return f->fd >= 0 && f->cache->is_mapped && f->cache->is_mapped(f->cache->is_mapped_arg, f->fd);
}

/** @return 0, or a negative errno. */
static int punch(struct cache_file *f, uint64_t begin, uint64_t end)
{
	return fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin,
	                 (off_t)(end - begin)) < 0
	               ? -errno
	               : 0;
}

void file_punch(struct cache_file *f, uint64_t begin, uint64_t end)
{
	int r;

	if (f->fd < 0 || begin >= end || file_is_mapped(f))
		return;
	/* If it cannot punch, the bytes lie there unused until the file goes. */
	r = punch(f, begin, end);
	if (r < 0)
		log_debug("cache: inode %llu: cannot punch: %s", (unsigned long long)f->ino, strerror(-r));
}

bool cache_is_mapped(struct cache_file *f)
{
	bool mapped;

	if (!f->cache->is_mapped)
		return false;
	pthread_rwlock_rdlock(&f->lock);
	mapped = file_is_mapped(f);
	pthread_rwlock_unlock(&f->lock);
	return mapped;
}

void cache_show(struct cache_file *f, uint64_t offset, uint64_t length, const void *data)
{
	uint64_t end;
	int r = 0;

	if (!f->cache->is_mapped)
		return;
	pthread_rwlock_wrlock(&f->lock);
	end = min_u64(offset + length, f->size);
	if (offset < end && file_is_mapped(f)) {
		r = data ? file_pwrite(f, offset, end, data) : punch(f, offset, end);
		file_account(f);
	}
	pthread_rwlock_unlock(&f->lock);
	if (r)
		log_debug("cache: inode %llu: who has it mapped sees old bytes: %s",
		          (unsigned long long)f->ino, strerror(-r));
}

/* ---- chunk state and the index ---- */

void file_unindex(struct cache_file *f)
{
	if (f->unindexed)
		return;
	log_debug("cache: inode %llu: the index cannot be written; not kept beyond its use",
	          (unsigned long long)f->ino);
	f->unindexed = true;
	if (f->name.id && !f->unlinked) {
		datadir_unlink(f->cache->datadir, &f->name);
		f->unlinked = true;
	}
}

int file_load_chunk(struct cache_file *f, uint64_t number, struct chunk **ret)
{
	struct cache_index_chunk record;
	struct chunk *c = chunks_find(&f->chunks, number);
	uint64_t valid = 0;
	int r = -ENOENT;

	if (c) {
		*ret = c;
		return 0;
	}
	if (f->pack)
		valid = number == 0;
	else if (f->name.id && !f->unindexed)
		r = cache_index_get_chunk(f->cache->index, f->name.id, number, &record);
	if (r == 0) {
		valid = record.valid & file_chunk_mask(number, 0, f->size);
	} else if (r == -EBADMSG) {
		f->cache->corrupt++;
		record.valid = 0;
		r = cache_index_put_chunk(f->cache->index, f->name.id, number, &record);
	}
	if (r && r != -ENOENT)
		file_unindex(
			f); /* a record that can be neither read nor removed must not be believed later */
	c = chunks_add(&f->chunks, number);
	if (!c)
		return -ENOMEM;
	c->present = c->indexed = valid;
	*ret = c;
	return 0;
}

/*
 * Durability.  A change of the index is in RocksDB's log, written to the kernel
 * but not synced, when this returns.  A valid bit that is cleared here before bytes change
 * therefore stays cleared if the process dies at any point after.  If the whole machine dies, the
 * kernel may have written the bytes and not the log: then the old bit
 * comes back with the old CRC, and the new or torn bytes do not fit it: a miss.  Where they are all
 * of a later commit, the version of the inode record does not fit either.  So
 * no sync is needed, and there is none.
 */
void file_index(struct cache_file *f, struct chunk *c, uint64_t clear, uint64_t set, const uint32_t *crc)
{
	struct cache_index_chunk record = {};
	int r = 0;

	clear &= c->indexed;
	if (!clear && !set)
		return;
	if (f->unindexed) {
		c->indexed &= ~clear;
		return;
	}
	if (c->indexed & ~clear)
		r = cache_index_get_chunk(f->cache->index, f->name.id, c->number, &record);
	if (!r) {
		record.valid = (record.valid & c->indexed & ~clear) | set;
		for (uint64_t bits = set; bits; bits &= bits - 1)
			record.crc[__builtin_ctzll(bits)] = crc[__builtin_ctzll(bits)];
		r = cache_index_put_chunk(f->cache->index, f->name.id, c->number, &record);
	}
	if (!r)
		c->indexed = record.valid;
	else if (clear)
		file_unindex(f);
	c->indexed &= ~clear;
}

static int get_crcs(struct cache_file *f, const struct chunk *c, struct cache_index_chunk *ret)
{
	int r;

	if (f->pack) {
		ret->valid = 1;
		ret->crc[0] = f->crc;
		return 0;
	}
	r = cache_index_get_chunk(f->cache->index, f->name.id, c->number, ret);
	if (r != -ENOENT && r != -EBADMSG)
		return r;
	ret->valid = 0;
	return 0;
}

int file_verify(struct cache_file *f, struct chunk *c, uint64_t mask, uint64_t *ret_bad)
{
	struct cache_index_chunk record;
	_cleanup_free_ void *buffer = NULL;
	uint64_t bad = 0, good = 0;
	int r;

	mask &= c->indexed & ~c->verified;
	if (!mask) {
		*ret_bad = 0;
		return 0;
	}
	buffer = malloc(CACHE_BLOCK_SIZE);
	if (!buffer)
		return -ENOMEM;
	r = get_crcs(f, c, &record);
	if (r)
		return r;
	for (; mask; mask &= mask - 1) {
		int bit = __builtin_ctzll(mask);
		struct range b = file_block_range(f, c->number * CACHE_BLOCKS_PER_CHUNK + (unsigned)bit);

		/* A data file that somebody cut is as bad as one that somebody wrote to. */
		if ((record.valid >> bit & 1) && file_pread(f, b.begin, b.end, buffer) == 0 &&
		    cache_crc32c(buffer, b.end - b.begin) == record.crc[bit])
			good |= UINT64_C(1) << bit;
		else
			bad |= UINT64_C(1) << bit;
	}
	c->verified |= good;
	*ret_bad = bad;
	return 0;
}

/* ---- reading ---- */

/** Shared lock. @return true if all of [begin, end) can be looked at: data file open, chunks known. */
static bool is_ready(struct cache_file *f, uint64_t begin, uint64_t end)
{
	if (f->name.id && f->fd < 0)
		return false;
	for (uint64_t n = begin / CACHE_CHUNK_SIZE; n * CACHE_CHUNK_SIZE < end; n++)
		if (!chunks_find(&f->chunks, n))
			return false;
	return true;
}

static int make_ready(struct cache_file *f, uint64_t begin, uint64_t end)
{
	struct chunk *c;
	int r;

	pthread_rwlock_wrlock(&f->lock);
	r = file_open(f);
	for (uint64_t n = begin / CACHE_CHUNK_SIZE; !r && n * CACHE_CHUNK_SIZE < min_u64(end, f->size); n++)
		r = file_load_chunk(f, n, &c);
	pthread_rwlock_unlock(&f->lock);
	return r;
}

/** Shared lock. The first sub-blocks in [begin, end), of one chunk, that do not fit their CRC. */
static int find_bad(struct cache_file *f, uint64_t begin, uint64_t end, struct chunk **ret_chunk,
                    uint64_t *ret_bad)
{
	*ret_bad = 0;
	for (uint64_t n = begin / CACHE_CHUNK_SIZE; n * CACHE_CHUNK_SIZE < end; n++) {
		struct chunk *c = chunks_find(&f->chunks, n);
		int r = file_verify(f, c, file_chunk_mask(n, begin, end), ret_bad);

		if (r || *ret_bad) {
			*ret_chunk = c;
			return r;
		}
	}
	return 0;
}

/** Shared lock, ready. @return how far from @p begin on, up to @p end, bytes are there. */
static uint64_t present_to(struct cache_file *f, uint64_t begin, uint64_t end)
{
	uint64_t at = begin;

	while (at < end) {
		uint64_t block = at / CACHE_BLOCK_SIZE;
		struct chunk *c = chunks_find(&f->chunks, at / CACHE_CHUNK_SIZE);
		uint64_t to;

		if (c->present >> block % CACHE_BLOCKS_PER_CHUNK & 1)
			to = file_block_range(f, block).end;
		else
			to = ranges_covered_to(&f->changed, at);
		if (to <= at)
			break;
		at = to;
	}
	return min_u64(at, end);
}

/**
 * Take the lock shared, with [begin, *end) ready (cut to the size) and every
 * sub-block there as it was put; those that are not are dropped and counted. @return 0 with the
 * lock held, or a negative errno without it.
 */
static int lock_checked(struct cache_file *f, uint64_t begin, uint64_t *end)
{
	for (uint64_t asked = *end;;) {
		struct chunk *c;
		uint64_t bad, number;
		int r;

		pthread_rwlock_rdlock(&f->lock);
		*end = min_u64(asked, f->size);
		if (begin >= *end)
			return 0;
		if (!is_ready(f, begin, *end)) {
			pthread_rwlock_unlock(&f->lock);
			r = make_ready(f, begin, asked);
			if (r)
				return r;
			continue;
		}
		r = find_bad(f, begin, *end, &c, &bad);
		if (!r && !bad)
			return 0;
		number = bad ? c->number : 0;
		pthread_rwlock_unlock(&f->lock);
		if (r)
			return r;
		log_debug("cache: inode %llu: chunk %llu does not fit its checksums (sub-blocks %llx)",
		          (unsigned long long)f->ino, (unsigned long long)number, (unsigned long long)bad);
		f->cache->corrupt += cache_drop_blocks(f, number, bad, true);
	}
}

ssize_t cache_read(struct cache_file *f, uint64_t offset, size_t length, void *buffer)
{
	uint64_t end = offset + length, to, first, last;
	struct chunk *c;
	int r;

	if (end < offset || length > SSIZE_MAX)
		return -EINVAL;
	file_use(f);
	r = lock_checked(f, offset, &end);
	if (r == -EMFILE || r == -ENFILE)
		return 0; /* the owner can still read through */
	if (r)
		return r == -ENOMEM ? r : -EIO;
	if (offset >= end) {
		pthread_rwlock_unlock(&f->lock);
		return 0;
	}
	to = present_to(f, offset, end);
	r = file_pread(f, offset, to, buffer);
	for (uint64_t n = offset / CACHE_CHUNK_SIZE; n * CACHE_CHUNK_SIZE < to; n++)
		if ((c = chunks_find(&f->chunks, n)))
			c->used = f->last_use;
	pthread_rwlock_unlock(&f->lock);
	if (r)
		return r;

	first = offset / CACHE_BLOCK_SIZE;
	last = (end - 1) / CACHE_BLOCK_SIZE;
	if (to == end) {
		f->cache->hits += last - first + 1;
	} else {
		f->cache->hits += to / CACHE_BLOCK_SIZE - first;
		f->cache->misses += last - to / CACHE_BLOCK_SIZE + 1;
	}
	return (ssize_t)(to - offset);
}

int cache_valid(struct cache_file *f, uint64_t chunk, uint64_t *ret_valid)
{
	uint64_t begin = chunk * CACHE_CHUNK_SIZE, end = begin + CACHE_CHUNK_SIZE, valid = 0;
	int r;

	if (chunk > INT64_MAX / CACHE_CHUNK_SIZE)
		return -EFBIG;
	r = lock_checked(f, begin, &end);
	if (r)
		return r;
	if (begin < end) {
		struct chunk *c = chunks_find(&f->chunks, chunk);
		uint64_t rest = file_chunk_mask(chunk, begin, end) & ~c->present;

		valid = c->present;
		if (!ranges_intersect(&f->changed, begin, end))
			rest = 0;
		for (; rest; rest &= rest - 1) {
			int bit = __builtin_ctzll(rest);
			struct range b = file_block_range(f, chunk * CACHE_BLOCKS_PER_CHUNK + (unsigned)bit);

			if (ranges_cover(&f->changed, b.begin, b.end))
				valid |= UINT64_C(1) << bit;
		}
	}
	pthread_rwlock_unlock(&f->lock);
	*ret_valid = valid;
	return 0;
}

bool cache_is_complete(struct cache_file *f)
{
	for (uint64_t begin = 0;; begin += CACHE_CHUNK_SIZE) {
		uint64_t end = begin + CACHE_CHUNK_SIZE, to;

		if (lock_checked(f, begin, &end) < 0)
			return false;
		if (begin >= end) {
			pthread_rwlock_unlock(&f->lock);
			return true;
		}
		/* Changed ranges may be exbibytes of hole: one step. */
		to = ranges_covered_to(&f->changed, begin);
		if (to < end)
			to = present_to(f, begin, end);
		pthread_rwlock_unlock(&f->lock);
		if (to < end)
			return false;
		if (to - begin > CACHE_CHUNK_SIZE)
			begin = to / CACHE_CHUNK_SIZE * CACHE_CHUNK_SIZE - CACHE_CHUNK_SIZE;
	}
}

int cache_file_fd(struct cache_file *f)
{
	int r;

	cache_unpack(f);
	pthread_rwlock_wrlock(&f->lock);
	r = file_create(f);
	if (!r)
		r = f->fd;
	pthread_rwlock_unlock(&f->lock);
	return r;
}

int cache_file_id(struct cache_file *f, uint64_t *ret_id)
{
	int r;

	cache_unpack(f);
	pthread_rwlock_wrlock(&f->lock);
	r = file_create(f);
	if (!r)
		*ret_id = f->name.id;
	pthread_rwlock_unlock(&f->lock);
	return r;
}
