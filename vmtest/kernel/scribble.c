/* SPDX-License-Identifier: Apache-2.0 */
/* Values in the maps as nobody should write them. */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/storm.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define CHUNK EXTFUSE_CHUNK_SIZE

/* ---- own cache files come and go ---- */

uint64_t storm_add(int device, int fd)
{
	struct extfuse_ioc_backing backing = {.fd = fd};

	return ioctl(device, EXTFUSE_IOC_BACKING_ADD, &backing) == 0 ? backing.id : 0;
}

/* A file is registered under another id; the one it had is, from then on, one that is none. */
static void renew_id(struct storm *s, struct chance *c)
{
	int n = (int)chance_below(c, WORLD_FILES);
	uint64_t id = atomic_exchange(&s->ids[n], storm_add(s->w->t->device_fd, s->w->files[n].cache_fd));

	ioctl(s->w->t->device_fd, EXTFUSE_IOC_BACKING_DEL, &id);
	s->gone[chance_below(c, IDS)] = id;
}

static uint64_t some_id(struct storm *s, struct chance *c, int file)
{
	switch (chance_below(c, 8)) {
	case 0:
		return s->gone[chance_below(c, IDS)];
	case 1: /* of another device */
		return storm_add(s->other_device, s->w->files[file].cache_fd);
	case 2: /* never an id of a file of the others: these are told apart by it, and by nothing else */
		return (chance_odd(c) & ~0xffffffull) + (1ull << 40);
	default:
		return s->ids[file];
	}
}

/* ---- values ---- */

static uint64_t some_ino(struct storm *s, struct chance *c)
{
	return one_in(c, 4) ? chance_odd(c) : s->w->files[chance_below(c, WORLD_FILES)].ino;
}

static struct fuse_attr true_attr(struct storm *s, uint64_t ino)
{
	struct tfs *t = s->w->t;
	struct fuse_attr attr;

	pthread_mutex_lock(&t->lock);
	attr = (struct fuse_attr){
		.ino = ino,
		.size = (uint64_t)t->nodes[ino].st.st_size,
		.mtime = (uint64_t)t->nodes[ino].st.st_mtim.tv_sec,
		.mode = t->nodes[ino].st.st_mode,
		.nlink = 1,
		.blksize = 4096,
	};
	pthread_mutex_unlock(&t->lock);
	return attr;
}

static void mutate_attr(struct chance *c, struct fuse_attr *attr)
{
	uint64_t odd = chance_odd(c);

	switch (chance_below(c, 12)) {
	case 0:
	case 1:
		attr->size = odd;
		break;
	case 2:
		attr->size = chance_below(c, 2 * CHUNK);
		break;
	case 3:
		attr->blocks = odd;
		break;
	case 4:
		attr->mtime = attr->ctime = odd;
		break;
	case 5:
		attr->mtimensec = attr->atimensec = (uint32_t)odd;
		break;
	case 6:
		attr->mode ^= 1u << chance_below(c, 9);
		break;
	case 7:
		attr->nlink = (uint32_t)odd;
		break;
	case 8:
		attr->uid = attr->gid = (uint32_t)odd;
		break;
	case 9:
		attr->blksize = (uint32_t)odd;
		break;
	case 10:
		attr->flags = (uint32_t)odd;
		break;
	default:
		if (one_in(c, 8))
			attr->mode = (uint32_t)
				odd; /* and so another kind of file: the inode is bad from then on */
	}
}

/* The tag is right most times: with another one nobody looks any further. */
static void put_scribbled(struct storm *s, struct chance *c, uint64_t key, struct extfuse_inode *v)
{
	v->tag = one_in(c, 8) ? (uint32_t)chance(c) : extfuse_inode_tag(key, v);
	bpf_map_update_elem(s->w->t->inode, &key, v, BPF_ANY);
}

