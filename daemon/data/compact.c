/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that were written in many small pieces are made whole: read, and uploaded as few objects in place of
 * the many.  The bytes stay what they are, so no lock is taken and nothing is published; who changes
 * the chunk meanwhile wins.
 */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define GAP_MAX (64u << 10) /* smaller holes are filled with zeros */

/* A piece of the chunk that becomes one slice. */
struct run {
	uint32_t pos, end;
};

/* The runs of data in @p list, cut where the windows of uploads begin. *ret: free it. */
static int find_runs(const struct data *d, const struct meta_slices *list, struct run **ret,
                     size_t *ret_count)
{
	size_t count = 0, room = list->count + d->chunk_size / d->object_size + 1;
	struct run *runs = calloc(room, sizeof(*runs));

	if (!runs)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++) {
		uint32_t pos = list->slices[i].pos, end = pos + list->slices[i].length;

		if (count && pos - runs[count - 1].end < GAP_MAX)
			pos = runs[count - 1].end;
		while (pos < end) {
			uint32_t border = pos - pos % d->object_size + d->object_size;
			uint32_t to = end < border ? end : border;

			if (count && runs[count - 1].end == pos && pos % d->object_size)
				runs[count - 1].end = to;
			else
				runs[count++] = (struct run){pos, to};
			pos = to;
		}
	}
	*ret = runs;
	*ret_count = count;
	return 0;
}

/* The bytes of these runs as one object. Their slices go behind those of @p with, which has room. */
static int upload_runs(struct data *d, const struct meta_slices *list, const struct run *runs, size_t count,
                       struct meta_slices *with)
{
	_cleanup_free_ char *buffer = NULL;
	uint32_t size = 0, at = 0;
	uint64_t object;
	int r = 0;

	for (size_t i = 0; i < count; i++)
		size += runs[i].end - runs[i].pos;
	memory_take(d, size);
	buffer = object_buffer(size);
	if (!buffer)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < count; i++) {
		_cleanup_free_ struct meta_extent *extents = NULL;
		size_t n;

		r = meta_flatten(list, runs[i].pos, runs[i].end - runs[i].pos, &extents, &n);
		if (r == 0)
			r = fetch_extents(d, extents, n, runs[i].pos, buffer + at);
		at += runs[i].end - runs[i].pos;
	}
	if (r == 0)
		r = object_upload(d, buffer, size, &object);
	free(TAKE_PTR(buffer));
	memory_give(d, size);
	if (r < 0)
		return r;
	at = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t length = runs[i].end - runs[i].pos;

		with->slices[with->count++] = (struct meta_slice){
			.pos = runs[i].pos, .length = length, .object = object, .offset = at, .size = size};
		at += length;
	}
	return 0;
}

static int compact(struct data *d, uint64_t ino, uint64_t chunk)
{
	_cleanup_slices_ struct meta_slices list = {}, with = {};
	_cleanup_free_ struct run *runs = NULL;
	size_t count;
	int r;

	r = meta_slices(d->meta, ino, chunk, &list);
	if (r < 0 || list.count <= META_SLICES_MANY)
		return r;
	r = find_runs(d, &list, &runs, &count);
	/* Mostly holes: it would be as long again. */
	if (r < 0 || count > list.count / 2)
		return r;
	with.slices = calloc(count, sizeof(*with.slices));
	if (!with.slices)
		return -ENOMEM;
	for (size_t i = 0, next; r == 0 && i < count; i = next) {
		for (next = i + 1;
		     next < count && runs[next].pos / d->object_size == runs[i].pos / d->object_size;)
			next++;
		r = upload_runs(d, &list, runs + i, next - i, &with);
	}
	if (r == 0)
		r = meta_replace_slices(d->meta, ino, chunk, &list, &with);
	if (r < 0)
		for (size_t i = 0; i < with.count; i++)
			if (!i || with.slices[i].object != with.slices[i - 1].object)
				garbage_add(d, with.slices[i].object, with.slices[i].size);
	return r;
}

bool compact_next(struct data *d)
{
	uint64_t ino, chunk;
	int r;

	if (d->options.read_only || !meta_next_crowded(d->meta, &ino, &chunk))
		return false;
	r = compact(d, ino, chunk);
	/* Changed or deleted meanwhile, or the store is out of reach: its next commit names it again. */
	if (r < 0)
		log_debug("chunk %" PRIu64 " of inode %" PRIu64 " was not compacted: %s", chunk, ino,
		          strerror(-r));
	return true;
}
