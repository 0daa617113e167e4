/* SPDX-License-Identifier: Apache-2.0 */
/* The truth rule, kept: see publish.h. What is cached of an inode is in publish_cached.c. */
#include "daemon/kernel/publish.h"

#include "cache/cache.h"
#include "common/cleanup.h"
#include "daemon/attr.h"
#include "daemon/kernel/publish_internal.h"

#include <errno.h>
#include <stdlib.h>

struct stripe *publish_stripe(struct publish *p, uint64_t ino)
{
	return &p->stripes[(ino * 0x9e3779b97f4a7c15ull) >> (64 - PUBLISH_STRIPE_BITS)];
}

int publish_new(const struct publish_source *source, struct kernel *kernel, struct publish **ret)
{
	struct publish *p = calloc(1, sizeof(*p));
	pthread_mutexattr_t recursive;

	if (!p)
		return -ENOMEM;
	p->source = *source;
	p->kernel = kernel;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	for (size_t i = 0; i < ARRAY_SIZE(p->stripes); i++)
		pthread_mutex_init(&p->stripes[i].lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	pthread_mutex_init(&p->packs_lock, NULL);
	*ret = p;
	return 0;
}

void publish_free(struct publish *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(p->stripes); i++) {
		publish_backings_free(&p->stripes[i]);
		publish_directories_free(&p->stripes[i]);
		publish_loans_free(&p->stripes[i]);
		pthread_mutex_destroy(&p->stripes[i].lock);
	}
	publish_packs_free(p);
	free(p);
}

void publish_set_cache(struct publish *p, struct cache *cache)
{
	p->source.cache = cache;
}

void publish_set_kernel(struct publish *p, struct kernel *kernel)
{
	p->kernel = kernel;
}

static enum publish_truth pending(struct publish *p, struct meta_attr *attr)
{
	return p->source.pending ? p->source.pending(p->source.arg, attr) : PUBLISH_COMMITTED;
}

/*
 * Read the truth about @p ino: what is committed, and on top what is pending.
 *
 * Whoever wants to change it says so (pending) and then waits for the lock that is held here. So nothing
 * pending before the metadata is read means that nothing changes while it is. Something pending may be
 * committed at any moment, also in the middle of this: then what was read is old, and is read again.
 */
static int read_truth(struct publish *p, uint64_t ino, struct meta_attr *ret, enum publish_truth *ret_truth)
{
	for (;;) {
		struct meta_attr attr = {.ino = ino};
		enum publish_truth truth = pending(p, &attr);
		int r = meta_getattr(p->source.meta, ino, &attr);

		if (r < 0)
			return r;
		if (truth) {
			truth = pending(p, &attr);
			if (!truth)
				continue;
		}
		*ret_truth = truth;
		*ret = attr;
		return 0;
	}
}

/*
 * Publish @p ino as it is now, with what is cached of @p range (NULL: with what is known to be cached).
 * The stripe's lock is held, so the truth read here is the newest that any map entry or answer came from.
 */
static int publish_locked(struct publish *p, struct stripe *stripe, uint64_t ino,
                          const struct publish_range *range, struct meta_attr *ret)
{
	uint32_t epoch = kernel_epoch(p->kernel, ino);
	struct extfuse_inode value = {};
	struct cache_file *f = NULL;
	struct meta_attr attr;
	enum publish_truth truth = PUBLISH_COMMITTED;
	int r = read_truth(p, ino, &attr, &truth);
	bool whole = false;
	uint64_t lent = r == 0 ? publish_lent_id(stripe, ino, &whole) : 0;

	if (lent) /* also while it is being taken back */
		publish_lent_attr(p, &attr);
	if (r < 0 || truth == PUBLISH_PENDING || (truth == PUBLISH_LENT && !lent)) {
		kernel_drop_inode(p->kernel, ino);
	} else if (p->kernel) {
		attr_to_fuse(&attr, &value.attr);
		value.generation = attr.generation;
		value.flags = attr.xattrs ? 0 : EXTFUSE_INODE_NO_XATTR;
		if (S_ISDIR(attr.mode) && publish_has_all_names(stripe, ino, epoch))
			value.flags |= EXTFUSE_INODE_ALL_NAMES;
		/* Chunks first: the kernel reads by them only with the inode there. */
		if (truth == PUBLISH_LENT) {
			value.flags |= EXTFUSE_INODE_LENT | (whole ? EXTFUSE_INODE_CACHED : 0);
			value.backing_id = lent;
		} else {
			f = publish_cached(p, stripe, epoch, &attr, range, &value);
		}
		kernel_put_inode(p->kernel, epoch, ino, &value);
		cache_file_put(f);
	}
	if (r == 0)
		*ret = attr;
	return r;
}

int publish_getattr(struct publish *p, uint64_t ino, struct meta_attr *ret)
{
	struct stripe *stripe = publish_stripe(p, ino);

	SCOPED_LOCK(&stripe->lock);
	return publish_locked(p, stripe, ino, NULL, ret);
}

