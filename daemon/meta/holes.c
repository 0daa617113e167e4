/* SPDX-License-Identifier: Apache-2.0 */
/* Holes: making them in a file (punch), and finding them (SEEK_DATA, SEEK_HOLE). */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "daemon/meta/slices.h"

enum { PUNCH_SLICES_MAX = 1024 }; /* that one transaction takes away, but for the last chunk of it */

/* ---- punch ---- */

struct punch {
	struct meta *m;
	uint64_t ino, offset, end;
	uint64_t size; /* of the file in the end, if that is more than it is */
	struct inode inode;
	uint64_t next; /* result: where the next piece begins; end: that was all */

	/* of one piece: chunks that have anything, from offset on */
	uint64_t *chunks;
	struct meta_slices *lists;
	size_t count, room, slices;
};

static void forget_chunks(struct punch *p)
{
	for (size_t i = 0; i < p->count; i++)
		meta_slices_clear(&p->lists[i]);
	free(p->chunks);
	free(p->lists);
	p->chunks = NULL;
	p->lists = NULL;
	p->count = p->room = p->slices = 0;
}

static int collect_chunk(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct punch *p = arg;
	uint64_t ino, chunk;
	int r = meta_key_parse_pair(key, 'C', &ino, &chunk);

	if (r < 0)
		return r;
	if (chunk > (p->end - 1) / p->m->volume.chunk_size)
		return 1;
	if (p->slices >= PUNCH_SLICES_MAX) {
		p->next = chunk * p->m->volume.chunk_size;
		return 1;
	}
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 16;
		struct meta_slices *lists = reallocarray(p->lists, room, sizeof(*lists));
		uint64_t *chunks;

		if (!lists)
			return -ENOMEM;
		p->lists = lists;
		chunks = reallocarray(p->chunks, room, sizeof(*chunks));
		if (!chunks)
			return -ENOMEM;
		p->chunks = chunks;
		p->room = room;
	}
	r = meta_decode_chunk(p->m, value, &p->lists[p->count]);
	if (r < 0)
		return r;
	p->chunks[p->count] = chunk;
	p->slices += p->lists[p->count++].count;
	return 0;
}

static int punch_chunk(struct meta_txn *t, const struct punch *p, uint64_t chunk,
                       const struct meta_slices *before)
{
	uint64_t start = chunk * t->m->volume.chunk_size, end = start + t->m->volume.chunk_size;
	uint64_t from = p->offset > start ? p->offset : start, to = p->end < end ? p->end : end;
	struct meta_slice zeros = {.pos = from - start, .length = to - from};
	_cleanup_slices_ struct meta_slices list = {};
	int r = 0;

	for (size_t i = 0; !r && i < before->count; i++)
		r = meta_slices_put(&list, &before->slices[i]);
	if (!r)
		r = meta_slices_put(&list, &zeros);
	return r < 0 ? r : txn_put_chunk(t, p->ino, chunk, before->slices, before->count, &list);
}

static int punch_collected(struct meta_txn *t, struct punch *p)
{
	struct meta_key prefix = meta_key_number('C', p->ino);
	struct meta_key from = meta_key_pair('C', p->ino, p->offset / t->m->volume.chunk_size);
	int r = 0;

	if (p->offset < p->end)
		r = kv_scan(t->kv, meta_key_slice(&prefix), meta_key_slice(&from), collect_chunk, p);
	if (r > 0)
		r = 0;
	for (size_t i = 0; !r && i < p->count; i++)
		r = punch_chunk(t, p, p->chunks[i], &p->lists[i]);
	return r;
}

static int punch(struct meta_txn *t, void *arg)
{
	struct punch *p = arg;
	struct inode *inode = &p->inode;
	uint64_t before;
	int r;

	r = txn_get_inode(t, p->ino, true, inode);
	if (r < 0)
		return r;
	if (!S_ISREG(inode->attr.mode))
		return S_ISDIR(inode->attr.mode) ? -EISDIR : -EINVAL;
	if (inode->cut_from != META_CUT_NONE)
		return META_CUT_PENDING;
	p->next = p->end;
	r = punch_collected(t, p);
	forget_chunks(p);
	if (r < 0)
		return r;
	before = inode_usage(inode);
	if (p->next == p->end && p->size > inode->attr.size)
		inode->attr.size = p->size;
	t->add_bytes = inode_usage(inode) - before;
	inode_count_version(t->m, inode);
	inode_touch(inode, &t->now);
	return txn_put_inode(t, inode);
}

int meta_punch(struct meta *m, uint64_t ino, uint64_t offset, uint64_t length, uint64_t min_size,
               struct meta_attr *ret)
{
	struct punch p = {.m = m, .ino = ino, .offset = offset, .end = offset + length, .size = min_size};
	int r;

	if (length > META_SIZE_MAX || offset > META_SIZE_MAX - length || min_size > META_SIZE_MAX)
		return -EFBIG;
	while ((r = meta_run(m, false, punch, &p)) >= 0) {
		if (!r && p.next == p.end)
			break;
		if (!r)
			p.offset = p.next;
		else if ((r = meta_finish_cut(m, ino)) < 0)
			break;
	}
	if (!r && ret)
		*ret = p.inode.attr;
	return r;
}

/* ---- seek ---- */

struct seek {
	uint64_t ino, at;
	bool hole;
	const struct meta *m;
	uint64_t cut_from;
	bool found; /* `at` is the place */
};

static int seek_chunk(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct seek *s = arg;
	_cleanup_slices_ struct meta_slices list = {};
	uint64_t ino, chunk, start;
	int r = meta_key_parse_pair(key, 'C', &ino, &chunk);

	if (!r && chunk < s->cut_from)
		r = meta_decode_chunk(s->m, value, &list);
	if (r < 0)
		return r;
	start = chunk * s->m->volume.chunk_size;
	for (size_t i = 0; i < list.count; i++) {
		uint64_t from = start + list.slices[i].pos, to = from + list.slices[i].length;

		if (to <= s->at)
			continue;
		if (!s->hole && from > s->at)
			s->at = from;
		if (!s->hole || from > s->at) {
			s->found = true;
			return 1;
		}
		s->at = to;
	}
	return 0;
}

static int seek(struct meta_txn *t, void *arg)
{
	struct seek *s = arg;
	uint64_t size;
	struct meta_key prefix = meta_key_number('C', s->ino);
	struct meta_key from = meta_key_pair('C', s->ino, s->at / t->m->volume.chunk_size);
	struct inode inode;
	int r;

	r = txn_get_inode(t, s->ino, false, &inode);
	if (r < 0)
		return r;
	if (!S_ISREG(inode.attr.mode))
		return S_ISDIR(inode.attr.mode) ? -EISDIR : -EINVAL;
	size = inode.attr.size;
	if (s->at >= size)
		return -ENXIO;
	s->cut_from = inode.cut_from;
	r = kv_scan(t->kv, meta_key_slice(&prefix), meta_key_slice(&from), seek_chunk, s);
	if (r < 0)
		return r;
	/* Behind the last slice there is a hole, if only the one that every file ends with. */
	if (!s->found && !s->hole)
		return -ENXIO;
	if (s->at > size)
		s->at = size;
	return s->hole || s->at < size ? 0 : -ENXIO;
}

int meta_seek(struct meta *m, uint64_t ino, uint64_t offset, bool hole, uint64_t *ret)
{
	struct seek s = {.m = m, .ino = ino, .at = offset, .hole = hole};
	int r = meta_run_read(m, seek, &s);

	if (!r)
		*ret = s.at;
	return r;
}
