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

int meta_decode_chunk(const struct meta *m, struct kv_slice value, struct meta_slices *ret)
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

int txn_get_chunk(struct meta_txn *t, uint64_t ino, uint64_t chunk, struct meta_slices *ret)
{
	struct meta_key key = meta_key_pair('C', ino, chunk);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r = kv_get(t->kv, meta_key_slice(&key), false, &value, &size);

	if (r == -ENOENT) {
		*ret = (struct meta_slices){};
		return 0;
	}
	return r < 0 ? r : meta_decode_chunk(t->m, (struct kv_slice){value, size}, ret);
}

int txn_put_chunk(struct meta_txn *t, uint64_t ino, uint64_t chunk, const struct meta_slice *before,
                  size_t count, const struct meta_slices *list)
{
	struct meta_key key = meta_key_pair('C', ino, chunk);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r;

	r = txn_refs_went(t, before, count);
	if (!r)
		r = txn_refs_came(t, list->slices, list->count);
	if (r < 0)
		return r;
	if (list->count > META_SLICES_MANY && t->crowded_count < ARRAY_SIZE(t->crowded))
		t->crowded[t->crowded_count++] = (struct meta_crowded){ino, chunk};
	if (!list->count)
		return count ? txn_delete(t, key) : 0;
	r = meta_encode_slices(list, &value, &size);
	return r < 0 ? r : txn_put(t, key, value, size);
}

/* A copy of what @p list has, before it is changed. NULL without memory. */
static struct meta_slice *slices_of(const struct meta_slices *list)
{
	struct meta_slice *copy = calloc(list->count + 1, sizeof(*copy));

