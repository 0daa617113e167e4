/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_PUBLISH_H
#define CURVEFS_PUBLISH_H

/*
 * The truth rule: an entry in a map means that the daemon, asked now, would
 * answer exactly this.
 *
 * It is kept by one discipline.  Every answer about an inode or a name is made
 * here: take the lock of that inode (for a name: of its directory; locks are
 * striped by inode number), read the committed metadata and what is
 * pending in memory, write the map, let go, then reply.  A mutation commits
 * first and then publishes all that it touched, in the same way, before it replies.
 * So the last one to publish read the newest, and no answer is
 * older than one given before.  The epoch (extfuse_abi.h) does the same towards
 * drops that the kernel made by itself.
 *
 * An inode that is being written (pending data in memory) is never in the maps, unless the kernel writes it:
 * then its size and times are in map "written", and nowhere else.
 *
 * Lock order: publish lock, then anything in data/, cache/ and meta/.  At most
 * one publish lock is held at a time.  It is recursive: a cache that drops
 * something while a publisher asks it comes back in here.
 */

#include "daemon/meta/meta.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <sys/statvfs.h>

struct kernel;
struct cache;
struct publish;

enum publish_truth {
	PUBLISH_COMMITTED = 0,
	PUBLISH_PENDING, /* something is, or may be, written and not committed: the inode is not published */
	PUBLISH_LENT,    /* between publish_lend() and publish_take_back() */
};

/** Where the truth comes from; set once. */
struct publish_source {
	struct meta *meta;
	struct cache *cache; /* NULL: no data in the kernel; may be set later by publish_set_cache() */

	/** Merge into @p attr what is written but not committed yet (size, times). NULL: never anything. */
	enum publish_truth (*pending)(void *arg, struct meta_attr *attr);
	void *arg;
};

/** @p kernel may be NULL (BPF is off): then these calls only read the truth. */
int publish_new(const struct publish_source *source, struct kernel *kernel, struct publish **ret);
void publish_free(struct publish *p);

/** The cache calls back into publish, so it is opened after it. Once, before the first request. */
void publish_set_cache(struct publish *p, struct cache *cache);

/** Turned on once the connection is attached; before, nothing is published. */
void publish_set_kernel(struct publish *p, struct kernel *kernel);

/**
 * Answer a LOOKUP and publish it: the dentry, positive or negative, and the inode with what is cached of it.
 * @return 0, -ENOENT (published as absent), or another error (not published).
 */
int publish_lookup(struct publish *p, uint64_t parent, const char *name, struct meta_attr *ret);

/** Answer a GETATTR and publish it. */
int publish_getattr(struct publish *p, uint64_t ino, struct meta_attr *ret);

/** After a commit that touched @p ino: publish what is true now. 0 is ignored. */
void publish_inode(struct publish *p, uint64_t ino);

/**
 * The bytes of [offset, offset + length) of @p ino are in the cache now: publish the inode with the chunks
 * of that range, or as wholly cached if it is. Checks what it publishes against the cache's CRCs.
 */
void publish_data(struct publish *p, uint64_t ino, uint64_t offset, uint64_t length);

/** After a commit that touched this name. */
void publish_name(struct publish *p, uint64_t parent, const char *name);

/**
 * Publish every name in directory @p ino, and that these are all: from then on the kernel answers
 * for absent names, too. Without effect on one that is too large or changes meanwhile. publish_lookup() does
 * it by itself where absent names are asked for again and again.
 */
void publish_directory(struct publish *p, uint64_t ino);

/** A directory entry just read, with what it points to (readdir, warm-up): as publish_lookup(). */
void publish_entry(struct publish *p, uint64_t parent, const char *name);

/** Answer a STATFS and publish it. */
void publish_statfs(struct publish *p, struct statvfs *ret);

/** After a commit that changed what the files take up or their number; @p publish as an argument of
 * meta_set_usage_changed(). */
void publish_usage_changed(void *publish);

/** Before the bytes or the size of @p ino change (the pending flag is set already): out of the maps. */
void publish_will_write(struct publish *p, uint64_t ino);

/** What of a file is lent to the kernel. */
struct publish_loan {
	struct cache_file *cache;         /* the caller's */
	uint64_t size;                    /* of the file, bytes */
	uint64_t first_chunk, last_chunk; /* may be written from now on, besides those lent before ... */
	bool none;                        /* ... no: there are none */
	uint64_t max_bytes;               /* written, until it has to come back */
};

/**
 * The kernel may write the file by itself, as @p loan says. The source says PUBLISH_LENT already.
 * @return false: not possible, and nothing was done.
 */
bool publish_lend(struct publish *p, uint64_t ino, const struct publish_loan *loan);

/**
 * Not any more: on return no kernel write is under way. @p fn is called, with the publish lock held, for each
 * range that the kernel wrote since the file was lent, ascending, and must not come back in here.
 * @p end: forget which chunks were lent.  *ret_time: of the last write, set before @p fn is called.
 * @return 0 (also for what was not lent), or what @p fn returned; then call this again.
 */
int publish_take_back(struct publish *p, uint64_t ino, bool end,
                      int (*fn)(void *arg, uint64_t offset, uint64_t length), void *arg,
                      struct timespec *ret_time);

/** The cache's before_drop: chunks [first, last] of @p ino leave the maps, and nobody in the kernel reads
 * them on return. */
void publish_before_drop(void *publish, uint64_t ino, uint64_t first_chunk, uint64_t last_chunk);

/** The cache's is_mapped. */
bool publish_is_mapped(void *publish, int fd);

/** The inode is gone for good: entries and backing file. */
void publish_forget(struct publish *p, uint64_t ino);

/** What of @p ino the kernel can answer now (curvefs info, warmup --check). */
struct publish_state {
	bool inode;
	bool complete; /* every byte readable in the kernel ... */
	bool packed;   /* ... from a file that it shares with others */
	bool lent;     /* ... and written there */
	uint64_t backing_id;
};
void publish_get_state(struct publish *p, uint64_t ino, struct publish_state *ret);

#endif
