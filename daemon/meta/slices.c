/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/meta/slices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

static uint32_t slice_end(const struct meta_slice *s)
{
	return s->pos + s->length;
}

void meta_slices_clear(struct meta_slices *list)
{
	free(list->slices);
	*list = (struct meta_slices){};
}

bool meta_slice_valid(const struct meta_slice *s)
{
	if (!s->length || s->pos > UINT32_MAX - s->length)
		return false;
	return !s->object || (s->offset <= s->size && s->length <= s->size - s->offset);
}

bool meta_slices_normal(const struct meta_slices *list)
{
	uint32_t end = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct meta_slice *s = &list->slices[i];

		if (!s->object || !meta_slice_valid(s) || s->pos < end)
			return false;
		end = slice_end(s);
	}
	return true;
}

/* The first slice of a normal list that ends behind @p pos. */
static size_t first_behind(const struct meta_slices *list, uint32_t pos)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (slice_end(&list->slices[mid]) > pos)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* The part of @p s from @p from to @p to, which lie within it. */
static struct meta_slice slice_part(const struct meta_slice *s, uint32_t from, uint32_t to)
{
	struct meta_slice part = *s;

	part.pos = from;
	part.length = to - from;
	if (s->object)
		part.offset += from - s->pos;
	return part;
}

int meta_slices_put(struct meta_slices *list, const struct meta_slice *slice)
{
	struct meta_slice new[3];
	size_t n = 0, first, last;

	if (!meta_slice_valid(slice))
		return -EINVAL;

	/* Slices first ... last-1 touch the new one; they give way to new[]: left rest, itself, right rest.
	 */
	first = first_behind(list, slice->pos);
	for (last = first; last < list->count && list->slices[last].pos < slice_end(slice); last++)
		;
	if (last > first && list->slices[first].pos < slice->pos)
		new[n++] = slice_part(&list->slices[first], list->slices[first].pos, slice->pos);
	if (slice->object)
		new[n++] = *slice;
	if (last > first && slice_end(&list->slices[last - 1]) > slice_end(slice))
		new[n++] = slice_part(&list->slices[last - 1], slice_end(slice),
		                      slice_end(&list->slices[last - 1]));

	if (n > last - first) {
		/* Room grows by powers of two: no reallocation per slice, and no capacity to keep. */
		size_t want = list->count + n - (last - first), room = 8;
		struct meta_slice *bigger;

		while (room < want)
			room *= 2;
		bigger = reallocarray(list->slices, room, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		list->slices = bigger;
	}
	if (list->slices) {
		memmove(list->slices + first + n, list->slices + last,
		        (list->count - last) * sizeof(*list->slices));
		memcpy(list->slices + first, new, n * sizeof(*new));
	}
	list->count += n - (last - first);
	return 0;
}

void meta_slices_truncate(struct meta_slices *list, uint32_t pos)
{
	size_t i = first_behind(list, pos);

	if (i < list->count && list->slices[i].pos < pos) {
		list->slices[i].length = pos - list->slices[i].pos;
		i++;
	}
	list->count = i;
	if (!list->count)
		meta_slices_clear(list);
}

int meta_flatten(const struct meta_slices *list, uint32_t pos, uint32_t length, struct meta_extent **ret,
                 size_t *ret_count)
{
	_cleanup_slices_ struct meta_slices flat = {};
	_cleanup_free_ struct meta_extent *extents = NULL;
	const struct meta_slices *from = list;
	uint64_t at = pos, end = (uint64_t)pos + length;
	size_t count = 0, first, last;
	int r;

	if (end > UINT32_MAX)
		return -EINVAL;
	if (!meta_slices_normal(list)) {
		for (size_t i = 0; i < list->count; i++) {
			r = meta_slices_put(&flat, &list->slices[i]);
			if (r < 0)
				return r == -EINVAL ? -EBADMSG : r;
		}
		from = &flat;
	}

	first = last = first_behind(from, pos);
	while (last < from->count && from->slices[last].pos < end)
		last++;

	/* At most one hole before each slice, and one at the end. */
	extents = calloc(2 * (last - first) + 1, sizeof(*extents));
	if (!extents)
		return -ENOMEM;
	for (size_t i = first; at < end; i++) {
		const struct meta_slice *s = i < last ? &from->slices[i] : NULL;
		uint64_t start = s ? s->pos : end;
		struct meta_slice part;

		if (start > at) {
			extents[count++] = (struct meta_extent){.pos = at, .length = start - at};
			at = start;
		}
		if (at >= end)
			break;
		part = slice_part(s, at, slice_end(s) < end ? slice_end(s) : end);
		extents[count++] =
			(struct meta_extent){part.pos, part.length, part.object, part.offset, part.size};
		at += part.length;
	}
	*ret = TAKE_PTR(extents);
	*ret_count = count;
	return 0;
}
