/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From staged to committed.
 *
 *   dirty --cache_begin_upload()--> object put --> in f->uploaded
 *         --meta_commit_write()--> cache_end_upload(ok), cache_commit()
 *
 * A write that comes in between makes its bytes dirty again, and the next round
 * uploads them again.  What fails on the way is dirty as before; the object, if
 * there is one, is deleted.
 */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>

struct range {
	uint64_t offset, length;
};

struct ranges {
	struct range *list;
	size_t count, room;
	uint64_t window; /* ranges are cut at multiples of this */
};

static int add_range(uint64_t offset, uint64_t length, void *arg)
{
	struct ranges *r = arg;

	while (length) {
		uint64_t left = r->window - offset % r->window;
		uint64_t n = length < left ? length : left;

		if (r->count == r->room) {
			size_t room = r->room ? 2 * r->room : 16;
			struct range *list = reallocarray(r->list, room, sizeof(*list));

			if (!list)
				return -ENOMEM;
			r->list = list;
			r->room = room;
		}
		r->list[r->count++] = (struct range){.offset = offset, .length = n};
		offset += n;
		length -= n;
	}
	return 0;
}

/* ---- upload ---- */

/* What of one window is dirty; it becomes one object with a slice for each range. */
struct window {
	struct data_file *f;
	struct cache_file *cache;
	struct range *ranges;
	size_t count;
	bool skipped; /* something was rewritten that waits for its commit */
	int error;
};

static int remember_uploaded(struct data_file *f, const struct range *ranges, size_t count, uint64_t object,
                             uint32_t size)
{
	uint32_t chunk_size = f->d->chunk_size, at = 0;
	struct uploaded *list;

	SCOPED_LOCK(&f->lock);
	list = reallocarray(f->uploaded, f->uploaded_count + count, sizeof(*list));
	if (!list)
		return -ENOMEM;
	f->uploaded = list;
	for (size_t i = 0; i < count; i++) {
		list[f->uploaded_count++] = (struct uploaded){
			.offset = ranges[i].offset,
			.length = ranges[i].length,
			.write = {.chunk = ranges[i].offset / chunk_size,
		                  .slice = {.pos = ranges[i].offset % chunk_size,
		                            .length = ranges[i].length,
		                            .object = object,
		                            .offset = at,
		                            .size = size}},
		};
		at += ranges[i].length;
	}
	return 0;
}

static void upload_window(struct window *w)
{
	struct data *d = w->f->d;
	_cleanup_free_ char *buffer = NULL;
	uint64_t total = 0, object;
	size_t begun = 0;
	int r = 0;

	/* Those that have to wait for their commit are left out. */
	for (size_t i = 0; i < w->count; i++) {
		r = cache_begin_upload(w->cache, w->ranges[i].offset, w->ranges[i].length);
		if (r == -EBUSY) {
			w->skipped = true;
		} else if (r < 0) {
			w->error = r;
			break;
		} else {
			w->ranges[begun++] = w->ranges[i];
			total += w->ranges[i].length;
		}
	}
	if (!begun)
		return;

	r = w->error;
	if (r == 0) {
		memory_take(d, total);
		buffer = object_buffer(total);
		if (!buffer)
			r = -ENOMEM;
		for (size_t i = 0, at = 0; r == 0 && i < begun; at += w->ranges[i++].length)
			r = cache_read_dirty(w->cache, w->ranges[i].offset, w->ranges[i].length, buffer + at);
		if (r == 0)
			r = object_upload(d, buffer, total, &object);
		free(TAKE_PTR(buffer));
		memory_give(d, total);
	}
	if (r == 0) {
		r = remember_uploaded(w->f, w->ranges, begun, object, total);
		if (r < 0)
			garbage_add(d, object, total);
	}
	if (r < 0) {
		w->error = r;
		for (size_t i = 0; i < begun; i++)
			cache_end_upload(w->cache, w->ranges[i].offset, w->ranges[i].length, false);
	}
}

static void upload_one(void *arg, size_t i)
{
	upload_window((struct window *)arg + i);
}

