/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_RANGES_H
#define CURVEFS_CACHE_RANGES_H

/*
 * A set of byte offsets, kept as disjoint ranges [begin, end) that do not touch,
 * in order.  Not locked.  All ranges of arguments have begin <= end; an empty one is no
 * change, is covered, and intersects nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t begin;
	uint64_t end;
};

/** All zero bytes: the empty set. */
struct ranges {
	struct range *v;
	size_t n;
	size_t capacity;
	uint64_t bytes; /* the sum of all lengths */
};

void ranges_free(struct ranges *r);

/** After it, @p changes calls of ranges_add() and ranges_remove() cannot fail. @return 0, -ENOMEM. */
int ranges_reserve(struct ranges *r, size_t changes);

/** @return 0, or -ENOMEM and no change. */
int ranges_add(struct ranges *r, uint64_t begin, uint64_t end);
int ranges_remove(struct ranges *r, uint64_t begin, uint64_t end);

bool ranges_cover(const struct ranges *r, uint64_t begin, uint64_t end);
bool ranges_intersect(const struct ranges *r, uint64_t begin, uint64_t end);

/** @return the end of the range that holds @p offset, or @p offset itself if none does. */
uint64_t ranges_covered_to(const struct ranges *r, uint64_t offset);

/** The first part of the set in [begin, end). @return false if there is none. */
bool ranges_first(const struct ranges *r, uint64_t begin, uint64_t end, struct range *ret);

#endif
