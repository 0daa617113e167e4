/* SPDX-License-Identifier: Apache-2.0 */
/* Life of the module, the table of files in use, and what is pending of each. */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>

static size_t slot_of(uint64_t ino, size_t slots)
{
	return (ino * 0x9e3779b97f4a7c15ull >> 32) % slots;
}

/* ---- life ---- */

int data_open(struct meta *meta, struct store *store, struct cache *cache, const struct data_options *options,
              const struct data_hooks *hooks, struct data **ret)
{
	struct data *d = calloc(1, sizeof(*d));
	unsigned limits[TRANSFER_KINDS];
	int r;

	if (!d)
		return -ENOMEM;
	d->meta = meta;
	d->store = store;
	d->cache = cache;
	if (options)
		d->options = *options;
	else
		d->options.read_ahead = 8u << 20;
	if (!d->options.memory_bytes)
		d->options.memory_bytes = 64u << 20;
	if (!d->options.expire_s)
		d->options.expire_s = 30;
	if (!d->options.uploads)
		d->options.uploads = 8;
	if (!d->options.downloads)
		d->options.downloads = 16;
	if (hooks)
		d->hooks = *hooks;
	d->chunk_size = meta_volume(meta)->chunk_size;
	d->object_size = d->chunk_size < DATA_OBJECT_MAX ? d->chunk_size : DATA_OBJECT_MAX;
	pthread_mutex_init(&d->table_lock, NULL);
	pthread_mutex_init(&d->flights_lock, NULL);
	pthread_cond_init(&d->loaded, NULL);
	pthread_cond_init(&d->memory_given, NULL);
	TAILQ_INIT(&d->kept);

	limits[TRANSFER_UP] = d->options.uploads;
	limits[TRANSFER_DOWN] = d->options.downloads;
	r = transfer_new(limits, &d->transfer);
	if (r == 0)
		r = janitor_start(d);
	if (r < 0) {
		transfer_free(d->transfer);
		free(d);
		return r;
	}
	*ret = d;
	return 0;
}

static void file_free(struct data_file *f)
{
	flights_forget(f);
	if (f->cache)
		cache_file_put(f->cache);
	for (size_t i = 0; i < f->stale_count; i++)
		cache_file_put(f->stale[i]);
	free(f->stale);
	/* Of any other file than one that was reaped, metadata may name them; gc will know. */
	for (size_t i = 0; f->orphan && i < f->uploaded_count; i++)
		garbage_add(f->d, f->uploaded[i].write.slice.object, f->uploaded[i].write.slice.size);
	free(f->uploaded);
	pthread_cond_destroy(&f->quiet);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->io);
	pthread_mutex_destroy(&f->flush);
	free(f);
}

int data_close(struct data *d)
{
	int r;

	janitor_stop(d);
	r = data_sync(d);
	/* Jobs of the pool may put the last reference to a file, but there are no new ones. */
	transfer_drain(d->transfer);
	for (size_t i = 0; i < FILE_BUCKETS; i++) {
		while (d->table[i]) {
			struct data_file *f = d->table[i];

			d->table[i] = f->next;
			if (f->refs)
				log_debug("inode %" PRIu64 " is still open", f->ino);
			if (f->changed && !f->orphan)
				log_error("inode %" PRIu64 ": what was written since its last successful "
				          "fsync or close is lost",
				          f->ino);
			file_free(f);
		}
	}
	janitor_finish(d);
	transfer_free(d->transfer);
	pthread_cond_destroy(&d->memory_given);
	pthread_cond_destroy(&d->loaded);
	pthread_mutex_destroy(&d->flights_lock);
	pthread_mutex_destroy(&d->table_lock);
	free(d);
	return r;
}

void data_get_stats(struct data *d, struct data_stats *ret)
{
	struct data_stats stats = {};

	if (d->cache) {
		struct cache_stats cache;

		cache_get_stats(d->cache, &cache);
		stats.dirty_bytes = cache.dirty_bytes;
	}
	stats.uploads_running = transfer_running(d->transfer, TRANSFER_UP);
	stats.downloads_running = transfer_running(d->transfer, TRANSFER_DOWN);
	pthread_mutex_lock(&d->flights_lock);
	stats.memory_bytes = d->memory_used;
	pthread_mutex_unlock(&d->flights_lock);
	pthread_mutex_lock(&d->table_lock);
	stats.open_files = d->files;
	pthread_mutex_unlock(&d->table_lock);
	*ret = stats;
}

