/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/index.h"

#include <endian.h>
#include <rocksdb/c.h>
#include <sys/stat.h>

#include "cache/pack.h"
#include "common/cleanup.h"
#include "common/db_gate.h"
#include "common/log.h"
#include "common/why.h"

#define LAYOUT_VERSION 1
#define LAYOUT_PACKED 2
#define WRITE_BUFFER_BYTES (4u << 20)
#define BLOCK_CACHE_BYTES (8u << 20)
#define OPEN_TABLES 64
#define DELETE_BATCH 1024
#define REOPEN_SPACE (4 * WRITE_BUFFER_BYTES) /* opening turns the log into tables */

struct cache_index {
	char *path;
	rocksdb_options_t *options;
	struct db_gate gate; /* who uses `db` is between enter() and leave() */
	/* One write at a time, so that none comes behind one that failed: db_gate.h. Taken in the gate. */
	pthread_mutex_t write_lock;
	rocksdb_t *db; /* NULL: it could not be reopened */
	rocksdb_readoptions_t *read;
	rocksdb_readoptions_t
		*scan; /* a scan of everything shall not push what is warm out of the block cache */
	rocksdb_writeoptions_t *write;
};

/* Values as they are on disk. */
struct inode_value {
	uint8_t layout;
	uint8_t zero[7];
	uint64_t version, size, id, created_version, last_use, bytes;
} __attribute__((packed));

struct packed_value {
	uint8_t layout;
	uint8_t zero[3];
	uint32_t crc;
	uint64_t version, pack, last_use;
	uint32_t size, slot;
} __attribute__((packed));

_Static_assert(sizeof(struct packed_value) != sizeof(struct inode_value), "the size tells them apart");

struct chunk_value {
	uint8_t layout;
	uint8_t zero[7];
	uint64_t valid;
	uint32_t crc[CACHE_BLOCKS_PER_CHUNK]; /* as many as bits in valid */
} __attribute__((packed));

struct inode_key {
	char kind;
	uint64_t ino;
} __attribute__((packed));

struct chunk_key {
	char kind;
	uint64_t id, chunk;
} __attribute__((packed));

static struct inode_key inode_key(uint64_t ino)
{
	return (struct inode_key){'I', htobe64(ino)};
}

static struct chunk_key chunk_key(uint64_t id, uint64_t chunk)
{
	return (struct chunk_key){'C', htobe64(id), htobe64(chunk)};
}

static size_t chunk_value_size(uint64_t valid)
{
	return offsetof(struct chunk_value, crc) + 4 * (size_t)__builtin_popcountll(valid);
}

/** Turn RocksDB's message into an errno, and free it. */
static int index_error(char *message, const char *what)
{
	if (!message)
		return 0;
	log_debug("cache index: %s: %s", what, message);
	rocksdb_free(message);
	return -EIO;
}

static int reopen(struct cache_index *x)
{
	char *message = NULL;
	uint64_t needed;
	int r;

	/* Without it even what is cached would be gone. */
	r = x->db ? db_gate_probe(x->path, REOPEN_SPACE) : db_gate_probe_open(x->path, &needed);
	if (r < 0)
		return r;
	if (x->db)
		rocksdb_close(x->db);
	x->db = rocksdb_open(x->options, x->path, &message);
	return index_error(message, "reopen");
}

static int enter(struct cache_index *x)
{
	if (db_gate_enter(&x->gate))
		db_gate_reopened(&x->gate, reopen(x));
	if (x->db)
		return 0;
	db_gate_leave(&x->gate);
	return -EIO;
}

static void leave(struct cache_index *x)
{
	db_gate_leave(&x->gate);
}

/* As enter(), to change something. */
static int enter_to_write(struct cache_index *x)
{
	int r = enter(x);

	if (r)
		return r;
	pthread_mutex_lock(&x->write_lock);
	if (!db_gate_failed(&x->gate))
		return 0;
	pthread_mutex_unlock(&x->write_lock);
	leave(x);
	return -EIO;
}

