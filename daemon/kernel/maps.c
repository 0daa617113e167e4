/* SPDX-License-Identifier: Apache-2.0 */
/* Put entries into the maps and take them out; make room in a full one; count. */
#include "common/cleanup.h"
#include "daemon/kernel/internal.h"

#include <errno.h>
#include <string.h>

#define ROOM_BATCH 256 /* entries that leave a full map at a time */

int kernel_maps_init(struct kernel *k)
{
	for (int i = 0; i < MAPS; i++)
		pthread_mutex_init(&k->cursor[i].lock, NULL);
	pthread_mutex_init(&k->on_write_lock, NULL);
	pthread_mutex_init(&k->statfs_lock, NULL);
	return 0;
}

void kernel_maps_fini(struct kernel *k)
{
	for (int i = 0; i < MAPS; i++)
		pthread_mutex_destroy(&k->cursor[i].lock);
	pthread_mutex_destroy(&k->on_write_lock);
	pthread_mutex_destroy(&k->statfs_lock);
}

static _Atomic uint32_t *slot_of(void *counters, uint64_t ino)
{
	return (_Atomic uint32_t *)((char *)counters + (size_t)extfuse_epoch_slot(ino) * sizeof(uint64_t));
}

uint32_t kernel_epoch(struct kernel *k, uint64_t ino)
{
	return k ? atomic_load(slot_of(k->epochs, ino)) : 0;
}

void kernel_bump_epoch(struct kernel *k, uint64_t ino)
{
	if (k)
		atomic_fetch_add(slot_of(k->epochs, ino), 1);
}

/* An entry of @ino's, or of directory @ino's names, has changed or is gone: nobody remembers it any more. */
static void changed(struct kernel *k, uint64_t ino)
{
	atomic_fetch_add(slot_of(k->changes, ino), 1);
}

/* Dentry keys of both kinds, and that of an inode, begin with whose entry it is. */
static uint64_t owner_of(const void *key)
{
	uint64_t ino;

	memcpy(&ino, key, sizeof(ino));
	return ino;
}

static void take_out(struct kernel *k, enum kernel_map map, const void *key)
{
	uint64_t ino = owner_of(key);

	if (map == MAP_DENTRY || map == MAP_DENTRY_LONG) {
		kernel_bump_epoch(k, ino);
		kernel_drop_inode(k, ino);
	}
	bpf_map_delete_elem(k->map_fd[map], key);
	changed(k, ino);
}

/*
 * Walk on from where the last walk ended and drop a batch. An entry dropped is
 * a miss, never wrong, so any will do; the walk only sees to it that it is not always the same ones.
 */
static void make_room(struct kernel *k, enum kernel_map map)
{
	struct map_cursor *c = &k->cursor[map];
	unsigned char key[sizeof(c->key)], next[sizeof(c->key)];
	size_t size = bpf_map__key_size(k->maps[map]);
	bool have = false;

	SCOPED_LOCK(&c->lock);
	for (int i = 0; i < ROOM_BATCH; i++) {
		if (bpf_map_get_next_key(k->map_fd[map], c->set ? c->key : NULL, next) < 0) {
			c->set = false; /* the end: from the start again */
			if (bpf_map_get_next_key(k->map_fd[map], NULL, next) < 0)
				break;
		}
		/* The one the cursor stands on goes only after the cursor has moved on. */
		if (have) {
			take_out(k, map, key);
			atomic_fetch_add(&k->evicted, 1);
		}
		memcpy(key, next, size);
		memcpy(c->key, next, size);
		c->set = have = true;
	}
}

static bool put(struct kernel *k, enum kernel_map map, const void *key, const void *value, uint64_t ino,
                uint32_t epoch)
{
	int fd = k->map_fd[map];

	int r = bpf_map_update_elem(fd, key, value, BPF_ANY);

	if (r == -E2BIG) {
		make_room(k, map);
		r = bpf_map_update_elem(fd, key, value, BPF_ANY);
	}
	changed(k, ino);
	if (r < 0) {
		take_out(k, map, key); /* what is there is older than what could not be put */
		return false;
	}
	if (kernel_epoch(k, ino) == epoch)
		return true;
	take_out(k, map, key);
	atomic_fetch_add(&k->lost_publishes, 1);
	return false;
}

bool kernel_put_inode(struct kernel *k, uint32_t epoch, uint64_t ino, const struct extfuse_inode *inode)
{
	struct extfuse_inode value = *inode;

	if (!k)
		return false;
	value.serial = atomic_fetch_add(&k->serial, 1);
	value.tag = extfuse_inode_tag(ino, &value);
	return put(k, MAP_INODE, &ino, &value, ino, epoch);
}

bool kernel_put_chunk(struct kernel *k, uint32_t epoch, uint64_t ino, uint64_t chunk,
                      const struct extfuse_chunk *value)
{
	const struct extfuse_chunk_key key = {.ino = ino, .chunk = chunk};
	struct extfuse_chunk tagged = *value;

	tagged.tag = extfuse_chunk_tag(&key, value);
	return k && put(k, MAP_CHUNK, &key, &tagged, ino, epoch);
}

/* The map and key that a name has. */
union dentry_key {
	struct extfuse_dentry_key small;
	struct extfuse_dentry_long_key big;
};

static enum kernel_map dentry_key(uint64_t parent, const char *name, union dentry_key *ret)
{
	size_t length = strnlen(name, EXTFUSE_NAME_MAX);

