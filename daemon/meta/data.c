/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of files: slice lists of chunks, commits of uploaded data, truncation.
 *
 * Truncation.  A shrinking file may lose any number of chunks, a transaction may not be that long.  So the
 * one that sets the size also sets inode.cut_from (and the record 'T'): from then on chunks at or behind it
 * are dead, whatever is stored; readers take them for holes, and who wants to write or to change the size
 * completes the cut first.  The pieces after it only delete dead chunks, so a crash between them loses
 * nothing: meta_open() goes on.
 */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/meta/slices.h"

enum { DROP_SLICES_MAX = 512 }; /* that one transaction gives to the garbage, but for the last chunk of it */

static int decode_chunk(const struct meta *m, struct kv_slice value, struct meta_slices *ret)
{
	struct meta_slices list = {};
	const struct meta_slice *last;
	int r = meta_decode_slices(value, &list);

	if (r < 0)
		return r;
	last = &list.slices[list.count - 1];
	if (last->pos + last->length > m->volume.chunk_size) {
		meta_slices_clear(&list);
		return -EBADMSG;
	}
	*ret = list;
	return 0;
}

/* An absent list is an empty one. */
static int get_chunk(struct meta_txn *t, uint64_t ino, uint64_t chunk, struct meta_slices *ret)
{
	struct meta_key key = meta_key_pair('C', ino, chunk);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r = kv_get(t->kv, meta_key_slice(&key), false, &value, &size);

	if (r == -ENOENT) {
		*ret = (struct meta_slices){};
		return 0;
	}
	return r < 0 ? r : decode_chunk(t->m, (struct kv_slice){value, size}, ret);
}

static int put_chunk(struct meta_txn *t, uint64_t ino, uint64_t chunk, const struct meta_slices *list)
{
	struct meta_key key = meta_key_pair('C', ino, chunk);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r;

	if (!list->count)
		return txn_delete(t, key);
	r = meta_encode_slices(list, &value, &size);
	return r < 0 ? r : txn_put(t, key, value, size);
}

static int by_object(const void *a, const void *b)
{
	uint64_t x = ((const struct meta_slice *)a)->object, y = ((const struct meta_slice *)b)->object;

	return x < y ? -1 : x > y;
}

/* The objects of @p count slices at @p from (which are sorted here) that @p kept does not name become
 * garbage. */
static int put_garbage(struct meta_txn *t, struct meta_slice *from, size_t count,
                       const struct meta_slices *kept)
{
	_cleanup_free_ struct meta_slice *sorted = calloc(kept->count + 1, sizeof(*sorted));
	unsigned char value[META_VALUE_MAX];
	int r = 0;

	if (!sorted)
		return -ENOMEM;
	if (kept->count)
		memcpy(sorted, kept->slices, kept->count * sizeof(*sorted));
	qsort(sorted, kept->count, sizeof(*sorted), by_object);
	if (count)
		qsort(from, count, sizeof(*from), by_object);
	for (size_t i = 0; !r && i < count; i++) {
		if (!from[i].object || (i && from[i].object == from[i - 1].object))
			continue;
		if (bsearch(&from[i], sorted, kept->count, sizeof(*sorted), by_object))
			continue;
		r = txn_put(t, meta_key_number('G', from[i].object), value,
		            meta_encode_garbage(from[i].size, value));
	}
	return r;
}

/* ---- cutting off ---- */

struct drop {
	struct meta_txn *t;
	uint64_t *chunks;
	size_t chunk_count;
	struct meta_slice *slices;
	size_t slice_count;
};