static void scribble_inode(struct storm *s, struct chance *c)
{
	int n = (int)chance_below(c, WORLD_FILES);
	struct extfuse_inode v = {.attr = true_attr(s, s->w->files[n].ino), .generation = 1};
	uint64_t key = v.attr.ino;

	v.flags = EXTFUSE_INODE_CACHED | (one_in(c, 2) ? EXTFUSE_INODE_LENT : 0);
	v.backing_id = s->ids[n];
	for (uint64_t i = chance_below(c, 4); i; i--) {
		switch (chance_below(c, 8)) {
		case 0:
			v.generation = chance_odd(c);
			break;
		case 1:
			v.expires_ns = chance_odd(c);
			break;
		case 2:
			v.backing_id = some_id(s, c, n);
			break;
		case 3:
			v.backing_offset = chance_odd(c);
			break;
		case 4:
			v.flags = (uint16_t)(one_in(c, 2) ? chance_below(c, 16) : chance_odd(c));
			break;
		case 5:
			v.serial = (uint16_t)chance(c);
			if (one_in(c, 8))
				v.attr.ino = some_ino(s, c);
			break;
		default:
			mutate_attr(c, &v.attr);
		}
	}
	if (one_in(c, 32))
		key = FUSE_ROOT_ID;
	else if (one_in(c, 16))
		key = some_ino(s, c);
	if (key ==
	    FUSE_ROOT_ID) { /* stays a directory, and of a possible size, or there is nothing left to use */
		v.attr.ino = FUSE_ROOT_ID;
		v.attr.mode = S_IFDIR | 0755;
		v.attr.size = 0;
	}
	put_scribbled(s, c, key, &v);
}

/* A file that may really be written in the kernel. */
static void lend(struct storm *s, struct chance *c)
{
	int n = (int)chance_below(c, WORLD_FILES);
	struct extfuse_inode v = {.attr = true_attr(s, s->w->files[n].ino), .generation = 1};
	struct extfuse_written w = {
		.ino = v.attr.ino, .size = v.attr.size, .max_bytes = 1 << 30, .first_chunk = UINT64_MAX};

	v.flags = EXTFUSE_INODE_CACHED | EXTFUSE_INODE_LENT;
	v.backing_id = s->ids[n];
	bpf_map_update_elem(s->w->t->written, &w.ino, &w, BPF_ANY);
	put_scribbled(s, c, w.ino, &v);
}

static void scribble_written(struct storm *s, struct chance *c)
{
	uint64_t ino = s->w->files[chance_below(c, WORLD_FILES)].ino;
	struct extfuse_written w = {
		.ino = ino, .size = true_attr(s, ino).size, .max_bytes = 1 << 30, .first_chunk = UINT64_MAX};
	__u64 *const words[] = {&w.size,        &w.time_ns,     &w.bytes,     &w.max_bytes,
	                        &w.fresh_chunk, &w.first_chunk, &w.last_chunk};

	for (uint64_t i = chance_below(c, 4); i; i--)
		*words[chance_below(c, sizeof(words) / sizeof(*words))] = chance_odd(c);
	if (one_in(c, 8))
		w.ino = some_ino(s, c);
	bpf_map_update_elem(s->w->t->written, &ino, &w, BPF_ANY);
}

static void scribble_dirty(struct storm *s, struct chance *c)
{
	struct extfuse_chunk_key key = {.ino = some_ino(s, c),
	                                .chunk = one_in(c, 8) ? chance_odd(c) : chance_below(c, 4)};
	struct extfuse_dirty d = {};

	for (size_t i = 0; one_in(c, 2) && i < sizeof(d.pages) / 8; i++)
		d.pages[i] = chance(c);
	bpf_map_update_elem(s->w->t->dirty, &key, &d, BPF_ANY);
}

