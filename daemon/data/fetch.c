/* SPDX-License-Identifier: Apache-2.0 */
/* From slices to bytes: the committed contents of a range, and of a whole file (warm-up). */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/meta/slices.h"

#include <inttypes.h>
#include <stdlib.h>

/* Objects that a commit replaces are deleted under the readers that found them just before. */
#define TRIES 5

struct part {
	struct data *d;
	const struct meta_extent *extents;
	uint32_t pos; /* of buffer[0] in the chunk */
	char *buffer;
	pthread_mutex_t lock;
	int error; /* the first; lock */
};

static void get_extent(void *arg, size_t i)
{
	struct part *part = arg;
	const struct meta_extent *e = &part->extents[i];
	char *to = part->buffer + (e->pos - part->pos);
	int r = 0;

	if (!e->object) {
		memset(to, 0, e->length);
		return;
	}
	r = object_get(part->d, e->object, e->size, e->offset, e->length, to);
	if (r < 0) {
		SCOPED_LOCK(&part->lock);
		if (part->error == 0)
			part->error = r;
	}
}

int fetch_extents(struct data *d, const struct meta_extent *extents, size_t count, uint32_t pos, char *buffer)
{
	struct part part = {.d = d, .extents = extents, .pos = pos, .buffer = buffer};

	pthread_mutex_init(&part.lock, NULL);
	transfer_each(d->transfer, TRANSFER_DOWN, count, get_extent, &part);
	pthread_mutex_destroy(&part.lock);
	return part.error;
}

