/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of which the kernel has every name, so that it can say "absent" to
 * names nobody asked for before: search paths of compilers and interpreters
 * are mostly that.
 *
 * That all names are there holds as long as the directory's epoch stands: each
 * drop of a dentry, by the kernel or here, adds one to it. So it is written
 * down with the epoch at which it was seen, and is void when that moves.
 */
#include "daemon/kernel/publish_internal.h"

#include "common/cleanup.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#define MAX_NAMES 65536u /* larger directories stay as they are */

/* Publishing all names costs their number, so it is done after a part of that many absent ones were asked
 * for. */
#define NAMES_PER_ABSENT 8
#define ABSENT_FIRST 4 /* nothing is known of the directory yet */

struct directory {
	uint64_t ino;
	uint32_t epoch; /* all names are there as of this; only if complete */
	bool complete;
	bool too_large;
	uint32_t names;  /* when it was last read */
	uint32_t absent; /* asked for since */
};

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct directory *)a)->ino, y = ((const struct directory *)b)->ino;

	return (x > y) - (x < y);
}

static struct directory *find(struct stripe *stripe, uint64_t ino)
{
	const struct directory key = {.ino = ino};
	struct directory **node = tfind(&key, &stripe->directories, compare);

	return node ? *node : NULL;
}

static struct directory *get(struct stripe *stripe, uint64_t ino)
{
	struct directory *d = find(stripe, ino);

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->ino = ino;
	d->names = ABSENT_FIRST * NAMES_PER_ABSENT;
	if (!tsearch(d, &stripe->directories, compare)) {
		free(d);
		return NULL;
	}
	return d;
}

bool publish_has_all_names(struct stripe *stripe, uint64_t ino, uint32_t epoch)
{
	const struct directory *d = find(stripe, ino);

	return d && d->complete && d->epoch == epoch;
}

void publish_forget_directory(struct stripe *stripe, uint64_t ino)
{
	struct directory *d = find(stripe, ino);

	if (!d)
		return;
	tdelete(d, &stripe->directories, compare);
	free(d);
}

void publish_directories_free(struct stripe *stripe)
{
	tdestroy(stripe->directories, free);
	stripe->directories = NULL;
}

bool publish_count_absent(struct publish *p, uint64_t ino)
{
	struct stripe *stripe = publish_stripe(p, ino);
	struct directory *d;

	SCOPED_LOCK(&stripe->lock);
	d = get(stripe, ino);
	if (!d || d->too_large || (d->complete && d->epoch == kernel_epoch(p->kernel, ino)))
		return false;
	return (uint64_t)++d->absent * NAMES_PER_ABSENT >= d->names;
}

struct scan {
	struct publish *p;
	uint64_t ino;
	uint32_t epoch, names;
};

static int publish_one(const struct meta_dirent *entry, void *arg)
{
	const struct extfuse_dentry value = {.ino = entry->ino, .generation = META_GENERATION};
	struct scan *s = arg;

	if (++s->names > MAX_NAMES)
		return -E2BIG;
	return kernel_put_dentry(s->p->kernel, s->epoch, s->ino, entry->name, &value) ? 0 : -ESTALE;
}

void publish_directory(struct publish *p, uint64_t ino)
{
	struct stripe *stripe = publish_stripe(p, ino);
	struct scan scan = {.p = p, .ino = ino};
	struct directory *d;
	int r;

	if (!p->kernel)
		return;
	{
		SCOPED_LOCK(&stripe->lock);
		d = get(stripe, ino);
		if (!d)
			return;
		scan.epoch = kernel_epoch(p->kernel, ino);
		if (d->complete && d->epoch == scan.epoch)
			return;
		/* Under the lock nobody else publishes names of this directory, so what is read is what is
		 * put. */
		r = meta_readdir(p->source.meta, ino, 0, false, publish_one, &scan);
		d->complete = r == 0;
		d->epoch = scan.epoch;
		d->too_large = r == -E2BIG;
		d->names = scan.names;
		d->absent = 0;
	}
	publish_inode(p, ino);
}
