/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The janitor: a thread that deletes objects which no metadata names any more, compacts chunks,
 * and commits what has been waiting for long (a log that is never fsynced; a
 * file that was closed while the store was out of reach).
 */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/meta/stream.h"

#include <inttypes.h>
#include <stdlib.h>

#define BATCH 256
#define HELD_MAX 65536 /* 1 MiB; as much is deleted from one shipping of the metadata to the next */
#define TICK_NS (5 * 1000000000ll)  /* looks around at least that often, garbage or not */
#define PAUSE_NS 200000000ll        /* between rounds, so that many small commits share one */
#define CLOSE_NS (5 * 1000000000ll) /* so long may garbage hold up data_close() */

struct batch {
	struct data *d;
	const struct meta_garbage *garbage;
	bool deleted[BATCH];
};

static void delete_one(void *arg, size_t i)
{
	struct batch *b = arg;
	int r = object_delete(b->d, b->garbage[i].object, b->garbage[i].size);

	b->deleted[i] = r == 0;
	if (r < 0)
		log_debug("deleting object %" PRIu64 " failed: %s", b->garbage[i].object, store_last_error());
}

/* Delete these; those that are gone move to the front. @return how many. */
static size_t delete_batch(struct data *d, struct meta_garbage *garbage, size_t count)
{
	struct batch b = {.d = d, .garbage = garbage};
	size_t n = 0;

	transfer_each(d->transfer, TRANSFER_UP, count, delete_one, &b);
	for (size_t i = 0; i < count; i++) {
		if (b.deleted[i]) {
			struct meta_garbage gone = garbage[i];

			garbage[i] = garbage[n];
			garbage[n++] = gone;
		}
	}
	return n;
}

/* Objects of which only this process knows: a crash leaves them for gc. */
static bool delete_unused(struct data *d)
{
	struct meta_garbage garbage[BATCH];
	size_t count = 0, gone;

	pthread_mutex_lock(&d->janitor_lock);
	while (d->unused && count < BATCH) {
		struct unused *u = d->unused;

		garbage[count++] = (struct meta_garbage){.object = u->object, .size = u->size};
		d->unused = u->next;
		free(u);
	}
	pthread_mutex_unlock(&d->janitor_lock);
	if (!count)
		return false;
	gone = delete_batch(d, garbage, count);
	for (size_t i = gone; i < count; i++)
		garbage_add(d, garbage[i].object, garbage[i].size);
	return gone == count;
}

/*
 * List what is to be deleted, unless there still is a list. What freed these objects must outlive a crash,
 * which would else bring back metadata that names them: the sync, and for the loss of the machine
 * may_delete().
 */
static bool hold_garbage(struct data *d)
{
	size_t count = 0;

	if (d->held_count)
		return true;
	if (!d->held)
		d->held = calloc(HELD_MAX, sizeof(*d->held));
	if (!d->held || meta_list_garbage(d->meta, d->held, HELD_MAX, &count) < 0 || !count)
		return false;
	d->held_sequence = meta_sequence(d->meta);
	if (!d->held_sequence || meta_sync(d->meta) < 0)
		return false;
	d->held_count = count;
	return true;
}

/*
 * What came and went since the metadata was copied last, e.g. a temporary file, waits for nothing but the
 * sync. A copy that is being made meanwhile cannot name it either: it was freed before that one began.
 */
static bool collect_private(struct data *d)
{
	struct meta_garbage garbage[BATCH];
	uint64_t first = d->hooks.first_private ? d->hooks.first_private(d->hooks.arg) : UINT64_MAX;
	size_t count = 0, n = 0, gone;

	if (first == UINT64_MAX ||
	    meta_list_garbage_from(d->meta, first, garbage, ARRAY_SIZE(garbage), &count) < 0 || !count ||
	    meta_sync(d->meta) < 0)
		return false;
	first = d->hooks.first_private(d->hooks.arg);
	for (size_t i = 0; i < count; i++) {
		if (garbage[i].object >= first && first != UINT64_MAX)
			garbage[n++] = garbage[i];
	}
	gone = delete_batch(d, garbage, n);
	return gone && meta_garbage_deleted(d->meta, garbage, gone) == 0 && gone == ARRAY_SIZE(garbage);
}

static bool may_delete(struct data *d)
{
	return !d->hooks.may_delete || d->hooks.may_delete(d->hooks.arg, d->held_sequence);
}

