/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel can read of each inode: its registered cache file and the
 * chunks that are in the maps.
 *
 * A file that is wholly cached is one bit and one id in its inode entry.  A file
 * that is cached in part has chunk entries; which, is kept here, so that they can be taken out again.
 *
 * A small file is read out of a pack file of the cache, and of that nothing is kept here but the registration
 * of the pack: its inode entry says it all, and goes like any other.
 */
#include "cache/cache.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/kernel/publish_internal.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Chunks looked at for one call on a file that is not wholly cached. */
#define MAX_CHUNKS_A_CALL 4096

_Static_assert(CACHE_CHUNK_SIZE == EXTFUSE_CHUNK_SIZE && CACHE_BLOCK_SIZE == EXTFUSE_BLOCK_SIZE,
               "cache and maps cut files alike");

struct backing {
	uint64_t ino;
	uint64_t version; /* data version of the bytes that are published */
	uint64_t id;      /* the kernel's */
	uint64_t file;    /* which cache file that is: cache_file_id() */
	bool complete;    /* published with EXTFUSE_INODE_CACHED */
	uint64_t *chunks; /* those in the map, ascending */
	size_t count, room;
};

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct backing *)a)->ino, y = ((const struct backing *)b)->ino;

	return (x > y) - (x < y);
}

static struct backing *find(struct stripe *stripe, uint64_t ino)
{
	const struct backing key = {.ino = ino};
	struct backing **node = tfind(&key, &stripe->backings, compare);

	return node ? *node : NULL;
}

static void backing_free(void *arg)
{
	struct backing *b = arg;

	free(b->chunks);
	free(b);
}

void publish_backings_free(struct stripe *stripe)
{
	tdestroy(stripe->backings, backing_free);
	stripe->backings = NULL;
}

void publish_packs_free(struct publish *p)
{
	free(p->packs);
	pthread_mutex_destroy(&p->packs_lock);
}

/* The kernel's id of a pack file, registered if need be. 0: not possible. */
static uint64_t pack_backing(struct publish *p, const struct cache_place *place)
{
	struct pack_backing *packs;
	uint64_t id;

	SCOPED_LOCK(&p->packs_lock);
	for (size_t i = 0; i < p->packs_count; i++)
		if (p->packs[i].file == place->id)
			return p->packs[i].id;
	if (p->packs_count == p->packs_room) {
		packs = reallocarray(p->packs, p->packs_room + 16, sizeof(*packs));
		if (!packs)
			return 0;
		p->packs = packs;
		p->packs_room += 16;
	}
	id = kernel_backing_add(p->kernel, place->fd);
	if (id)
		p->packs[p->packs_count++] = (struct pack_backing){.file = place->id, .id = id};
	return id;
}

