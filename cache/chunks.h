/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_CHUNKS_H
#define CURVEFS_CACHE_CHUNKS_H

/*
 * What is known in memory of the chunks of one inode: those that were touched
 * since it was loaded. CRCs stay in the index; this is 56 bytes for 4 MiB of data.
 *
 * Locks: the inode's. `verified` and `used` alone change while it is held shared.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunk {
	uint64_t number;
	uint64_t present; /* every byte of the sub-block (below the size) is right in the data file */
	uint64_t indexed; /* ... and its CRC is in the index; part of present */
	_Atomic uint64_t
		verified;      /* ... and known to be as it was put; has all that is present, not indexed */
	uint64_t dropping;     /* was present, is to be punched once before_drop() has returned */
	_Atomic uint64_t used; /* the use clock */
	bool busy;             /* between the two halves of a drop: no other may begin */
};

/** All zero bytes: nothing known. A chunk stays at its address until chunks_free(). */
struct chunks {
	struct chunk **slots; /* open addressing */
	size_t n;
	size_t capacity; /* a power of two */
};

void chunks_free(struct chunks *t);
struct chunk *chunks_find(const struct chunks *t, uint64_t number);

/** Add @p number, which is not there. @return it, all zero, or NULL: out of memory. */
struct chunk *chunks_add(struct chunks *t, uint64_t number);

#define chunks_for_each(t, c)                                  \
	for (size_t _slot = 0; _slot < (t)->capacity; _slot++) \
		if (((c) = (t)->slots[_slot]))

#endif