/* Upload what is dirty, a window after the other or several at once. */
static int upload_dirty(struct data_file *f, struct cache_file *cache, bool *ret_skipped)
{
	struct ranges ranges = {.window = f->d->object_size};
	_cleanup_free_ struct range *list = NULL;
	_cleanup_free_ struct window *windows = NULL;
	size_t count = 0;
	int r;

	r = cache_for_dirty(cache, 0, INT64_MAX, add_range, &ranges);
	list = ranges.list;
	if (r < 0 || !ranges.count)
		return r;
	windows = calloc(ranges.count, sizeof(*windows));
	if (!windows)
		return -ENOMEM;
	for (size_t i = 0; i < ranges.count; i++) {
		if (!count ||
		    list[i].offset / ranges.window != windows[count - 1].ranges->offset / ranges.window)
			windows[count++] = (struct window){.f = f, .cache = cache, .ranges = &list[i]};
		windows[count - 1].count++;
	}
	transfer_each(f->d->transfer, TRANSFER_UP, count, upload_one, windows);
	for (size_t i = 0; i < count; i++) {
		if (windows[i].error && r == 0)
			r = windows[i].error;
		*ret_skipped |= windows[i].skipped;
	}
	return r;
}

/* ---- in the background ---- */

/* The background upload @p later has ended, or will not be. */
static void later_free(struct later *later)
{
	struct data_file *f = later->f;
	struct later **at = &f->laters;

	pthread_mutex_lock(&f->lock);
	while (*at != later)
		at = &(*at)->next;
	*at = later->next;
	if (!f->laters)
		pthread_cond_broadcast(&f->quiet);
	pthread_mutex_unlock(&f->lock);
	free(later);
}

static void upload_later(void *arg)
{
	struct later *later = arg;
	struct data_file *f = later->f;
	struct ranges ranges = {.window = f->d->object_size};
	struct window w = {.f = f, .cache = cache_of(f)};

	if (w.cache &&
	    cache_for_dirty(w.cache, later->window * ranges.window, ranges.window, add_range, &ranges) == 0 &&
	    ranges.count) {
		w.ranges = ranges.list;
		w.count = ranges.count;
		/* What fails stays dirty: the next flush tries again, and reports it. */
		upload_window(&w);
	}
	free(ranges.list);
	later_free(later);
	file_put(f, true);
}

void upload_window_later(struct data_file *f, uint64_t window)
{
	struct later *later = malloc(sizeof(*later));
	bool busy;

	if (!later)
		return;
	*later = (struct later){.f = f, .window = window};
	pthread_mutex_lock(&f->lock);
	busy = f->flushing;
	for (struct later *other = f->laters; other && !busy; other = other->next)
		busy = other->window == window;
	if (!busy) {
		later->next = f->laters;
		f->laters = later;
	}
	pthread_mutex_unlock(&f->lock);
	if (busy) {
		free(later);
		return;
	}
	file_ref(f);
	if (transfer_submit(f->d->transfer, TRANSFER_UP, upload_later, later) < 0) {
		later_free(later);
		file_put(f, false);
	}
}

/* ---- commit ---- */

static int is_dirty(uint64_t offset, uint64_t length, void *arg)
{
	(void)offset, (void)length, (void)arg;
	return 1;
}

/*
 * What was rewritten since its upload is uploaded anew, with the object that has the old bytes as a whole:
 * were that committed first, a crash between the two would leave neither the old nor the new file. f->flush
 * is held, and no upload runs.
 */
static void give_up_rewritten(struct data_file *f, struct cache_file *cache)
{
	struct uploaded *list = f->uploaded; /* only who holds f->flush changes it now */
	size_t kept = 0;

	for (size_t i = 0, next; i < f->uploaded_count; i = next) {
		uint64_t object = list[i].write.slice.object;
		bool dirty = false;

		/* Those that were tried may be named by the metadata after all. */
		for (next = i; next < f->uploaded_count && list[next].write.slice.object == object; next++)
			dirty |= !list[next].tried &&
			         cache_for_dirty(cache, list[next].offset, list[next].length, is_dirty, NULL);
		if (dirty)
			garbage_add(f->d, object, list[i].write.slice.size);
		for (size_t n = i; n < next; n++) {
			if (dirty)
				cache_end_upload(cache, list[n].offset, list[n].length, false);
			else
				list[kept++] = list[n];
		}
	}
	SCOPED_LOCK(&f->lock);
	f->uploaded_count = kept;
}