/* ---- the table ---- */

struct data_file *table_find(struct data *d, uint64_t ino)
{
	struct data_file *f = d->table[slot_of(ino, FILE_BUCKETS)];

	while (f && f->ino != ino)
		f = f->next;
	return f;
}

static struct data_file *file_new(struct data *d, uint64_t ino)
{
	struct data_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->d = d;
	f->ino = ino;
	f->refs = 1;
	pthread_mutex_init(&f->flush, NULL);
	pthread_mutex_init(&f->io, NULL);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->quiet, NULL);
	TAILQ_INIT(&f->flights);
	return f;
}

static void table_insert(struct data *d, struct data_file *f)
{
	size_t slot = slot_of(f->ino, FILE_BUCKETS);

	f->next = d->table[slot];
	d->table[slot] = f;
	d->files++;
}

static void table_remove(struct data *d, struct data_file *f)
{
	struct data_file **at = &d->table[slot_of(f->ino, FILE_BUCKETS)];

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	d->files--;
}

int data_file_get(struct data *d, uint64_t ino, struct data_file **ret)
{
	struct meta_attr attr;
	struct data_file *f;
	int r;

	pthread_mutex_lock(&d->table_lock);
	while ((f = table_find(d, ino)) && f->loading)
		pthread_cond_wait(&d->loaded, &d->table_lock);
	if (f) {
		r = f->reaping ? -ENOENT : 0;
		if (r == 0)
			f->refs++;
		pthread_mutex_unlock(&d->table_lock);
		if (r == 0)
			*ret = f;
		return r;
	}
	f = file_new(d, ino);
	if (!f) {
		pthread_mutex_unlock(&d->table_lock);
		return -ENOMEM;
	}
	/* In the table before the metadata is read: attributes read earlier may be old by then. */
	f->loading = true;
	table_insert(d, f);
	pthread_mutex_unlock(&d->table_lock);

	r = meta_getattr(d->meta, ino, &attr);
	if (r == 0 && S_ISDIR(attr.mode))
		r = -EISDIR;
	else if (r == 0 && !S_ISREG(attr.mode))
		r = -EINVAL;

	pthread_mutex_lock(&d->table_lock);
	f->loading = false;
	if (r == 0) {
		f->size = attr.size;
		f->version = attr.version;
		f->orphan = attr.nlink == 0;
	} else {
		table_remove(d, f);
	}
	pthread_cond_broadcast(&d->loaded);
	pthread_mutex_unlock(&d->table_lock);
	if (r == 0)
		*ret = f;
	else
		file_free(f);
	return r;
}

uint64_t data_file_ino(const struct data_file *f)
{
	return f->ino;
}

void file_ref(struct data_file *f)
{
	SCOPED_LOCK(&f->d->table_lock);
	f->refs++;
}

bool file_is_orphan(struct data_file *f)
{
	SCOPED_LOCK(&f->d->table_lock);
	return f->orphan;
}

static bool file_changed(struct data_file *f)
{
	SCOPED_LOCK(&f->lock);
	return f->changed || f->unsynced || f->lent || f->on_loan;
}

/* The inode's last name and last user are gone. */
static int reap(struct data *d, uint64_t ino)
{
	int r = d->options.read_only ? 0 : meta_reap(d->meta, ino);

	if (r < 0 && r != -ENOENT)
		log_warning("inode %" PRIu64 " stays until the next mount, deleting it failed: %s", ino,
		            strerror(-r));
	if (d->cache)
		cache_forget(d->cache, ino);
	if (d->hooks.forgotten)
		d->hooks.forgotten(d->hooks.arg, ino);
	janitor_kick(d);
	return r;
}

/* The file is marked reaping, and the caller has its last reference. */
static void file_reap(struct data_file *f)
{
	struct data *d = f->d;

	reap(d, f->ino);
	pthread_mutex_lock(&d->table_lock);
	table_remove(d, f);
	pthread_mutex_unlock(&d->table_lock);
	file_free(f);
}

/*
 * Nobody has the file any more. A small one that was written leaves the data file that its writer had for a
 * pack now; whoever publishes it does that.
 */
static void file_done(struct data_file *f)
{
	const struct data_hooks hooks = f->d->hooks;
	const uint64_t ino = f->ino, size = f->size;
	const bool pack = f->written && f->cache && size <= CACHE_PACK_MAX;

	file_free(f);
	if (pack && hooks.changed)
		hooks.changed(hooks.arg, ino, 0, size);
}