static int drop_collect(struct kv_slice key, struct kv_slice value, void *arg)
{
	_cleanup_slices_ struct meta_slices list = {};
	struct drop *drop = arg;
	struct meta_slice *more;
	uint64_t ino, *chunks;
	int r;

	if (drop->slice_count >= DROP_SLICES_MAX)
		return 1;
	chunks = reallocarray(drop->chunks, drop->chunk_count + 1, sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	drop->chunks = chunks;
	r = meta_key_parse_pair(key, 'C', &ino, &chunks[drop->chunk_count]);
	if (!r)
		r = decode_chunk(drop->t->m, value, &list);
	if (r < 0 || !list.count)
		return r;
	more = reallocarray(drop->slices, drop->slice_count + list.count, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memcpy(more + drop->slice_count, list.slices, list.count * sizeof(*more));
	drop->slices = more;
	drop->slice_count += list.count;
	drop->chunk_count++;
	return 0;
}

int txn_drop_chunks(struct meta_txn *t, uint64_t ino, uint64_t *first)
{
	struct meta_key prefix = meta_key_number('C', ino), from = meta_key_pair('C', ino, *first);
	struct drop drop = {.t = t};
	int more, r;

	more = r = kv_scan(t->kv, meta_key_slice(&prefix), meta_key_slice(&from), drop_collect, &drop);
	if (r >= 0)
		r = put_garbage(t, drop.slices, drop.slice_count, &(struct meta_slices){});
	for (size_t i = 0; !r && i < drop.chunk_count; i++)
		r = txn_delete(t, meta_key_pair('C', ino, drop.chunks[i]));
	if (!r && drop.chunk_count)
		*first = drop.chunks[drop.chunk_count - 1] + 1;
	free(drop.chunks);
	free(drop.slices);
	return r < 0 ? r : more;
}

static int trim_chunk(struct meta_txn *t, uint64_t ino, uint64_t chunk, uint32_t size)
{
	_cleanup_slices_ struct meta_slices list = {};
	_cleanup_free_ struct meta_slice *before = NULL;
	size_t count;
	int r;

	r = get_chunk(t, ino, chunk, &list);
	if (r < 0 || !list.count)
		return r;
	count = list.count;
	before = calloc(count, sizeof(*before));
	if (!before)
		return -ENOMEM;
	memcpy(before, list.slices, count * sizeof(*before));
	meta_slices_truncate(&list, size);
	r = put_garbage(t, before, count, &list);
	return r < 0 ? r : put_chunk(t, ino, chunk, &list);
}

int txn_truncate(struct meta_txn *t, struct inode *inode, uint64_t size)
{
	uint32_t chunk_size = t->m->volume.chunk_size;
	uint64_t ino = inode->attr.ino, dead = size / chunk_size, first;
	int r;

	if (size % chunk_size) {
		r = trim_chunk(t, ino, dead++, size % chunk_size);
		if (r < 0)
			return r;
	}
	first = dead;
	r = txn_drop_chunks(t, ino, &first);
	if (r <= 0)
		return r;
	inode->cut_from = dead;
	return txn_put(t, meta_key_number('T', ino), "\1", 1);
}

struct cut {
	uint64_t ino, first;
	uint64_t next; /* result: where the next piece begins, if there is more */
	bool more;
};

static int cut_piece(struct meta_txn *t, void *arg)
{
	struct cut *cut = arg;
	struct inode inode;
	int r;

	r = txn_get_inode(t, cut->ino, true, &inode);
	if (r < 0)
		return r;
	cut->more = false;
	if (inode.cut_from != META_CUT_NONE) {
		cut->next = cut->first > inode.cut_from ? cut->first : inode.cut_from;
		r = txn_drop_chunks(t, cut->ino, &cut->next);
		if (r < 0)
			return r;
		cut->more = r > 0;
		if (cut->more)
			return 0;
		inode.cut_from = META_CUT_NONE;
		r = txn_put_inode(t, &inode);
		if (r < 0)
			return r;
	}
	return txn_delete(t, meta_key_number('T', cut->ino));
}

int meta_finish_cut(struct meta *m, uint64_t ino)
{
	struct cut cut = {.ino = ino};
	int r;

	while (!(r = meta_run(m, false, cut_piece, &cut)) && cut.more)
		cut.first = cut.next;
	return r == -ENOENT ? 0 : r;
}

/* ---- reading the list ---- */

struct slices_op {
	uint64_t ino, chunk;
	struct meta_slices list;
};

static int slices(struct meta_txn *t, void *arg)
{
	struct slices_op *op = arg;
	struct inode inode;
	int r;

	r = txn_get_inode(t, op->ino, false, &inode);
	if (r < 0)
		return r;
	if (!S_ISREG(inode.attr.mode))
		return S_ISDIR(inode.attr.mode) ? -EISDIR : -EINVAL;
	return op->chunk >= inode.cut_from ? 0 : get_chunk(t, op->ino, op->chunk, &op->list);
}

int meta_slices(struct meta *m, uint64_t ino, uint64_t chunk, struct meta_slices *ret)
{
	struct slices_op op = {.ino = ino, .chunk = chunk};
	int r = meta_run_read(m, slices, &op);

	if (!r)
		*ret = op.list;
	return r;
}

/* ---- committing uploaded data ---- */

struct commit_op {
	uint64_t ino;
	const struct meta_write *writes;
	size_t count;
	uint64_t min_size;
	struct timespec mtime;
	bool kill_suid;
	struct inode inode; /* result */
};

/* Put the writes that go to the chunk of writes[first] on its list. */
static int commit_chunk(struct meta_txn *t, const struct commit_op *op, size_t first, uint64_t file_size)
{
	_cleanup_slices_ struct meta_slices list = {};
	_cleanup_free_ struct meta_slice *before = NULL;
	uint64_t chunk = op->writes[first].chunk, start = chunk * t->m->volume.chunk_size;
	size_t count;
	int r;

	r = get_chunk(t, op->ino, chunk, &list);
	if (r < 0)
		return r;
	count = list.count;
	before = calloc(count + op->count, sizeof(*before));
	if (!before)
		return -ENOMEM;
	if (count)
		memcpy(before, list.slices, count * sizeof(*before));
	for (size_t i = first; i < op->count; i++) {
		struct meta_slice s = op->writes[i].slice;
		uint64_t pos = start + s.pos;

		if (op->writes[i].chunk != chunk)
			continue;
		before[count++] = s;
		/* Bytes behind the end of the file would come to light when it grows. */
		if (pos >= file_size)
			continue;
		if (s.length > file_size - pos)
			s.length = file_size - pos;
		r = meta_slices_put(&list, &s);
		if (r < 0)
			return r;
	}
	r = put_garbage(t, before, count, &list);
	return r < 0 ? r : put_chunk(t, op->ino, chunk, &list);
}

static int commit_write(struct meta_txn *t, void *arg)
{
	struct commit_op *op = arg;
	struct inode *inode = &op->inode;
	struct meta_attr *a = &inode->attr;
	uint64_t before;
	int r;

	r = txn_get_inode(t, op->ino, true, inode);
	if (r < 0)
		return r;
	if (!S_ISREG(a->mode))
		return S_ISDIR(a->mode) ? -EISDIR : -EINVAL;
	if (inode->cut_from != META_CUT_NONE)
		return META_CUT_PENDING;

	before = inode_usage(inode);
	if (op->count || op->min_size > a->size)
		inode_count_version(t->m, inode);
	if (op->min_size > a->size)
		a->size = op->min_size;
	for (size_t i = 0; i < op->count; i++) {
		size_t first = 0;

		while (op->writes[first].chunk != op->writes[i].chunk)
			first++;
		if (first < i)
			continue; /* was done with the first of its chunk */
		r = commit_chunk(t, op, i, a->size);
		if (r < 0)
			return r;
	}
	a->mtime = op->mtime;
	a->ctime = op->mtime;
	if (op->kill_suid)
		inode_kill_suid(inode);
	t->add_bytes = inode_usage(inode) - before;
	return txn_put_inode(t, inode);
}

static int check_writes(const struct meta *m, const struct meta_write *writes, size_t count,
                        uint64_t min_size, const struct timespec *mtime)
{
	uint32_t chunk_size = m->volume.chunk_size;

	if (mtime->tv_nsec < 0 || mtime->tv_nsec >= 1000000000)
		return -EINVAL;
	if (min_size > META_SIZE_MAX)
		return -EFBIG;
	for (size_t i = 0; i < count; i++) {
		const struct meta_slice *s = &writes[i].slice;

		if (!meta_slice_valid(s) || s->pos + s->length > chunk_size)
			return -EINVAL;
		if (writes[i].chunk > META_SIZE_MAX / chunk_size)
			return -EFBIG;
	}
	return 0;
}

int meta_commit_write(struct meta *m, uint64_t ino, const struct meta_write *writes, size_t count,
                      uint64_t min_size, struct timespec mtime, bool kill_suid, bool sync,
                      struct meta_attr *ret)
{
	struct commit_op op = {.ino = ino,
	                       .writes = writes,
	                       .count = count,
	                       .min_size = min_size,
	                       .mtime = mtime,
	                       .kill_suid = kill_suid};
	int r = check_writes(m, writes, count, min_size, &mtime);

	if (r < 0)
		return r;
	while ((r = meta_run(m, sync, commit_write, &op)) == META_CUT_PENDING) {
		r = meta_finish_cut(m, ino);
		if (r < 0)
			return r;
	}
	if (!r && ret)
		*ret = op.inode.attr;
	return r;
}

/* ---- compaction ---- */

struct replace_op {
	uint64_t ino, chunk;
	const struct meta_slices *expect;
	const struct meta_slice *with;
};

static bool same_list(const struct meta_slices *a, const struct meta_slices *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct meta_slice *x = &a->slices[i], *y = &b->slices[i];

		if (x->pos != y->pos || x->length != y->length || x->object != y->object ||
		    x->offset != y->offset || x->size != y->size)
			return false;
	}
	return true;
}

static int replace_slices(struct meta_txn *t, void *arg)
{
	struct replace_op *op = arg;
	_cleanup_slices_ struct meta_slices list = {};
	struct meta_slice with = *op->with;
	struct meta_slices new = {&with, 1};
	struct inode inode;
	int r;

	r = txn_get_inode(t, op->ino, true, &inode);
	if (r < 0)
		return r;
	if (op->chunk >= inode.cut_from)
		return -ESTALE;
	r = get_chunk(t, op->ino, op->chunk, &list);
	if (r < 0)
		return r;
	if (!same_list(&list, op->expect))
		return -ESTALE;
	r = put_garbage(t, list.slices, list.count, &new);
	return r < 0 ? r : put_chunk(t, op->ino, op->chunk, &new);
}

int meta_replace_slices(struct meta *m, uint64_t ino, uint64_t chunk, const struct meta_slices *expect,
                        const struct meta_slice *with)
{
	struct replace_op op = {.ino = ino, .chunk = chunk, .expect = expect, .with = with};
	const struct meta_slice *last;

	if (!expect->count || !meta_slices_normal(expect) || !with->object || !meta_slice_valid(with))
		return -EINVAL;
	last = &expect->slices[expect->count - 1];
	if (with->pos != expect->slices[0].pos || with->pos + with->length != last->pos + last->length)
		return -EINVAL;
	return meta_run(m, false, replace_slices, &op);
}
