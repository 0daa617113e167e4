// SPDX-License-Identifier: Apache-2.0
#include "daemon/fs/removed.h"

#include "common/cleanup.h"

#include <errno.h>
#include <search.h>
#include <stdatomic.h>

struct removed {
	_Atomic uint64_t count;
	pthread_mutex_t lock;
	void *tree; /* of struct removed_dir; protected by lock */
};

struct removed_dir {
	uint64_t ino;
};

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct removed_dir *)a)->ino, y = ((const struct removed_dir *)b)->ino;

	return (x > y) - (x < y);
}

struct removed *removed_new(void)
{
	struct removed *r = calloc(1, sizeof(*r));

	if (r)
		pthread_mutex_init(&r->lock, NULL);
	return r;
}

void removed_free(struct removed *r)
{
	if (!r)
		return;
	tdestroy(r->tree, free);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int removed_add(struct removed *r, uint64_t ino)
{
	struct removed_dir *entry = malloc(sizeof(*entry)), **found;

	if (!entry)
		return -ENOMEM;
	entry->ino = ino;
	SCOPED_LOCK(&r->lock);
	found = tsearch(entry, &r->tree, compare);
	if (!found || *found != entry)
		free(entry);
	else
		atomic_fetch_add(&r->count, 1);
	return found ? 0 : -ENOMEM;
}

/* With the lock held. */
static void take(struct removed *r, struct removed_dir *entry)
{
	tdelete(entry, &r->tree, compare);
	free(entry);
	atomic_fetch_sub(&r->count, 1);
}

bool removed_take(struct removed *r, uint64_t ino)
{
	const struct removed_dir key = {.ino = ino};
	struct removed_dir **found;

	if (!atomic_load(&r->count))
		return false;
	SCOPED_LOCK(&r->lock);
	found = tfind(&key, &r->tree, compare);
	if (!found)
		return false;
	take(r, *found);
	return true;
}

uint64_t removed_take_any(struct removed *r)
{
	struct removed_dir *entry;
	uint64_t ino;

	SCOPED_LOCK(&r->lock);
	if (!r->tree)
		return 0;
	entry = *(struct removed_dir **)r->tree; /* the root */
	ino = entry->ino;
	take(r, entry);
	return ino;
}