static int end_write(struct cache_index *x, char *message, const char *what)
{
	int r = index_error(message, what);

	if (r)
		db_gate_fail(&x->gate, r, false);
	pthread_mutex_unlock(&x->write_lock);
	leave(x);
	return r;
}

static int decode_packed(const void *data, struct cache_index_inode *ret)
{
	struct packed_value v;

	memcpy(&v, data, sizeof(v));
	if (v.layout != LAYOUT_PACKED || !v.pack || !pack_is_place(le32toh(v.slot), le32toh(v.size)))
		return -EBADMSG;
	*ret = (struct cache_index_inode){
		.version = le64toh(v.version),
		.size = le32toh(v.size),
		.last_use = le64toh(v.last_use),
		.bytes = pack_slot_bytes(le32toh(v.size)),
		.pack = le64toh(v.pack),
		.slot = le32toh(v.slot),
		.crc = le32toh(v.crc),
	};
	return 0;
}

static int decode_inode(const void *data, size_t size, struct cache_index_inode *ret)
{
	struct inode_value v;
	struct cache_index_inode inode;

	if (size == sizeof(struct packed_value))
		return decode_packed(data, ret);
	if (size != sizeof(v))
		return -EBADMSG;
	memcpy(&v, data, sizeof(v));
	inode = (struct cache_index_inode){
		.version = le64toh(v.version),
		.size = le64toh(v.size),
		.id = le64toh(v.id),
		.created_version = le64toh(v.created_version),
		.last_use = le64toh(v.last_use),
		.bytes = le64toh(v.bytes),
	};
	if (v.layout != LAYOUT_VERSION || inode.size > INT64_MAX || !inode.id)
		return -EBADMSG;
	*ret = inode;
	return 0;
}

static int decode_chunk(const void *data, size_t size, struct cache_index_chunk *ret)
{
	struct chunk_value v;
	const size_t head = offsetof(struct chunk_value, crc);
	uint64_t valid;

	if (size < head || size > sizeof(v))
		return -EBADMSG;
	memcpy(&v, data, size);
	valid = le64toh(v.valid);
	if (v.layout != LAYOUT_VERSION || !valid || size != chunk_value_size(valid))
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->valid = valid;
	for (unsigned bit = 0, n = 0; bit < CACHE_BLOCKS_PER_CHUNK; bit++)
		if (valid >> bit & 1)
			ret->crc[bit] = le32toh(v.crc[n++]);
	return 0;
}

static int get(struct cache_index *x, const void *key, size_t key_size, char **ret_value, size_t *ret_size)
{
	char *message = NULL, *value;
	int r = enter(x);

	if (r)
		return r;
	value = rocksdb_get(x->db, x->read, key, key_size, ret_size, &message);
	leave(x);
	r = index_error(message, "get");
	if (r)
		return r;
	if (!value)
		return -ENOENT;
	*ret_value = value;
	return 0;
}

static int put(struct cache_index *x, const void *key, size_t key_size, const void *value, size_t size)
{
	char *message = NULL;
	int r = enter_to_write(x);

	if (r)
		return r;
	rocksdb_put(x->db, x->write, key, key_size, value, size, &message);
	return end_write(x, message, "put");
}

static int del(struct cache_index *x, const void *key, size_t key_size)
{
	char *message = NULL;
	int r = enter_to_write(x);

	if (r)
		return r;
	rocksdb_delete(x->db, x->write, key, key_size, &message);
	return end_write(x, message, "delete");
}

int cache_index_get_inode(struct cache_index *x, uint64_t ino, struct cache_index_inode *ret)
{
	struct inode_key key = inode_key(ino);
	char *value;
	size_t size;
	int r = get(x, &key, sizeof(key), &value, &size);

	if (r)
		return r;
	r = decode_inode(value, size, ret);
	rocksdb_free(value);
	return r;
}

int cache_index_get_chunk(struct cache_index *x, uint64_t id, uint64_t chunk, struct cache_index_chunk *ret)
{
	struct chunk_key key = chunk_key(id, chunk);
	char *value;
	size_t size;
	int r = get(x, &key, sizeof(key), &value, &size);

	if (r)
		return r;
	r = decode_chunk(value, size, ret);
	rocksdb_free(value);
	return r;
}

