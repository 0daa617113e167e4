/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that the kernel writes by itself.
 *
 * A file is either lent or not.  Lent, nobody here knows its size and bytes, and nobody here changes them.
 * Whoever wants either takes it back first: then no kernel write is under way, and what was written is
 * staged, as if by data_write().  A change takes it back for as long as it lasts (file_begin_change()); a
 * flush, for as long as it asks what was written, and the file may be lent again while it uploads.
 */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <inttypes.h>

/*
 * Bytes that the kernel may write before it has to come by. Staged bytes are what the cache cannot evict, so
 * this is how much it may be over its limit for each file.
 */
#define LEND_ROOM (16u << 20)

/*
 * The kernel says when it begins to write; should that be lost, it counts as having begun so many times later
 * than what is heard of may wait.
 */
#define UNHEARD_TIMES 2

/* What was taken back. */
struct written {
	struct data_file *f;
	struct cache_file *cache;
	struct timespec time;
	uint64_t begin, end; /* around all of it */
};

/* Whoever is told the attributes finds the write here as soon as the kernel's own note of it is gone. */
static int take_range(void *arg, uint64_t offset, uint64_t length)
{
	struct written *w = arg;
	struct data_file *f = w->f;
	int r = cache_lent_written(w->cache, offset, length);

	if (r < 0)
		return r;
	if (offset < w->begin)
		w->begin = offset;
	if (offset + length > w->end)
		w->end = offset + length;
	SCOPED_LOCK(&f->lock);
	if (w->end > f->size)
		f->size = w->end;
	f->mtime = w->time;
	if (!f->changed)
		f->changed_since = monotonic_ns();
	f->changed = f->written = true;
	return 0;
}

static bool is_lent(struct data_file *f)
{
	SCOPED_LOCK(&f->lock);
	return f->lent;
}

/* Upload in the background what was brought to its end. */
static void upload_written(struct data_file *f, const struct written *w)
{
	uint64_t window = f->d->object_size;

	for (uint64_t n = w->begin / window; n < w->end / window; n++)
		upload_window_later(f, n);
}

int file_take_back(struct data_file *f, bool end)
{
	struct data *d = f->d;
	struct written w = {.f = f, .cache = cache_of(f), .begin = UINT64_MAX};
	int r;

	if (!is_lent(f) && !(end && f->on_loan))
		return 0;
	r = d->hooks.take_back(d->hooks.arg, f->ino, end, take_range, &w, &w.time);
	if (r < 0) {
		log_error("inode %" PRIu64 ": what the kernel wrote could not be taken over: %s", f->ino,
		          strerror(-r));
		return r;
	}
	if (end) {
		cache_lend_end(w.cache);
		f->on_loan = false;
	}
	pthread_mutex_lock(&f->lock);
	f->lent = false;
	f->announced = true; /* it is in no map now */
	pthread_mutex_unlock(&f->lock);
	if (w.end && !end)
		upload_written(f, &w);
	return 0;
}

int file_have(struct data_file *f)
{
	int r;

	if (!is_lent(f))
		return 0;
	r = file_begin_change(f, false);
	if (!r)
		file_end_change(f);
	return r;
}

/*
 * Nobody changes it, and the cache knows the version that is committed, so from now on the kernel may write
 * it. f->io is held.
 */
static bool set_lent(struct data_file *f, uint64_t cached_version, uint64_t *ret_size)
{
	SCOPED_LOCK(&f->lock);
	if (f->changers || f->lent || f->version != cached_version)
		return false;
	f->lent = true;
	f->lent_since = monotonic_ns() + UNHEARD_TIMES * expire_ns(f->d);
	*ret_size = f->size;
	return true;
}

/* f->io is held. */
static void lend(struct data_file *f, uint64_t offset, uint64_t length)
{
	struct data *d = f->d;
	struct data_loan loan = {
		.cache = file_cache(f, true), .offset = offset, .length = length, .room = LEND_ROOM};
	int r;

	if (!loan.cache)
		return;
	r = cache_lend(loan.cache, offset, length, LEND_ROOM);
	if (r == -ENODATA && f->on_loan) { /* not these, but those that were lent before */
		loan.offset = loan.length = 0;
		r = cache_lend(loan.cache, 0, 0, LEND_ROOM);
	}
	if (r < 0) {
		file_take_back(f, true);
		return;
	}
	f->on_loan = true;
	if (!set_lent(f, cache_file_version(loan.cache), &loan.size) ||
	    d->hooks.lend(d->hooks.arg, f->ino, &loan))
		return;
	SCOPED_LOCK(&f->lock);
	f->lent = false;
}

void data_lend(struct data_file *f, uint64_t offset, uint64_t length)
{
	struct data *d = f->d;

	if (!d->cache || !d->hooks.may_lend || !d->hooks.may_lend(d->hooks.arg))
		return;
	pthread_mutex_lock(&f->io);
	if (!is_lent(f))
		lend(f, offset, length);
	pthread_mutex_unlock(&f->io);
}

void data_kernel_writes(struct data *d, uint64_t ino)
{
	struct data_file *f;

	SCOPED_LOCK(&d->table_lock);
	f = table_find(d, ino);
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	if (f->lent_since > monotonic_ns())
		f->lent_since = monotonic_ns();
	pthread_mutex_unlock(&f->lock);
}
