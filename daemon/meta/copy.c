/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_file_range: the slices of the source are named again, no byte is moved.  Slices lie within chunks, and
 * source and destination may be differently placed in theirs: so a slice is cut at the borders of both.
 */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/meta/slices.h"

enum { COPY_SLICES_MAX = 4096 }; /* that one transaction makes, but for the last piece of it */

struct copy {
	uint64_t from, to; /* inodes */
	uint64_t from_offset, to_offset, length;
	struct inode inode; /* result: of the destination */
	uint64_t copied;    /* result */
};

/* A chunk in the making. */
struct target {
	uint64_t number;
	struct meta_slices list;
	struct meta_slice *before;
	size_t before_count;
	bool open;
};

static void target_free(struct target *c)
{
	meta_slices_clear(&c->list);
	free(c->before);
	*c = (struct target){};
}

static int target_close(struct meta_txn *t, uint64_t ino, struct target *c)
{
	int r = 0;

	if (c->open)
		r = txn_put_chunk(t, ino, c->number, c->before, c->before_count, &c->list);
	target_free(c);
	return r;
}

static int target_open(struct meta_txn *t, uint64_t ino, uint64_t number, struct target *c)
{
	int r = target_close(t, ino, c);

	if (!r)
		r = txn_get_chunk(t, ino, number, &c->list);
	if (r < 0)
		return r;
	c->number = number;
	c->before_count = c->list.count;
	c->before = calloc(c->list.count + 1, sizeof(*c->before));
	if (!c->before)
		return -ENOMEM;
	if (c->list.count)
		memcpy(c->before, c->list.slices, c->list.count * sizeof(*c->before));
	c->open = true;
	return 0;
}

/*
 * @p length bytes at @p pos of the slices @p from, to @p to_pos of @p to.  Bytes that another piece of the
 * same copy wrote are not met here: the ranges do not overlap.
 */
static int copy_piece(const struct meta_slices *from, uint32_t pos, uint32_t length, struct target *to,
                      uint32_t to_pos, size_t *ret_slices)
{
	_cleanup_free_ struct meta_extent *extents = NULL;
	size_t count;
	int r = meta_flatten(from, pos, length, &extents, &count);

	for (size_t i = 0; !r && i < count; i++) {
		const struct meta_extent *e = &extents[i];
		const struct meta_slice slice = {.pos = to_pos + (e->pos - pos),
		                                 .length = e->length,
		                                 .object = e->object,
		                                 .offset = e->object ? e->offset : 0,
		                                 .size = e->object ? e->size : 0};

		r = meta_slices_put(&to->list, &slice);
		++*ret_slices;
	}
	return r;
}

static int copy_slices(struct meta_txn *t, struct copy *c)
{
	_cleanup_slices_ struct meta_slices source = {};
	uint64_t chunk_size = t->m->volume.chunk_size, source_number = UINT64_MAX;
	struct target to = {};
	size_t slices = 0;
	int r = 0;

	while (!r && c->copied < c->length && slices < COPY_SLICES_MAX) {
		uint64_t from_at = c->from_offset + c->copied, to_at = c->to_offset + c->copied;
		uint64_t left = c->length - c->copied;

		if (left > chunk_size - from_at % chunk_size)
			left = chunk_size - from_at % chunk_size;
		if (left > chunk_size - to_at % chunk_size)
			left = chunk_size - to_at % chunk_size;
		if (!to.open || to.number != to_at / chunk_size)
			r = target_open(t, c->to, to_at / chunk_size, &to);
		if (!r && source_number != from_at / chunk_size) {
			meta_slices_clear(&source);
			source_number = from_at / chunk_size;
			r = txn_get_chunk(t, c->from, source_number, &source);
		}
		if (!r)
			r = copy_piece(&source, from_at % chunk_size, left, &to, to_at % chunk_size, &slices);
		c->copied += left;
	}
	if (!r)
		r = target_close(t, c->to, &to);
	target_free(&to);
	return r;
}

static int copy(struct meta_txn *t, void *arg)
{
	struct copy *c = arg;
	const uint64_t inos[2] = {c->from, c->to};
	struct inode inodes[2], *to = &inodes[1];
	uint64_t before, wanted = c->length;
	int r;

	c->copied = 0;
	r = txn_lock_inodes(t, 2, inos, inodes);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		if (!S_ISREG(inodes[i].attr.mode))
			return S_ISDIR(inodes[i].attr.mode) ? -EISDIR : -EINVAL;
		if (inodes[i].cut_from != META_CUT_NONE)
			return META_CUT_PENDING;
	}
	c->inode = *to;
	if (c->from_offset >= inodes[0].attr.size)
		return 0;
	if (c->length > inodes[0].attr.size - c->from_offset)
		c->length = inodes[0].attr.size - c->from_offset;
	r = copy_slices(t, c);
	c->length = wanted;
	if (r < 0)
		return r;
	before = inode_usage(to);
	if (c->to_offset + c->copied > to->attr.size)
		to->attr.size = c->to_offset + c->copied;
	t->add_bytes = inode_usage(to) - before;
	inode_count_version(t->m, to);
	inode_touch(to, &t->now);
	c->inode = *to;
	return txn_put_inode(t, to);
}

int meta_copy_range(struct meta *m, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
                    uint64_t length, uint64_t *ret_copied, struct meta_attr *ret)
{
	struct copy c = {
		.from = from, .to = to, .from_offset = from_offset, .to_offset = to_offset, .length = length};
	int r;

	if (length > META_SIZE_MAX || from_offset > META_SIZE_MAX - length ||
	    to_offset > META_SIZE_MAX - length)
		return -EFBIG;
	if (from == to && from_offset < to_offset + length && to_offset < from_offset + length)
		return -EINVAL;
	while ((r = meta_run(m, false, copy, &c)) == META_CUT_PENDING) {
		r = meta_finish_cut(m, from);
		if (!r)
			r = meta_finish_cut(m, to);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_copied = c.copied;
	if (ret)
		*ret = c.inode.attr;
	return 0;
}
