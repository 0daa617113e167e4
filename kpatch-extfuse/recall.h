/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXTFUSE_RECALL_H
#define EXTFUSE_RECALL_H

/*
 * Remembered verdicts: what a program said is repeated without asking it again, for as long as the maps that
 * it looked into have not changed.  "Remembered verdicts" and "Change counters" in extfuse_abi.h say what may
 * be remembered and how long it holds; daemon/kernel/recall.pml is a model of it, `make model` checks it.
 *
 * To the maps this is what a TLB is to page tables, and as simple: tables of one place for each key, the
 * newest wins.  A place is 64 bytes, one cache line; a hit reads it and one counter, and writes nothing
 * shared.
 *
 * A place is filled by whoever asked the program, beside others that fill or read it.  So its sequence number
 * is odd while it is being filled: who reads it then, or finds that it has moved, asks; who wants to fill it
 * then does not.  Nobody waits.
 *
 * A backing file is remembered as a pointer.  It is good as long as the device's count of backing files
 * removed has not moved: in the SRCU section of a read that finds it so, the file is not freed
 * (extfuse_backing_del()).
 */
#include <linux/bpf.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/hash.h>
#include <linux/percpu.h>
#include <uapi/linux/fuse.h>
#include "extfuse_abi.h"

struct dentry;
struct extfuse_backing;

struct extfuse_known_file {
	u32 seq; /* odd: being filled */
	u32 change;
	u64 nodeid;
	struct extfuse_backing *backing;
	u64 base; /* of the file's first byte in it */
	u64 size; /* of the file */
	u32 removed;
	u32 counter;
} ____cacheline_aligned;

struct extfuse_known_name {
	u32 seq, change; /* of the inode */
	u32 dir_change, dentry_seq;
	const struct dentry *entry; /* only compared, as all that follows */
	u64 dir, nodeid;            /* 0: absent */
	u64 attr_version, size;     /* of the VFS inode, whose attributes were the right ones ... */
	u32 hash;                   /* of the name */
	u16 ticks;                  /* ... and hold for so long once found to be; 0: they do not */
	u16 counter;
} ____cacheline_aligned;

struct extfuse_known_answer {
	u32 seq, change;
	u64 nodeid, nodeid2;
	u32 opcode, flags, out_max;
	s32 error;
	u32 out_len;
	u32 counter;
	u64 out[2];
} ____cacheline_aligned;

struct extfuse_known_write {
	u32 seq, change;
	u64 nodeid;
	struct extfuse_backing *backing; /* at the same offsets */
	u64 first, end;                  /* bytes of whole pages that are noted as written */
	u32 removed;
	u32 counter;
} ____cacheline_aligned;

enum {
	EXTFUSE_KNOWN_FILES = 1 << 14,
	EXTFUSE_KNOWN_ANSWERS = 1 << 14,
	EXTFUSE_KNOWN_WRITES = 1 << 10,
	EXTFUSE_KNOWN_NAME_BITS = 15,
};

/* Of one instance, with which it goes. */
struct extfuse_recall {
	struct bpf_array *changes, *stats; /* references */
	struct bpf_map *written;           /* ditto */
	struct extfuse_known_name names[1 << EXTFUSE_KNOWN_NAME_BITS];
	struct extfuse_known_file files[EXTFUSE_KNOWN_FILES];
	struct extfuse_known_answer answers[EXTFUSE_KNOWN_ANSWERS];
	struct extfuse_known_write writes[EXTFUSE_KNOWN_WRITES];
};

/* The maps of a descriptor's ioctl; one reference on each. */
struct extfuse_maps {
	struct bpf_array *changes, *stats; /* NULL: not said yet */
	struct bpf_map *written;
};

/* As EXTFUSE_IOC_MAPS says; @ret is empty, and stays so on failure. */
int extfuse_maps_get(const struct extfuse_ioc_maps *from, struct extfuse_maps *ret);
void extfuse_maps_put(struct extfuse_maps *maps);

struct extfuse_recall *
extfuse_recall_new(const struct extfuse_maps *maps);     /* or NULL: no memory; may sleep */
void extfuse_recall_free(struct extfuse_recall *recall); /* NULL is fine; may sleep */

/* The counter of a slot: to be read before the program is asked. */
static __always_inline u32 extfuse_change(const struct extfuse_recall *recall, u32 slot)
{
	return READ_ONCE(*(u32 *)(recall->changes->value + (size_t)slot * 8));
}

