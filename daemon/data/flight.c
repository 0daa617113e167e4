/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flights: ranges that are being fetched, each once for all who want it, and
 * the memory budget that bounds them.
 *
 * A flight has what was committed when it began.  Who comes later may use it
 * only while nothing was committed since (same version); and its bytes may be
 * handed out as they are only if nothing was staged on top: else they go into
 * the cache, which puts them around what is staged, and are read from there.
 */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <stdlib.h>

/* ---- memory; flights_lock is held where it says so ---- */

static void give_locked(struct data *d, uint64_t bytes)
{
	d->memory_used -= bytes;
	pthread_cond_broadcast(&d->memory_given);
}

static void unkeep_locked(struct data *d, struct flight *flight);

void memory_take(struct data *d, uint64_t bytes)
{
	SCOPED_LOCK(&d->flights_lock);
	while (d->memory_used && d->memory_used + bytes > d->options.memory_bytes) {
		struct flight *oldest = TAILQ_FIRST(&d->kept);

		if (oldest)
			unkeep_locked(d, oldest);
		else
			pthread_cond_wait(&d->memory_given, &d->flights_lock);
	}
	d->memory_used += bytes;
}

void memory_give(struct data *d, uint64_t bytes)
{
	SCOPED_LOCK(&d->flights_lock);
	give_locked(d, bytes);
}

/* ---- references; flights_lock is held ---- */

static void unref_locked(struct data *d, struct flight *flight)
{
	if (--flight->refs)
		return;
	if (flight->buffer)
		give_locked(d, flight->length);
	pthread_cond_destroy(&flight->landed);
	free(flight->buffer);
	free(flight);
}

static void unlist_locked(struct flight *flight)
{
	if (flight->listed)
		TAILQ_REMOVE(&flight->f->flights, flight, entry);
	flight->listed = false;
}

static void unkeep_locked(struct data *d, struct flight *flight)
{
	TAILQ_REMOVE(&d->kept, flight, kept);
	d->kept_bytes -= flight->length;
	flight->is_kept = false;
	unlist_locked(flight);
	unref_locked(d, flight);
}

/* Not in the cache: for the next read of a sequential reader. Half of the memory at most. */
static void keep_locked(struct data *d, struct flight *flight)
{
	if (flight->length > d->options.memory_bytes / 2)
		return;
	while (d->kept_bytes + flight->length > d->options.memory_bytes / 2)
		unkeep_locked(d, TAILQ_FIRST(&d->kept));
	flight->is_kept = true;
	flight->refs++;
	d->kept_bytes += flight->length;
	TAILQ_INSERT_TAIL(&d->kept, flight, kept);
}

void flight_put(struct flight *flight)
{
	struct data *d;

	if (!flight)
		return;
	d = flight->f->d;
	SCOPED_LOCK(&d->flights_lock);
	unref_locked(d, flight);
}

void flights_forget(struct data_file *f)
{
	struct flight *flight, *next;

	SCOPED_LOCK(&f->d->flights_lock);
	for (flight = TAILQ_FIRST(&f->flights); flight; flight = next) {
		next = TAILQ_NEXT(flight, entry);
		unkeep_locked(f->d, flight);
	}
}

/* ---- flying ---- */

/* What a read that starts now has to see: the committed version, and whether there is more than that. */
static uint64_t version_now(struct data_file *f, bool *ret_changed)
{
	SCOPED_LOCK(&f->lock);
	*ret_changed = f->changed;
	return f->version;
}

static void fly(struct flight *flight, struct cache_file *cache, uint64_t cache_version)
{
	struct data_file *f = flight->f;
	struct data *d = f->d;
	char *buffer;

	memory_take(d, flight->length);
	buffer = malloc(flight->length);
	if (!buffer) {
		memory_give(d, flight->length);
		flight->error = -ENOMEM;
	} else {
		flight->error =
			fetch_range(d, f->ino, flight->offset, flight->length, buffer, &flight->fetched);
	}
	flight->fill = -ENOSPC;
	if (flight->error == 0 && cache)
		flight->fill = cache_fill(cache, cache_version, flight->offset, flight->length, buffer);

	SCOPED_LOCK(&d->flights_lock);
	flight->buffer = buffer;
	flight->done = true;
	pthread_cond_broadcast(&flight->landed);
	if (flight->error == 0 && flight->fill == -ENOSPC)
		keep_locked(d, flight);
	if (!flight->is_kept)
		unlist_locked(flight);
}

/* The end of a run of sub-blocks that are not in the cache. */
static uint64_t missing_end(struct cache_file *cache, uint64_t offset, uint64_t end)
{
	uint64_t at = offset + CACHE_BLOCK_SIZE;

	while (at < end) {
		uint64_t valid = 0, chunk = at / CACHE_CHUNK_SIZE;

		if (cache_valid(cache, chunk, &valid) < 0)
			return end;
		for (; at < end && at / CACHE_CHUNK_SIZE == chunk; at += CACHE_BLOCK_SIZE)
			if (valid & (1ull << (at % CACHE_CHUNK_SIZE / CACHE_BLOCK_SIZE)))
				return at;
	}
	return end;
}

int flight_get(struct data_file *f, struct cache_file *cache, uint64_t offset, uint64_t end,
               struct flight **ret, bool *ret_whole)
{
	struct data *d = f->d;
	uint64_t start = offset & ~BLOCK_MASK, version;
	uint64_t cache_version = cache ? cache_file_version(cache) : 0;
	struct flight *flight, *other;
	bool changed;
	int r;

	/* In this order, before the slices are looked up: a commit from here on makes the bytes old. */
	version = version_now(f, &changed);
	if (cache)
		end = missing_end(cache, start, end);

	pthread_mutex_lock(&d->flights_lock);
	TAILQ_FOREACH (flight, &f->flights, entry) {
		if (flight->version == version && offset >= flight->offset &&
		    offset < flight->offset + flight->length)
			break;
	}
	if (flight) {
		flight->refs++;
		while (!flight->done)
			pthread_cond_wait(&flight->landed, &d->flights_lock);
		pthread_mutex_unlock(&d->flights_lock);
	} else {
		flight = calloc(1, sizeof(*flight));
		if (!flight) {
			pthread_mutex_unlock(&d->flights_lock);
			return -ENOMEM;
		}
		TAILQ_FOREACH (other, &f->flights, entry)
			if (other->version == version && other->offset > start && other->offset < end)
				end = other->offset;
		pthread_cond_init(&flight->landed, NULL);
		flight->f = f;
		flight->offset = start;
		flight->length = end - start;
		flight->version = version;
		flight->refs = 1;
		flight->listed = true;
		TAILQ_INSERT_TAIL(&f->flights, flight, entry);
		pthread_mutex_unlock(&d->flights_lock);
		fly(flight, cache, cache_version);
	}
	r = flight->error;
	if (r < 0) {
		flight_put(flight);
		return r;
	}
	*ret = flight;
	*ret_whole = !changed;
	return 0;
}
