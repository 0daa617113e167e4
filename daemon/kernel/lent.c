/* SPDX-License-Identifier: Apache-2.0 */
/* The maps of files that the kernel writes by itself. */
#include "daemon/kernel/internal.h"

#include <errno.h>

static int put(struct kernel *k, enum kernel_map map, const void *key, const void *value)
{
	return k ? bpf_map_update_elem(k->map_fd[map], key, value, BPF_ANY) : -ENODEV;
}

static int get(struct kernel *k, enum kernel_map map, const void *key, void *ret)
{
	return k ? bpf_map_lookup_elem(k->map_fd[map], key, ret) : -ENOENT;
}

int kernel_put_written(struct kernel *k, uint64_t ino, const struct extfuse_written *value)
{
	return put(k, MAP_WRITTEN, &ino, value);
}

int kernel_get_written(struct kernel *k, uint64_t ino, struct extfuse_written *ret)
{
	return get(k, MAP_WRITTEN, &ino, ret);
}

void kernel_drop_written(struct kernel *k, uint64_t ino)
{
	if (k)
		bpf_map_delete_elem(k->map_fd[MAP_WRITTEN], &ino);
}

int kernel_put_dirty(struct kernel *k, uint64_t ino, uint64_t chunk, const struct extfuse_dirty *value)
{
	return put(k, MAP_DIRTY, &(struct extfuse_chunk_key){.ino = ino, .chunk = chunk}, value);
}

int kernel_get_dirty(struct kernel *k, uint64_t ino, uint64_t chunk, struct extfuse_dirty *ret)
{
	return get(k, MAP_DIRTY, &(struct extfuse_chunk_key){.ino = ino, .chunk = chunk}, ret);
}

void kernel_drop_dirty(struct kernel *k, uint64_t ino, uint64_t chunk)
{
	const struct extfuse_chunk_key key = {.ino = ino, .chunk = chunk};

	if (k)
		bpf_map_delete_elem(k->map_fd[MAP_DIRTY], &key);
}