/* Count a verdict that was repeated, as its program would have. */
static __always_inline void extfuse_recall_count(const struct extfuse_recall *recall, u32 counter)
{
	this_cpu_inc(*(u64 __percpu *)recall->stats->pptrs[counter]);
}

/* ---- a place ---- */

/* False: it is being filled.  Else extfuse_known_is_still() with *ret_seq after what was read of it. */
static __always_inline bool extfuse_known_read(const u32 *seq, u32 *ret_seq)
{
	*ret_seq = smp_load_acquire(seq);
	return !(*ret_seq & 1);
}

static __always_inline bool extfuse_known_is_still(const u32 *seq, u32 was)
{
	smp_rmb();
	return READ_ONCE(*seq) == was;
}

/* False: somebody else is filling it. */
static __always_inline bool extfuse_known_fill(u32 *seq)
{
	u32 now = READ_ONCE(*seq);

	if (now & 1 || cmpxchg(seq, now, now + 1) != now)
		return false;
	smp_wmb();
	return true;
}

static __always_inline void extfuse_known_filled(u32 *seq)
{
	smp_store_release(seq, *seq + 1);
}

/* The index of the counter that a program named, if there is such a one. */
static __always_inline bool extfuse_recall_counter(const struct extfuse_recall *recall, u32 remember,
                                                   u32 *ret_counter)
{
	*ret_counter = remember - 1;
	return remember && remember <= recall->stats->map.max_entries;
}

/* ---- files ---- */

/*
 * What is known of the bytes of [pos, pos + count), count > 0.  *ret_count: those before the end of the file;
 * 0: none are.  @removed: the device's count, read in the SRCU section of the read.
 */
static __always_inline bool extfuse_recall_file(const struct extfuse_recall *recall, u64 nodeid, u32 removed,
                                                u64 pos, u64 count, struct extfuse_backing **ret_backing,
                                                u64 *ret_offset, u64 *ret_count)
{
	u32 slot = extfuse_epoch_slot(nodeid), seq, counter;
	const struct extfuse_known_file *known = &recall->files[slot % EXTFUSE_KNOWN_FILES];
	u64 size;

	if (!extfuse_known_read(&known->seq, &seq) || known->nodeid != nodeid ||
	    known->change != extfuse_change(recall, slot) || known->removed != removed)
		return false;
	*ret_backing = known->backing;
	*ret_offset = known->base + pos;
	size = known->size;
	counter = known->counter;
	if (!extfuse_known_is_still(&known->seq, seq))
		return false;
	extfuse_recall_count(recall, counter);
	*ret_count = pos < size ? min(count, size - pos) : 0;
	return true;
}

/* @change, @removed: from before the program was asked. */
void extfuse_remember_file(struct extfuse_recall *recall, const struct extfuse_read *rd, u32 change,
                           u32 removed, struct extfuse_backing *backing);

/* ---- writes ---- */

/* May @wr, which asks nothing special, be done as one before it in the same pages?  As extfuse_recall_file().
 */
static __always_inline bool extfuse_recall_write(const struct extfuse_recall *recall, u32 removed,
                                                 struct extfuse_write *wr,
                                                 struct extfuse_backing **ret_backing)
{
	u32 slot = extfuse_epoch_slot(wr->nodeid), seq, counter;
	struct extfuse_backing *backing;
	const struct extfuse_known_write *known = &recall->writes[slot % EXTFUSE_KNOWN_WRITES];

	if (!extfuse_known_read(&known->seq, &seq) || known->nodeid != wr->nodeid ||
	    known->change != extfuse_change(recall, slot) || known->removed != removed ||
	    wr->pos < known->first || wr->pos >= known->end || wr->count > known->end - wr->pos)
		return false;
	backing = known->backing;
	counter = known->counter;
	if (!extfuse_known_is_still(&known->seq, seq))
		return false;
	*ret_backing = backing;
	wr->backing_offset = wr->pos;
	extfuse_recall_count(recall, counter);
	return true;
}

/* @change, @removed: from before the program was asked. */
void extfuse_remember_write(struct extfuse_recall *recall, const struct extfuse_write *wr, u32 change,
                            u32 removed, struct extfuse_backing *backing);
