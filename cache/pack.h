/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_PACK_H
#define CURVEFS_CACHE_PACK_H

/*
 * Pack files: many small files share one file of the cache.
 *
 * Why.  A small file in a data file of its own costs an inode, a create and an open to
 * cache, and to be read in the kernel an open kernel file (2 KiB) that it pins for as long as it is
 * warm.  Registering those on demand instead would bound the memory, but a working set above the bound would
 * go to the daemon for ever, and the first read of each file always.  A pack costs one registration for
 * up to 65535 files, and each of them a place in it.
 *
 * A pack file is PACK_BYTES long from the start, sparse, and cut into slots of 4 KiB.  A file has
 * as many slots in a row as it needs, at most 16; the first slot of a pack is never given out, so that
 * no packed file is at offset 0.  Slots are pages and file system blocks: what one file leaves can be
 * punched out without its neighbours noticing, and no page has bytes of two.
 *
 * Who has which slots is in the inode records of the index alone; here is a bitmap, made from them when the
 * cache is opened.  Bytes in a slot are never changed: they are written before anybody knows of the place,
 * and pack_release() comes after nobody can be reading them any more.  The CRC in the record tells
 * whether they are still the right ones.
 *
 * A pack stays until the cache is closed, also an empty one, so whoever registered it need not be told of its
 * end; when the cache is opened those without a file go.
 *
 * Thread-safe.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "cache/datadir.h"

#define PACK_SLOT_SIZE 4096u
#define PACK_SLOTS 65536u
#define PACK_BYTES ((uint64_t)PACK_SLOTS * PACK_SLOT_SIZE)

struct packs;
struct pack; /* lives as long as the packs do */

/** @p next_id: numbers for new pack files. */
int packs_new(struct datadir *d, _Atomic uint64_t *next_id, struct packs **ret);
void packs_free(struct packs *p);

/** How many slots a file of @p length bytes needs, and the bytes that these are. */
static inline uint32_t pack_slots(uint64_t length)
{
	return (uint32_t)((length + PACK_SLOT_SIZE - 1) / PACK_SLOT_SIZE);
}

static inline uint64_t pack_slot_bytes(uint64_t length)
{
	return (uint64_t)pack_slots(length) * PACK_SLOT_SIZE;
}

/** @return true if that can be the place of a file: within a pack, not its first slot, not empty. */
static inline bool pack_is_place(uint32_t slot, uint64_t length)
{
	return length && length <= CACHE_PACK_MAX && slot && slot < PACK_SLOTS &&
	       pack_slots(length) <= PACK_SLOTS - slot;
}

/** While the cache is opened: the file of a record is there. @return 0, -ENOENT (no such pack), -EEXIST
 * (another file is there), -EINVAL, -EMFILE, ... */
int packs_claim(struct packs *p, uint64_t id, uint32_t slot, uint64_t length);

/** Remove the pack files of which nothing was claimed. @return the largest id of all. */
uint64_t packs_sweep(struct packs *p);

/** Write @p length bytes (1 ... CACHE_PACK_MAX) to a place that nobody has. @return 0, -ENOSPC, -EMFILE,
 * -EIO, -ENOMEM. */
int packs_put(struct packs *p, const void *data, size_t length, struct pack **ret, uint32_t *ret_slot);

/** @return the pack, or NULL: no such. */
struct pack *packs_find(struct packs *p, uint64_t id);

/** Give a place back and free its blocks. Nobody reads it any more. */
void pack_release(struct pack *k, uint32_t slot, uint64_t length);

/** Read exactly @p length bytes at @p offset of the file at @p slot. @return 0, -EIO. */
int pack_read(struct pack *k, uint32_t slot, uint64_t offset, size_t length, void *buffer);

uint64_t pack_id(const struct pack *k);
int pack_fd(const struct pack *k);
unsigned packs_count(struct packs *p);

#endif