/* A range within one chunk. -ENOENT: an object is not there. */
static int fetch_part(struct data *d, uint64_t ino, uint64_t chunk, uint32_t pos, uint32_t length,
                      char *buffer, uint64_t *ret_fetched)
{
	_cleanup_slices_ struct meta_slices slices = {};
	_cleanup_free_ struct meta_extent *extents = NULL;
	uint64_t fetched = 0;
	size_t count;
	int r;

	r = meta_slices(d->meta, ino, chunk, &slices);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r; /* reaped: nobody should be reading it */
	r = meta_flatten(&slices, pos, length, &extents, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		fetched += extents[i].object ? extents[i].length : 0;
	r = fetch_extents(d, extents, count, pos, buffer);
	if (r < 0)
		return r;
	*ret_fetched += fetched;
	return 0;
}

int fetch_range(struct data *d, uint64_t ino, uint64_t offset, size_t length, char *buffer,
                uint64_t *ret_fetched)
{
	uint64_t fetched = 0;
	size_t done = 0;

	while (done < length) {
		uint64_t at = offset + done, chunk = at / d->chunk_size;
		uint32_t pos = at % d->chunk_size;
		uint32_t n = d->chunk_size - pos < length - done ? d->chunk_size - pos : length - done;
		int r = -ENOENT;

		for (int try = 0; try < TRIES && r == -ENOENT; try++)
			r = fetch_part(d, ino, chunk, pos, n, buffer + done, &fetched);
		if (r < 0) {
			log_warning("reading inode %" PRIu64 " at %" PRIu64 " failed: %s", ino, at,
			            r == -ENOENT ? "an object that its metadata names is not in the store"
			                         : strerror(-r));
			return r == -ENOENT || r == -EBADMSG ? -EIO : r;
		}
		done += n;
	}
	*ret_fetched = fetched;
	return 0;
}

/* ---- a whole file ---- */

/* So many chunks without anything in them are put into the cache as zeros, one after the other; a file of
 * exbibytes may have more than anybody can count. */
#define HOLES_MAX 64

struct whole {
	struct data_file *f;
	struct cache_file *cache;
	uint64_t size, units;

	pthread_mutex_t lock;
	uint64_t next;
	uint64_t holes;   /* without anything, in a row */
	uint64_t fetched; /* bytes from objects */
	bool gave_up;     /* on a hole: the rest stays as it is */
	int error;
};

static int fetch_unit(struct whole *w, uint64_t offset, uint64_t end, uint64_t *ret_fetched)
{
	while (offset < end) {
		uint64_t valid = 0, block = offset % CACHE_CHUNK_SIZE / CACHE_BLOCK_SIZE;
		struct flight *flight;
		bool whole;
		int r = cache_valid(w->cache, offset / CACHE_CHUNK_SIZE, &valid);

		if (r < 0)
			return r;
		if (valid & (1ull << block)) {
			offset += CACHE_BLOCK_SIZE;
			continue;
		}
		r = flight_get(w->f, w->cache, offset, end, &flight, &whole);
		if (r < 0)
			return r;
		r = flight->fill == -ESTALE ? 0 : flight->fill;
		*ret_fetched += flight->fetched;
		offset = flight->offset + flight->length;
		flight_put(flight);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_hole(struct data *d, uint64_t ino, uint64_t offset)
{
	_cleanup_slices_ struct meta_slices slices = {};

	return meta_slices(d->meta, ino, offset / d->chunk_size, &slices) == 0 && slices.count == 0;
}

static void fetch_units(void *arg, size_t i)
{
	struct whole *w = arg;
	struct data *d = w->f->d;

	(void)i;
	pthread_mutex_lock(&w->lock);
	while (w->next < w->units && w->error == 0 && !w->gave_up) {
		uint64_t unit = w->next++, fetched = 0, first = 0;
		uint64_t offset = unit * d->object_size;
		uint64_t end = offset + d->object_size < w->size ? offset + d->object_size : w->size;
		bool hole;
		int r;

		pthread_mutex_unlock(&w->lock);
		hole = is_hole(d, w->f->ino, offset);
		pthread_mutex_lock(&w->lock);
		w->holes = hole ? w->holes + 1 : 0;
		if (w->holes > HOLES_MAX) {
			w->gave_up = true;
			break;
		}
		pthread_mutex_unlock(&w->lock);

		r = fetch_unit(w, offset, end, &fetched);
		/* A file larger than the cache pushes its own beginning out: no use in going on. */
		if (r == 0 && unit % 16 == 15 && cache_valid(w->cache, 0, &first) == 0 && !(first & 1))
			r = -ENOSPC;

		pthread_mutex_lock(&w->lock);
		w->fetched += fetched;
		if (r < 0 && w->error == 0)
			w->error = r;
	}
	pthread_mutex_unlock(&w->lock);
}

int data_fetch(struct data *d, uint64_t ino, uint64_t *ret_bytes)
{
	struct whole w = {};
	uint64_t version;
	int r;

	if (!d->cache)
		return -ENOSPC;
	r = data_file_get(d, ino, &w.f);
	if (r < 0)
		return r;
	/* What is staged is in the cache, but counts only once it is committed. */
	r = data_flush(w.f);
	w.cache = file_cache(w.f, false);
	if (r == 0 && !w.cache)
		r = -ENOSPC;
	pthread_mutex_lock(&w.f->lock);
	w.size = w.f->size;
	version = w.f->version;
	pthread_mutex_unlock(&w.f->lock);
	w.units = (w.size + d->object_size - 1) / d->object_size;

	if (r == 0 && !cache_is_complete(w.cache)) {
		pthread_mutex_init(&w.lock, NULL);
		transfer_each(d->transfer, TRANSFER_DOWN,
		              w.units < d->options.downloads ? w.units : d->options.downloads, fetch_units,
		              &w);
		pthread_mutex_destroy(&w.lock);
		r = w.error;
		if (r == 0 && !w.gave_up && !cache_is_complete(w.cache)) {
			/* Evicted again, or written meanwhile: then there is no end to it, and no failure. */
			pthread_mutex_lock(&w.f->lock);
			r = w.f->version == version && !w.f->changed ? -ENOSPC : 0;
			pthread_mutex_unlock(&w.f->lock);
		}
	}
	if (r == 0 || w.fetched) {
		if (d->hooks.changed)
			d->hooks.changed(d->hooks.arg, ino, 0, w.size);
	}
	if (r == 0)
		*ret_bytes = w.fetched;
	data_file_put(w.f);
	return r;
}
