/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_KERNEL_H
#define CURVEFS_KERNEL_H

/*
 * The daemon's end of the kernel side: loads the BPF programs, attaches them to
 * one FUSE connection, and is the only writer of the maps.
 *
 * Nothing here knows what is true: publish.h decides that, and holds the lock
 * under which the calls below are made.  Every call takes a NULL kernel (BPF is
 * off) and then does nothing.
 */

#include "bpf/extfuse_abi.h"

#include <stdbool.h>
#include <stdint.h>

struct kernel;

struct kernel_options {
	const char *pin_dir;  /* below bpffs; made, and removed by kernel_close(); NULL: do not pin */
	uint32_t max_entries; /* of each of the inode, dentry and read-cache maps */
	uint32_t ring_pages;  /* of each CPU's ring, a power of two */
	struct extfuse_config config;
};

/**
 * Can this machine do it? @return 0; or -ENOENT (module not loaded), -EPERM,
 * -EPROTO (another ABI), -ENOTSUP. *ret_why (free it): one line saying what is missing and what to do.
 */
int kernel_probe(char **ret_why);

/** Load and attach to the connection of @p fuse_fd (an open, mounted /dev/fuse; kept by the caller). As
 * kernel_probe(). */
int kernel_open(const struct kernel_options *options, int fuse_fd, struct kernel **ret, char **ret_why);

/** Detach, unpin, forget all backing files. */
void kernel_close(struct kernel *k);

/** The drop counter of @p ino: read it before the truth that a later kernel_put_*() publishes. */
uint32_t kernel_epoch(struct kernel *k, uint64_t ino);

/** Add one to it: what is being published of @p ino right now loses. */
void kernel_bump_epoch(struct kernel *k, uint64_t ino);

/*
 * Publish. The values' tags and serial numbers are set by these calls. @p epoch: what kernel_epoch() said, of
 * the inode or for a dentry of its directory; if the kernel dropped something since, the entry is taken out
 * again. A full map makes room by dropping other entries.
 * @return true if the entry is in the map now.
 */
bool kernel_put_inode(struct kernel *k, uint32_t epoch, uint64_t ino, const struct extfuse_inode *inode);
bool kernel_put_dentry(struct kernel *k, uint32_t epoch, uint64_t parent, const char *name,
                       const struct extfuse_dentry *dentry);
bool kernel_put_chunk(struct kernel *k, uint32_t epoch, uint64_t ino, uint64_t chunk,
                      const struct extfuse_chunk *value);

/*
 * Taking a dentry out also takes its directory's inode entry out, first: that may have said that all names
 * are there. The same where a dentry cannot be put, or leaves to make room.
 */
void kernel_drop_dentry(struct kernel *k, uint64_t parent, const char *name);

/* Take entries out; what is not there is not there. Readers may still be using what they saw: see
 * kernel_barrier(). */
void kernel_drop_inode(struct kernel *k, uint64_t ino);
void kernel_drop_chunk(struct kernel *k, uint64_t ino, uint64_t chunk);

/*
 * STATFS: what kernel_statfs_changes() said before the numbers were read, and until when they may be told
 * (CLOCK_MONOTONIC). kernel_statfs_changed() after a commit that changes them, and they are told no more.
 */
uint64_t kernel_statfs_changes(struct kernel *k);
void kernel_statfs_changed(struct kernel *k);
void kernel_put_statfs(struct kernel *k, uint64_t changes, uint64_t expires_ns,
                       const struct fuse_kstatfs *st);

/** @return true and what is there, or false. */
bool kernel_get_inode(struct kernel *k, uint64_t ino, struct extfuse_inode *ret);
bool kernel_has_dentry(struct kernel *k, uint64_t parent, const char *name);

/*
 * A file that the kernel writes by itself (extfuse_abi.h). Entries are made before the inode is published as
 * lent, and read and taken away when no write is under way. Put: 0, or a negative errno (-E2BIG: the map is
 * full). Get: 0, -ENOENT, or another errno.
 */
int kernel_put_written(struct kernel *k, uint64_t ino, const struct extfuse_written *value);
int kernel_get_written(struct kernel *k, uint64_t ino, struct extfuse_written *ret);
void kernel_drop_written(struct kernel *k, uint64_t ino);
int kernel_put_dirty(struct kernel *k, uint64_t ino, uint64_t chunk, const struct extfuse_dirty *value);
int kernel_get_dirty(struct kernel *k, uint64_t ino, uint64_t chunk, struct extfuse_dirty *ret);
void kernel_drop_dirty(struct kernel *k, uint64_t ino, uint64_t chunk);

/** Wait until every kernel I/O that could have seen an entry dropped before this call has ended. */
void kernel_barrier(struct kernel *k);

/** The same for writes alone, which costs little if none is under way. */
void kernel_settle(struct kernel *k);

/**
 * Has anybody mapped the cache file that is open as @p fd? After kernel_barrier() that covers mappings by way
 * of an entry dropped before.
 */
bool kernel_is_mapped(struct kernel *k, int fd);

/** Register a cache file for reading (and writing, if it is open for it) in the kernel; the kernel holds a
 * reference of its own. 0: not possible.
 */
uint64_t kernel_backing_add(struct kernel *k, int fd);
void kernel_backing_del(struct kernel *k, uint64_t id);

/**
 * Have @p fn called when the kernel has begun to write a file that it was lent: from the ring's thread, and
 * perhaps not at all, if the record is lost. NULL: nobody, and on return no call is under way.
 */
void kernel_on_write(struct kernel *k, void (*fn)(void *arg, uint64_t ino), void *arg);

struct kernel_stats {
	uint64_t count[EXTFUSE_OP_COUNT][EXTFUSE_OUTCOMES];
	uint64_t ring_records, ring_lost;
	uint64_t inodes, dentries, chunks; /* entries published by this process, less those dropped by it */
	uint64_t backing_files;
	uint64_t lost_publishes; /* taken out again because the epoch moved */
	uint64_t evicted;        /* entries dropped to make room */
};
void kernel_get_stats(struct kernel *k, struct kernel_stats *ret);

#endif