void publish_inode(struct publish *p, uint64_t ino)
{
	struct meta_attr attr;

	if (p->kernel && ino)
		publish_getattr(p, ino, &attr);
}

void publish_data(struct publish *p, uint64_t ino, uint64_t offset, uint64_t length)
{
	const struct publish_range range = {.offset = offset, .length = length};
	struct stripe *stripe = publish_stripe(p, ino);
	struct meta_attr attr;

	if (!p->kernel)
		return;
	SCOPED_LOCK(&stripe->lock);
	publish_locked(p, stripe, ino, &range, &attr);
}

/* Look the name up and publish the dentry, not the inode. */
static int publish_dentry(struct publish *p, uint64_t parent, const char *name, struct meta_attr *ret)
{
	struct stripe *stripe = publish_stripe(p, parent);
	struct extfuse_dentry value = {};
	struct meta_attr attr;
	uint32_t epoch;
	int r;

	SCOPED_LOCK(&stripe->lock);
	epoch = kernel_epoch(p->kernel, parent);
	r = meta_lookup(p->source.meta, parent, name, &attr);
	if (r == 0) {
		value.ino = attr.ino;
		value.generation = attr.generation;
	}
	if (r == 0 || r == -ENOENT)
		kernel_put_dentry(p->kernel, epoch, parent, name, &value);
	else
		kernel_drop_dentry(p->kernel, parent, name);
	if (r == 0)
		*ret = attr;
	return r;
}

int publish_lookup(struct publish *p, uint64_t parent, const char *name, struct meta_attr *ret)
{
	struct meta_attr attr;
	int r;

	/*
	 * The inode is read again under its own lock, for its newest attributes. Gone by then means that the
	 * name was taken away or replaced in between: so ask for the name again. A few rounds bound the
	 * case of somebody who replaces it for ever; each round's answer was true while this ran.
	 */
	for (int round = 0; round < 8; round++) {
		r = publish_dentry(p, parent, name, &attr);
		if (r == -ENOENT && p->kernel && publish_count_absent(p, parent))
			publish_directory(p, parent);
		if (r < 0)
			return r;
		r = publish_getattr(p, attr.ino, ret);
		if (r != -ENOENT)
			return r;
	}
	return r;
}

void publish_name(struct publish *p, uint64_t parent, const char *name)
{
	struct meta_attr attr;

	if (p->kernel)
		publish_dentry(p, parent, name, &attr);
}

void publish_entry(struct publish *p, uint64_t parent, const char *name)
{
	struct meta_attr attr;

	if (p->kernel)
		publish_lookup(p, parent, name, &attr);
}

void publish_will_write(struct publish *p, uint64_t ino)
{
	struct stripe *stripe = publish_stripe(p, ino);

	if (!p->kernel)
		return;
	SCOPED_LOCK(&stripe->lock);
	kernel_drop_inode(p->kernel, ino);
	/* No barrier: a read that is under way races with the write, and may return either. */
	publish_drop_cached(p, stripe, ino, 0, UINT64_MAX);
}

void publish_before_drop(void *publish, uint64_t ino, uint64_t first_chunk, uint64_t last_chunk)
{
	struct publish *p = publish;
	struct stripe *stripe = publish_stripe(p, ino);

	if (!p->kernel)
		return;
	{
		SCOPED_LOCK(&stripe->lock);
		kernel_drop_inode(p->kernel, ino);
		if (first_chunk == 0 && last_chunk == UINT64_MAX)
			publish_drop_loan(p, stripe, ino);
		else
			publish_lent_in_part(stripe, ino);
		publish_drop_cached(p, stripe, ino, first_chunk, last_chunk);
	}
	kernel_barrier(p->kernel);
}

bool publish_is_mapped(void *publish, int fd)
{
	struct publish *p = publish;

	return kernel_is_mapped(p->kernel, fd);
}

void publish_forget(struct publish *p, uint64_t ino)
{
	struct stripe *stripe = publish_stripe(p, ino);

	SCOPED_LOCK(&stripe->lock);
	kernel_drop_inode(p->kernel, ino);
	publish_drop_loan(p, stripe, ino);
	publish_drop_cached(p, stripe, ino, 0, UINT64_MAX);
	publish_drop_backing(p, stripe, ino);
	publish_forget_directory(stripe, ino);
}

void publish_get_state(struct publish *p, uint64_t ino, struct publish_state *ret)
{
	struct stripe *stripe = publish_stripe(p, ino);
	struct extfuse_inode inode;

	SCOPED_LOCK(&stripe->lock);
	*ret = (struct publish_state){.inode = kernel_get_inode(p->kernel, ino, &inode)};
	publish_cached_state(&inode, stripe, ino, ret);
	if (ret->inode && inode.flags & EXTFUSE_INODE_LENT) {
		ret->lent = true;
		ret->backing_id = inode.backing_id;
	}
}