	if (copy && list->count)
		memcpy(copy, list->slices, list->count * sizeof(*copy));
	return copy;
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
		r = meta_decode_chunk(drop->t->m, value, &list);
	/* What nobody can read is dropped all the same; its objects are left for `curvefs gc`. */
	if (r < 0 && r != -EBADMSG)
		return r;
	more = reallocarray(drop->slices, drop->slice_count + list.count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	if (list.count)
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
		r = txn_refs_went(t, drop.slices, drop.slice_count);
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

	r = txn_get_chunk(t, ino, chunk, &list);
	if (r < 0 || !list.count)
		return r;
	count = list.count;
	before = slices_of(&list);
	if (!before)
		return -ENOMEM;
	meta_slices_truncate(&list, size);
	return txn_put_chunk(t, ino, chunk, before, count, &list);
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
	return op->chunk >= inode.cut_from ? 0 : txn_get_chunk(t, op->ino, op->chunk, &op->list);
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
	const struct meta_write **writes; /* by chunk; those of one chunk in their order */
	size_t count;
	uint64_t min_size;
	struct timespec mtime;
	bool kill_suid;
	struct inode inode; /* result */
};

/* Put the @p count writes at @p writes, all to one chunk, on its list. */
static int commit_chunk(struct meta_txn *t, uint64_t ino, const struct meta_write *const *writes,
                        size_t count, uint64_t file_size)
{
	_cleanup_slices_ struct meta_slices list = {};
	_cleanup_free_ struct meta_slice *before = NULL;
	uint64_t chunk = writes[0]->chunk, start = chunk * t->m->volume.chunk_size;
	size_t before_count;
	int r;

	r = txn_get_chunk(t, ino, chunk, &list);
	if (r < 0)
		return r;
	before_count = list.count;
	before = slices_of(&list);
	if (!before)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct meta_slice s = writes[i]->slice;
		uint64_t pos = start + s.pos;

		r = txn_refs_new(t, &s);
		/* Bytes behind the end of the file would come to light when it grows. */
		if (!r && pos < file_size) {
			if (s.length > file_size - pos)
				s.length = file_size - pos;
			r = meta_slices_put(&list, &s);
		}
		if (r < 0)
			return r;
	}
	return txn_put_chunk(t, ino, chunk, before, before_count, &list);
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
	for (size_t i = 0, next; i < op->count; i = next) {
		for (next = i + 1; next < op->count && op->writes[next]->chunk == op->writes[i]->chunk;)
			next++;
		r = commit_chunk(t, op->ino, op->writes + i, next - i, a->size);
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

static int by_chunk(const void *a, const void *b)
{
	const struct meta_write *x = *(const struct meta_write *const *)a;
	const struct meta_write *y = *(const struct meta_write *const *)b;

	if (x->chunk != y->chunk)
		return x->chunk < y->chunk ? -1 : 1;
	return x < y ? -1 : x > y;
}

int meta_commit_write(struct meta *m, uint64_t ino, const struct meta_write *writes, size_t count,
                      uint64_t min_size, struct timespec mtime, bool kill_suid, bool sync,
                      struct meta_attr *ret)
{
	_cleanup_free_ const struct meta_write **sorted = calloc(count + 1, sizeof(*sorted));
	struct commit_op op = {.ino = ino,
	                       .writes = sorted,
	                       .count = count,
	                       .min_size = min_size,
	                       .mtime = mtime,
	                       .kill_suid = kill_suid};
	int r = check_writes(m, writes, count, min_size, &mtime);

	if (r < 0)
		return r;
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = &writes[i];
	if (count)
		qsort(sorted, count, sizeof(*sorted), by_chunk);
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

void meta_note_crowded(struct meta *m, uint64_t ino, uint64_t chunk)
{
	SCOPED_LOCK(&m->crowded_lock);
	for (size_t i = 0; i < m->crowded_count; i++)
		if (m->crowded[i].ino == ino && m->crowded[i].chunk == chunk)
			return;
	if (m->crowded_count < ARRAY_SIZE(m->crowded))
		m->crowded[m->crowded_count++] = (struct meta_crowded){ino, chunk};
}

bool meta_next_crowded(struct meta *m, uint64_t *ret_ino, uint64_t *ret_chunk)
{
	SCOPED_LOCK(&m->crowded_lock);
	if (!m->crowded_count)
		return false;
	*ret_ino = m->crowded[0].ino;
	*ret_chunk = m->crowded[0].chunk;
	m->crowded_count--;
	memmove(m->crowded, m->crowded + 1, m->crowded_count * sizeof(*m->crowded));
	return true;
}

struct replace_op {
	uint64_t ino, chunk;
	const struct meta_slices *expect, *with;
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
	struct inode inode;
	int r;

	r = txn_get_inode(t, op->ino, true, &inode);
	if (r < 0)
		return r;
	if (op->chunk >= inode.cut_from)
		return -ESTALE;
	r = txn_get_chunk(t, op->ino, op->chunk, &list);
	if (r < 0)
		return r;
	if (!same_list(&list, op->expect))
		return -ESTALE;
	for (size_t i = 0; !r && i < op->with->count; i++)
		r = txn_refs_new(t, &op->with->slices[i]);
	return r < 0 ? r : txn_put_chunk(t, op->ino, op->chunk, list.slices, list.count, op->with);
}

/* Whether @p with has bytes wherever @p list has some, and reaches from its first to its last. */
static bool covers(const struct meta_slices *with, const struct meta_slices *list)
{
	const struct meta_slice *w = with->slices, *end = with->slices + with->count;
	const struct meta_slice *last = &list->slices[list->count - 1];

	if (w->pos != list->slices[0].pos || end[-1].pos + end[-1].length != last->pos + last->length)
		return false;
	for (size_t i = 0; i < list->count; i++) {
		uint32_t pos = list->slices[i].pos, stop = pos + list->slices[i].length;

		for (; pos < stop; pos = w->pos + w->length) {
			while (w < end && w->pos + w->length <= pos)
				w++;
			if (w == end || w->pos > pos)
				return false;
		}
	}
	return true;
}

int meta_replace_slices(struct meta *m, uint64_t ino, uint64_t chunk, const struct meta_slices *expect,
                        const struct meta_slices *with)
{
	struct replace_op op = {.ino = ino, .chunk = chunk, .expect = expect, .with = with};

	if (!expect->count || !with->count || !meta_slices_normal(expect) || !meta_slices_normal(with))
		return -EINVAL;
	return covers(with, expect) ? meta_run(m, false, replace_slices, &op) : -EINVAL;
}