/*
 * Commit @p list, in one transaction whatever its length: a crash leaves the file as it was before or as it
 * is now. f->flush is held.
 */
static int commit_list(struct data_file *f, struct cache_file *cache, const struct uploaded *list,
                       size_t count, uint64_t size, bool io_held)
{
	struct data *d = f->d;
	_cleanup_free_ struct meta_write *writes = calloc(count + 1, sizeof(*writes));
	struct meta_attr attr;
	struct timespec mtime;
	bool dirty;
	int r;

	if (!writes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		writes[i] = list[i].write;
		if (list[i].offset + list[i].length > size)
			size = list[i].offset + list[i].length;
	}
	pthread_mutex_lock(&f->lock);
	mtime = f->mtime;
	pthread_mutex_unlock(&f->lock);
	r = meta_commit_write(d->meta, f->ino, writes, count, size, mtime, false, true, &attr);
	if (r < 0)
		return r;

	/* Writers stay out while it is found out what is left. */
	if (!io_held)
		pthread_mutex_lock(&f->io);
	for (size_t i = 0; i < count; i++)
		cache_end_upload(cache, list[i].offset, list[i].length, true);
	r = cache_commit(cache, attr.version, attr.size);
	dirty = cache_file_is_dirty(cache);
	pthread_mutex_lock(&f->lock);
	f->version = attr.version;
	f->unsynced = false;
	f->changed = dirty;
	if (dirty)
		f->changed_since = monotonic_ns();
	else
		f->warned = false;
	if (!f->changers && !f->changed)
		f->announced = false;
	pthread_mutex_unlock(&f->lock);
	/* The cache lost it; what it has now is of another version. The commit stands. */
	if (r < 0 && !dirty)
		file_cache_again(f);
	if (!io_held)
		pthread_mutex_unlock(&f->io);
	return 0;
}

/* Commit all that is uploaded, of a file of @p size bytes. f->flush is held, and no upload runs. */
static int commit(struct data_file *f, struct cache_file *cache, uint64_t size, bool io_held)
{
	_cleanup_free_ struct uploaded *list = NULL;
	size_t count;
	int r;

	pthread_mutex_lock(&f->lock);
	list = TAKE_PTR(f->uploaded);
	count = f->uploaded_count;
	f->uploaded_count = 0;
	pthread_mutex_unlock(&f->lock);
	if (!count)
		return 0;

	r = commit_list(f, cache, list, count, size, io_held);
	if (r == 0) {
		janitor_kick(f->d);
	} else {
		/* Kept for the next time. Nothing was added meanwhile: only who holds f->flush uploads now.
		 */
		for (size_t i = 0; i < count; i++)
			list[i].tried = true;
		pthread_mutex_lock(&f->lock);
		f->uploaded = TAKE_PTR(list);
		f->uploaded_count = count;
		pthread_mutex_unlock(&f->lock);
	}
	return r;
}

/* Nothing was dirty after all. f->flush is held. */
static void settle(struct data_file *f, struct cache_file *cache, bool io_held)
{
	bool dirty;

	if (!io_held)
		pthread_mutex_lock(&f->io);
	dirty = cache_file_is_dirty(cache);
	pthread_mutex_lock(&f->lock);
	f->changed = dirty;
	if (!f->changers && !f->changed)
		f->announced = false;
	pthread_mutex_unlock(&f->lock);
	if (!io_held)
		pthread_mutex_unlock(&f->io);
}

