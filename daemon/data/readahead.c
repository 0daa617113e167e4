/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-ahead.  A reader that missed the cache and has read a while in order
 * gets the next bytes fetched by the pool: at first as much as it read, at most
 * read_ahead bytes.  Requests of one reader may come a little out of order, from
 * several threads of the daemon.
 */
#include "daemon/data/internal.h"

#include "common/cleanup.h"

#include <stdlib.h>

#define SLACK (1u << 20)     /* that far from where it was expected it is still the same reader */
#define RUN_MIN (256u << 10) /* so much in order makes a sequential reader */

struct ahead {
	struct data_file *f;
	uint64_t offset, end;
};

static void fly_ahead(void *arg)
{
	struct ahead *a = arg;
	struct data_file *f = a->f;
	struct data *d = f->d;
	struct cache_file *cache = cache_of(f);
	uint64_t offset = a->offset, filled = 0;

	while (offset < a->end) {
		struct flight *flight;
		uint64_t valid = 0;
		bool whole;

		if (cache && cache_valid(cache, offset / CACHE_CHUNK_SIZE, &valid) == 0 &&
		    valid & (1ull << (offset % CACHE_CHUNK_SIZE / CACHE_BLOCK_SIZE))) {
			offset += CACHE_BLOCK_SIZE;
			continue;
		}
		/* An error is for whoever reads there to find. */
		if (flight_get(f, cache, offset, a->end, &flight, &whole) < 0)
			break;
		filled += flight->fill == 0 ? flight->length : 0;
		offset = flight->offset + flight->length;
		flight_put(flight);
	}
	if (filled && d->hooks.changed)
		d->hooks.changed(d->hooks.arg, f->ino, a->offset, offset - a->offset);
	file_put(f, true);
	free(a);
}

/* The stream that goes on at @p offset, or the one that was not used for longest, begun anew. f->lock is
 * held. */
static struct stream *stream_of(struct data_file *f, uint64_t offset)
{
	struct stream *oldest = &f->streams[0];

	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *s = &f->streams[i];
		uint64_t slack = s->run < SLACK ? s->run : SLACK;

		if (s->used && offset + slack >= s->next && offset <= s->next + slack)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct stream){.next = offset};
	return oldest;
}

void read_ahead(struct data_file *f, uint64_t offset, uint64_t end, bool missed)
{
	struct data *d = f->d;
	uint64_t from = 0, to = 0;

	pthread_mutex_lock(&f->lock);
	{
		struct stream *s = stream_of(f, offset);

		s->used = ++f->stream_clock;
		s->run += end - offset;
		if (end > s->next)
			s->next = end;
		/* It goes on as long as it is of use: a reader of what is all there asks for nothing. */
		if (s->run >= RUN_MIN && (missed || s->ahead > offset)) {
			uint64_t window = s->run < d->options.read_ahead ? s->run : d->options.read_ahead;

			from = s->ahead > s->next ? s->ahead : (s->next + BLOCK_MASK) & ~BLOCK_MASK;
			to = (s->next + window) & ~((uint64_t)FLIGHT_MAX - 1);
			if (to > f->size)
				to = f->size;
			if (to > from)
				s->ahead = to;
		}
	}
	pthread_mutex_unlock(&f->lock);

	while (from < to) {
		struct ahead *a;
		uint64_t next = (from + FLIGHT_MAX) & ~((uint64_t)FLIGHT_MAX - 1);

		/* More than the pool can do soon is not of use soon. */
		if (transfer_queued(d->transfer, TRANSFER_DOWN) > 2 * d->options.downloads)
			break;
		a = malloc(sizeof(*a));
		if (!a)
			break;
		*a = (struct ahead){.f = f, .offset = from, .end = next < to ? next : to};
		file_ref(f);
		if (transfer_submit(d->transfer, TRANSFER_DOWN, fly_ahead, a) < 0) {
			file_put(f, false);
			free(a);
			break;
		}
		from = next;
	}
}