int cache_index_put_inode(struct cache_index *x, uint64_t ino, const struct cache_index_inode *inode)
{
	struct inode_key key = inode_key(ino);
	struct packed_value packed = {
		.layout = LAYOUT_PACKED,
		.crc = htole32(inode->crc),
		.version = htole64(inode->version),
		.pack = htole64(inode->pack),
		.last_use = htole64(inode->last_use),
		.size = htole32((uint32_t)inode->size),
		.slot = htole32(inode->slot),
	};
	struct inode_value v = {
		.layout = LAYOUT_VERSION,
		.version = htole64(inode->version),
		.size = htole64(inode->size),
		.id = htole64(inode->id),
		.created_version = htole64(inode->created_version),
		.last_use = htole64(inode->last_use),
		.bytes = htole64(inode->bytes),
	};

	if (inode->pack)
		return put(x, &key, sizeof(key), &packed, sizeof(packed));
	return put(x, &key, sizeof(key), &v, sizeof(v));
}

int cache_index_put_chunk(struct cache_index *x, uint64_t id, uint64_t chunk,
                          const struct cache_index_chunk *record)
{
	struct chunk_key key = chunk_key(id, chunk);
	struct chunk_value v = {.layout = LAYOUT_VERSION, .valid = htole64(record->valid)};

	if (!record->valid)
		return del(x, &key, sizeof(key));
	for (unsigned bit = 0, n = 0; bit < CACHE_BLOCKS_PER_CHUNK; bit++)
		if (record->valid >> bit & 1)
			v.crc[n++] = htole32(record->crc[bit]);
	return put(x, &key, sizeof(key), &v, chunk_value_size(record->valid));
}

int cache_index_delete_inode(struct cache_index *x, uint64_t ino)
{
	struct inode_key key = inode_key(ino);

	return del(x, &key, sizeof(key));
}

int cache_index_for_chunks(struct cache_index *x, uint64_t id, uint64_t first, uint64_t last,
                           cache_index_chunk_fn fn, void *arg)
{
	struct chunk_key key = chunk_key(id, first);
	rocksdb_iterator_t *i;
	struct cache_index_chunk record;
	char *message = NULL;
	int r = enter(x);

	if (r)
		return r;
	i = rocksdb_create_iterator(x->db, x->scan);
	for (rocksdb_iter_seek(i, (char *)&key, sizeof(key)); !r && rocksdb_iter_valid(i);
	     rocksdb_iter_next(i)) {
		size_t key_size, size;
		const char *k = rocksdb_iter_key(i, &key_size);
		const char *value = rocksdb_iter_value(i, &size);

		if (key_size < offsetof(struct chunk_key, chunk) ||
		    memcmp(k, &key, offsetof(struct chunk_key, chunk)) != 0)
			break;
		if (key_size != sizeof(key))
			continue;
		memcpy(&key, k, sizeof(key));
		if (be64toh(key.chunk) > last)
			break;
		if (decode_chunk(value, size, &record) < 0)
			record.valid = 0;
		r = fn(be64toh(key.chunk), record.valid, arg);
	}
	rocksdb_iter_get_error(i, &message);
	rocksdb_iter_destroy(i);
	leave(x);
	if (r) {
		rocksdb_free(message);
		return r;
	}
	return index_error(message, "scan chunks");
}

struct delete_chunks {
	struct cache_index *x;
	rocksdb_writebatch_t *batch;
	uint64_t id, blocks;
};

static int delete_flush(struct delete_chunks *d)
{
	char *message = NULL;
	int r = enter_to_write(d->x);

	if (r)
		return r;
	rocksdb_write(d->x->db, d->x->write, d->batch, &message);
	rocksdb_writebatch_clear(d->batch);
	return end_write(d->x, message, "delete chunks");
}

