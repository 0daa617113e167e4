/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel side of trivialfs: load, attach, fill the maps. */
#include "bpf/embed.h"
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The whole sequence: open from memory, size the maps, set the constants and
 * the data members of the struct_ops, load; then (tfs_link) attach.
 */
int tfs_load(struct tfs *t, const struct extfuse_config *config, int fuse_fd, int device_fd, uint32_t abi,
             struct bpf_object **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "extfuse");
	struct bpf_object *object;
	struct extfuse_ops *ops;
	struct bpf_map *map;
	size_t size;
	void *rodata;
	int r;

	object =
		bpf_object__open_mem(extfuse_bpf_start, (size_t)(extfuse_bpf_end - extfuse_bpf_start), &opts);
	check(object);
	check(bpf_map__set_max_entries(bpf_object__find_map_by_name(object, EXTFUSE_MAP_INODE), 4096) == 0);
	rodata = bpf_map__initial_value(bpf_object__find_map_by_name(object, ".rodata.config"), &size);
	check(rodata && size == sizeof(*config));
	memcpy(rodata, config, sizeof(*config));
	map = bpf_object__find_map_by_name(object, "extfuse");
	ops = bpf_map__initial_value(map, &size);
	check(ops && size == sizeof(*ops));
	ops->fuse_fd = fuse_fd;
	ops->device_fd = device_fd;
	ops->abi_version = abi;
	ops->flags = config->entry_valid_ns ? 0 : EXTFUSE_OPS_REVALIDATE; /* as the daemon does it */
	r = bpf_object__load(object);
	if (r < 0) {
		bpf_object__close(object);
		return r;
	}
	*ret = object;
	return 0;
}

/* The array's elements lie 8 bytes apart. */
#define COUNTERS_SIZE (EXTFUSE_EPOCH_SLOTS * 8)

/* As the daemon does it before it attaches. */
void tfs_name_maps(struct bpf_object *object, int device_fd)
{
	const struct extfuse_ioc_maps maps = {
		.changes_fd = bpf_object__find_map_fd_by_name(object, EXTFUSE_MAP_CHANGES),
		.stats_fd = bpf_object__find_map_fd_by_name(object, EXTFUSE_MAP_STATS),
		.written_fd = bpf_object__find_map_fd_by_name(object, EXTFUSE_MAP_WRITTEN),
	};

	check(ioctl(device_fd, EXTFUSE_IOC_MAPS, &maps) == 0);
}

int tfs_link(struct bpf_object *object, struct bpf_link **ret)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(bpf_object__find_map_by_name(object, "extfuse"));

	if (!link)
		return -errno;
	*ret = link;
	return 0;
}

static int map_fd(struct tfs *t, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(t->object, name);

	check(fd >= 0);
	return fd;
}

static void attach(struct tfs *t, const struct extfuse_config *config, bool remembering)
{
	static const struct extfuse_config none;

	t->device_fd = open(EXTFUSE_DEVICE, O_RDWR | O_CLOEXEC);
	check(t->device_fd >= 0);
	check(tfs_load(t, config ?: &none, t->fuse_fd, t->device_fd, EXTFUSE_ABI_VERSION, &t->object) == 0);
	if (remembering)
		tfs_name_maps(t->object, t->device_fd);
	check(tfs_link(t->object, &t->link) == 0);
	t->changes = mmap(NULL, COUNTERS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
	                  bpf_object__find_map_fd_by_name(t->object, EXTFUSE_MAP_CHANGES), 0);
	check(t->changes != MAP_FAILED);
	t->dentry = map_fd(t, EXTFUSE_MAP_DENTRY);
	t->dentry_long = map_fd(t, EXTFUSE_MAP_DENTRY_LONG);
	t->inode = map_fd(t, EXTFUSE_MAP_INODE);
	t->chunk = map_fd(t, EXTFUSE_MAP_CHUNK);
	t->written = map_fd(t, EXTFUSE_MAP_WRITTEN);
	t->dirty = map_fd(t, EXTFUSE_MAP_DIRTY);
	t->epoch = map_fd(t, EXTFUSE_MAP_EPOCH);
	t->statfs = map_fd(t, EXTFUSE_MAP_STATFS);
	t->stats = map_fd(t, EXTFUSE_MAP_STATS);
	t->events = map_fd(t, EXTFUSE_MAP_EVENTS);
	tfs_publish_inode(t, 1, 0); /* every walk checks the root's permissions */
}

