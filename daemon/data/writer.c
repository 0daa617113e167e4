/* SPDX-License-Identifier: Apache-2.0 */
/* data_write() and data_truncate(): staged in the cache, or past it. */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <stdlib.h>

/* Written to the cache file. f->io is held. @return 0, or -ENOSPC: not by way of the cache. */
static int stage(struct data_file *f, uint64_t offset, size_t length, const void *buffer)
{
	struct cache_file *cache = file_cache(f, true);
	int r;

	if (!cache)
		return -ENOSPC;
	r = cache_write(cache, offset, length, buffer);
	if (r == -ESTALE && (cache = file_cache_again(f)))
		r = cache_write(cache, offset, length, buffer);
	/* A cache that fails must not fail the file system. */
	return r < 0 ? -ENOSPC : 0;
}

/* The bytes of [offset, end) are taken. */
static void note_written(struct data_file *f, uint64_t end, bool staged)
{
	SCOPED_LOCK(&f->lock);
	if (end > f->size)
		f->size = end;
	if (!staged)
		return;
	clock_gettime(CLOCK_REALTIME, &f->mtime);
	if (!f->changed)
		f->changed_since = monotonic_ns();
	f->changed = true;
}

/* ---- past the cache ---- */

void past_begin(struct data_file *f, uint64_t offset, uint64_t length, uint64_t end, struct past *ret)
{
	struct past past = {.f = f, .cache = cache_of(f), .size = f->size}; /* nobody else changes it now */

	/* Asked for with the old version, so that what remains stays warm. */
	if (!past.cache && f->d->cache && past.size && cache_cached_bytes(f->d->cache, f->ino))
		past.cache = file_cache(f, true);
	if (past.cache && end > past.size)
		past.error = cache_truncate(past.cache, end);
	if (past.cache && past.error == 0 && length)
		past.error = cache_invalidate(past.cache, offset, length);
	*ret = past;
}

void past_end(const struct past *past, const struct meta_attr *attr)
{
	struct data_file *f = past->f;
	int c = past->error;

	if (past->cache && c == 0)
		c = attr ? cache_commit(past->cache, attr->version, attr->size)
		         : cache_truncate(past->cache, past->size);
	if (attr) {
		SCOPED_LOCK(&f->lock);
		f->version = attr->version;
		f->size = attr->size;
		f->unsynced = true;
	}
	if (past->cache && c < 0)
		file_cache_again(f);
	if (attr)
		janitor_kick(f->d);
}

/* From the store: the cache has nothing of it, and may have no room for it. */
void past_show(const struct past *past, uint64_t offset, uint64_t length)
{
	enum { STEP = 1 << 20 };
	struct data_file *f = past->f;
	_cleanup_free_ char *buffer = NULL;
	uint64_t end = offset + length, fetched;
	int r = 0;

	if (!past->cache || !cache_is_mapped(past->cache))
		return;
	memory_take(f->d, STEP);
	buffer = malloc(STEP);
	if (!buffer)
		r = -ENOMEM;
	for (uint64_t n; r == 0 && offset < end; offset += n) {
		n = end - offset < STEP ? end - offset : STEP;
		r = fetch_range(f->d, f->ino, offset, n, buffer, &fetched);
		if (r == 0)
			cache_show(past->cache, offset, n, buffer);
	}
	free(TAKE_PTR(buffer));
	memory_give(f->d, STEP);
	if (r < 0)
		log_warning("inode %llu: who has it mapped sees old bytes, for the new ones cannot be read: "
		            "%s",
		            (unsigned long long)f->ino, strerror(-r));
}

struct piece {
	struct data *d;
	const char *bytes;
	struct meta_write *write;
	int error;
};

static void put_piece(void *arg, size_t i)
{
	struct piece *piece = (struct piece *)arg + i;
	struct meta_slice *slice = &piece->write->slice;
	_cleanup_free_ char *buffer = NULL;

	memory_take(piece->d, slice->size);
	buffer = object_buffer(slice->size);
	if (buffer) {
		memcpy(buffer, piece->bytes, slice->size);
		piece->error = object_upload(piece->d, buffer, slice->size, &slice->object);
	} else {
		piece->error = -ENOMEM;
	}
	free(TAKE_PTR(buffer));
	memory_give(piece->d, slice->size);
}

/*
 * Upload and commit these bytes at once. f->flush and f->io are held and nothing is staged. Durable with the
 * next flush only.
 */