/* The place of @p chunk in the list, or where it belongs. */
static size_t chunk_place(const struct backing *b, uint64_t chunk)
{
	size_t low = 0, high = b->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (b->chunks[middle] < chunk)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int chunk_add(struct backing *b, uint64_t chunk)
{
	size_t place = chunk_place(b, chunk);

	if (place < b->count && b->chunks[place] == chunk)
		return 0;
	if (b->count == b->room) {
		size_t room = b->room ? 2 * b->room : 4;
		uint64_t *chunks = reallocarray(b->chunks, room, sizeof(*chunks));

		if (!chunks)
			return -ENOMEM;
		b->chunks = chunks;
		b->room = room;
	}
	memmove(b->chunks + place + 1, b->chunks + place, (b->count - place) * sizeof(*b->chunks));
	b->chunks[place] = chunk;
	b->count++;
	return 0;
}

static void drop_chunks(struct publish *p, struct backing *b, uint64_t first, uint64_t last)
{
	size_t from = chunk_place(b, first), to = from;

	for (; to < b->count && b->chunks[to] <= last; to++)
		kernel_drop_chunk(p->kernel, b->ino, b->chunks[to]);
	memmove(b->chunks + from, b->chunks + to, (b->count - to) * sizeof(*b->chunks));
	b->count -= to - from;
	b->complete = false;
}

void publish_drop_backing(struct publish *p, struct stripe *stripe, uint64_t ino)
{
	struct backing *b = find(stripe, ino);

	if (!b)
		return;
	drop_chunks(p, b, 0, UINT64_MAX);
	kernel_backing_del(p->kernel, b->id);
	tdelete(b, &stripe->backings, compare);
	backing_free(b);
	atomic_fetch_sub(&p->backings, 1);
}

void publish_drop_cached(struct publish *p, struct stripe *stripe, uint64_t ino, uint64_t first,
                         uint64_t last)
{
	struct backing *b = find(stripe, ino);

	if (!b)
		return;
	drop_chunks(p, b, first, last);
	/* A cache file that the kernel holds keeps its room on the disk, so with the last chunk it goes. */
	if (b->count == 0)
		publish_drop_backing(p, stripe, ino);
}

/*
 * The registration of the data file behind @p f, made if need be. NULL: not possible.
 *
 * Valid until the next call into the cache: that may find a sub-block to be bad, drop it, and
 * so come back to publish_before_drop(). Hence cache first, then this, each time.
 */
static struct backing *get_backing(struct publish *p, struct stripe *stripe, const struct meta_attr *attr,
                                   struct cache_file *f)
{
	int fd = cache_file_fd(f);
	uint64_t file;
	struct backing *b;

	if (fd < 0 || cache_file_id(f, &file) < 0)
		return NULL;
	b = find(stripe, attr->ino);
	if (b && (b->version != attr->version || b->file != file)) {
		publish_drop_backing(p, stripe, attr->ino);
		b = NULL;
	}
	if (b)
		return b;
	if (atomic_load(&p->backings) >= PUBLISH_MAX_BACKINGS)
		return NULL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	*b = (struct backing){.ino = attr->ino, .version = attr->version, .file = file};
	b->id = kernel_backing_add(p->kernel, fd);
	if (!b->id || !tsearch(b, &stripe->backings, compare)) {
		kernel_backing_del(p->kernel, b->id);
		free(b);
		return NULL;
	}
	atomic_fetch_add(&p->backings, 1);
	return b;
}

/* A small file of which every byte is there: out of a pack. @return false: it is in none. */
static bool publish_packed(struct publish *p, struct stripe *stripe, const struct meta_attr *attr,
                           struct cache_file *f, struct extfuse_inode *value)
{
	struct cache_place place;

	if (attr->size > CACHE_PACK_MAX || cache_file_pack(f, &place) < 0)
		return false;
	publish_drop_backing(p, stripe, attr->ino); /* of the data file that it had before */
	value->backing_id = pack_backing(p, &place);
	if (value->backing_id) {
		value->flags |= EXTFUSE_INODE_CACHED;
		value->backing_offset = place.offset;
	}
	return true;
}

/* If every byte of the file is there, say so in @p value; the inode entry then says it all. */
static bool publish_complete(struct publish *p, struct stripe *stripe, const struct meta_attr *attr,
                             struct cache_file *f, struct extfuse_inode *value)
{
	struct backing *b;

	if (!cache_is_complete(f))
		return false;
	if (publish_packed(p, stripe, attr, f, value))
		return true;
	b = get_backing(p, stripe, attr, f);
	if (!b)
		return false;
	drop_chunks(p, b, 0, UINT64_MAX);
	b->complete = true;
	value->flags |= EXTFUSE_INODE_CACHED;
	value->backing_id = b->id;
	return true;
}

static void publish_chunk(struct publish *p, struct stripe *stripe, uint32_t epoch,
                          const struct meta_attr *attr, struct cache_file *f, uint64_t chunk)
{
	uint64_t valid = 0;
	struct backing *b =
		cache_valid(f, chunk, &valid) == 0 && valid ? get_backing(p, stripe, attr, f) : NULL;

	if (!b || chunk_add(b, chunk) < 0) {
		kernel_drop_chunk(p->kernel, attr->ino, chunk);
		return;
	}
	kernel_put_chunk(p->kernel, epoch, attr->ino, chunk,
	                 &(struct extfuse_chunk){
				 .backing_id = b->id,
				 .offset = chunk * EXTFUSE_CHUNK_SIZE,
				 .valid = valid,
				 .version = b->version,
			 });
}

struct cache_file *publish_cached(struct publish *p, struct stripe *stripe, uint32_t epoch,
                                  const struct meta_attr *attr, const struct publish_range *range,
                                  struct extfuse_inode *value)
{
	uint64_t chunks = (attr->size + EXTFUSE_CHUNK_SIZE - 1) / EXTFUSE_CHUNK_SIZE;
	uint64_t first = 0, last = chunks - 1;
	struct backing *b = find(stripe, attr->ino);
	struct cache_file *f = NULL;

	if (b && b->version != attr->version) {
		publish_drop_backing(p, stripe, attr->ino);
		b = NULL;
	}
	if (!S_ISREG(attr->mode) || !attr->size || !p->source.cache)
		return NULL;
	/* One that was not to be packed while somebody wrote it may be by now. */
	if (b && b->complete && !(range && attr->size <= CACHE_PACK_MAX)) {
		value->flags |= EXTFUSE_INODE_CACHED;
		value->backing_id = b->id;
		return NULL;
	}
	/*
	 * Without a range somebody only asks for attributes. Then a small file is looked at, a large one is
	 * not: checking its bytes against their CRCs after a restart takes the time that reading it takes.
	 */
	if (!range && (b || chunks > 1))
		return NULL;
	if (range && (range->offset >= attr->size || !range->length))
		return NULL;
	if (cache_cached_bytes(p->source.cache, attr->ino) == 0 ||
	    cache_file_get(p->source.cache, attr->ino, attr->version, attr->size, &f) < 0)
		return NULL;

	if (range) {
		first = range->offset / EXTFUSE_CHUNK_SIZE;
		if (range->length < attr->size - range->offset)
			last = (range->offset + range->length - 1) / EXTFUSE_CHUNK_SIZE;
	}
	if (first == 0 && last == chunks - 1 && publish_complete(p, stripe, attr, f, value))
		return f;
	if (last - first >= MAX_CHUNKS_A_CALL)
		last = first + MAX_CHUNKS_A_CALL - 1;
	/* A small file is one sub-block, so it is complete or there is nothing. */
	for (uint64_t chunk = first; attr->size > CACHE_PACK_MAX && chunk <= last; chunk++)
		publish_chunk(p, stripe, epoch, attr, f, chunk);
	b = find(stripe, attr->ino);
	if (b && b->count == chunks)
		publish_complete(p, stripe, attr, f, value);
	return f;
}

void publish_cached_state(const struct extfuse_inode *inode, struct stripe *stripe, uint64_t ino,
                          struct publish_state *ret)
{
	struct backing *b = find(stripe, ino);

	ret->complete = ret->inode && inode->flags & EXTFUSE_INODE_CACHED;
	ret->packed = ret->complete && inode->backing_offset;
	ret->backing_id = ret->complete ? inode->backing_id : b ? b->id : 0;
}
