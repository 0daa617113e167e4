/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ranges_free(struct ranges *r)
{
	free(r->v);
	*r = (struct ranges){};
}

int ranges_reserve(struct ranges *r, size_t changes)
{
	size_t capacity = r->capacity ? r->capacity : 4;
	struct range *v;

	/* One change adds one range at most: a new one, or the second half of a split one. */
	if (r->n + changes <= r->capacity)
		return 0;
	while (capacity < r->n + changes)
		capacity *= 2;
	v = reallocarray(r->v, capacity, sizeof(*v));
	if (!v)
		return -ENOMEM;
	r->v = v;
	r->capacity = capacity;
	return 0;
}

/** @return the index of the first range whose end is at or after @p offset (beyond it if @p beyond). */
static size_t find(const struct ranges *r, uint64_t offset, bool beyond)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->v[middle].end < offset || (beyond && r->v[middle].end == offset))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/** Put @p n_new (0 to 2) ranges in the place of those with index in [first, last). */
static void splice(struct ranges *r, size_t first, size_t last, const struct range *new, size_t n_new)
{
	for (size_t i = first; i < last; i++)
		r->bytes -= r->v[i].end - r->v[i].begin;
	for (size_t i = 0; i < n_new; i++)
		r->bytes += new[i].end - new[i].begin;
	memmove(r->v + first + n_new, r->v + last, (r->n - last) * sizeof(*r->v));
	memcpy(r->v + first, new, n_new * sizeof(*r->v));
	r->n = r->n - (last - first) + n_new;
}

int ranges_add(struct ranges *r, uint64_t begin, uint64_t end)
{
	size_t first, last;
	struct range sum = {begin, end};
	int err;

	if (begin >= end)
		return 0;
	err = ranges_reserve(r, 1);
	if (err)
		return err;
	first = last = find(r, begin, false);
	for (; last < r->n && r->v[last].begin <= end; last++) {
		if (r->v[last].begin < sum.begin)
			sum.begin = r->v[last].begin;
		if (r->v[last].end > sum.end)
			sum.end = r->v[last].end;
	}
	splice(r, first, last, &sum, 1);
	return 0;
}

int ranges_remove(struct ranges *r, uint64_t begin, uint64_t end)
{
	struct range rest[2];
	size_t first, last, n = 0;
	int err;

	if (begin >= end)
		return 0;
	first = last = find(r, begin, true);
	if (first == r->n || r->v[first].begin >= end)
		return 0;
	err = ranges_reserve(r, 1);
	if (err)
		return err;
	if (r->v[first].begin < begin)
		rest[n++] = (struct range){r->v[first].begin, begin};
	for (; last < r->n && r->v[last].begin < end; last++)
		if (r->v[last].end > end)
			rest[n++] = (struct range){end, r->v[last].end};
	splice(r, first, last, rest, n);
	return 0;
}

uint64_t ranges_covered_to(const struct ranges *r, uint64_t offset)
{
	size_t i = find(r, offset, true);

	return i < r->n && r->v[i].begin <= offset ? r->v[i].end : offset;
}

bool ranges_cover(const struct ranges *r, uint64_t begin, uint64_t end)
{
	return begin >= end || ranges_covered_to(r, begin) >= end;
}

bool ranges_first(const struct ranges *r, uint64_t begin, uint64_t end, struct range *ret)
{
	size_t i = find(r, begin, true);

	if (begin >= end || i == r->n || r->v[i].begin >= end)
		return false;
	ret->begin = r->v[i].begin > begin ? r->v[i].begin : begin;
	ret->end = r->v[i].end < end ? r->v[i].end : end;
	return true;
}

bool ranges_intersect(const struct ranges *r, uint64_t begin, uint64_t end)
{
	struct range ignored;

	return ranges_first(r, begin, end, &ignored);
}
