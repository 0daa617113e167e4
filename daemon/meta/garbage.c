/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be deleted: orphans, which become garbage, and garbage, which the caller deletes from the store.
 */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* ---- garbage ---- */

struct garbage_op {
	uint64_t first;
	struct meta_garbage *list;
	size_t max, count;
	const struct meta_garbage *deleted;
};

static int add_garbage(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct garbage_op *op = arg;
	struct meta_garbage g;
	int r;

	if (op->count == op->max)
		return 1;
	r = meta_key_parse_number(key, 'G', &g.object);
	if (!r)
		r = meta_decode_garbage(value, &g.size);
	if (!r)
		op->list[op->count++] = g;
	return r;
}

static int list_garbage(struct meta_txn *t, void *arg)
{
	const struct garbage_op *op = arg;
	const struct meta_key first = meta_key_number('G', op->first);

	return kv_scan(t->kv, (struct kv_slice){"G", 1}, meta_key_slice(&first), add_garbage, arg);
}

int meta_list_garbage_from(struct meta *m, uint64_t first, struct meta_garbage *ret, size_t max,
                           size_t *ret_count)
{
	struct garbage_op op = {.first = first, .list = ret, .max = max};
	int r = meta_run_read(m, list_garbage, &op);

	if (r < 0)
		return r;
	*ret_count = op.count;
	return 0;
}

int meta_list_garbage(struct meta *m, struct meta_garbage *ret, size_t max, size_t *ret_count)
{
	return meta_list_garbage_from(m, 0, ret, max, ret_count);
}

static int forget_garbage(struct meta_txn *t, void *arg)
{
	struct garbage_op *op = arg;
	int r = 0;

	for (size_t i = 0; !r && i < op->count; i++)
		r = txn_delete(t, meta_key_number('G', op->deleted[i].object));
	return r;
}

int meta_garbage_deleted(struct meta *m, const struct meta_garbage *garbage, size_t count)
{
	enum { PIECE = 1024 };

	for (size_t done = 0; done < count; done += PIECE) {
		struct garbage_op op = {.deleted = garbage + done,
		                        .count = count - done < PIECE ? count - done : PIECE};
		int r = meta_run(m, false, forget_garbage, &op);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- orphans ---- */

struct orphans_op {
	uint64_t *inos;
	size_t count;
};

static int list_orphans(struct meta_txn *t, void *arg)
{
	struct orphans_op *op = arg;

	return txn_list_numbers(t, 'O', &op->inos, &op->count);
}

int meta_list_orphans(struct meta *m, uint64_t **ret_inos, size_t *ret_count)
{
	struct orphans_op op = {};
	int r = meta_run_read(m, list_orphans, &op);

	if (r < 0)
		return r;
	*ret_inos = op.inos;
	*ret_count = op.count;
	return 0;
}

/* ---- reaping ---- */

struct reap_op {
	uint64_t ino, first;
	uint64_t next; /* result: where the next piece begins, if there is more */
	bool more;
};

struct key_list {
	struct meta_key *keys;
	size_t count;
};

static int add_key(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct key_list *list = arg;
	struct meta_key *bigger;

	(void)value;
	if (key.size > META_KEY_MAX)
		return -EBADMSG;
	bigger = reallocarray(list->keys, list->count + 1, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	list->keys = bigger;
	bigger[list->count].size = key.size;
	memcpy(bigger[list->count++].bytes, key.data, key.size);
	return 0;
}

static int delete_xattrs(struct meta_txn *t, uint64_t ino)
{
	struct meta_key prefix = meta_key_number('X', ino);
	struct key_list list = {};
	int r = kv_scan(t->kv, meta_key_slice(&prefix), meta_key_slice(&prefix), add_key, &list);

	for (size_t i = 0; !r && i < list.count; i++)
		r = txn_delete(t, list.keys[i]);
	free(list.keys);
	return r;
}

static int reap(struct meta_txn *t, void *arg)
{
	struct reap_op *op = arg;
	struct inode inode;
	int r;

	r = txn_get_inode(t, op->ino, true, &inode);
	if (r < 0)
		return r;
	if (inode.attr.nlink)
		return -EINVAL;

	op->next = op->first;
	op->more = false;
	if (S_ISREG(inode.attr.mode)) {
		r = txn_drop_chunks(t, op->ino, &op->next);
		if (r < 0)
			return r;
		op->more = r > 0;
		if (op->more)
			return 0;
	}
	if (inode.attr.xattrs) {
		r = delete_xattrs(t, op->ino);
		if (r < 0)
			return r;
	}
	if (S_ISLNK(inode.attr.mode)) {
		r = txn_delete(t, meta_key_number('S', op->ino));
		if (r < 0)
			return r;
	}
	if (inode.cut_from != META_CUT_NONE) {
		r = txn_delete(t, meta_key_number('T', op->ino));
		if (r < 0)
			return r;
	}
	r = txn_delete(t, meta_key_number('O', op->ino));
	if (r < 0)
		return r;
	t->add_bytes = -inode_usage(&inode);
	t->add_inodes = -1;
	return txn_delete(t, meta_key_number('I', op->ino));
}

int meta_reap(struct meta *m, uint64_t ino)
{
	struct reap_op op = {.ino = ino};
	int r;

	while (!(r = meta_run(m, false, reap, &op)) && op.more)
		op.first = op.next;
	return r == -ENOENT ? 0 : r; /* somebody was faster */
}