void file_put(struct data_file *f, bool flush)
{
	struct data *d = f->d;

	for (;;) {
		bool changed;

		pthread_mutex_lock(&d->table_lock);
		if (f->refs > 1) {
			f->refs--;
			pthread_mutex_unlock(&d->table_lock);
			return;
		}
		if (f->orphan && !f->forgotten) {
			f->refs = 0; /* it may be opened again: it still has a user, if not by a handle */
			pthread_mutex_unlock(&d->table_lock);
			return;
		}
		if (f->orphan) {
			f->reaping = true;
			pthread_mutex_unlock(&d->table_lock);
			file_reap(f);
			return;
		}
		changed = file_changed(f);
		if (!changed || !flush) {
			/* Nobody has it open, but its bytes are here only: it stays, for the janitor to try.
			 */
			f->refs = 0;
			if (!changed)
				table_remove(d, f);
			pthread_mutex_unlock(&d->table_lock);
			if (!changed)
				file_done(f);
			return;
		}
		pthread_mutex_unlock(&d->table_lock);
		data_flush(f);
		flush = false;
	}
}

void data_file_put(struct data_file *f)
{
	if (f)
		file_put(f, true);
}

int file_list_changed(struct data *d, int64_t before, struct data_file ***ret, size_t *ret_count)
{
	struct data_file **list;
	size_t count = 0;

	SCOPED_LOCK(&d->table_lock);
	list = calloc(d->files ? d->files : 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < FILE_BUCKETS; i++) {
		for (struct data_file *f = d->table[i]; f; f = f->next) {
			bool take;

			if (f->loading || f->reaping)
				continue;
			pthread_mutex_lock(&f->lock);
			take = (f->changed && f->changed_since <= before) || f->unsynced ||
			       (f->lent && f->lent_since <= before);
			pthread_mutex_unlock(&f->lock);
			if (!take)
				continue;
			f->refs++;
			list[count++] = f;
		}
	}
	*ret = list;
	*ret_count = count;
	return 0;
}

/* ---- orphans ---- */

void data_unlinked(struct data *d, uint64_t ino)
{
	struct data_file *f;

	pthread_mutex_lock(&d->table_lock);
	while ((f = table_find(d, ino)) && f->loading)
		pthread_cond_wait(&d->loaded, &d->table_lock);
	if (f)
		f->orphan = true;
	pthread_mutex_unlock(&d->table_lock);
}

void data_orphaned(struct data *d, uint64_t ino)
{
	struct data_file *f;

	pthread_mutex_lock(&d->table_lock);
	while ((f = table_find(d, ino)) && f->loading)
		pthread_cond_wait(&d->loaded, &d->table_lock);
	if (f && (f->reaping || f->refs)) {
		f->orphan = f->forgotten = true;
		pthread_mutex_unlock(&d->table_lock);
		return;
	}
	if (!f) {
		f = file_new(d, ino);
		if (f)
			table_insert(d, f);
	}
	if (!f) {
		pthread_mutex_unlock(&d->table_lock);
		reap(d, ino);
		return;
	}
	/* In the table while it is being reaped, so that nobody gets hold of it. */
	f->orphan = f->forgotten = f->reaping = true;
	pthread_mutex_unlock(&d->table_lock);
	file_reap(f);
}

void data_file_set_linkable(struct data_file *f)
{
	SCOPED_LOCK(&f->d->table_lock);
	f->linkable = true;
}

int data_link_begin(struct data *d, uint64_t ino, struct data_file **ret_file)
{
	struct data_file *f;
	int r;

	pthread_mutex_lock(&d->table_lock);
	while ((f = table_find(d, ino)) && f->loading)
		pthread_cond_wait(&d->loaded, &d->table_lock);
	if (!f || (!f->orphan && !f->reaping)) {
		pthread_mutex_unlock(&d->table_lock);
		*ret_file = NULL;
		return 0;
	}
	if (f->reaping || !f->linkable) {
		pthread_mutex_unlock(&d->table_lock);
		return -ENOENT;
	}
	f->refs++;
	f->orphan = f->linkable = false;
	pthread_mutex_unlock(&d->table_lock);

	/* A close or fsync before this had nothing to store: without a name it could not be found again. */
	r = data_flush(f);
	if (r < 0) {
		data_link_end(f, false);
		return r;
	}
	*ret_file = f;
	return 0;
}

