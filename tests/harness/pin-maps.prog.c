/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin-maps DIR [magic|version|sizes|layout]: make maps such as a daemon pins, with a few entries, and pin
 * them in DIR; with a second argument they are wrong in this.  Ends with 77 where BPF maps cannot be had.
 */
#include "bpf/extfuse_abi.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INODES 8

static const char *dir;

static int pinned(enum bpf_map_type type, const char *name, unsigned key_size, unsigned value_size,
                  unsigned entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int fd = bpf_map_create(type, name, key_size, value_size, entries, &opts);
	char path[256];

	if (fd < 0) {
		printf("no BPF maps here: %s\n", strerror(errno));
		exit(77);
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (bpf_obj_pin(fd, path) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static void put(int fd, const void *key, const void *value)
{
	if (bpf_map_update_elem(fd, key, value, BPF_ANY) < 0) {
		perror("bpf_map_update_elem");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const char *wrong = argc > 2 ? argv[2] : "";
	struct extfuse_info info = {
		.magic = EXTFUSE_ABI_MAGIC + !strcmp(wrong, "magic"),
		.version = EXTFUSE_ABI_VERSION + !strcmp(wrong, "version"),
		.dentry_key_size = sizeof(struct extfuse_dentry_key),
		.dentry_long_key_size = sizeof(struct extfuse_dentry_long_key),
		.dentry_size = sizeof(struct extfuse_dentry),
		.inode_size = sizeof(struct extfuse_inode),
		.chunk_key_size = sizeof(struct extfuse_chunk_key),
		.chunk_size = sizeof(struct extfuse_chunk),
		.written_size = sizeof(struct extfuse_written),
		.dirty_size = sizeof(struct extfuse_dirty) + !strcmp(wrong, "layout"),
	};
	struct extfuse_dentry_key key = {.parent = 1, .name = "file"};
	struct extfuse_dentry_long_key long_key = {.parent = 1};
	struct extfuse_dentry dentry = {.ino = 2, .generation = 1}, absent = {.ino = 0};
	struct extfuse_chunk_key chunk_key = {.ino = 2, .chunk = 3};
	struct extfuse_chunk chunk = {.backing_id = 7, .offset = 3 << 22, .valid = 5, .version = 9};
	struct extfuse_written written = {
		.ino = 2, .size = 6, .bytes = 40, .max_bytes = 1 << 24, .fresh_chunk = 1, .last_chunk = 3};
	struct extfuse_dirty dirty = {.pages = {0x8000000000000007, 1, [15] = 1ull << 63}};
	__u64 lent = 2;
	unsigned zero = 0;
	int fd;

	if (argc < 2)
		return 2;
	dir = argv[1];
	put(pinned(BPF_MAP_TYPE_ARRAY, EXTFUSE_MAP_INFO, 4, sizeof(info), 1), &zero, &info);
	fd = pinned(BPF_MAP_TYPE_HASH, EXTFUSE_MAP_DENTRY, sizeof(key), sizeof(dentry), INODES);
	put(fd, &key, &dentry);
	memcpy(key.name, "absent", 6);
	put(fd, &key, &absent);
	key.parent = 999; /* a directory that nobody knows */
	put(fd, &key, &absent);
	memset(long_key.name, 'l', 200);
	put(pinned(BPF_MAP_TYPE_HASH, EXTFUSE_MAP_DENTRY_LONG, sizeof(long_key), sizeof(dentry), INODES),
	    &long_key, &dentry);
	fd = pinned(BPF_MAP_TYPE_HASH, EXTFUSE_MAP_INODE, sizeof(__u64),
	            sizeof(struct extfuse_inode) + 8 * !strcmp(wrong, "sizes"), INODES);
	for (__u64 ino = 1; ino <= 3; ino++) {
		struct {
			struct extfuse_inode i;
			char more[8];
		} value = {.i = {.attr = {.ino = ino,
		                          .size = 6,
		                          .mode = ino == 1 ? S_IFDIR | 0755 : S_IFREG | 0644},
		                 .backing_id = ino == 2 ? 7 : 0,
		                 .flags = ino == 1 ? EXTFUSE_INODE_ALL_NAMES | EXTFUSE_INODE_NO_XATTR
		                                   : (ino == 2 ? EXTFUSE_INODE_CACHED | EXTFUSE_INODE_LENT
		                                               : 0)}};

		put(fd, &ino, &value);
	}
	put(pinned(BPF_MAP_TYPE_HASH, EXTFUSE_MAP_CHUNK, sizeof(chunk_key), sizeof(chunk), INODES),
	    &chunk_key, &chunk);
	fd = pinned(BPF_MAP_TYPE_HASH, EXTFUSE_MAP_WRITTEN, sizeof(lent), sizeof(written), INODES);
	put(fd, &lent, &written);
	lent = 3; /* nothing was written to it */
	written = (struct extfuse_written){.ino = 3, .size = 6, .max_bytes = 7, .first_chunk = UINT64_MAX};
	put(fd, &lent, &written);
	put(pinned(BPF_MAP_TYPE_HASH, EXTFUSE_MAP_DIRTY, sizeof(chunk_key), sizeof(dirty), INODES),
	    &chunk_key, &dirty);
	return 0;
}
