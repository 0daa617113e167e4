/* SPDX-License-Identifier: GPL-2.0 */
/*
 * READ: where are the bytes [pos, min(pos + count, size))?  All of them must be
 * in one cache file, one after the other, or the read passes whole.
 */
#ifndef EXTFUSE_READ_BPF_H
#define EXTFUSE_READ_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

static __always_inline void count_read(const struct extfuse_read *rd, enum extfuse_outcome outcome)
{
	if (!(rd->flags & EXTFUSE_READ_AGAIN))
		count(EXTFUSE_OP_READ, outcome);
}

/* Bits first..last of a chunk's valid mask; both < EXTFUSE_BLOCKS_PER_CHUNK, first <= last. */
static __always_inline __u64 block_mask(__u64 first, __u64 last)
{
	return (~0ull << first) & (~0ull >> (EXTFUSE_BLOCKS_PER_CHUNK - 1 - last));
}

/*
 * A file that is cached in part: every chunk that the read touches must have
 * all blocks it touches, in the same backing file, each chunk right behind the
 * one before.  end > pos.
 */
static __always_inline bool find_chunks(struct extfuse_read *rd, __u64 end)
{
	__u64 pos = rd->pos, first = pos >> EXTFUSE_CHUNK_SHIFT, last = (end - 1) >> EXTFUSE_CHUNK_SHIFT;
	struct extfuse_chunk_key key = {.ino = rd->nodeid};
	__u64 backing_id = 0, base = 0;

	if (last - first >= EXTFUSE_READ_MAX_CHUNKS)
		return false;
	for (__u32 i = 0; i < EXTFUSE_READ_MAX_CHUNKS; i++) {
		struct extfuse_chunk *entry, c;
		__u64 from, to, mask;

		key.chunk = first + i;
		if (key.chunk > last)
			break;
		entry = bpf_map_lookup_elem(&read_cache, &key);
		if (!entry)
			return false;
		copy_value(&c, entry, sizeof(c));
		from = i ? 0 : pos & (EXTFUSE_CHUNK_SIZE - 1);
		to = key.chunk < last ? EXTFUSE_CHUNK_SIZE - 1 : (end - 1) & (EXTFUSE_CHUNK_SIZE - 1);
		mask = block_mask(from >> EXTFUSE_BLOCK_SHIFT & 63, to >> EXTFUSE_BLOCK_SHIFT & 63);
		if ((c.valid & mask) != mask || c.tag != extfuse_chunk_tag(&key, &c))
			return false;
		if (!i) {
			backing_id = c.backing_id;
			base = c.offset;
		} else if (c.backing_id != backing_id || c.offset != base + (__u64)i * EXTFUSE_CHUNK_SIZE) {
			return false;
		}
	}
	rd->backing_id = backing_id;
	rd->backing_offset = base + (pos & (EXTFUSE_CHUNK_SIZE - 1));
	return true;
}

/* A file that is lent and not cached as a whole: are all chunks that the read touches lent? end > pos. */
static __always_inline bool are_lent(const struct extfuse_read *rd, __u64 end)
{
	struct extfuse_chunk_key key = {.ino = rd->nodeid, .chunk = rd->pos >> EXTFUSE_CHUNK_SHIFT};
	__u64 last = (end - 1) >> EXTFUSE_CHUNK_SHIFT;

	for (__u32 i = 0; i < EXTFUSE_READ_MAX_CHUNKS; i++, key.chunk++) {
		if (!bpf_map_lookup_elem(&dirty, &key))
			return false;
		if (key.chunk == last)
			return true;
	}
	return false;
}

static __always_inline int do_read(struct extfuse_read *rd)
{
	__u64 ino = rd->nodeid, end, size;
	enum extfuse_outcome outcome;
	struct extfuse_inode i;

	if (rd->flags & EXTFUSE_READ_ASIDE) {
		count_read(rd, EXTFUSE_ASIDE);
		return EXTFUSE_V_PASS;
	}
	outcome = find_inode(ino, &i);
	if (outcome == EXTFUSE_HIT && !get_size(&i, ino, &size))
		outcome = EXTFUSE_STALE;
	if (outcome != EXTFUSE_HIT) {
		count_read(rd, outcome);
		return EXTFUSE_V_PASS;
	}
	if (rd->pos >= size) {
		rd->backing_count = 0;
		count_read(rd, EXTFUSE_HIT);
		return EXTFUSE_V_REPLY;
	}
	end = rd->pos + rd->count;
	if (end > size)
		end = size;
	if (i.flags & EXTFUSE_INODE_CACHED || (i.flags & EXTFUSE_INODE_LENT && are_lent(rd, end))) {
		rd->backing_id = i.backing_id;
		rd->backing_offset = i.backing_offset + rd->pos;
		if (!(i.flags & EXTFUSE_INODE_LENT) && !i.expires_ns) {
			rd->size = size;
			rd->remember = EXTFUSE_REMEMBER(EXTFUSE_OP_READ, EXTFUSE_HIT);
		}
	} else if (i.flags & EXTFUSE_INODE_LENT || !find_chunks(rd, end)) {
		count_read(rd, EXTFUSE_UNCOVERED);
		return EXTFUSE_V_PASS;
	}
	rd->backing_count = end - rd->pos;
	count_read(rd, EXTFUSE_HIT);
	return EXTFUSE_V_BACKING;
}

#endif
