/* SPDX-License-Identifier: GPL-2.0 */
/*
 * WRITE to a file that the daemon has lent: into its cache file.  Which pages, is kept in map "dirty", size
 * and time in map "written", until the daemon takes the file back (fsync, close, or anything else that it has
 * to do with the bytes).  All but the probe runs under the inode's lock, so one at a time for a file.
 *
 * What a write needs is there before its bytes change: an entry in "dirty" for each chunk, which says so. For
 * a chunk that the file had when it was lent the daemon makes it, once the cache no longer vouches for the
 * bytes (cache.h); from fresh_chunk on there was nothing to vouch for, and it is made here.
 */
#ifndef EXTFUSE_WRITE_BPF_H
#define EXTFUSE_WRITE_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

static __always_inline int pass_write(const struct extfuse_write *wr, enum extfuse_outcome outcome)
{
	if (!(wr->flags & EXTFUSE_WRITE_AGAIN))
		count(EXTFUSE_OP_WRITE, outcome);
	return EXTFUSE_V_PASS;
}

static __always_inline bool is_lent(__u64 ino, struct extfuse_inode *ret)
{
	return find_inode(ino, ret) == EXTFUSE_HIT && ret->flags & EXTFUSE_INODE_LENT;
}

/*
 * Note that pages first..last of a chunk, both < EXTFUSE_PAGES_PER_CHUNK, are about to be written. @return
 * false: there is no entry for the chunk, and it is not one to be made here.
 *
 * A write that then fails leaves a page too many there: it is uploaded, and is what it was.
 */
static __noinline bool mark_dirty(const struct extfuse_chunk_key *key, __u64 fresh_chunk, __u32 first,
                                  __u32 last)
{
	struct extfuse_dirty *d = bpf_map_lookup_elem(&dirty, key);
	__u32 word = first / 64, last_word = last / 64;
	__u64 mask = ~0ull << (first & 63);

	if (!d) {
		struct extfuse_dirty none = {};

		if (key->chunk < fresh_chunk || key->chunk - fresh_chunk >= EXTFUSE_FRESH_CHUNKS ||
		    bpf_map_update_elem(&dirty, key, &none, BPF_NOEXIST))
			return false;
		d = bpf_map_lookup_elem(&dirty, key);
		if (!d)
			return false;
	}
	for (int i = 0; i < EXTFUSE_PAGES_PER_CHUNK / 64; i++) {
		__u64 *pages = &d->pages[word & (EXTFUSE_PAGES_PER_CHUNK / 64 - 1)];

		if (word == last_word)
			mask &= ~0ull >> (63 - (last & 63));
		if ((*pages & mask) != mask)
			__sync_fetch_and_or(pages, mask);
		if (word++ >= last_word)
			break;
		mask = ~0ull;
	}
	return true;
}

/* The same for all of a write, at most EXTFUSE_WRITE_MAX bytes and so in two chunks. */
static __always_inline bool mark_write(const struct extfuse_write *wr, struct extfuse_written *w)
{
	__u64 end = wr->pos + wr->count - 1, last_chunk = end >> EXTFUSE_CHUNK_SHIFT;
	struct extfuse_chunk_key key = {.ino = wr->nodeid, .chunk = wr->pos >> EXTFUSE_CHUNK_SHIFT};
	__u32 first = (wr->pos >> EXTFUSE_PAGE_SHIFT) & (EXTFUSE_PAGES_PER_CHUNK - 1);
	__u32 last = (end >> EXTFUSE_PAGE_SHIFT) & (EXTFUSE_PAGES_PER_CHUNK - 1);

	/* Where the daemon looks for entries. */
	if (key.chunk < w->first_chunk)
		w->first_chunk = key.chunk;
	if (last_chunk > w->last_chunk)
		w->last_chunk = last_chunk;
	if (key.chunk == last_chunk)
		return mark_dirty(&key, w->fresh_chunk, first, last);
	if (!mark_dirty(&key, w->fresh_chunk, first, EXTFUSE_PAGES_PER_CHUNK - 1))
		return false;
	key.chunk = last_chunk;
	return mark_dirty(&key, w->fresh_chunk, 0, last);
}

static __always_inline enum extfuse_outcome may_write(struct extfuse_write *wr, struct extfuse_written *w,
                                                      struct extfuse_inode *i)
{
	if (!is_lent(wr->nodeid, i))
		return EXTFUSE_MISS;
	if (w->ino != wr->nodeid)
		return EXTFUSE_STALE;
	if (wr->size != w->size) /* the VFS does not know it yet */
		return EXTFUSE_STALE;
	if (wr->count > EXTFUSE_WRITE_MAX || w->bytes + wr->count > w->max_bytes)
		return EXTFUSE_UNCOVERED;
	wr->backing_id = i->backing_id;
	wr->backing_offset = wr->pos;
	/* Only where nobody has to look for what a write takes away from a file. */
	if (i->flags & EXTFUSE_INODE_NO_XATTR && !i->expires_ns)
		wr->remember = EXTFUSE_REMEMBER(EXTFUSE_OP_WRITE, EXTFUSE_HIT);
	return EXTFUSE_HIT;
}

static __always_inline int do_write(struct extfuse_write *wr)
{
	struct extfuse_written *w;
	enum extfuse_outcome outcome;
	__u64 ino = wr->nodeid;
	struct extfuse_inode i;

	if (wr->flags & EXTFUSE_WRITE_PROBE)
		return is_lent(ino, &i) ? EXTFUSE_V_BACKING : pass_write(wr, EXTFUSE_MISS);
	w = bpf_map_lookup_elem(&written, &ino);
	if (!w)
		return pass_write(wr, EXTFUSE_MISS);
	outcome = may_write(wr, w, &i);
	if (outcome != EXTFUSE_HIT)
		return pass_write(wr, outcome);
	if (!(wr->flags & EXTFUSE_WRITE_PRIVS || i.flags & EXTFUSE_INODE_NO_XATTR))
		return EXTFUSE_V_PRIVS;
	if (!mark_write(wr, w))
		return pass_write(wr, EXTFUSE_UNCOVERED);
	if (!(wr->flags & EXTFUSE_WRITE_AGAIN))
		count(EXTFUSE_OP_WRITE, EXTFUSE_HIT);
	return EXTFUSE_V_BACKING;
}

static __always_inline void note_first_write(void *ctx, __u64 ino)
{
	struct extfuse_event ev = {
		.kind = EXTFUSE_EVENT_WRITE,
		.op = EXTFUSE_OP_WRITE,
		.ino = ino,
		.time_ns = bpf_ktime_get_ns(),
	};

	if (mount_config.events)
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &ev, sizeof(ev));
}

static __always_inline int do_write_end(void *ctx, struct extfuse_write *wr)
{
	__u64 ino = wr->nodeid, end = wr->pos + wr->written;
	struct extfuse_written *w = bpf_map_lookup_elem(&written, &ino);

	if (!w || w->ino != ino)
		return 0;
	if (wr->written) {
		if (!w->time_ns)
			note_first_write(ctx, ino);
		if (end > w->size)
			w->size = end;
		w->time_ns = wr->time_ns;
		w->bytes += wr->written;
	}
	return 0;
}

#endif