static int delete_one(uint64_t chunk, uint64_t valid, void *arg)
{
	struct delete_chunks *d = arg;
	struct chunk_key key = chunk_key(d->id, chunk);

	d->blocks += (unsigned)__builtin_popcountll(valid);
	rocksdb_writebatch_delete(d->batch, (char *)&key, sizeof(key));
	return rocksdb_writebatch_count(d->batch) >= DELETE_BATCH ? delete_flush(d) : 0;
}

int cache_index_delete_chunks(struct cache_index *x, uint64_t id, uint64_t first, uint64_t *ret_blocks)
{
	struct delete_chunks d = {.x = x, .batch = rocksdb_writebatch_create(), .id = id};
	int r;

	r = cache_index_for_chunks(x, id, first, UINT64_MAX, delete_one, &d);
	if (!r && rocksdb_writebatch_count(d.batch))
		r = delete_flush(&d);
	rocksdb_writebatch_destroy(d.batch);
	if (!r && ret_blocks)
		*ret_blocks = d.blocks;
	return r;
}

int cache_index_for_inodes(struct cache_index *x, cache_index_inode_fn fn, void *arg)
{
	rocksdb_iterator_t *i;
	struct cache_index_inode inode;
	struct inode_key key;
	char *message = NULL;
	int r = enter(x);

	if (r)
		return r;
	i = rocksdb_create_iterator(x->db, x->scan);
	for (rocksdb_iter_seek(i, "I", 1); !r && rocksdb_iter_valid(i); rocksdb_iter_next(i)) {
		size_t key_size, size;
		const char *k = rocksdb_iter_key(i, &key_size);
		const char *value = rocksdb_iter_value(i, &size);

		if (key_size < 1 || *k != 'I')
			break;
		if (key_size != sizeof(key) || decode_inode(value, size, &inode) < 0) {
			del(x, k, key_size);
			continue;
		}
		memcpy(&key, k, sizeof(key));
		r = fn(be64toh(key.ino), &inode, arg);
	}
	rocksdb_iter_get_error(i, &message);
	rocksdb_iter_destroy(i);
	leave(x);
	if (r) {
		rocksdb_free(message);
		return r;
	}
	return index_error(message, "scan inodes");
}

int cache_index_for_ids(struct cache_index *x, cache_index_id_fn fn, void *arg)
{
	rocksdb_iterator_t *i;
	struct chunk_key key = chunk_key(0, 0);
	char *message = NULL;
	int r = enter(x);

	if (r)
		return r;
	i = rocksdb_create_iterator(x->db, x->scan);
	rocksdb_iter_seek(i, (char *)&key, sizeof(key));
	while (!r && rocksdb_iter_valid(i)) {
		size_t key_size;
		const char *k = rocksdb_iter_key(i, &key_size);
		uint64_t id;

		if (key_size < 1 || *k != 'C')
			break;
		if (key_size != sizeof(key)) {
			del(x, k, key_size);
			rocksdb_iter_next(i);
			continue;
		}
		memcpy(&key, k, sizeof(key));
		id = be64toh(key.id);
		r = fn(id, arg);
		if (id == UINT64_MAX)
			break;
		key = chunk_key(id + 1, 0);
		rocksdb_iter_seek(i, (char *)&key, sizeof(key));
	}
	rocksdb_iter_get_error(i, &message);
	rocksdb_iter_destroy(i);
	leave(x);
	if (r) {
		rocksdb_free(message);
		return r;
	}
	return index_error(message, "scan data files");
}

/** Modest on purpose: the daemon's whole memory is to stay below 100 MiB. */
static rocksdb_options_t *make_options(void)
{
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
	rocksdb_cache_t *blocks = rocksdb_cache_create_lru(BLOCK_CACHE_BYTES);

	rocksdb_block_based_options_set_block_cache(t, blocks);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
	rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_options_set_block_based_table_factory(o, t);
	rocksdb_block_based_options_destroy(t);
	rocksdb_cache_destroy(blocks); /* both are shared; the options hold them now */

	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_write_buffer_size(o, WRITE_BUFFER_BYTES);
	rocksdb_options_set_max_write_buffer_number(o, 2);
	rocksdb_options_set_target_file_size_base(o, 2 * WRITE_BUFFER_BYTES);
	rocksdb_options_set_compression(o, rocksdb_no_compression); /* CRCs do not compress */
	rocksdb_options_set_max_open_files(o, OPEN_TABLES);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_info_log_level(o, 3 /* errors */);
	rocksdb_options_set_max_log_file_size(o, 1 << 20);
	rocksdb_options_set_keep_log_file_num(o, 2);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	return o;
}

