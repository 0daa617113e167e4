/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading directories.  A new name gets the next position of its directory; a name that is replaced keeps its
 * position, and so does one that is renamed within the directory.  So a reader sees each name that is there
 * all the time exactly once, whatever comes and goes, and one that renames what it reads meets nothing twice.
 */
#include "daemon/meta/internal.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/log.h"

struct readdir_op {
	struct meta_txn *t;
	uint64_t ino, from;
	bool with_attr;
	meta_dirent_fn fn;
	void *arg;
	int stopped;    /* result: what fn returned */
	uint64_t end;   /* result of meta_readdir_end() */
	uint64_t first; /* result: position of the first entry found, or of the next new one; 0: not known */
};

/* ---- where a directory begins ---- */

static struct meta_first *first_place(struct meta *m, uint64_t ino)
{
	return &m->firsts[ino % ARRAY_SIZE(m->firsts)];
}

static uint64_t known_first(struct meta *m, uint64_t ino)
{
	const struct meta_first *place = first_place(m, ino);

	SCOPED_LOCK(&m->firsts_lock);
	return place->ino == ino ? place->position : 0;
}

static void note_first(struct meta *m, uint64_t ino, uint64_t position)
{
	struct meta_first *place = first_place(m, ino);

	SCOPED_LOCK(&m->firsts_lock);
	/* Who read an older snapshot may be later. */
	if (place->ino != ino || place->position < position)
		*place = (struct meta_first){ino, position};
}

void meta_entry_gone(struct meta *m, uint64_t dir, uint64_t position)
{
	struct meta_first *place = first_place(m, dir);

	SCOPED_LOCK(&m->firsts_lock);
	if (place->ino == dir && place->position == position)
		place->position++;
}

/* ---- reading ---- */

static int dirent(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct readdir_op *op = arg;
	struct dentry_at d;
	struct meta_dirent entry;
	struct inode inode;
	uint64_t ino;
	int r;

	r = meta_key_parse_pair(key, 'R', &ino, &entry.next);
	if (!r)
		r = meta_decode_dentry_at(value, &d);
	if (r)
		return r;
	if (!op->first)
		op->first = entry.next;
	if (op->with_attr) {
		r = txn_get_inode(op->t, d.ino, false, &inode);
		if (r < 0)
			return r == -ENOENT ? -EBADMSG : r; /* it is one snapshot */
	}
	entry.name = d.name;
	entry.ino = d.ino;
	entry.type = d.type;
	entry.attr = op->with_attr ? &inode.attr : NULL;
	op->stopped = op->fn(&entry, op->arg);
	return op->stopped ? 1 : 0;
}

static int check_dir(struct meta_txn *t, uint64_t ino, struct inode *ret)
{
	int r = txn_get_inode(t, ino, false, ret);

	return r < 0 ? r : S_ISDIR(ret->attr.mode) ? 0 : -ENOTDIR;
}

static int read_dir(struct meta_txn *t, void *arg)
{
	struct readdir_op *op = arg;
	struct meta_key prefix = meta_key_number('R', op->ino), first;
	uint64_t known = known_first(t->m, op->ino), start = op->from + 1;
	struct inode dir;
	int r;

	op->t = t;
	op->first = 0;
	r = check_dir(t, op->ino, &dir);
	if (r < 0 || op->from >= INT64_MAX)
		return r;
	first = meta_key_pair('R', op->ino, start < known ? known : start);
	r = kv_scan(t->kv, meta_key_slice(&prefix), meta_key_slice(&first), dirent, op);
	if (!r && !op->first)
		op->first = dir.next_position;
	if (start > known && op->from)
		op->first = 0; /* what lies before was not looked at */
	return r;
}

int meta_readdir(struct meta *m, uint64_t ino, uint64_t from, bool with_attr, meta_dirent_fn fn, void *arg)
{
	struct readdir_op op = {.ino = ino, .from = from, .with_attr = with_attr, .fn = fn, .arg = arg};
	int r = meta_run_read(m, read_dir, &op);

	if (r >= 0 && op.first)
		note_first(m, ino, op.first);
	return r < 0 ? r : op.stopped < 0 ? op.stopped : 0;
}

static int read_end(struct meta_txn *t, void *arg)
{
	struct readdir_op *op = arg;
	struct inode dir;
	int r = check_dir(t, op->ino, &dir);

	if (!r)
		op->end = dir.next_position;
	return r;
}

int meta_readdir_end(struct meta *m, uint64_t ino, uint64_t *ret_end)
{
	struct readdir_op op = {.ino = ino};
	int r = meta_run_read(m, read_end, &op);

	if (!r)
		*ret_end = op.end;
	return r;
}