static int write_past(struct data_file *f, uint64_t offset, size_t length, const char *buffer)
{
	struct data *d = f->d;
	size_t count = (offset + length - 1) / d->object_size - offset / d->object_size + 1;
	_cleanup_free_ struct meta_write *writes = calloc(count, sizeof(*writes));
	_cleanup_free_ struct piece *pieces = calloc(count, sizeof(*pieces));
	uint64_t end = offset + length;
	struct meta_attr attr;
	struct timespec now;
	struct past past;
	int r = 0;

	if (!writes || !pieces)
		return -ENOMEM;
	for (uint64_t at = offset, i = 0; at < end; i++) {
		uint64_t left = d->object_size - at % d->object_size;
		uint32_t n = left < end - at ? left : end - at;

		writes[i] = (struct meta_write){.chunk = at / d->chunk_size,
		                                .slice = {.pos = at % d->chunk_size, .length = n, .size = n}};
		pieces[i] = (struct piece){.d = d, .bytes = buffer + (at - offset), .write = &writes[i]};
		at += n;
	}
	transfer_each(d->transfer, TRANSFER_UP, count, put_piece, pieces);
	for (size_t i = 0; i < count && r == 0; i++)
		r = pieces[i].error;
	for (size_t i = 0; i < count && r < 0; i++)
		if (writes[i].slice.object)
			garbage_add(d, writes[i].slice.object, writes[i].slice.size);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &now);
	past_begin(f, offset, length, end, &past);
	/* If this fails it may be in the log all the same, so the objects stay, for gc to decide. */
	r = meta_commit_write(d->meta, f->ino, writes, count, end, now, false, false, &attr);
	past_end(&past, r < 0 ? NULL : &attr);
	if (r == 0 && past.cache)
		cache_show(past.cache, offset, length, buffer);
	return r;
}

/* The cache has no room for it, or there is none: commit what is staged, then try once more, then go past it.
 */
static int write_full(struct data_file *f, uint64_t offset, size_t length, const void *buffer)
{
	int r = file_take_back(f, true);

	if (r == 0)
		r = flush_locked(f, true);
	if (r < 0)
		return r;
	if (f->d->cache && stage(f, offset, length, buffer) == 0) {
		note_written(f, offset + length, true);
		return 0;
	}
	r = write_past(f, offset, length, buffer);
	if (r == 0)
		note_written(f, offset + length, false);
	return r;
}

/* ---- write ---- */

/* Where the write goes, in *offset; with f->io held. */
static int place(struct data_file *f, uint64_t *offset, size_t length, bool append)
{
	if (append) {
		SCOPED_LOCK(&f->lock);
		*offset = f->size;
	}
	return *offset > META_SIZE_MAX || length > META_SIZE_MAX - *offset ? -EFBIG : 0;
}

int data_write(struct data_file *f, uint64_t offset, size_t length, const void *buffer, bool append)
{
	struct data *d = f->d;
	bool staged = false;
	int r;

	if (!length)
		return 0;
	r = d->hooks.may_write ? d->hooks.may_write(d->hooks.arg) : 0;
	if (r < 0)
		return r;
	r = file_begin_change(f, false);
	if (r < 0)
		return r;

	pthread_mutex_lock(&f->io);
	r = place(f, &offset, length, append);
	if (r == 0 && d->cache) {
		staged = stage(f, offset, length, buffer) == 0;
		if (staged)
			note_written(f, offset + length, true);
	}
	pthread_mutex_unlock(&f->io);

	if (r == 0 && !staged) {
		pthread_mutex_lock(&f->flush);
		pthread_mutex_lock(&f->io);
		r = place(f, &offset, length, append);
		if (r == 0)
			r = write_full(f, offset, length, buffer);
		pthread_mutex_unlock(&f->io);
		pthread_mutex_unlock(&f->flush);
	}

	/* What this write brought to its end is likely to stay as it is. */
	if (staged)
		for (uint64_t w = offset / d->object_size; w < (offset + length) / d->object_size; w++)
			upload_window_later(f, w);
	file_end_change(f);
	return r;
}

/* ---- truncate ---- */

int truncate_locked(struct data_file *f, unsigned set, const struct meta_attr *attr, struct meta_attr *ret)
{
	struct data *d = f->d;
	struct cache_file *cache;
	int r = flush_locked(f, true), c = 0;

	if (r < 0)
		return r;
	/* Asked for with the old version, so that what remains stays warm, and what is mapped sees it. */
	cache = cache_of(f);
	if (!cache && d->cache &&
	    (attr->size ? cache_cached_bytes(d->cache, f->ino) > 0 : cache_inode_is_mapped(d->cache, f->ino)))
		cache = file_cache(f, true);
	r = meta_setattr(d->meta, f->ino, set | META_SET_SIZE, attr, ret);
	if (r < 0)
		return r;

	if (cache)
		c = cache_truncate(cache, ret->size);
	if (cache && c == 0)
		c = cache_commit(cache, ret->version, ret->size);
	pthread_mutex_lock(&f->lock);
	f->version = ret->version;
	f->size = ret->size;
	pthread_mutex_unlock(&f->lock);
	if (c < 0)
		file_cache_again(f);
	janitor_kick(d);
	return 0;
}

int data_truncate(struct data *d, uint64_t ino, unsigned set, const struct meta_attr *attr,
                  struct meta_attr *ret)
{
	struct data_file *f;
	int r;

	if (attr->size > META_SIZE_MAX)
		return -EFBIG;
	r = data_file_get(d, ino, &f);
	if (r < 0)
		return r;
	r = file_begin_change(f, true);
	if (r == 0) {
		pthread_mutex_lock(&f->flush);
		pthread_mutex_lock(&f->io);
		r = truncate_locked(f, set, attr, ret);
		pthread_mutex_unlock(&f->io);
		pthread_mutex_unlock(&f->flush);
		file_end_change(f);
	}
	data_file_put(f);
	return r;
}
