/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_KERNEL_INTERNAL_H
#define CURVEFS_KERNEL_INTERNAL_H

/* What load.c, maps.c, backing.c and events.c share; nobody else includes this. */

#include "daemon/kernel/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum kernel_map {
	MAP_DENTRY,
	MAP_DENTRY_LONG,
	MAP_INODE,
	MAP_CHUNK,
	MAP_WRITTEN,
	MAP_DIRTY,
	MAP_EPOCH,
	MAP_CHANGES,
	MAP_STATFS,
	MAP_EVENTS,
	MAP_STATS,
	MAP_INFO,
	MAPS
};

/* Where making room in a full map goes on; see maps.c. */
struct map_cursor {
	pthread_mutex_t lock;
	bool set;
	unsigned char key[sizeof(struct extfuse_dentry_long_key)];
};

struct kernel {
	int device_fd;
	struct bpf_object *object;
	struct bpf_link *link;
	struct bpf_map *maps[MAPS];
	int map_fd[MAPS];
	struct map_cursor cursor[MAPS];
	char *pin_dir;      /* NULL: nothing is pinned */
	struct stat pinned; /* that directory, as it was made */

	void *epochs,
		*changes; /* the maps of these names, mapped: BPF programs and this process count in them */

	struct extfuse_statfs *statfs; /* the map of that name, mapped */
	pthread_mutex_t statfs_lock;   /* of who writes it; `changes` is counted up without it */

	/* the ring's consumer; see events.c */
	struct perf_buffer *ring;
	pthread_t ring_thread;
	bool ring_running;
	int ring_stop_fd;
	pthread_mutex_t on_write_lock; /* held during the call */
	void (*on_write)(void *arg, uint64_t ino);
	void *on_write_arg;

	_Atomic uint16_t serial; /* of the next inode entry */
	_Atomic uint64_t ring_records, ring_lost, lost_publishes, evicted, backing_files;
};

/** Start the thread that reads the ring. The maps are loaded. */
int kernel_events_start(struct kernel *k, uint32_t ring_pages);
void kernel_events_stop(struct kernel *k);

int kernel_maps_init(struct kernel *k);
void kernel_maps_fini(struct kernel *k);

#endif