static void scribble_chunk(struct storm *s, struct chance *c)
{
	int n = (int)chance_below(c, WORLD_FILES);
	struct extfuse_chunk_key key = {.ino = s->w->files[n].ino,
	                                .chunk = one_in(c, 8) ? chance_odd(c) : chance_below(c, 4)};
	struct extfuse_chunk v = {.backing_id = some_id(s, c, n),
	                          .offset = one_in(c, 2) ? key.chunk * CHUNK : chance_odd(c),
	                          .valid = one_in(c, 2) ? UINT64_MAX : chance(c),
	                          .version = chance_odd(c)};
	struct extfuse_inode inode = {.attr = true_attr(s, key.ino), .generation = 1};

	v.tag = one_in(c, 8) ? chance_odd(c) : extfuse_chunk_tag(&key, &v);
	bpf_map_update_elem(s->w->t->chunk, &key, &v, BPF_ANY);
	if (one_in(c, 2)) /* and asked for */
		put_scribbled(s, c, key.ino, &inode);
}

static void scribble_dentry(struct storm *s, struct chance *c)
{
	const char *name = one_in(c, 8) ? "absent" : s->w->files[chance_below(c, WORLD_FILES)].name;
	struct extfuse_dentry_long_key l = {.parent = one_in(c, 8) ? chance_odd(c) : FUSE_ROOT_ID};
	struct extfuse_dentry_key k = {.parent = l.parent};
	struct extfuse_dentry v = {.ino = one_in(c, 4) ? 0 : some_ino(s, c), .generation = 1};
	bool is_long = strlen(name) > EXTFUSE_NAME_SHORT;

	if (one_in(c, 8))
		v.ino = FUSE_ROOT_ID;
	if (one_in(c, 8))
		v.generation = chance_odd(c);
	if (one_in(c, 8))
		v.expires_ns = chance_odd(c);
	memcpy(is_long ? l.name : k.name, name, strlen(name));
	if (one_in(c, 8)) /* without an end, or with something behind it */
		memset(is_long ? l.name + 250 : k.name + 37, (int)chance(c), 3);
	v.tag = extfuse_dentry_tag(is_long ? EXTFUSE_TAG_KEY(&l) : EXTFUSE_TAG_KEY(&k), &v);
	if (one_in(c, 8))
		v.tag = chance_odd(c);
	if (is_long)
		bpf_map_update_elem(s->w->t->dentry_long, &l, &v, BPF_ANY);
	else
		bpf_map_update_elem(s->w->t->dentry, &k, &v, BPF_ANY);
}

static void scribble_arrays(struct storm *s, struct chance *c)
{
	struct tfs *t = s->w->t;
	uint32_t slot = (uint32_t)(one_in(c, 4) ? chance_odd(c) : chance_below(c, 8)),
		 word = (uint32_t)chance(c);
	struct extfuse_statfs fs = {.seq = chance_odd(c) & ~1ull,
	                            .changes = 1,
	                            .seen = 1,
	                            .expires_ns = one_in(c, 2) ? 0 : chance_odd(c)};
	uint64_t words[256];

	for (size_t i = 0; i < 256; i++)
		words[i] = chance_odd(c);
	memcpy(&fs.st, words, sizeof(fs.st));
	bpf_map_update_elem(t->statfs, &slot, &fs, BPF_ANY);
	slot = (uint32_t)chance_below(c, EXTFUSE_EPOCH_SLOTS);
	bpf_map_update_elem(t->epoch, &slot, &word, BPF_ANY);
	/* descriptors of other things where those of perf events belong */
	slot = (uint32_t)chance_below(c, 4);
	word = (uint32_t)(one_in(c, 2) ? t->device_fd : t->inode);
	s->refused += bpf_map_update_elem(t->events, &slot, &word, BPF_ANY) < 0;
	/* the structure with the programs takes no second value, and does not go */
	slot = 0;
	s->refused += bpf_map_update_elem(bpf_object__find_map_fd_by_name(t->object, "extfuse"), &slot, words,
	                                  BPF_ANY) < 0;
	s->refused += bpf_map_delete_elem(bpf_object__find_map_fd_by_name(t->object, "extfuse"), &slot) < 0;
}