void tfs_attach(struct tfs *t, const struct extfuse_config *config)
{
	attach(t, config, true);
}

void tfs_attach_asking(struct tfs *t, const struct extfuse_config *config)
{
	attach(t, config, false);
}

void tfs_detach(struct tfs *t)
{
	bpf_link__destroy(t->link);
	if (t->changes)
		munmap(t->changes, COUNTERS_SIZE);
	t->changes = NULL;
	bpf_object__close(t->object);
	if (t->device_fd >= 0)
		close(t->device_fd);
	t->link = NULL;
	t->object = NULL;
	t->device_fd = -1;
}

/* ---- entries ---- */

void tfs_changed(struct tfs *t, uint64_t ino)
{
	__atomic_add_fetch((uint32_t *)(t->changes + (size_t)extfuse_epoch_slot(ino) * 8), 1,
	                   __ATOMIC_SEQ_CST);
}

/* Keys of inodes and of both kinds of dentries begin with whose entry it is. */
static uint64_t owner_of(const void *key)
{
	uint64_t ino;

	memcpy(&ino, key, sizeof(ino));
	return ino;
}

int tfs_put(struct tfs *t, int map, const void *key, const void *value)
{
	int r = bpf_map_update_elem(map, key, value, BPF_ANY);

	tfs_changed(t, owner_of(key));
	return r;
}

int tfs_put_inode(struct tfs *t, uint64_t ino, const struct extfuse_inode *value)
{
	static _Atomic uint16_t serial;
	struct extfuse_inode v = *value;

	v.serial = atomic_fetch_add(&serial, 1);
	v.tag = extfuse_inode_tag(ino, &v);
	return tfs_put(t, t->inode, &ino, &v);
}

int tfs_put_dentry(struct tfs *t, int map, const void *key, const struct extfuse_dentry *value)
{
	const struct extfuse_dentry_long_key *l = key;
	const struct extfuse_dentry_key *s = key;
	struct extfuse_dentry v = *value;

	v.tag = extfuse_dentry_tag(map == t->dentry ? EXTFUSE_TAG_KEY(s) : EXTFUSE_TAG_KEY(l), value);
	return tfs_put(t, map, key, &v);
}

int tfs_take_out(struct tfs *t, int map, const void *key)
{
	int r = bpf_map_delete_elem(map, key);

	tfs_changed(t, owner_of(key));
	return r;
}

static void publish_inode(struct tfs *t, uint64_t ino, uint64_t backing_id, uint64_t offset, uint16_t flags)
{
	const struct stat *st = &t->nodes[ino].st;
	struct extfuse_inode v = {
		.attr =
			{
				.ino = st->st_ino,
				.size = (uint64_t)st->st_size,
				.atime = (uint64_t)st->st_atim.tv_sec,
				.mtime = (uint64_t)st->st_mtim.tv_sec,
				.ctime = (uint64_t)st->st_ctim.tv_sec,
				.atimensec = (uint32_t)st->st_atim.tv_nsec,
				.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
				.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
				.mode = st->st_mode,
				.nlink = (uint32_t)st->st_nlink,
				.uid = st->st_uid,
				.gid = st->st_gid,
				.blksize = (uint32_t)st->st_blksize,
			},
		.generation = 1,
		.backing_id = backing_id,
		.backing_offset = offset,
		.flags = flags,
	};

	check(tfs_put_inode(t, ino, &v) == 0);
}

void tfs_publish_inode(struct tfs *t, uint64_t ino, uint64_t backing_id)
{
	publish_inode(t, ino, backing_id, 0, backing_id ? EXTFUSE_INODE_CACHED : 0);
}

void tfs_publish_packed(struct tfs *t, uint64_t ino, uint64_t backing_id, uint64_t offset)
{
	publish_inode(t, ino, backing_id, offset, EXTFUSE_INODE_CACHED);
}

void tfs_publish_lent(struct tfs *t, uint64_t ino, uint64_t backing_id)
{
	publish_inode(t, ino, backing_id, 0, EXTFUSE_INODE_CACHED | EXTFUSE_INODE_LENT);
}

void tfs_publish_lent_in_part(struct tfs *t, uint64_t ino, uint64_t backing_id)
{
	publish_inode(t, ino, backing_id, 0, EXTFUSE_INODE_LENT);
}

void tfs_publish_lent_bare(struct tfs *t, uint64_t ino, uint64_t backing_id)
{
	publish_inode(t, ino, backing_id, 0,
	              EXTFUSE_INODE_CACHED | EXTFUSE_INODE_LENT | EXTFUSE_INODE_NO_XATTR);
}

