/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/data/data.h"
#include "daemon/data/transfer.h"
#include "daemon/fsck/internal.h"
#include "daemon/meta/check.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define BATCH 256    /* deletions between two looks at the progress */
#define DELETIONS 16 /* at a time */

struct gc {
	struct meta *meta;
	struct store *store;
	const struct fsck_options *options;
	const struct fsck_hooks *hooks;
	struct transfer *transfer;
	struct gc_result result;
	_Atomic bool warned;
};

struct batch {
	struct gc *gc;
	struct meta_garbage objects[BATCH];
	bool deleted[BATCH];
	size_t count;
};

static void delete_one(void *arg, size_t i)
{
	struct batch *b = arg;
	char key[DATA_KEY_MAX];

	data_object_key(b->objects[i].object, b->objects[i].size, key);
	b->deleted[i] = store_delete(b->gc->store, key) == 0;
	if (!b->deleted[i] && !atomic_exchange(&b->gc->warned, true))
		log_warning("an object could not be deleted: %s", store_last_error());
}

/* @return how many are gone; they move to the front. */
static size_t delete_batch(struct batch *b)
{
	size_t gone = 0;

	transfer_each(b->gc->transfer, TRANSFER_UP, b->count, delete_one, b);
	for (size_t i = 0; i < b->count; i++) {
		char key[DATA_KEY_MAX];

		if (!b->deleted[i]) {
			b->gc->result.failed++;
			continue;
		}
		data_object_key(b->objects[i].object, b->objects[i].size, key);
		if (b->gc->hooks->collected)
			b->gc->hooks->collected(key, b->objects[i].size, b->gc->hooks->arg);
		b->objects[gone++] = b->objects[i];
	}
	return gone;
}

/* ---- what the metadata knows ---- */

static int reap_orphans(struct gc *gc)
{
	_cleanup_free_ uint64_t *inos = NULL;
	size_t count = 0;
	int r = meta_list_orphans(gc->meta, &inos, &count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!fsck_progress(gc->hooks, "removing orphans", i, count))
			return -ECANCELED;
		if (!gc->options->dry_run)
			r = meta_reap(gc->meta, inos[i]);
	}
	gc->result.orphans = count;
	return r;
}

static int delete_pending(struct gc *gc)
{
	struct batch b = {.gc = gc};
	size_t gone;
	int r;

	/* What freed them must not come back after a crash. */
	r = meta_sync(gc->meta);
	if (r < 0)
		return r;
	do {
		r = meta_list_garbage(gc->meta, b.objects, BATCH, &b.count);
		if (r < 0 || !b.count)
			return r;
		if (!fsck_progress(gc->hooks, "deleting what is pending", gc->result.pending, 0))
			return -ECANCELED;
		gone = delete_batch(&b);
		r = meta_garbage_deleted(gc->meta, b.objects, gone);
		if (r < 0)
			return r;
		gc->result.pending += gone;
	} while (gone == b.count);
	return 0; /* those that failed stay on record */
}

/* ---- what it does not know ---- */

static bool is_garbage(struct gc *gc, const struct stored *s, const struct meta_objects *objects, int64_t now)
{
	const struct meta_object *o = meta_find_object(objects, s->object);

	/* Numbers are not used twice: one of another size is not that object. What is pending, the record
	 * says. */
	if (o && o->size == s->size)
		return false;
	if (gc->options->mounted && s->object >= meta_first_object(gc->meta))
		return false;
	if (now - s->mtime_s < gc->options->min_age_s) {
		gc->result.young++;
		return false;
	}
	return true;
}

static int delete_unknown(struct gc *gc, const struct stored_list *stored, const struct meta_objects *objects)
{
	struct batch b = {.gc = gc};
	int64_t now = time(NULL);

	for (size_t i = 0; i <= stored->count; i++) {
		const struct stored *s = i < stored->count ? &stored->list[i] : NULL;

		if (s && is_garbage(gc, s, objects, now))
			b.objects[b.count++] = (struct meta_garbage){.object = s->object, .size = s->size};
		if (b.count < BATCH && s)
			continue;
		if (!fsck_progress(gc->hooks, "collecting objects", i, stored->count))
			return -ECANCELED;
		b.count = gc->options->dry_run ? b.count : delete_batch(&b);
		for (size_t n = 0; n < b.count; n++) {
			char key[DATA_KEY_MAX];

			gc->result.objects++;
			gc->result.bytes += b.objects[n].size;
			data_object_key(b.objects[n].object, b.objects[n].size, key);
			if (gc->options->dry_run && gc->hooks->collected)
				gc->hooks->collected(key, b.objects[n].size, gc->hooks->arg);
		}
		b.count = 0;
	}
	return 0;
}

static int collect(struct gc *gc)
{
	struct stored_list stored = {};
	struct meta_objects objects = {};
	int r = 0;

	/* Mounted: orphans are open files, and the janitor is at the pending ones. */
	if (!gc->options->mounted) {
		r = reap_orphans(gc);
		if (r == 0 && !gc->options->dry_run)
			r = delete_pending(gc);
	}
	if (r == 0)
		r = fsck_list_store(gc->store, gc->hooks, &stored);
	if (r == 0)
		r = meta_list_objects(gc->meta, &objects);
	for (size_t i = 0; r == 0 && gc->options->dry_run && !gc->options->mounted && i < objects.count; i++)
		gc->result.pending += !objects.list[i].refs;
	if (r == 0)
		r = delete_unknown(gc, &stored, &objects);
	free(stored.list);
	free(objects.list);
	return r;
}

int gc_run(struct meta *meta, struct store *store, const struct fsck_options *options,
           const struct fsck_hooks *hooks, struct gc_result *ret)
{
	const unsigned limits[TRANSFER_KINDS] = {[TRANSFER_UP] = DELETIONS};
	struct gc gc = {.meta = meta, .store = store, .options = options, .hooks = hooks};
	int r = transfer_new(limits, &gc.transfer);

	if (r < 0)
		return r;
	r = collect(&gc);
	transfer_free(gc.transfer);
	if (r == 0)
		*ret = gc.result;
	return r;
}