int flush_locked(struct data_file *f, bool io_held)
{
	struct cache_file *cache = cache_of(f);
	bool skipped = false;
	int r = 0;

	if (!cache)
		return 0;
	pthread_mutex_lock(&f->lock);
	if (!f->changed) {
		pthread_mutex_unlock(&f->lock);
		return 0;
	}
	f->flushing = true;
	while (f->laters)
		pthread_cond_wait(&f->quiet, &f->lock);
	pthread_mutex_unlock(&f->lock);

	give_up_rewritten(f, cache);
	/*
	 * What is rewritten during this takes a second round; by then its first upload is committed, and with
	 * nothing going on in the background there is no third.
	 */
	do {
		uint64_t size;

		/* As it is now: what is written behind it later has bytes that are not uploaded. */
		pthread_mutex_lock(&f->lock);
		size = f->size;
		pthread_mutex_unlock(&f->lock);
		skipped = false;
		r = upload_dirty(f, cache, &skipped);
		if (r == 0)
			r = commit(f, cache, size, io_held);
	} while (r == 0 && skipped);
	if (r == 0)
		settle(f, cache, io_held);

	pthread_mutex_lock(&f->lock);
	f->flushing = false;
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* Commit, and make durable if @p sync; a file that is lent is lent again if @p again. */
static int flush_file(struct data_file *f, bool sync, bool again)
{
	struct data *d = f->d;
	bool changed, unsynced, warn, idle, lent;
	uint64_t size;
	int r = 0;

	pthread_mutex_lock(&f->lock);
	lent = f->lent || (!again && f->on_loan);
	changed = f->changed || lent;
	f->changers += lent; /* until it is known whether it is changed */
	pthread_mutex_unlock(&f->lock);

	pthread_mutex_lock(&f->flush);
	if (lent) {
		pthread_mutex_lock(&f->io);
		r = file_take_back(f, !again);
		pthread_mutex_unlock(&f->io);
		pthread_mutex_lock(&f->lock);
		f->changers--;
		pthread_mutex_unlock(&f->lock);
	}
	if (r == 0)
		r = flush_locked(f, false);
	pthread_mutex_lock(&f->lock);
	unsynced = sync && f->unsynced;
	if (unsynced)
		f->unsynced = false;
	pthread_mutex_unlock(&f->lock);
	if (unsynced) {
		int synced = meta_sync(d->meta);

		if (synced < 0) {
			pthread_mutex_lock(&f->lock);
			f->unsynced = true;
			pthread_mutex_unlock(&f->lock);
			if (r == 0)
				r = synced;
		}
	}
	pthread_mutex_unlock(&f->flush);
	if (lent && again && r == 0)
		data_lend(f, 0, 0);

	pthread_mutex_lock(&f->lock);
	warn = r < 0 && !f->warned;
	if (warn)
		f->warned = true;
	idle = !f->changers && !f->changed && !f->lent;
	size = f->size;
	pthread_mutex_unlock(&f->lock);
	if (warn)
		log_error("inode %" PRIu64
		          " could not be written to the store, its bytes are kept to try again: "
		          "%s",
		          f->ino, strerror(-r));
	if (changed && idle && d->hooks.changed)
		d->hooks.changed(d->hooks.arg, f->ino, 0, size);
	return r;
}

static int flush_named(struct data_file *f, bool again)
{
	bool changed;

	pthread_mutex_lock(&f->lock);
	changed = f->changed || f->unsynced || f->lent || (!again && f->on_loan);
	pthread_mutex_unlock(&f->lock);
	/* Without a name there is nothing to be found again. */
	return changed && !file_is_orphan(f) ? flush_file(f, true, again) : 0;
}

int data_flush(struct data_file *f)
{
	return flush_named(f, false);
}

int data_fsync(struct data_file *f)
{
	return flush_named(f, true);
}

int file_commit(struct data_file *f)
{
	bool changed;

	pthread_mutex_lock(&f->lock);
	changed = f->changed || f->lent;
	pthread_mutex_unlock(&f->lock);
	return changed ? flush_file(f, false, true) : 0;
}

int data_sync(struct data *d)
{
	_cleanup_free_ struct data_file **files = NULL;
	size_t count = 0;
	int r, first;

	first = file_list_changed(d, INT64_MAX, &files, &count);
	for (size_t i = 0; i < count; i++) {
		r = data_flush(files[i]);
		if (r < 0 && first == 0)
			first = r;
		file_put(files[i], false);
	}
	return first;
}