	memset(ret, 0, sizeof(*ret));
	ret->big.parent = parent; /* the same place in both */
	memcpy(ret->big.name, name, length);
	return length <= EXTFUSE_NAME_SHORT ? MAP_DENTRY : MAP_DENTRY_LONG;
}

_Static_assert(offsetof(struct extfuse_dentry_key, name) == offsetof(struct extfuse_dentry_long_key, name),
               "the two dentry keys start alike");

bool kernel_put_dentry(struct kernel *k, uint32_t epoch, uint64_t parent, const char *name,
                       const struct extfuse_dentry *dentry)
{
	struct extfuse_dentry tagged = *dentry;
	union dentry_key key;
	enum kernel_map map = dentry_key(parent, name, &key);

	tagged.tag = extfuse_dentry_tag(
		map == MAP_DENTRY ? EXTFUSE_TAG_KEY(&key.small) : EXTFUSE_TAG_KEY(&key.big), dentry);
	return k && put(k, map, &key, &tagged, parent, epoch);
}

void kernel_drop_inode(struct kernel *k, uint64_t ino)
{
	if (!k)
		return;
	bpf_map_delete_elem(k->map_fd[MAP_INODE], &ino);
	changed(k, ino);
}

void kernel_drop_dentry(struct kernel *k, uint64_t parent, const char *name)
{
	union dentry_key key;

	if (k)
		take_out(k, dentry_key(parent, name, &key), &key);
}

void kernel_drop_chunk(struct kernel *k, uint64_t ino, uint64_t chunk)
{
	const struct extfuse_chunk_key key = {.ino = ino, .chunk = chunk};

	if (k)
		bpf_map_delete_elem(k->map_fd[MAP_CHUNK], &key);
}

bool kernel_get_inode(struct kernel *k, uint64_t ino, struct extfuse_inode *ret)
{
	return k && bpf_map_lookup_elem(k->map_fd[MAP_INODE], &ino, ret) == 0 &&
	       ret->tag == extfuse_inode_tag(ino, ret);
}

bool kernel_has_dentry(struct kernel *k, uint64_t parent, const char *name)
{
	struct extfuse_dentry dentry;
	union dentry_key key;

	return k && bpf_map_lookup_elem(k->map_fd[dentry_key(parent, name, &key)], &key, &dentry) == 0;
}

uint64_t kernel_statfs_changes(struct kernel *k)
{
	return k ? __atomic_load_n(&k->statfs->changes, __ATOMIC_SEQ_CST) : 0;
}

void kernel_statfs_changed(struct kernel *k)
{
	if (k)
		__atomic_add_fetch(&k->statfs->changes, 1, __ATOMIC_SEQ_CST);
}

void kernel_put_statfs(struct kernel *k, uint64_t changes, uint64_t expires_ns, const struct fuse_kstatfs *st)
{
	struct extfuse_statfs *s;

	if (!k)
		return;
	s = k->statfs;
	SCOPED_LOCK(&k->statfs_lock);
	__atomic_store_n(&s->seq, s->seq | 1, __ATOMIC_SEQ_CST);
	s->st = *st;
	s->seen = changes;
	s->expires_ns = expires_ns;
	__atomic_store_n(&s->seq, s->seq + 1, __ATOMIC_SEQ_CST);
}

/* The kernel keeps no count that user space can read: walk the map in large batches. */
static uint64_t count_entries(struct kernel *k, enum kernel_map map)
{
	enum { BATCH = 1024 };
	size_t key_size = bpf_map__key_size(k->maps[map]), value_size = bpf_map__value_size(k->maps[map]);
	_cleanup_free_ char *keys = malloc(BATCH * key_size), *values = malloc(BATCH * value_size);
	uint32_t from = 0, next = 0, max = bpf_map__max_entries(k->maps[map]);
	uint64_t total = 0;
	bool first = true;

	while (keys && values && total <= max) {
		uint32_t count = BATCH;
		int r = bpf_map_lookup_batch(k->map_fd[map], first ? NULL : &from, &next, keys, values,
		                             &count, NULL);

		if (r < 0 && errno != ENOENT)
			break;
		total += count;
		if (r < 0)
			break;
		from = next;
		first = false;
	}
	return total;
}

void kernel_get_stats(struct kernel *k, struct kernel_stats *ret)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *values = NULL;

	*ret = (struct kernel_stats){};
	if (!k)
		return;
	ret->ring_records = k->ring_records;
	ret->ring_lost = k->ring_lost;
	ret->lost_publishes = k->lost_publishes;
	ret->evicted = k->evicted;
	ret->backing_files = k->backing_files;
	ret->inodes = count_entries(k, MAP_INODE);
	ret->dentries = count_entries(k, MAP_DENTRY) + count_entries(k, MAP_DENTRY_LONG);
	ret->chunks = count_entries(k, MAP_CHUNK);
	if (cpus <= 0 || !(values = calloc((size_t)cpus, sizeof(*values))))
		return;
	for (uint32_t i = 0; i < EXTFUSE_OP_COUNT * EXTFUSE_OUTCOMES; i++) {
		if (bpf_map_lookup_elem(k->map_fd[MAP_STATS], &i, values) < 0)
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			ret->count[i / EXTFUSE_OUTCOMES][i % EXTFUSE_OUTCOMES] += values[cpu];
	}
}