void extfuse_forget_write(struct extfuse_recall *recall, u64 nodeid);

/* What write_end() does; within RCU.  False: that is to be called (it also says that it was the first write).
 */
static __always_inline bool extfuse_recall_write_end(struct extfuse_recall *recall,
                                                     const struct extfuse_write *wr)
{
	u64 nodeid = wr->nodeid, end = wr->pos + wr->written;
	struct extfuse_written *w = recall->written->ops->map_lookup_elem(recall->written, &nodeid);

	if (!w || READ_ONCE(w->ino) != nodeid || !w->time_ns)
		return false;
	if (!wr->written)
		return true;
	if (end > w->size)
		WRITE_ONCE(w->size, end);
	WRITE_ONCE(w->time_ns, wr->time_ns);
	WRITE_ONCE(w->bytes, w->bytes + wr->written);
	if (unlikely(w->bytes >= w->max_bytes))
		extfuse_forget_write(recall, nodeid);
	return true;
}

/* ---- answers ---- */

static __always_inline struct extfuse_known_answer *extfuse_known_answer(struct extfuse_recall *recall,
                                                                         u32 slot, u32 opcode)
{
	return &recall->answers[(slot + opcode) % EXTFUSE_KNOWN_ANSWERS];
}

/* Is what @req asks for something that is remembered at all? */
static __always_inline bool extfuse_is_short(const struct extfuse_request *req)
{
	return !req->name_len && !req->name2_len &&
	       req->out_max <= sizeof_field(struct extfuse_known_answer, out);
}

/* True: the answer is in @req. */
static __always_inline bool extfuse_recall_answer(struct extfuse_recall *recall, struct extfuse_request *req)
{
	u32 slot = extfuse_epoch_slot(req->nodeid), seq, counter, out_len;
	s32 error;
	u64 out[2];
	const struct extfuse_known_answer *known = extfuse_known_answer(recall, slot, req->opcode);

	if (!extfuse_known_read(&known->seq, &seq) || known->nodeid != req->nodeid ||
	    known->opcode != req->opcode || known->flags != req->flags || known->nodeid2 != req->nodeid2 ||
	    known->out_max != req->out_max || known->change != extfuse_change(recall, slot))
		return false;
	error = known->error;
	out_len = known->out_len;
	out[0] = known->out[0];
	out[1] = known->out[1];
	counter = known->counter;
	if (!extfuse_known_is_still(&known->seq, seq))
		return false; /* and nothing of it is in @req, which the program answers next */
	req->error = error;
	req->out_len = out_len;
	req->out.raw[0] = out[0];
	req->out.raw[1] = out[1];
	extfuse_recall_count(recall, counter);
	return true;
}

/* @req: one that extfuse_is_short(), with V_REPLY.  @change: from before the program was asked. */
void extfuse_remember_answer(struct extfuse_recall *recall, const struct extfuse_request *req, u32 change);

/* ---- names ---- */

static __always_inline struct extfuse_known_name *extfuse_known_name(struct extfuse_recall *recall,
                                                                     const struct dentry *entry)
{
	return &recall->names[hash_ptr(entry, EXTFUSE_KNOWN_NAME_BITS)];
}

/*
 * @want: all but .seq, .ticks and .counter, as it is now.  True: so it was when the program was asked, and
 * what it came from has not changed since.
 */
static __always_inline bool extfuse_recall_name(struct extfuse_recall *recall,
                                                const struct extfuse_known_name *want, u32 *ret_ticks)
{
	const struct extfuse_known_name *known = extfuse_known_name(recall, want->entry);
	u32 seq, counter;

	if (!extfuse_known_read(&known->seq, &seq) || known->entry != want->entry ||
	    known->dentry_seq != want->dentry_seq || known->dir != want->dir || known->hash != want->hash ||
	    known->size != want->size || known->nodeid != want->nodeid ||
	    known->attr_version != want->attr_version || known->dir_change != want->dir_change ||
	    known->change != want->change)
		return false;
	*ret_ticks = known->ticks;
	counter = known->counter;
	if (!extfuse_known_is_still(&known->seq, seq))
		return false;
	extfuse_recall_count(recall, counter);
	return true;
}

/* @want: all but .seq and .counter; the changes from before the program was asked. */
void extfuse_remember_name(struct extfuse_recall *recall, const struct extfuse_known_name *want,
                           u32 remember);

#endif
