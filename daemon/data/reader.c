/* SPDX-License-Identifier: Apache-2.0 */
/* data_read(): from the cache, and what is missing there by way of flights. */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>

/* A flight that raced with a commit is flown again so often, then commits have to wait. */
#define TRIES 3

struct read {
	struct data_file *f;
	struct cache_file *cache; /* NULL: none */
	uint64_t end;             /* of the request, not behind the end of file */
	uint64_t size;
	uint64_t filled_from, filled_to; /* came into the cache */
	bool missed;
};

static uint64_t align_up(uint64_t offset)
{
	return (offset + BLOCK_MASK) & ~BLOCK_MASK;
}

static size_t copy_out(const struct flight *flight, uint64_t offset, uint64_t end, char *to)
{
	uint64_t flight_end = flight->offset + flight->length;
	size_t n = (end < flight_end ? end : flight_end) - offset;

	memcpy(to, flight->buffer + (offset - flight->offset), n);
	return n;
}

static void note_filled(struct read *r, const struct flight *flight)
{
	uint64_t end = flight->offset + flight->length;

	if (flight->fill < 0)
		return;
	if (r->filled_to == 0 || flight->offset < r->filled_from)
		r->filled_from = flight->offset;
	if (end > r->filled_to)
		r->filled_to = end;
}

/*
 * The last resort: with everything committed and commits shut out, what is fetched is the truth. Also for
 * a cache that has no room to put fetched bytes around staged ones.
 */
static ssize_t read_alone(struct read *r, uint64_t offset, char *to)
{
	struct data_file *f = r->f;
	struct flight *flight;
	bool whole = false;
	ssize_t n;

	pthread_mutex_lock(&f->flush);
	pthread_mutex_lock(&f->io);
	n = flush_locked(f, true);
	if (n == 0)
		n = flight_get(f, r->cache, offset, align_up(offset + 1), &flight, &whole);
	if (n == 0) {
		n = whole ? (ssize_t)copy_out(flight, offset, r->end, to) : -EIO;
		note_filled(r, flight);
		flight_put(flight);
	}
	pthread_mutex_unlock(&f->io);
	pthread_mutex_unlock(&f->flush);
	return n;
}

/* Read from @p offset on, which is not in the cache. @return bytes, at least one. */
static ssize_t read_missing(struct read *r, uint64_t offset, char *to)
{
	uint64_t end = align_up(r->end);

	if (end > (offset & ~BLOCK_MASK) + FLIGHT_MAX)
		end = (offset & ~BLOCK_MASK) + FLIGHT_MAX;
	r->missed = true;
	for (int try = 0; try < TRIES; try++) {
		struct flight *flight;
		bool whole;
		ssize_t n = flight_get(r->f, r->cache, offset, end, &flight, &whole);

		if (n < 0)
			return n;
		note_filled(r, flight);
		if (whole)
			n = copy_out(flight, offset, r->end, to);
		else if (flight->fill == 0)
			n = cache_read(r->cache, offset, r->end - offset, to);
		flight_put(flight);
		if (n != 0)
			return n;
	}
	return read_alone(r, offset, to);
}

ssize_t data_read(struct data_file *f, uint64_t offset, size_t length, void *buffer)
{
	struct data *d = f->d;
	struct read r = {.f = f};
	size_t done = 0;
	bool changed;
	int error = file_have(f);

	if (error < 0)
		return error;
	pthread_mutex_lock(&f->lock);
	r.size = f->size;
	pthread_mutex_unlock(&f->lock);
	if (offset >= r.size || !length)
		return 0;
	if (length > r.size - offset)
		length = r.size - offset;
	r.end = offset + length;
	r.cache = file_cache(f, false);

	while (done < length) {
		ssize_t n = 0;

		if (r.cache)
			n = cache_read(r.cache, offset + done, length - done, (char *)buffer + done);
		/* A cache that cannot be read is no cache, unless it has what is nowhere else. */
		if (n < 0)
			n = 0;
		if (n == 0)
			n = read_missing(&r, offset + done, (char *)buffer + done);
		if (n < 0)
			return n;
		done += n;
	}
	read_ahead(f, offset, r.end, r.missed);

	if (r.filled_to && d->hooks.changed) {
		pthread_mutex_lock(&f->lock);
		changed = f->changers || f->changed;
		if (r.filled_to > f->size)
			r.filled_to = f->size;
		pthread_mutex_unlock(&f->lock);
		/* While it is pending it is not published. */
		if (!changed && r.filled_from < r.filled_to)
			d->hooks.changed(d->hooks.arg, f->ino, r.filled_from, r.filled_to - r.filled_from);
	}
	return done;
}