static void take_some_out(struct storm *s, struct chance *c)
{
	struct tfs *t = s->w->t;
	const int maps[] = {t->inode, t->dentry, t->dentry_long, t->chunk, t->written, t->dirty};
	int map = maps[chance_below(c, 6)];
	char key[sizeof(struct extfuse_dentry_long_key)];

	for (uint64_t n = chance_below(c, 20); n && bpf_map_get_next_key(map, NULL, key) == 0; n--)
		bpf_map_delete_elem(map, key);
}

void scribble(struct storm *s, struct chance *c)
{
	static void (*const ways[])(struct storm *, struct chance *) = {
		scribble_inode,   scribble_inode,  scribble_inode,  lend,
		scribble_written, scribble_dirty,  scribble_dirty,  scribble_chunk,
		scribble_dentry,  scribble_dentry, scribble_arrays, take_some_out,
		renew_id,
	};

	ways[chance_below(c, sizeof(ways) / sizeof(*ways))](s, c);
	s->values++;
	/* Most times the module forgets what it remembers of the old values; else it has no business to know.
	 */
	for (int i = 0; i < WORLD_FILES && !one_in(c, 4); i++)
		tfs_changed(s->w->t, s->w->files[i].ino);
	if (!one_in(c, 4))
		tfs_changed(s->w->t, FUSE_ROOT_ID);
	if (one_in(c, 64)) { /* the cache file itself: shorter, with a hole */
		int fd = s->w->files[chance_below(c, WORLD_FILES)].cache_fd;

		if (one_in(c, 2))
			check(ftruncate(fd, (off_t)chance_below(c, 2 * CHUNK)) == 0);
		else
			check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			                (off_t)chance_below(c, CHUNK), 100000) == 0);
	}
	if (one_in(c, 16))
		usleep(1000); /* the users' turn */
}

/* ---- a daemon's maps ---- */

/*
 * Some words of some value are changed.  Not a backing id to one that another file has, or may get: that file
 * is then what the map says.
 */
static void scribble_pin(struct chance *c, int map, uint32_t key_size, uint32_t value_size)
{
	char key[512], next[512];
	uint64_t value[512];
	bool found = false;

	check(key_size <= sizeof(key) && value_size <= sizeof(value));
	for (uint64_t n = chance_below(c, 30) + 1; n; n--) {
		if (bpf_map_get_next_key(map, found ? key : NULL, next) < 0)
			break;
		memcpy(key, next, key_size);
		found = true;
	}
	if (!found || bpf_map_lookup_elem(map, key, value) < 0)
		return;
	for (uint64_t n = chance_below(c, 4); n; n--)
		value[chance_below(c, value_size / 8)] = chance_odd(c) | 1ull << 40;
	bpf_map_update_elem(map, key, value, BPF_ANY);
}

int scribble_pins(int argc, char **argv)
{
	static const char *const names[] = {EXTFUSE_MAP_DENTRY, EXTFUSE_MAP_DENTRY_LONG, EXTFUSE_MAP_INODE,
	                                    EXTFUSE_MAP_CHUNK,  EXTFUSE_MAP_WRITTEN,     EXTFUSE_MAP_DIRTY};
	enum { MAPS = sizeof(names) / sizeof(*names) };
	struct bpf_map_info info[MAPS];
	const char *seed = getenv("FUZZ_SEED");
	struct chance c = {.state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL)};
	int fds[MAPS];
	time_t end;

	if (argc != 4)
		return 2;
	printf("FUZZ_SEED=%llu\n", (unsigned long long)c.state);
	for (size_t i = 0; i < MAPS; i++) {
		uint32_t size = sizeof(info[i]);
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", argv[2], names[i]);
		fds[i] = bpf_obj_get(path);
		memset(&info[i], 0, size);
		check(fds[i] >= 0 && bpf_map_get_info_by_fd(fds[i], &info[i], &size) == 0);
	}
	for (end = time(NULL) + atoi(argv[3]); time(NULL) < end;) {
		size_t i = chance_below(&c, MAPS);

		scribble_pin(&c, fds[i], info[i].key_size, info[i].value_size);
	}
	return 0;
}