void data_link_end(struct data_file *f, bool linked)
{
	if (!linked) {
		SCOPED_LOCK(&f->d->table_lock);
		f->orphan = f->linkable = true;
	}
	data_file_put(f);
}

int data_reap_orphans(struct data *d)
{
	_cleanup_free_ uint64_t *inos = NULL;
	size_t count = 0;
	int r, first = 0;

	if (d->options.read_only)
		return 0;
	r = meta_list_orphans(d->meta, &inos, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		r = reap(d, inos[i]);
		if (r < 0 && r != -ENOENT && first == 0)
			first = r;
	}
	return first;
}

/* ---- the cache file of a file ---- */

struct cache_file *file_cache_again(struct data_file *f)
{
	struct cache_file *fresh, **stale;
	uint64_t version, size;

	pthread_mutex_lock(&f->lock);
	version = f->version;
	size = f->size;
	pthread_mutex_unlock(&f->lock);
	if (!f->d->cache || cache_file_get(f->d->cache, f->ino, version, size, &fresh) < 0)
		return NULL;

	/* f->cache changes under io only, so it may be looked at without the lock here. */
	if (f->cache == fresh) {
		cache_file_put(fresh);
		return fresh;
	}
	if (f->cache) {
		stale = reallocarray(f->stale, f->stale_count + 1, sizeof(*stale));
		if (!stale) {
			cache_file_put(fresh);
			return NULL;
		}
		f->stale = stale;
		f->stale[f->stale_count++] = f->cache;
	}
	SCOPED_LOCK(&f->lock);
	f->cache = fresh;
	return fresh;
}

struct cache_file *file_cache(struct data_file *f, bool io_held)
{
	struct cache_file *cache = cache_of(f);

	if (cache || !f->d->cache)
		return cache;
	/* The version to ask with must not change meanwhile: who commits something holds io. */
	if (!io_held)
		pthread_mutex_lock(&f->io);
	cache = cache_of(f);
	if (!cache)
		cache = file_cache_again(f);
	if (!io_held)
		pthread_mutex_unlock(&f->io);
	return cache;
}

/* ---- pending ---- */

int file_begin_change(struct data_file *f, bool end)
{
	struct data *d = f->d;
	bool announced, lent;
	int r;

	pthread_mutex_lock(&f->lock);
	f->changers++;
	announced = f->announced;
	lent = f->lent || (end && f->on_loan);
	pthread_mutex_unlock(&f->lock);
	if (lent) {
		pthread_mutex_lock(&f->io);
		r = file_take_back(f, end);
		pthread_mutex_unlock(&f->io);
		if (r < 0) {
			file_end_change(f);
			return r;
		}
	} else if (announced) {
		return 0;
	}
	if (d->hooks.will_write)
		d->hooks.will_write(d->hooks.arg, f->ino);
	/* From here until nothing is pending any more, nobody publishes the inode. */
	pthread_mutex_lock(&f->lock);
	f->announced = f->written = true;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

void file_end_change(struct data_file *f)
{
	struct data *d = f->d;
	uint64_t size;
	bool idle;

	pthread_mutex_lock(&f->lock);
	f->changers--;
	idle = !f->changers && !f->changed && !f->lent;
	if (idle)
		f->announced = false;
	size = f->size;
	pthread_mutex_unlock(&f->lock);
	if (idle && d->hooks.changed)
		d->hooks.changed(d->hooks.arg, f->ino, 0, size);
}

enum data_state data_pending(struct data *d, struct meta_attr *attr)
{
	enum data_state state = DATA_COMMITTED;
	struct data_file *f;

	pthread_mutex_lock(&d->table_lock);
	f = table_find(d, attr->ino);
	if (f && !f->loading) {
		SCOPED_LOCK(&f->lock);
		if (f->changers || (f->changed && !f->lent))
			state = DATA_PENDING;
		else if (f->lent)
			state = DATA_LENT;
		if (state)
			attr->size = f->size;
		if (f->changed) {
			attr->mtime = f->mtime;
			if (f->mtime.tv_sec > attr->ctime.tv_sec ||
			    (f->mtime.tv_sec == attr->ctime.tv_sec && f->mtime.tv_nsec > attr->ctime.tv_nsec))
				attr->ctime = f->mtime;
		}
	}
	pthread_mutex_unlock(&d->table_lock);
	return state;
}
