/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_SLICES_H
#define CURVEFS_META_SLICES_H

/*
 * Arithmetic on the slice list of one chunk; pure, no I/O.
 *
 * A list as stored is "normal": sorted by position, without overlap, without
 * zero slices (what no slice covers is zeros) and without empty slices.  One
 * object may be in it more than once: a write into the middle splits a slice.
 * Positions and lengths are bytes in the chunk.
 */

#include "daemon/meta/meta.h"

/** A piece of a chunk as a reader meets it. */
struct meta_extent {
	uint32_t pos;    /* in the chunk, bytes */
	uint32_t length; /* bytes */
	uint64_t object; /* 0: zeros */
	uint32_t offset; /* in the object, bytes */
	uint32_t size;   /* of the whole object, bytes */
};

/** Free what @p list holds and make it empty. */
void meta_slices_clear(struct meta_slices *list);

static inline void meta_slices_clearp(struct meta_slices *list)
{
	meta_slices_clear(list);
}

#define _cleanup_slices_ _cleanup_(meta_slices_clearp)

/** @return whether @p slice is sound by itself: not empty, no overflow, within its object. */
bool meta_slice_valid(const struct meta_slice *slice);

/** @return whether @p list is normal, and each slice valid. */
bool meta_slices_normal(const struct meta_slices *list);

/**
 * Put @p slice on top of the normal @p list: what it covers is trimmed, split or taken out; a zero slice
 * leaves a hole.
 * @return 0, -EINVAL for an unsound slice, -ENOMEM; on failure the list is as it was.
 */
int meta_slices_put(struct meta_slices *list, const struct meta_slice *slice);

/** Take away everything at or behind @p pos of the normal @p list. Cannot fail. */
void meta_slices_truncate(struct meta_slices *list, uint32_t pos);

/**
 * What a reader of @p length bytes at @p pos gets: extents in order, without gaps or overlap, that cover
 * exactly the range; those of object 0 are zeros.  @p list may be any list, later slices on top; slices that
 * are not valid give -EBADMSG.  @p length 0: no extents.  Free *ret.
 */
int meta_flatten(const struct meta_slices *list, uint32_t pos, uint32_t length, struct meta_extent **ret,
                 size_t *ret_count);

#endif