void tfs_publish_bare_inode(struct tfs *t, uint64_t ino)
{
	publish_inode(t, ino, 0, 0, EXTFUSE_INODE_NO_XATTR);
}

/* One of the two maps, and the key in it. */
static int name_key(struct tfs *t, uint64_t parent, const char *name, void *key)
{
	struct extfuse_dentry_long_key *l = key;
	struct extfuse_dentry_key *s = key;
	size_t len = strlen(name);

	check(len <= EXTFUSE_NAME_MAX);
	memset(key, 0, sizeof(*l));
	l->parent = parent;
	if (len > EXTFUSE_NAME_SHORT) {
		memcpy(l->name, name, len);
		return t->dentry_long;
	}
	memcpy(s->name, name, len);
	return t->dentry;
}

void tfs_publish_name(struct tfs *t, uint64_t parent, const char *name, uint64_t ino)
{
	struct extfuse_dentry v = {.ino = ino, .generation = ino ? 1 : 0};
	struct extfuse_dentry_long_key key;
	int fd = name_key(t, parent, name, &key);

	check(tfs_put_dentry(t, fd, &key, &v) == 0);
}

void tfs_publish_chunk(struct tfs *t, uint64_t ino, uint64_t chunk, const struct extfuse_chunk *value)
{
	struct extfuse_chunk_key key = {.ino = ino, .chunk = chunk};
	struct extfuse_chunk tagged = *value;

	tagged.tag = extfuse_chunk_tag(&key, value);
	check(bpf_map_update_elem(t->chunk, &key, &tagged, BPF_ANY) == 0);
}

void tfs_publish_statfs(struct tfs *t, const struct extfuse_statfs *value)
{
	const uint32_t zero = 0;

	check(bpf_map_update_elem(t->statfs, &zero, value, BPF_ANY) == 0);
}

bool tfs_has_inode(struct tfs *t, uint64_t ino)
{
	struct extfuse_inode v;

	return bpf_map_lookup_elem(t->inode, &ino, &v) == 0;
}

bool tfs_has_name(struct tfs *t, uint64_t parent, const char *name)
{
	struct extfuse_dentry_long_key key;
	struct extfuse_dentry v;
	int fd = name_key(t, parent, name, &key);

	return bpf_map_lookup_elem(fd, &key, &v) == 0;
}

uint32_t tfs_epoch(struct tfs *t, uint64_t ino)
{
	uint32_t slot = extfuse_epoch_slot(ino), n;

	check(bpf_map_lookup_elem(t->epoch, &slot, &n) == 0);
	return n;
}

uint64_t tfs_stat(struct tfs *t, enum extfuse_op op, enum extfuse_outcome outcome)
{
	uint32_t slot = op * EXTFUSE_OUTCOMES + outcome;
	int cpus = libbpf_num_possible_cpus();
	uint64_t per_cpu[256], sum = 0;

	check(cpus > 0 && cpus <= 256);
	check(bpf_map_lookup_elem(t->stats, &slot, per_cpu) == 0);
	for (int i = 0; i < cpus; i++)
		sum += per_cpu[i];
	return sum;
}

static uint64_t backing_add(struct tfs *t, int fd)
{
	struct extfuse_ioc_backing add = {.fd = fd};

	check(ioctl(t->device_fd, EXTFUSE_IOC_BACKING_ADD, &add) == 0);
	check(add.id != 0);
	return add.id;
}

uint64_t tfs_backing_of(struct tfs *t, int fd)
{
	uint64_t id = backing_add(t, fd);

	close(fd);
	return id;
}

uint64_t tfs_backing(struct tfs *t, const char *bytes, size_t size, int *ret_fd)
{
	const char *tmp = getenv("CURVEFS_SCRATCH") ?: getenv("TMPDIR") ?: "/tmp";
	char path[512];
	uint64_t id;
	int fd;

	snprintf(path, sizeof(path), "%s/backing.XXXXXX", tmp);
	fd = mkstemp(path);
	check(fd >= 0);
	unlink(path);
	for (size_t n = 0; n < size;) {
		ssize_t w = write(fd, bytes + n, size - n);

		check(w > 0);
		n += (size_t)w;
	}
	id = backing_add(t, fd);
	if (ret_fd)
		*ret_fd = fd;
	else
		close(fd);
	return id;
}
