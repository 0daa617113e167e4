/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping the limits.
 *
 * Whoever needs room evicts until there is enough, one victim at a time; a thread does the
 * same ahead of need, and looks now and then whether others filled the disk.
 *
 * Victims.  Inodes that are not loaded have no memory, so nobody keeps them in
 * a list by age: now and then all records are read once and the VICTIMS least
 * recently used become the list.  It is used up before the next is made; who was used since is
 * passed over.
 */
#include "cache/internal.h"

#define VICTIMS 1024
#define WHOLE_FILE_BYTES (8u << 20) /* up to here a file goes as a whole, beyond it chunk by chunk */
#define THREAD_PERIOD_S 5

/** @return how many bytes are too many, with those that are reserved. */
static uint64_t excess(struct cache *c, uint64_t limit)
{
	uint64_t planned = c->bytes + c->reserved, too_many = 0, space, total, keep;

	if (c->max_bytes && planned > limit)
		too_many = planned - limit;
	if (c->free_space_ratio > 0 && datadir_space(c->datadir, &space, &total) == 0) {
		keep = (uint64_t)(c->free_space_ratio * (double)total) + c->reserved;
		if (space < keep)
			too_many = max_u64(too_many, keep - space);
	}
	return too_many;
}

/* ---- choosing ---- */

struct scan {
	struct cache *c;
	struct victim *v; /* a heap: the most recently used of those chosen is v[0] */
	size_t n;
};

static void heap_swap(struct victim *a, struct victim *b)
{
	struct victim t = *a;

	*a = *b;
	*b = t;
}

static void heap_add(struct scan *s, struct victim v)
{
	size_t i, child;

	if (s->n < VICTIMS) {
		for (i = s->n++, s->v[i] = v; i && s->v[(i - 1) / 2].last_use < s->v[i].last_use;
		     i = (i - 1) / 2)
			heap_swap(&s->v[i], &s->v[(i - 1) / 2]);
		return;
	}
	if (v.last_use >= s->v[0].last_use)
		return;
	s->v[0] = v;
	for (i = 0; (child = 2 * i + 1) < s->n; i = child) {
		if (child + 1 < s->n && s->v[child + 1].last_use > s->v[child].last_use)
			child++;
		if (s->v[i].last_use >= s->v[child].last_use)
			break;
		heap_swap(&s->v[i], &s->v[child]);
	}
}

static int scan_record(uint64_t ino, const struct cache_index_inode *record, void *arg)
{
	struct scan *s = arg;
	bool loaded;

	/* Most are too young: do not ask for them. What is in memory is younger than its record. */
	if (s->n == VICTIMS && record->last_use >= s->v[0].last_use)
		return 0;
	pthread_mutex_lock(&s->c->lock);
	loaded = cache_table_find(s->c, ino) != NULL;
	pthread_mutex_unlock(&s->c->lock);
	if (!loaded)
		heap_add(s, (struct victim){ino, record->last_use});
	return 0;
}

static int compare_victims(const void *a, const void *b)
{
	const struct victim *x = a, *y = b;

	return (x->last_use < y->last_use) - (x->last_use > y->last_use);
}

/** Under evict_lock. @return 0, -ENOSPC (nobody to evict), -ENOMEM, -EIO. */
static int find_victims(struct cache *c)
{
	struct scan s = {.c = c, .v = c->victims};
	int r;

	if (!s.v)
		s.v = c->victims = calloc(VICTIMS, sizeof(*s.v));
	if (!s.v)
		return -ENOMEM;
	c->n_victims = 0;
	r = cache_index_for_inodes(c->index, scan_record, &s);
	if (r)
		return r;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < TABLE_SLOTS; i++)
		for (struct cache_file *f = c->table[i]; f; f = f->next)
			if (f->disk_bytes)
				heap_add(&s, (struct victim){f->ino, f->last_use});
	pthread_mutex_unlock(&c->lock);
	qsort(s.v, s.n, sizeof(*s.v), compare_victims);
	c->n_victims = s.n;
	return s.n ? 0 : -ENOSPC;
}

/** Take the next victim. *ret_fresh: the list was made just now. */
static int next_victim(struct cache *c, bool may_scan, struct victim *ret, bool *ret_fresh)
{
	int r = 0;

	*ret_fresh = false;
	pthread_mutex_lock(&c->evict_lock);
	if (!c->n_victims) {
		r = may_scan ? find_victims(c) : -ENOSPC;
		*ret_fresh = true;
	}
	if (!r)
		*ret = c->victims[--c->n_victims];
	pthread_mutex_unlock(&c->evict_lock);
	return r;
}

/* ---- evicting ---- */

