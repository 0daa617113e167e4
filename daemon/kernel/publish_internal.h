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
 * memory. Inodes beyond this are answered with their attributes only.
 */
#define PUBLISH_MAX_BACKINGS (1u << 17)

struct stripe {
	pthread_mutex_t lock; /* recursive */
	void *backings;       /* tsearch(3) tree of struct backing, by inode; protected by lock */
	void *directories;    /* ... of struct directory */
};

struct publish {
	struct publish_source source;
	struct kernel *kernel;
	_Atomic uint32_t backings; /* in all stripes */
	struct stripe stripes[1 << PUBLISH_STRIPE_BITS];
};

struct publish_range {
	uint64_t offset, length; /* bytes */
};

struct stripe *publish_stripe(struct publish *p, uint64_t ino);

/* All of these with the stripe's lock held. */

/** Publish the chunks of @p range that are cached, or set EXTFUSE_INODE_CACHED in @p value if all of the file
 * is. */
void publish_cached(struct publish *p, struct stripe *stripe, uint32_t epoch, const struct meta_attr *attr,
                    const struct publish_range *range, struct extfuse_inode *value);

/** Take chunks [first, last] of @p ino out of the maps; all of them: give the cache file back to the kernel,
 * too. */
void publish_drop_cached(struct publish *p, struct stripe *stripe, uint64_t ino, uint64_t first,
                         uint64_t last);

/** Take the registration of its cache file back. */
void publish_drop_backing(struct publish *p, struct stripe *stripe, uint64_t ino);

void publish_cached_state(struct stripe *stripe, uint64_t ino, struct publish_state *ret);

void publish_backings_free(struct stripe *stripe);

/** @return true if all names of directory @p ino were published and none was dropped up to @p epoch. */
bool publish_has_all_names(struct stripe *stripe, uint64_t ino, uint32_t epoch);

/** Forget that, with what was counted. */
void publish_forget_directory(struct stripe *stripe, uint64_t ino);

void publish_directories_free(struct stripe *stripe);

/** An absent name was asked for in @p ino. @return true if it is time to publish the whole directory. */
bool publish_count_absent(struct publish *p, uint64_t ino);

#endif
