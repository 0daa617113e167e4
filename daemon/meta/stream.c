/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/meta/stream.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/why.h"
#include "daemon/meta/internal.h"

enum { COMMIT_CHANGES = 4096, COMMIT_BYTES = 4 << 20 };

uint64_t meta_sequence(struct meta *m)
{
	return kv_sequence(m->kv);
}

const char *meta_identity(const struct meta *m)
{
	return kv_identity(m->kv);
}

const char *meta_directory(const struct meta *m)
{
	return kv_directory(m->kv);
}

struct copy_all {
	kv_change_fn fn;
	void *arg;
};

static int copy_pair(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct copy_all *all = arg;

	return all->fn(KV_PUT, key, value, all->arg);
}

int meta_stream_all(struct meta *m, kv_change_fn fn, void *arg, uint64_t *ret_sequence)
{
	struct copy_all all = {fn, arg};
	struct kv_slice everything = {"", 0};
	struct kv_txn *txn;
	uint64_t sequence;
	int r = kv_begin_cut(m->kv, &txn, &sequence);

	if (r < 0)
		return r;
	r = kv_scan(txn, everything, everything, copy_pair, &all);
	kv_rollback(txn);
	if (!r)
		*ret_sequence = sequence;
	return r;
}

int meta_stream_changes(struct meta *m, uint64_t since, uint64_t until, kv_change_fn fn, void *arg)
{
	return kv_changes(m->kv, since, until, fn, arg);
}

/* ---- made metadata again ---- */

struct meta_rebuild {
	struct kv *kv;
	struct kv_txn *txn; /* NULL: none is open */
	size_t changes, bytes;
};

int meta_rebuild_begin(const char *dir, struct meta_rebuild **ret, char **ret_why)
{
	struct meta_rebuild *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = kv_open(dir, true, &c->kv, ret_why);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

static int commit(struct meta_rebuild *c)
{
	struct kv_txn *txn = c->txn;

	c->txn = NULL;
	c->changes = c->bytes = 0;
	return txn ? kv_commit(txn, false) : 0;
}

int meta_rebuild_apply(enum kv_op op, struct kv_slice key, struct kv_slice value, void *rebuild)
{
	struct meta_rebuild *c = rebuild;
	uint64_t delta;
	int r = 0;

	if (!key.size || (op == KV_ADD && value.size != sizeof(delta)))
		return -EBADMSG;
	if (!c->txn)
		r = kv_begin(c->kv, &c->txn);
	if (r < 0)
		return r;
	switch (op) {
	case KV_PUT:
		r = kv_put(c->txn, key, value);
		break;
	case KV_DELETE:
		r = kv_delete(c->txn, key);
		break;
	case KV_ADD:
		memcpy(&delta, value.data, sizeof(delta));
		r = kv_add(c->txn, key, le64toh(delta));
		break;
	default:
		r = -EBADMSG;
	}
	c->bytes += key.size + value.size;
	if (!r && (++c->changes == COMMIT_CHANGES || c->bytes > COMMIT_BYTES))
		r = commit(c);
	return r;
}

static int finish(struct meta_rebuild *c, const struct meta_volume *volume, struct meta_usage *ret_usage,
                  char **ret_why)
{
	struct meta_volume found;
	struct kv_txn *txn;
	int r = commit(c);

	if (!r)
		r = kv_begin(c->kv, &txn);
	if (r < 0)
		return r;
	r = volume_skip_ids(txn, &found, ret_usage);
	if (r == -ENOENT)
		r = -EBADMSG;
	if (!r && (strcmp(found.uuid, volume->uuid) != 0 || found.chunk_size != volume->chunk_size))
		r = why_r(-EINVAL, ret_why, "the copy is of another volume (%s)", found.uuid);
	if (r < 0) {
		kv_rollback(txn);
		return r;
	}
	return kv_commit(txn, true);
}

int meta_rebuild_finish(struct meta_rebuild *c, const struct meta_volume *volume,
                        char ret_identity[KV_IDENTITY_MAX], struct meta_usage *ret_usage, char **ret_why)
{
	struct meta_usage usage;
	int r = finish(c, volume, &usage, ret_why);

	if (!r) {
		memcpy(ret_identity, kv_identity(c->kv), KV_IDENTITY_MAX);
		*ret_usage = usage;
	}
	meta_rebuild_abort(c);
	return r;
}

void meta_rebuild_abort(struct meta_rebuild *c)
{
	if (!c)
		return;
	if (c->txn)
		kv_rollback(c->txn);
	kv_close(c->kv);
	free(c);
}
