/* SPDX-License-Identifier: Apache-2.0 */
/* From a number to what people know it by: the path of an inode, the files of an object. */
#include "daemon/meta/check_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/meta/slices.h"

static int find_name(struct meta_txn *t, uint64_t ino, uint64_t parent, struct name_of *ret)
{
	struct meta_key prefix = parent ? meta_key_number('D', parent) : meta_key_plain('D');

	ret->ino = ino;
	return kv_scan(t->kv, meta_key_slice(&prefix), meta_key_slice(&prefix), check_is_name_of, ret);
}

struct path_op {
	uint64_t ino;
	char *path;
};

static int find_path(struct meta_txn *t, void *arg)
{
	enum { DEPTH_MAX = 4096 };
	struct path_op *op = arg;
	_cleanup_free_ char *path = NULL;
	uint64_t ino = op->ino, parent = 0;

	for (int depth = 0; ino != META_ROOT_INO; depth++) {
		struct name_of name;
		struct inode dir;
		char *longer;
		int r = find_name(t, ino, parent, &name);

		if (r <= 0 || depth == DEPTH_MAX)
			return r < 0 ? r : -ENOENT;
		if (asprintf(&longer, "%s%s%s", name.name, path ? "/" : "", path ? path : "") < 0)
			return -ENOMEM;
		free(path);
		path = longer;
		ino = name.parent;
		if (ino == META_ROOT_INO)
			break;
		r = txn_get_inode(t, ino, false, &dir);
		if (r < 0)
			return r;
		parent = dir.attr.parent;
	}
	op->path = path ? TAKE_PTR(path) : strdup("");
	return op->path ? 0 : -ENOMEM;
}

int meta_find_path(struct meta *m, uint64_t ino, char **ret)
{
	struct path_op op = {.ino = ino};
	int r = meta_run_read(m, find_path, &op);

	if (!r)
		*ret = op.path;
	return r;
}

struct files_op {
	uint64_t object;
	uint64_t *inos;
	size_t count, room;
};

static int note_file(struct kv_slice key, struct kv_slice value, void *arg)
{
	_cleanup_slices_ struct meta_slices list = {};
	struct files_op *op = arg;
	uint64_t ino, chunk;

	/* What cannot be read names nothing; the check says so. */
	if (meta_key_parse_pair(key, 'C', &ino, &chunk) < 0 || meta_decode_slices(value, &list) < 0)
		return 0;
	if (op->count && op->inos[op->count - 1] == ino)
		return 0;
	for (size_t i = 0; i < list.count; i++) {
		if (list.slices[i].object == op->object) {
			op->inos[op->count++] = ino;
			break;
		}
	}
	return op->count == op->room;
}

static int find_files(struct meta_txn *t, void *arg)
{
	const struct kv_slice chunks = {"C", 1};
	int r = kv_scan(t->kv, chunks, chunks, note_file, arg);

	return r < 0 ? r : 0;
}

int meta_find_files(struct meta *m, uint64_t object, uint64_t *ret_inos, size_t max, size_t *ret_count)
{
	struct files_op op = {.object = object, .inos = ret_inos, .room = max};
	int r = max ? meta_run_read(m, find_files, &op) : 0;

	if (!r)
		*ret_count = op.count;
	return r;
}