struct old_chunk {
	uint64_t number;
	uint64_t used;
};

struct old_chunks {
	struct cache_file *f;
	struct old_chunk *v;
	size_t n, capacity;
};

static int old_chunk_add(struct old_chunks *o, uint64_t number, uint64_t used)
{
	if (o->n == o->capacity) {
		size_t capacity = o->capacity ? 2 * o->capacity : 64;
		struct old_chunk *v = reallocarray(o->v, capacity, sizeof(*v));

		if (!v)
			return -ENOMEM;
		o->v = v;
		o->capacity = capacity;
	}
	o->v[o->n++] = (struct old_chunk){number, used};
	return 0;
}

static int old_chunk_record(uint64_t number, uint64_t valid, void *arg)
{
	struct old_chunks *o = arg;

	if (!valid || number > INT64_MAX / CACHE_CHUNK_SIZE || chunks_find(&o->f->chunks, number))
		return 0;
	return old_chunk_add(o, number, 0);
}

static int compare_chunks(const void *a, const void *b)
{
	const struct old_chunk *x = a, *y = b;

	if (x->used != y->used)
		return (x->used > y->used) - (x->used < y->used);
	return (x->number > y->number) - (x->number < y->number);
}

/** Drop chunks of @p f, least recently used first, until @p want bytes are free or none is left. @return
 * bytes freed. */
static uint64_t evict_chunks(struct cache_file *f, uint64_t want)
{
	struct old_chunks o = {.f = f};
	uint64_t freed = 0;
	struct chunk *c;
	int r = 0;

	pthread_rwlock_rdlock(&f->lock);
	if (f->name.id && !f->unindexed)
		r = cache_index_for_chunks(f->cache->index, f->name.id, 0, UINT64_MAX, old_chunk_record, &o);
	else if (f->pack && !chunks_find(&f->chunks, 0))
		r = old_chunk_add(&o, 0, 0);
	chunks_for_each (&f->chunks, c)
		if (!r && c->present)
			r = old_chunk_add(&o, c->number, c->used);
	pthread_rwlock_unlock(&f->lock);
	if (o.n)
		qsort(o.v, o.n, sizeof(*o.v), compare_chunks);
	for (size_t i = 0; i < o.n && freed < want; i++) {
		unsigned blocks = cache_drop_blocks(f, o.v[i].number, ~UINT64_C(0), false);

		f->cache->evictions += blocks;
		freed += (uint64_t)blocks * CACHE_BLOCK_SIZE;
	}
	free(o.v);
	return freed;
}

bool cache_inode_is_mapped(struct cache *c, uint64_t ino)
{
	struct cache_index_inode record;
	struct data_name name = {};
	struct cache_file *f;
	bool mapped = false;
	int fd;

	if (!c->is_mapped)
		return false;
	pthread_mutex_lock(&c->lock);
	f = cache_table_find(c, ino);
	if (f)
		cache_file_ref(f);
	else if (cache_index_get_inode(c->index, ino, &record) == 0)
		name = (struct data_name){ino, record.created_version, record.id};
	pthread_mutex_unlock(&c->lock);
	if (f) {
		pthread_rwlock_rdlock(&f->lock);
		mapped = file_is_mapped(f);
		if (f->fd < 0)
			name = f->name;
		pthread_rwlock_unlock(&f->lock);
		cache_file_put(f);
	}
	if (name.id && (fd = datadir_open_file(c->datadir, &name)) >= 0) {
		mapped = c->is_mapped(c->is_mapped_arg, fd);
		close(fd);
	}
	return mapped;
}

/** Evict what can be of the victim. @p check: not if it was used since it was chosen. @return bytes freed. */
static uint64_t evict_inode(struct cache *c, const struct victim *v, bool check, uint64_t want)
{
	struct cache_index_inode record;
	struct cache_file *f, *whole = NULL;
	uint64_t freed = 0, blocks = 0;
	int r = 0;

	/*
	 * Mapped from here on, the data file would only be unlinked: the mapping keeps its bytes, and does
	 * not see what is written later. Chunks are not punched then, see file_punch().
	 */
	if (cache_inode_is_mapped(c, v->ino))
		return 0;
	pthread_mutex_lock(&c->lock);
	f = cache_table_find(c, v->ino);
	if (f) {
		if (check && f->last_use != v->last_use) {
			pthread_mutex_unlock(&c->lock);
			return 0;
		}
		cache_file_ref(f);
		if (f->refs == 1 && !f->uncommitted && f->disk_bytes <= max_u64(want, WHOLE_FILE_BYTES)) {
			cache_file_detach(f);
			freed = f->disk_bytes;
			whole = f;
		}
	} else {
		r = cache_index_get_inode(c->index, v->ino, &record);
		if (!r && check && record.last_use != v->last_use)
			r = -ENOENT;
		if (!r && record.bytes <= max_u64(want, WHOLE_FILE_BYTES)) {
			r = cache_index_delete_inode(c->index, v->ino);
			freed = record.bytes;
		} else if (!r) {
			r = cache_table_load(c, v->ino, record.version, record.size, &record, &f);
			if (!r)
				cache_file_ref(f);
		}
	}
	pthread_mutex_unlock(&c->lock);
	if (r)
		return 0;
	if (!f)
		cache_record_retire(c, v->ino, &record, &blocks);
	else if (whole)
		cache_file_retire(whole, &blocks);
	c->evictions += blocks;
	if (f && !whole) {
		freed = evict_chunks(f, want);
		cache_file_put(f);
	}
	return freed;
}

