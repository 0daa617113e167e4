/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMTEST_TRIVIALFS_H
#define VMTEST_TRIVIALFS_H

/*
 * The smallest FUSE daemon that the kernel side can be tested with: a tree in
 * memory, one thread, no kernel time-outs, a counter per request.  It publishes
 * nothing by itself: a test says what is in the maps, also what is not true, to
 * tell by an answer who gave it.
 */

#include "bpf/extfuse_abi.h"

#include <bpf/libbpf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum { TFS_NODES = 512, TFS_NAMES = 512, TFS_OPCODES = 64 };

struct tfs_node {
	struct stat st; /* st_ino 0: free */
	char *data;
};

struct tfs_name {
	uint64_t parent, ino; /* ino 0: free */
	char name[256];
};

struct tfs {
	char dir[256]; /* the mount point */
	struct fuse_session *se;
	int fuse_fd;
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* of nodes and names */
	struct tfs_node nodes[TFS_NODES];
	struct tfs_name names[TFS_NAMES];
	uint64_t last_ino;
	atomic_ulong requests[TFS_OPCODES]; /* by enum fuse_opcode */
	atomic_ulong forgotten;             /* lookups that the kernel counted and then forgot */
	atomic_int read_delay_ms;
	off_t size_limit; /* of a file; what is more is EFBIG. First 1 GiB. */

	/* the kernel side; object NULL: without */
	int device_fd;
	struct bpf_object *object;
	struct bpf_link *link;
	char *changes; /* the map of that name, mapped */
	int dentry, dentry_long, inode, chunk, written, dirty, epoch, statfs, stats, events;
};

/* Mount on a new folder below $TMPDIR and serve in a thread. Ends the process on failure. */
struct tfs *tfs_start(void);
void tfs_stop(struct tfs *t);

/* Nodes are made in the tree itself, not through the mount. */
uint64_t tfs_add(struct tfs *t, uint64_t parent, const char *name, mode_t mode, const char *data);
char *tfs_path(struct tfs *t, const char *name); /* below the mount point; of a ring of static buffers */
unsigned long tfs_requests(struct tfs *t, unsigned opcode);

/* Load the BPF object and attach it, with the root's attributes published. tfs_load() may be given other
 * descriptors; 0 or a negative errno. */
void tfs_attach(struct tfs *t, const struct extfuse_config *config);
void tfs_attach_asking(struct tfs *t, const struct extfuse_config *config); /* nothing is remembered */
int tfs_load(struct tfs *t, const struct extfuse_config *config, int fuse_fd, int device_fd, uint32_t abi,
             struct bpf_object **ret);
void tfs_name_maps(struct bpf_object *object, int device_fd); /* EXTFUSE_IOC_MAPS */
int tfs_link(struct bpf_object *object, struct bpf_link **ret);
void tfs_detach(struct tfs *t);

/* An entry of the inode or of a dentry map changes or goes, and nobody remembers it. As the map's calls. */
int tfs_put(struct tfs *t, int map, const void *key, const void *value);
int tfs_put_inode(struct tfs *t, uint64_t ino,
                  const struct extfuse_inode *value); /* with its serial and tag */
int tfs_put_dentry(struct tfs *t, int map, const void *key, const struct extfuse_dentry *value); /* ditto */
int tfs_take_out(struct tfs *t, int map, const void *key);
void tfs_changed(struct tfs *t, uint64_t ino); /* the second half alone */

/* Maps. What is published is what the daemon would answer. */
void tfs_publish_inode(struct tfs *t, uint64_t ino, uint64_t backing_id);
/* Its bytes are those at @p offset of a backing file that it shares. */
void tfs_publish_packed(struct tfs *t, uint64_t ino, uint64_t backing_id, uint64_t offset);
/* With EXTFUSE_INODE_LENT. */
void tfs_publish_lent(struct tfs *t, uint64_t ino, uint64_t backing_id);
void tfs_publish_lent_in_part(struct tfs *t, uint64_t ino, uint64_t backing_id); /* not wholly cached */
void tfs_publish_lent_bare(struct tfs *t, uint64_t ino, uint64_t backing_id);    /* no extended attribute */
/* With EXTFUSE_INODE_NO_XATTR, whatever the daemon says. */
void tfs_publish_bare_inode(struct tfs *t, uint64_t ino);
void tfs_publish_name(struct tfs *t, uint64_t parent, const char *name, uint64_t ino);
void tfs_publish_chunk(struct tfs *t, uint64_t ino, uint64_t chunk, const struct extfuse_chunk *value);
void tfs_publish_statfs(struct tfs *t, const struct extfuse_statfs *value);
bool tfs_has_inode(struct tfs *t, uint64_t ino);
bool tfs_has_name(struct tfs *t, uint64_t parent, const char *name);
uint32_t tfs_epoch(struct tfs *t, uint64_t ino);
uint64_t tfs_stat(struct tfs *t, enum extfuse_op op, enum extfuse_outcome outcome);

/* A cache file with these bytes, registered; its descriptor stays open in *ret_fd unless that is NULL. */
uint64_t tfs_backing(struct tfs *t, const char *bytes, size_t size, int *ret_fd);
/* The file behind @p fd, which is closed. */
uint64_t tfs_backing_of(struct tfs *t, int fd);

#endif