/** It is a cache: one whose files are damaged or gone is made anew. Other errors would only come again. */
static bool is_damaged(const char *message)
{
	static const char *const signs[] = {"Corruption", "Invalid argument", "No such file",
	                                    "Not implemented"};

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (strstr(message, signs[i]))
			return true;
	return false;
}

static void empty_db(rocksdb_options_t *o, const char *path, struct cache_index *x, char **message)
{
	if (*message)
		log_debug("cache index %s: emptied: %s", path, *message);
	rocksdb_free(*message);
	*message = NULL;
	if (x->db)
		rocksdb_close(x->db);
	x->db = NULL;
	rocksdb_destroy_db(o, path, message);
	if (!*message)
		x->db = rocksdb_open(o, path, message);
}

/** Open what there is if it is of @p volume_uuid and can be read, else an empty one. */
static void open_db(rocksdb_options_t *o, const char *path, const char *volume_uuid, bool empty,
                    struct cache_index *x, char **message)
{
	char *value = NULL;
	size_t size = 0;
	bool same;

	x->db = rocksdb_open(o, path, message);
	if (!*message && !empty)
		value = rocksdb_get(x->db, x->read, "Mvolume", 7, &size, message);
	same = value && size == strlen(volume_uuid) && memcmp(value, volume_uuid, size) == 0;
	rocksdb_free(value);
	if (same || (*message && !is_damaged(*message)))
		return;
	empty_db(o, path, x, message);
	if (!*message)
		rocksdb_put(x->db, x->write, "Mvolume", 7, volume_uuid, strlen(volume_uuid), message);
}

int cache_index_open(const char *dir, const char *volume_uuid, bool empty, struct cache_index **ret,
                     char **ret_why)
{
	_cleanup_free_ char *path = NULL;
	char *message = NULL;
	struct cache_index *x;
	uint64_t needed;
	int r;

	if (asprintf(&path, "%s/index", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	mkdir(path, 0700); /* RocksDB will say if that fails */
	r = db_gate_probe_open(path, &needed);
	if (r == -ENOSPC || r == -EDQUOT)
		return why_r(-ENOSPC, ret_why, "cache index %s: %s, where %llu KiB are needed", path,
		             strerror(-r), (unsigned long long)needed >> 10);
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->read = rocksdb_readoptions_create();
	x->scan = rocksdb_readoptions_create();
	rocksdb_readoptions_set_fill_cache(x->scan, 0);
	x->write = rocksdb_writeoptions_create();
	x->options = make_options();
	db_gate_init(&x->gate);
	pthread_mutex_init(&x->write_lock, NULL);
	x->path = TAKE_PTR(path);
	open_db(x->options, x->path, volume_uuid, empty, x, &message);
	if (message) {
		bool full = strstr(message, "No space");

		why_r(0, ret_why, "cache index %s: %s", x->path, message);
		rocksdb_free(message);
		cache_index_close(x);
		return full ? -ENOSPC : -EIO;
	}
	*ret = x;
	return 0;
}

void cache_index_close(struct cache_index *x)
{
	if (!x)
		return;
	if (x->db)
		rocksdb_close(x->db);
	rocksdb_readoptions_destroy(x->read);
	rocksdb_readoptions_destroy(x->scan);
	rocksdb_writeoptions_destroy(x->write);
	rocksdb_options_destroy(x->options);
	db_gate_done(&x->gate);
	pthread_mutex_destroy(&x->write_lock);
	free(x->path);
	free(x);
}
