/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/internal.h"

#include "common/why.h"

/* ---- the table of loaded inodes; cache.lock ---- */

static struct cache_file **slot_of(struct cache *c, uint64_t ino)
{
	return &c->table[(ino * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}

_Static_assert(TABLE_SLOTS == 1 << (64 - 52), "slot_of() takes the uppermost 12 bits");

struct cache_file *cache_table_find(struct cache *c, uint64_t ino)
{
	struct cache_file *f = *slot_of(c, ino);

	while (f && f->ino != ino)
		f = f->next;
	return f;
}

int cache_table_load(struct cache *c, uint64_t ino, uint64_t version, uint64_t size,
                     const struct cache_index_inode *record, struct cache_file **ret)
{
	struct cache_file *f = calloc(1, sizeof(*f));
	pthread_rwlockattr_t attr;

	if (!f)
		return -ENOMEM;
	/* Readers that never pause must not keep a writer or the eviction out for ever. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&f->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	f->cache = c;
	f->ino = ino;
	f->version = version;
	f->size = f->committed_size = size;
	f->fd = -1;
	f->last_use = ++c->clock;
	if (record) {
		f->pack = record->pack ? packs_find(c->packs, record->pack) : NULL;
		f->slot = record->slot;
		f->crc = record->crc;
		if (!record->pack)
			f->name = (struct data_name){ino, record->created_version, record->id};
		f->last_use = record->last_use;
		f->disk_bytes = record->bytes;
	}
	f->next = *slot_of(c, ino);
	*slot_of(c, ino) = f;
	*ret = f;
	return 0;
}

static void table_remove(struct cache_file *f)
{
	struct cache_file **p = slot_of(f->cache, f->ino);

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	f->next = NULL;
}

static void idle_remove(struct cache_file *f)
{
	struct cache *c = f->cache;

	if (!f->idle)
		return;
	*(f->idle_newer ? &f->idle_newer->idle_older : &c->idle_newest) = f->idle_older;
	*(f->idle_older ? &f->idle_older->idle_newer : &c->idle_oldest) = f->idle_newer;
	f->idle_newer = f->idle_older = NULL;
	f->idle = false;
	c->n_idle--;
}

static void idle_add(struct cache_file *f)
{
	struct cache *c = f->cache;

	f->idle_older = c->idle_newest;
	*(c->idle_newest ? &c->idle_newest->idle_newer : &c->idle_oldest) = f;
	c->idle_newest = f;
	f->idle = true;
	c->n_idle++;
}

/** Free the memory of @p f, which nobody can reach. */
static void file_free(struct cache_file *f)
{
	f->cache->dirty_bytes -= f->dirty_counted;
	if (f->fd >= 0)
		close(f->fd);
	chunks_free(&f->chunks);
	ranges_free(&f->changed);
	ranges_free(&f->dirty);
	ranges_free(&f->uploading);
	ranges_free(&f->hidden);
	ranges_free(&f->lent);
	pthread_rwlock_destroy(&f->lock);
	free(f);
}

static int put_record(struct cache_file *f)
{
	struct cache_index_inode record = {
		.version = f->version,
		.size = f->committed_size,
		.id = f->name.id,
		.created_version = f->name.version,
		.last_use = f->last_use,
		.bytes = f->disk_bytes,
	};

	if (f->pack) {
		record.pack = pack_id(f->pack);
		record.slot = f->slot;
		record.crc = f->crc;
	}
	return cache_index_put_inode(f->cache->index, f->ino, &record);
}

int cache_file_save(struct cache_file *f)
{
	SCOPED_LOCK(&f->cache->lock);
	return f->detached ? -ESTALE : put_record(f);
}

void cache_file_put_record(struct cache_file *f)
{
	int r = f->unindexed || !f->name.id ? 0 : cache_file_save(f);

	if (r && r != -ESTALE)
		file_unindex(f);
}

/** Under cache.lock: forget an inode in memory that stays in the cache on disk. */
static void unload(struct cache_file *f)
{
	idle_remove(f);
	table_remove(f);
	/* An older record is as true as this one: only the time of use is lost if it cannot be written. */
	if (f->name.id || f->pack)
		put_record(f);
	file_free(f);
}

void cache_file_ref(struct cache_file *f)
{
	idle_remove(f);
	f->refs++;
}

void cache_file_detach(struct cache_file *f)
{
	idle_remove(f);
	table_remove(f);
	f->detached = true;
	/* If that fails, the record points to a data file that is about to be unlinked: a miss too. */
	cache_index_delete_inode(f->cache->index, f->ino);
}

/** The last reference to a detached inode is gone: so are its chunk records and its place on disk. */
static uint64_t destroy(struct cache_file *f)
{
	struct cache *c = f->cache;
	uint64_t blocks = 0;

	if (f->name.id) {
		cache_index_delete_chunks(c->index, f->name.id, 0, &blocks);
		c->bytes -= f->disk_bytes;
		c->files--;
	} else if (f->pack) {
		packed_release(c, f->pack, f->slot, f->size);
		blocks = 1;
	}
	file_free(f);
	return blocks;
}

/** Detached, and one reference is given back here. @return the sub-blocks that were given up. */
static uint64_t retire(struct cache_file *f)
{
	struct cache *c = f->cache;
	uint64_t blocks = 0;
	bool last;

	pthread_rwlock_wrlock(&f->lock);
	if (f->name.id && !f->unlinked) {
		datadir_unlink(c->datadir, &f->name);
		f->unlinked = true;
	}
	pthread_rwlock_unlock(&f->lock);

	pthread_mutex_lock(&c->lock);
	last = --f->refs == 0;
	pthread_mutex_unlock(&c->lock);
	if (last)
		blocks = destroy(f);
	return blocks;
}

void cache_file_retire(struct cache_file *f, uint64_t *ret_blocks)
{
	uint64_t blocks;

	before_drop(f->cache, f->ino, 0, UINT64_MAX);
	blocks = retire(f);
	if (ret_blocks)
		*ret_blocks = blocks;
}

void cache_record_retire(struct cache *c, uint64_t ino, const struct cache_index_inode *record,
                         uint64_t *ret_blocks)
{
	struct data_name name = {ino, record->created_version, record->id};
	struct pack *k = record->pack ? packs_find(c->packs, record->pack) : NULL;

	before_drop(c, ino, 0, UINT64_MAX);
	if (k) {
		packed_release(c, k, record->slot, record->size);
		if (ret_blocks)
			*ret_blocks = 1;
		return;
	}
	datadir_unlink(c->datadir, &name);
	cache_index_delete_chunks(c->index, record->id, 0, ret_blocks);
	c->bytes -= record->bytes;
	c->files--;
}

/* ---- references ---- */

int cache_file_get(struct cache *c, uint64_t ino, uint64_t version, uint64_t size, struct cache_file **ret)
{
	struct cache_index_inode record;
	struct cache_file *f, *old = NULL;
	bool known = false, stale = false;
	int r;

	if (!ino)
		return -EINVAL;
	if (size > INT64_MAX)
		return -EFBIG;
	pthread_mutex_lock(&c->lock);
	f = cache_table_find(c, ino);
	if (f && f->uncommitted && f->version != version) {
		pthread_mutex_unlock(&c->lock);
		return -EBUSY;
	}
	if (f && !f->uncommitted && (f->version != version || f->size != size)) {
		old = f;
		old->refs++; /* cache_file_retire() gives it back */
		cache_file_detach(old);
		f = NULL;
	} else if (!f) {
		known = cache_index_get_inode(c->index, ino, &record) == 0;
		stale = known && (record.version != version || record.size != size);
	}
	if (stale)
		cache_index_delete_inode(c->index, ino);
	r = f ? 0 : cache_table_load(c, ino, version, size, known && !stale ? &record : NULL, &f);
	if (!r)
		cache_file_ref(f);
	pthread_mutex_unlock(&c->lock);

	if (old)
		cache_file_retire(old, NULL);
	if (stale)
		cache_record_retire(c, ino, &record, NULL);
	if (r)
		return r;
	file_use(f);
	*ret = f;
	return 0;
}

/**
 * Under cache.lock: was its data file made for nothing, the file being empty then and now? So it is after a
 * new file was lent and not written to.
 */
static bool is_bare(const struct cache_file *f)
{
	return f->name.id && f->name.version == f->version && !f->size && !f->uncommitted && !f->on_loan;
}

void cache_file_put(struct cache_file *f)
{
	struct cache *c;
	bool bare = false, unfindable = false, last = false;

	if (!f)
		return;
	c = f->cache;
	pthread_mutex_lock(&c->lock);
	if (f->refs == 1 && !f->detached && is_bare(f)) {
		cache_file_detach(f);
		bare = true;
	} else if (f->refs == 1 && !f->detached && f->unindexed && !f->uncommitted) {
		/* On disk there is nothing left to find it by. */
		cache_file_detach(f);
		unfindable = true;
	} else if (--f->refs == 0) {
		f->own = false;
		if (f->detached)
			last = true;
		else if (!f->uncommitted)
			idle_add(f);
	}
	if (c->n_idle > IDLE_FILES)
		unload(c->idle_oldest);
	pthread_mutex_unlock(&c->lock);
	if (bare)
		retire(f); /* nobody was told of any bytes: no before_drop() */
	else if (unfindable)
		cache_file_retire(f, NULL);
	else if (last)
		destroy(f);
}

uint64_t cache_file_ino(const struct cache_file *f)
{
	return f->ino;
}

uint64_t cache_file_version(struct cache_file *f)
{
	uint64_t version;

	pthread_rwlock_rdlock(&f->lock);
	version = f->version;
	pthread_rwlock_unlock(&f->lock);
	return version;
}

void cache_forget(struct cache *c, uint64_t ino)
{
	struct cache_index_inode record;
	struct cache_file *f;
	bool known = false;

	pthread_mutex_lock(&c->lock);
	f = cache_table_find(c, ino);
	if (f) {
		f->refs++;
		cache_file_detach(f);
	} else {
		known = cache_index_get_inode(c->index, ino, &record) == 0;
		cache_index_delete_inode(c->index, ino);
	}
	pthread_mutex_unlock(&c->lock);
	if (f)
		cache_file_retire(f, NULL);
	else if (known)
		cache_record_retire(c, ino, &record, NULL);
}

/* ---- what is cached ---- */

struct count {
	struct cache_file *f; /* or NULL */
	uint64_t size;
	uint64_t bytes;
};

static void count_chunk(struct count *n, uint64_t chunk, uint64_t bits)
{
	for (; bits; bits &= bits - 1) {
		uint64_t begin =
			chunk * CACHE_CHUNK_SIZE + (uint64_t)__builtin_ctzll(bits) * CACHE_BLOCK_SIZE;

		if (begin < n->size)
			n->bytes += min_u64(CACHE_BLOCK_SIZE, n->size - begin);
	}
}

static int count_record(uint64_t chunk, uint64_t valid, void *arg)
{
	struct count *n = arg;

	if (chunk > INT64_MAX / CACHE_CHUNK_SIZE || (n->f && chunks_find(&n->f->chunks, chunk)))
		return 0;
	count_chunk(n, chunk, valid);
	return 0;
}

uint64_t cache_cached_bytes(struct cache *c, uint64_t ino)
{
	struct cache_index_inode record;
	struct count n = {};
	struct chunk *chunk;

	pthread_mutex_lock(&c->lock);
	n.f = cache_table_find(c, ino);
	if (n.f)
		cache_file_ref(n.f);
	pthread_mutex_unlock(&c->lock);
	if (!n.f) {
		if (cache_index_get_inode(c->index, ino, &record) < 0)
			return 0;
		if (record.pack)
			return record.size;
		n.size = record.size;
		cache_index_for_chunks(c->index, record.id, 0, UINT64_MAX, count_record, &n);
		return n.bytes;
	}
	pthread_rwlock_rdlock(&n.f->lock);
	n.size = n.f->size;
	if (n.f->name.id && !n.f->unindexed)
		cache_index_for_chunks(c->index, n.f->name.id, 0, UINT64_MAX, count_record, &n);
	if (n.f->pack)
		n.bytes = n.size;
	else
		chunks_for_each (&n.f->chunks, chunk)
			count_chunk(&n, chunk->number, chunk->present);
	pthread_rwlock_unlock(&n.f->lock);
	cache_file_put(n.f);
	return n.bytes;
}

void cache_get_stats(struct cache *c, struct cache_stats *ret)
{
	*ret = (struct cache_stats){
		.bytes = c->bytes,
		.files = c->files,
		.packed = c->packed,
		.packs = packs_count(c->packs),
		.hits = c->hits,
		.misses = c->misses,
		.evictions = c->evictions,
		.corrupt = c->corrupt,
		.full = c->full,
		.dirty_bytes = c->dirty_bytes,
	};
}

/* ---- opening: what is on disk and in the index is made to agree ---- */

#define MAX_COUNTER (UINT64_MAX / 4) /* nobody counts that far: a record that says so is no good */

struct reconcile {
	struct cache *c;
	struct data_name *names; /* of data files that have a record */
	size_t n, capacity;
	uint64_t max_id;
};

static int check_packed(uint64_t ino, const struct cache_index_inode *record, struct reconcile *s)
{
	if (record->pack > MAX_COUNTER || record->last_use > MAX_COUNTER ||
	    packs_claim(s->c->packs, record->pack, record->slot, record->size) < 0)
		return cache_index_delete_inode(s->c->index, ino);
	s->max_id = max_u64(s->max_id, record->pack);
	s->c->clock = max_u64(s->c->clock, record->last_use);
	s->c->bytes += record->bytes;
	s->c->packed++;
	s->c->files++;
	return 0;
}

static int check_record(uint64_t ino, const struct cache_index_inode *record, void *arg)
{
	struct reconcile *s = arg;
	struct data_name name = {ino, record->created_version, record->id};
	struct cache_index_inode now = *record;

	if (record->pack)
		return check_packed(ino, record, s);
	if (record->id > MAX_COUNTER || record->last_use > MAX_COUNTER ||
	    datadir_stat(s->c->datadir, &name, &now.bytes) < 0)
		return cache_index_delete_inode(s->c->index, ino);
	if (s->n == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 1024;
		struct data_name *names = reallocarray(s->names, capacity, sizeof(*names));

		if (!names)
			return -ENOMEM;
		s->names = names;
		s->capacity = capacity;
	}
	s->names[s->n++] = name;
	s->max_id = max_u64(s->max_id, record->id);
	s->c->clock = max_u64(s->c->clock, record->last_use);
	s->c->bytes += now.bytes;
	s->c->files++;
	return now.bytes == record->bytes ? 0 : cache_index_put_inode(s->c->index, ino, &now);
}

static int compare_ids(const void *a, const void *b)
{
	const struct data_name *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static const struct data_name *find_id(const struct reconcile *s, uint64_t id)
{
	struct data_name key = {.id = id};

	return s->n ? bsearch(&key, s->names, s->n, sizeof(key), compare_ids) : NULL;
}

static bool keep_file(const struct data_name *name, void *arg)
{
	struct reconcile *s = arg;
	const struct data_name *known = find_id(s, name->id);

	if (name->id <= MAX_COUNTER)
		s->max_id = max_u64(s->max_id, name->id);
	return known && known->ino == name->ino && known->version == name->version;
}

static int check_chunks(uint64_t id, void *arg)
{
	struct reconcile *s = arg;

	if (id <= MAX_COUNTER)
		s->max_id = max_u64(s->max_id, id);
	return find_id(s, id) ? 0 : cache_index_delete_chunks(s->c->index, id, 0, NULL);
}

static int reconcile(struct cache *c)
{
	struct reconcile s = {.c = c};
	uint64_t id;
	int r;

	r = packs_new(c->datadir, &c->next_id, &c->packs);
	if (!r)
		r = cache_index_for_inodes(c->index, check_record, &s);
	if (s.n)
		qsort(s.names, s.n, sizeof(*s.names), compare_ids);
	if (!r)
		r = datadir_sweep(c->datadir, keep_file, &s);
	if (!r)
		r = cache_index_for_ids(c->index, check_chunks, &s);
	free(s.names);
	id = r ? 0 : packs_sweep(c->packs);
	c->next_id = max_u64(s.max_id, id <= MAX_COUNTER ? id : 0) + 1;
	return r;
}

int cache_open(const struct cache_options *options, struct cache **ret, char **ret_why)
{
	struct cache *c;
	int r;

	*ret_why = NULL;
	if (!options->dir || !options->dir[0] || !options->volume_uuid ||
	    !(options->free_space_ratio >= 0.0) || !(options->free_space_ratio <= 1.0)) {
		*ret_why =
			strdup("cache: needs a directory, a volume, and a free space ratio from 0.0 to 1.0");
		return -EINVAL;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->max_bytes = options->max_bytes;
	c->pack_max = min_u64(options->pack_max, CACHE_PACK_MAX);
	c->free_space_ratio = options->free_space_ratio;
	c->before_drop = options->before_drop;
	c->before_drop_arg = options->before_drop_arg;
	c->is_mapped = options->is_mapped;
	c->is_mapped_arg = options->is_mapped_arg;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->evict_lock, NULL);

	r = datadir_open(options->dir, &c->datadir, ret_why);
	if (!r)
		r = cache_index_open(options->dir, options->volume_uuid, false, &c->index, ret_why);
	if (!r)
		r = reconcile(c);
	if (r == -EIO && c->index) {
		/* The index can be opened, but not read: it is only a cache. */
		cache_index_close(c->index);
		packs_free(c->packs);
		c->index = NULL;
		c->packs = NULL;
		c->bytes = c->files = c->packed = 0;
		r = cache_index_open(options->dir, options->volume_uuid, true, &c->index, ret_why);
		if (!r)
			r = reconcile(c);
	}
	if (!r)
		r = cache_evict_start(c);
	if (r) {
		if (!*ret_why)
			why_r(0, ret_why, "cache directory %s: %s", options->dir, strerror(-r));
		cache_index_close(c->index);
		packs_free(c->packs);
		datadir_close(c->datadir);
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	cache_evict_stop(c);
	for (size_t i = 0; i < TABLE_SLOTS; i++)
		while (c->table[i]) {
			struct cache_file *f = c->table[i];

			if (f->uncommitted || f->unindexed) {
				/* The record is that of the version last committed: it stays as it is. */
				idle_remove(f);
				table_remove(f);
				file_free(f);
			} else {
				unload(f);
			}
		}
	cache_index_close(c->index);
	packs_free(c->packs);
	datadir_close(c->datadir);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->evict_lock);
	free(c->victims);
	free(c);
}
