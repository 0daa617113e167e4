/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_PUBLISH_INTERNAL_H
#define CURVEFS_PUBLISH_INTERNAL_H

/* What publish.c and publish_cached.c share; nobody else includes this. */

#include "daemon/kernel/kernel.h"
#include "daemon/kernel/publish.h"

#include <pthread.h>
#include <stdatomic.h>

#define PUBLISH_STRIPE_BITS 9

/*
 * Each registered cache file is a file held open in the kernel, about 2 KiB of its
 * memory. Inodes beyond this are answered with their attributes only. Small files do not count: they are
 * read out of the pack files that they share, see cache/pack.h.
 */
#define PUBLISH_MAX_BACKINGS (1u << 17)

struct stripe {
	pthread_mutex_t lock; /* recursive */
	void *backings;       /* tsearch(3) tree of struct backing, by inode; protected by lock */
	void *directories;    /* ... of struct directory */
	void *loans;          /* ... of struct loan */
};

/* A registered pack file of the cache: it stays as long as the kernel is attached. */
struct pack_backing {
	uint64_t file; /* cache_place.id */
	uint64_t id;   /* the kernel's */
};

struct publish {
	struct publish_source source;
	struct kernel *kernel;
	_Atomic uint32_t backings;  /* in all stripes */
	pthread_mutex_t packs_lock; /* of the next three; taken last */
	struct pack_backing *packs;
	size_t packs_count, packs_room;
	struct stripe stripes[1 << PUBLISH_STRIPE_BITS];
};

struct publish_range {
	uint64_t offset, length; /* bytes */
};

struct stripe *publish_stripe(struct publish *p, uint64_t ino);

/* All of these with the stripe's lock held. */

/**
 * Publish the chunks of @p range that are cached, or set EXTFUSE_INODE_CACHED in @p value if all of the file
 * is.
 * @return the cached file that @p value is about, or NULL. cache_file_put() it when @p value is in the map,
 * not before: letting go of it may take its place in the cache away, and that must find the entry to drop it.
 */
struct cache_file *publish_cached(struct publish *p, struct stripe *stripe, uint32_t epoch,
                                  const struct meta_attr *attr, const struct publish_range *range,
                                  struct extfuse_inode *value);

/** Take chunks [first, last] of @p ino out of the maps; all of them: give the cache file back to the kernel,
 * too. */
void publish_drop_cached(struct publish *p, struct stripe *stripe, uint64_t ino, uint64_t first,
                         uint64_t last);

/** Take the registration of its cache file back. */
void publish_drop_backing(struct publish *p, struct stripe *stripe, uint64_t ino);

/** @p inode: what the map has, if ret->inode. */
void publish_cached_state(const struct extfuse_inode *inode, struct stripe *stripe, uint64_t ino,
                          struct publish_state *ret);

void publish_backings_free(struct stripe *stripe);
void publish_packs_free(struct publish *p);

/** The id to write @p ino by, if it is lent; else 0. *ret_whole: every byte can be read by it, too. */
uint64_t publish_lent_id(struct stripe *stripe, uint64_t ino, bool *ret_whole);

/** Something of the cache file, none of which is lent, is going. */
void publish_lent_in_part(struct stripe *stripe, uint64_t ino);

/** Size and times of a lent inode as the kernel has them now. */
void publish_lent_attr(struct publish *p, struct meta_attr *attr);

/** The file is gone, and what was written to it with it. */
void publish_drop_loan(struct publish *p, struct stripe *stripe, uint64_t ino);

void publish_loans_free(struct stripe *stripe);

/** @return true if all names of directory @p ino were published and none was dropped up to @p epoch. */
bool publish_has_all_names(struct stripe *stripe, uint64_t ino, uint32_t epoch);

/** Forget that, with what was counted. */
void publish_forget_directory(struct stripe *stripe, uint64_t ino);

void publish_directories_free(struct stripe *stripe);

/** An absent name was asked for in @p ino. @return true if it is time to publish the whole directory. */
bool publish_count_absent(struct publish *p, uint64_t ino);

#endif