/** Evict one victim, for @p want bytes. @return 0, or -ENOSPC: there is nobody. */
static int evict_one(struct cache *c, uint64_t want)
{
	bool scanned = false, made, list_is_fresh = false;
	struct victim v;

	for (;;) {
		uint64_t freed;
		int r = next_victim(c, !scanned, &v, &made);

		if (r)
			return -ENOSPC;
		scanned |= made;
		list_is_fresh |= made;
		freed = evict_inode(c, &v, !list_is_fresh, want);
		if (!freed)
			continue;
		if (freed >= want) { /* there may be more of it */
			pthread_mutex_lock(&c->evict_lock);
			if (c->n_victims < VICTIMS)
				c->victims[c->n_victims++] = v;
			pthread_mutex_unlock(&c->evict_lock);
		}
		return 0;
	}
}

static void wake_thread(struct cache *c)
{
	pthread_mutex_lock(&c->thread_lock);
	c->thread_work = true;
	pthread_cond_signal(&c->thread_wake);
	pthread_mutex_unlock(&c->thread_lock);
}

int cache_reserve(struct cache *c, uint64_t bytes)
{
	uint64_t too_many;

	if (!bytes)
		return 0;
	c->reserved += bytes;
	while ((too_many = excess(c, c->max_bytes))) {
		if (c->max_bytes && bytes > c->max_bytes)
			break;
		if (evict_one(c, too_many) < 0)
			break;
	}
	if (!too_many)
		return 0;
	c->reserved -= bytes;
	c->full++;
	return -ENOSPC;
}

/* The thread begins above the first and stops below the second. */
static uint64_t high_water(const struct cache *c)
{
	return c->max_bytes - c->max_bytes / 32;
}

static uint64_t low_water(const struct cache *c)
{
	return c->max_bytes - c->max_bytes / 16;
}

void cache_unreserve(struct cache *c, uint64_t bytes)
{
	c->reserved -= bytes;
	if (c->max_bytes && c->bytes > high_water(c))
		wake_thread(c);
}

/* ---- ahead of need ---- */

static bool stopping(struct cache *c)
{
	bool stop;

	pthread_mutex_lock(&c->thread_lock);
	stop = c->thread_stop;
	pthread_mutex_unlock(&c->thread_lock);
	return stop;
}

static void *evict_thread(void *arg)
{
	struct cache *c = arg;

	for (;;) {
		struct timespec until;
		uint64_t too_many;
		bool stop;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += THREAD_PERIOD_S;
		pthread_mutex_lock(&c->thread_lock);
		while (!c->thread_stop && !c->thread_work)
			if (pthread_cond_timedwait(&c->thread_wake, &c->thread_lock, &until) == ETIMEDOUT)
				break;
		c->thread_work = false;
		stop = c->thread_stop;
		pthread_mutex_unlock(&c->thread_lock);
		if (stop)
			return NULL;
		if (!excess(c, high_water(c)))
			continue;
		while (!stopping(c) && (too_many = excess(c, low_water(c))))
			if (evict_one(c, too_many) < 0)
				break;
	}
}

int cache_evict_start(struct cache *c)
{
	pthread_condattr_t attr;
	int r;

	pthread_mutex_init(&c->thread_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->thread_wake, &attr);
	pthread_condattr_destroy(&attr);
	r = pthread_create(&c->thread, NULL, evict_thread, c);
	return -r;
}

void cache_evict_stop(struct cache *c)
{
	pthread_mutex_lock(&c->thread_lock);
	c->thread_stop = true;
	pthread_cond_signal(&c->thread_wake);
	pthread_mutex_unlock(&c->thread_lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->thread_wake);
	pthread_mutex_destroy(&c->thread_lock);
}
