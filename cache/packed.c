/* SPDX-License-Identifier: Apache-2.0 */
/* A small file goes into a pack, and leaves it before anything of it changes. */
#include "cache/internal.h"

#include "cache/crc.h"

/* ---- in ---- */

/** The bytes are in the pack: the data file that they were in, if there was one, has had its time. Nobody
 * needs to be told: its bytes stay the same for those who still read it. */
static void drop_data_file(struct cache_file *f)
{
	struct cache *c = f->cache;

	if (!f->name.id) {
		c->files++;
		return;
	}
	datadir_unlink(c->datadir, &f->name);
	cache_index_delete_chunks(c->index, f->name.id, 0, NULL);
	c->bytes -= f->disk_bytes;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->file_size = 0;
	f->name = (struct data_name){};
}

int packed_put(struct cache_file *f, const void *data)
{
	struct cache *c = f->cache;
	struct chunk *chunk;
	struct pack *k;
	uint32_t slot;
	int r;

	r = file_load_chunk(f, 0, &chunk);
	if (!r)
		r = packs_put(c->packs, data, f->size, &k, &slot);
	if (r)
		return r;
	f->pack = k;
	f->slot = slot;
	f->crc = cache_crc32c(data, f->size);
	/* This one write moves it from there to here. */
	r = cache_file_save(f);
	if (r) {
		f->pack = NULL;
		pack_release(k, slot, f->size);
		return r;
	}
	drop_data_file(f);
	f->disk_bytes = pack_slot_bytes(f->size);
	c->bytes += f->disk_bytes;
	c->packed++;
	chunk->present = chunk->indexed = 1;
	chunk->verified = 1;
	chunk->dropping = 0;
	chunk->used = f->last_use;
	return 0;
}

/** Exclusive. Put what the data file has into a pack. */
static int pack_data_file(struct cache_file *f)
{
	_cleanup_free_ void *data = NULL;
	struct chunk *chunk;
	uint64_t bad;
	int r;

	if (!f->size || f->size > f->cache->pack_max)
		return -EFBIG;
	if (f->own || f->unindexed || f->uncommitted)
		return -EBUSY;
	r = file_open(f);
	if (!r)
		r = f->name.id ? file_load_chunk(f, 0, &chunk) : -EBUSY;
	if (r)
		return r;
	/* What is mapped must be the file that is written to later. */
	if (chunk->busy || !(chunk->present & 1) || file_is_mapped(f))
		return -EBUSY;
	r = file_verify(f, chunk, 1, &bad);
	if (r || bad)
		return r ? r : -EBUSY;
	data = malloc(f->size);
	if (!data)
		return -ENOMEM;
	r = file_pread(f, 0, f->size, data);
	return r ? r : packed_put(f, data);
}

int cache_file_pack(struct cache_file *f, struct cache_place *ret)
{
	int r = 0;

	pthread_rwlock_wrlock(&f->lock);
	if (!f->pack)
		r = pack_data_file(f);
	if (!r)
		*ret = (struct cache_place){
			.fd = pack_fd(f->pack),
			.id = pack_id(f->pack),
			.offset = (uint64_t)f->slot * PACK_SLOT_SIZE,
		};
	pthread_rwlock_unlock(&f->lock);
	return r;
}

/* ---- out ---- */

void packed_release(struct cache *c, struct pack *k, uint32_t slot, uint64_t size)
{
	c->bytes -= pack_slot_bytes(size);
	c->packed--;
	c->files--;
	pack_release(k, slot, size);
}

/** Exclusive. From now on nothing of the file is there. The record goes with the caller. */
static void forget_place(struct cache_file *f, struct chunk *chunk)
{
	f->pack = NULL;
	f->disk_bytes = 0; /* packed_release() counts them off */
	if (chunk) {
		chunk->present = chunk->indexed = 0;
		chunk->verified = 0;
	}
}

/* If that fails, the record points to a place with other bytes or none, which do not fit its CRC. */
static void delete_record(struct cache_file *f)
{
	pthread_mutex_lock(&f->cache->lock);
	if (!f->detached)
		cache_index_delete_inode(f->cache->index, f->ino);
	pthread_mutex_unlock(&f->cache->lock);
}

/** Exclusive. Give the packed file a data file with the same bytes. */
static int copy_out(struct cache_file *f)
{
	_cleanup_free_ void *data = malloc(f->size);
	const uint32_t crc = f->crc;
	struct chunk *chunk = NULL;
	int r = data ? file_load_chunk(f, 0, &chunk) : -ENOMEM;

	if (!r)
		r = file_pread(f, 0, f->size, data);
	if (!r && cache_crc32c(data, f->size) != crc) {
		f->cache->corrupt++;
		r = -EBADMSG;
	}
	forget_place(f, chunk);
	if (!r)
		r = file_create(f);
	if (!r)
		r = file_pwrite(f, 0, f->size, data);
	if (!r) {
		chunk->present = 1;
		chunk->verified = 1;
		file_index(f, chunk, 0, 1, &crc);
	}
	file_account(f);
	if (!f->name.id)
		delete_record(f);
	return r;
}

void cache_unpack(struct cache_file *f)
{
	struct pack *k;
	uint32_t slot;
	uint64_t size;
	int r;

	if (f->own) /* set under the lock, and never unset while there is a reference */
		return;
	pthread_rwlock_wrlock(&f->lock);
	f->own = true;
	k = f->pack;
	slot = f->slot;
	size = f->size;
	r = k ? copy_out(f) : 0;
	pthread_rwlock_unlock(&f->lock);
	if (!k)
		return;
	if (r)
		log_debug("cache: inode %llu: no data file in place of pack %llx: %s",
		          (unsigned long long)f->ino, (unsigned long long)pack_id(k), strerror(-r));
	before_drop(f->cache, f->ino, 0, UINT64_MAX);
	packed_release(f->cache, k, slot, size);
}

unsigned cache_drop_packed(struct cache_file *f)
{
	struct pack *k;
	uint32_t slot;
	uint64_t size;

	pthread_rwlock_wrlock(&f->lock);
	k = f->pack;
	slot = f->slot;
	size = f->size;
	if (k) {
		forget_place(f, chunks_find(&f->chunks, 0));
		delete_record(f);
	}
	pthread_rwlock_unlock(&f->lock);
	if (!k)
		return 0;
	before_drop(f->cache, f->ino, 0, UINT64_MAX);
	packed_release(f->cache, k, slot, size);
	return 1;
}