/* One round. @return whether there may be more that can be done now. */
static bool collect(struct data *d)
{
	struct meta_garbage *garbage;
	size_t count, gone;
	int r = 0;

	if (d->options.read_only)
		return false;
	delete_unused(d);
	while (collect_private(d) && !atomic_load(&d->closing))
		;
	if (!hold_garbage(d))
		return false;
	if (!may_delete(d)) {
		if (!atomic_exchange(&d->store_full, false) || !d->hooks.want_delete)
			return false;
		d->hooks.want_delete(d->hooks.arg);
		if (!may_delete(d))
			return false;
	}
	count = d->held_count < BATCH ? d->held_count : BATCH;
	garbage = d->held + d->held_count - count;
	gone = delete_batch(d, garbage, count);
	if (gone < count && !d->garbage_warned)
		log_warning("objects that are no longer needed could not be deleted, this is tried again: %s",
		            store_url(d->store));
	d->garbage_warned = gone < count;
	if (gone)
		r = meta_garbage_deleted(d->meta, garbage, gone);
	/* What is left over is listed again. */
	d->held_count = r == 0 && gone == count ? d->held_count - count : 0;
	return r == 0 && gone == count;
}

static void flush_old(struct data *d)
{
	_cleanup_free_ struct data_file **files = NULL;
	size_t count = 0;

	file_list_changed(d, monotonic_ns() - expire_ns(d), &files, &count);
	for (size_t i = 0; i < count; i++) {
		data_fsync(files[i]); /* whoever writes it goes on */
		file_put(files[i], true);
	}
}

/* Sleep until @p wake (monotonic), or until told to end, or, if @p kicks count, kicked. The lock is held. */
static void janitor_sleep(struct data *d, int64_t wake, bool kicks)
{
	struct timespec until = {.tv_sec = wake / 1000000000, .tv_nsec = wake % 1000000000};

	while (!d->janitor_ends && !(kicks && d->janitor_kicked) &&
	       pthread_cond_timedwait(&d->janitor_wake, &d->janitor_lock, &until) == 0)
		;
}

static void *janitor_main(void *arg)
{
	struct data *d = arg;
	const int64_t tick = expire_ns(d) < TICK_NS ? expire_ns(d) : TICK_NS;
	int64_t looked = monotonic_ns();

	pthread_mutex_lock(&d->janitor_lock);
	for (;;) {
		janitor_sleep(d, looked + tick, true);
		janitor_sleep(d, monotonic_ns() + PAUSE_NS, false);
		if (d->janitor_ends)
			break;
		d->janitor_kicked = false;
		pthread_mutex_unlock(&d->janitor_lock);
		if (monotonic_ns() >= looked + tick) {
			looked = monotonic_ns();
			if (!d->options.read_only)
				flush_old(d);
		}
		while (compact_next(d) && !atomic_load(&d->closing))
			;
		while (collect(d) && !atomic_load(&d->closing))
			;
		pthread_mutex_lock(&d->janitor_lock);
	}
	pthread_mutex_unlock(&d->janitor_lock);
	return NULL;
}

int janitor_start(struct data *d)
{
	pthread_condattr_t monotonic;
	int r;

	pthread_mutex_init(&d->janitor_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&d->janitor_wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	/* What an earlier mount left is looked at right away. */
	d->janitor_kicked = true;
	r = pthread_create(&d->janitor, NULL, janitor_main, d);
	if (r != 0) {
		pthread_cond_destroy(&d->janitor_wake);
		pthread_mutex_destroy(&d->janitor_lock);
	}
	return -r;
}

void janitor_stop(struct data *d)
{
	atomic_store(&d->closing, true);
	pthread_mutex_lock(&d->janitor_lock);
	d->janitor_ends = true;
	pthread_cond_signal(&d->janitor_wake);
	pthread_mutex_unlock(&d->janitor_lock);
	pthread_join(d->janitor, NULL);
}

void janitor_finish(struct data *d)
{
	int64_t until;

	/* Listed before the metadata is shipped for the last time: then all of it may go. */
	d->held_count = 0;
	if (!d->options.read_only)
		hold_garbage(d);
	if (d->hooks.all_committed)
		d->hooks.all_committed(d->hooks.arg);
	until = monotonic_ns() + CLOSE_NS;
	while (collect(d) && monotonic_ns() < until)
		;
	while (d->unused) {
		struct unused *u = d->unused;

		d->unused = u->next;
		free(u);
	}
	free(d->held);
	pthread_cond_destroy(&d->janitor_wake);
	pthread_mutex_destroy(&d->janitor_lock);
}

void janitor_kick(struct data *d)
{
	SCOPED_LOCK(&d->janitor_lock);
	d->janitor_kicked = true;
	pthread_cond_signal(&d->janitor_wake);
}

void garbage_add(struct data *d, uint64_t object, uint32_t size)
{
	struct unused *u = malloc(sizeof(*u));

	if (!u)
		return;
	SCOPED_LOCK(&d->janitor_lock);
	*u = (struct unused){.next = d->unused, .object = object, .size = size};
	d->unused = u;
}
