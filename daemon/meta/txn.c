/* SPDX-License-Identifier: Apache-2.0 */
/* Running transactions, and the records that all operations handle. */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

enum { TRIES = 64, GIVE_UP_S = 10, BACK_OFF_MAX_US = 20000 };

/* Wait a random time that grows with @p attempt, so that those who clashed do not clash again. */
static void back_off(int attempt)
{
	struct timespec now;
	long span = 50L << (attempt < 10 ? attempt : 10), us;

	clock_gettime(CLOCK_MONOTONIC, &now);
	us = (now.tv_nsec / 100) % (span < BACK_OFF_MAX_US ? span : BACK_OFF_MAX_US);
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static int run_once(struct meta *m, bool sync, meta_txn_fn fn, void *arg)
{
	struct meta_txn t = {.m = m};
	int r;

	r = kv_begin(m->kv, &t.kv);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &t.now);
	r = fn(&t, arg);
	if (!r)
		r = txn_settle_refs(&t);
	free(t.refs.list);
	if (!r && t.add_bytes)
		r = kv_add(t.kv, (struct kv_slice){"Nb", 2}, t.add_bytes);
	if (!r && t.add_inodes)
		r = kv_add(t.kv, (struct kv_slice){"Nn", 2}, t.add_inodes);
	if (!r && m->guard)
		r = m->guard(m->guard_arg);
	if (r) {
		kv_rollback(t.kv);
		return r;
	}
	r = kv_commit(t.kv, false);
	if (r < 0)
		return r;
	atomic_fetch_add(&m->bytes, t.add_bytes);
	atomic_fetch_add(&m->inodes, t.add_inodes);
	if ((t.add_bytes || t.add_inodes) && m->usage_changed)
		m->usage_changed(m->usage_changed_arg);
	for (size_t i = 0; i < t.crowded_count; i++)
		meta_note_crowded(m, t.crowded[i].ino, t.crowded[i].chunk);
	/* Apart from the commit: a failed fsync must not run the body a second time. */
	return sync ? kv_sync(m->kv) : 0;
}

/* What is wrong with the stored bytes is an I/O error to whoever asked. */
static int outward(int r)
{
	return r == -EBADMSG ? log_debug_r(-EIO, "metadata: a record is damaged") : r;
}

int meta_run(struct meta *m, bool sync, meta_txn_fn fn, void *arg)
{
	struct timespec begun, now;
	int r = -EAGAIN;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (int attempt = 0; attempt < TRIES; attempt++) {
		r = run_once(m, sync, fn, arg);
		if (r != -EAGAIN)
			return outward(r);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - begun.tv_sec > GIVE_UP_S)
			break;
		back_off(attempt);
	}
	return log_debug_r(-EBUSY, "metadata: gave up a transaction that kept clashing with others");
}

int meta_run_read(struct meta *m, meta_txn_fn fn, void *arg)
{
	struct meta_txn t = {.m = m};
	int r;

	r = kv_begin_read(m->kv, &t.kv);
	if (r < 0)
		return r;
	r = fn(&t, arg);
	kv_rollback(t.kv);
	return outward(r);
}

int meta_name_check(const char *name, int dots)
{
	size_t length = strnlen(name, META_NAME_MAX + 1);

	if (!length)
		return -ENOENT;
	if (length > META_NAME_MAX)
		return -ENAMETOOLONG;
	if (memchr(name, '/', length))
		return -EINVAL;
	return !strcmp(name, ".") || !strcmp(name, "..") ? dots : 0;
}

int txn_put(struct meta_txn *t, struct meta_key key, const void *value, size_t size)
{
	return kv_put(t->kv, meta_key_slice(&key), (struct kv_slice){value, size});
}

int txn_delete(struct meta_txn *t, struct meta_key key)
{
	return kv_delete(t->kv, meta_key_slice(&key));
}

int txn_get_inode(struct meta_txn *t, uint64_t ino, bool lock, struct inode *ret)
{
	struct meta_key key = meta_key_number('I', ino);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r;

	r = kv_get(t->kv, meta_key_slice(&key), lock, &value, &size);
	if (r < 0)
		return r;
	return meta_decode_inode((struct kv_slice){value, size}, ino, ret);
}

int txn_put_inode(struct meta_txn *t, const struct inode *inode)
{
	unsigned char value[META_VALUE_MAX];

	return txn_put(t, meta_key_number('I', inode->attr.ino), value, meta_encode_inode(inode, value));
}

int txn_lock_inodes(struct meta_txn *t, size_t count, const uint64_t *inos, struct inode *ret)
{
	size_t order[4];

	for (size_t i = 0; i < count; i++) {
		size_t j = i;

		for (; j && inos[order[j - 1]] > inos[i]; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	for (size_t i = 0; i < count; i++) {
		int r = txn_get_inode(t, inos[order[i]], true, &ret[order[i]]);

		if (r < 0)
			return r;
	}
	return 0;
}

int txn_get_dentry(struct meta_txn *t, uint64_t parent, const char *name, struct dentry *ret)
{
	struct meta_key key = meta_key_name('D', parent, name);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r;

	r = kv_get(t->kv, meta_key_slice(&key), false, &value, &size);
	if (r < 0)
		return r;
	return meta_decode_dentry((struct kv_slice){value, size}, ret);
}

int txn_put_dentry(struct meta_txn *t, uint64_t parent, const char *name, const struct dentry *d)
{
	struct dentry_at at = {.ino = d->ino, .type = d->type};
	unsigned char value[META_VALUE_MAX];
	int r;

	memcpy(at.name, name, strlen(name) + 1);
	r = txn_put(t, meta_key_name('D', parent, name), value, meta_encode_dentry(d, value));
	if (r < 0)
		return r;
	return txn_put(t, meta_key_pair('R', parent, d->position), value, meta_encode_dentry_at(&at, value));
}

int txn_delete_dentry(struct meta_txn *t, uint64_t parent, const char *name, const struct dentry *d)
{
	int r = txn_delete(t, meta_key_name('D', parent, name));

	return r < 0 ? r : txn_delete(t, meta_key_pair('R', parent, d->position));
}

struct number_list {
	char kind;
	uint64_t *numbers;
	size_t count, room;
};

static int add_number(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct number_list *list = arg;

	(void)value;
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		uint64_t *bigger = reallocarray(list->numbers, room, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		list->numbers = bigger;
		list->room = room;
	}
	return meta_key_parse_number(key, list->kind, &list->numbers[list->count++]);
}

int txn_list_numbers(struct meta_txn *t, char kind, uint64_t **ret, size_t *ret_count)
{
	struct number_list list = {.kind = kind};
	struct kv_slice prefix = {&kind, 1};
	int r = kv_scan(t->kv, prefix, prefix, add_number, &list);

	if (r < 0) {
		free(list.numbers);
		return r;
	}
	*ret = list.numbers;
	*ret_count = list.count;
	return 0;
}

int txn_drop_link(struct meta_txn *t, struct inode *inode)
{
	int r = 0;

	inode->attr.nlink = S_ISDIR(inode->attr.mode) ? 0 : inode->attr.nlink - 1;
	inode->attr.ctime = t->now;
	if (!inode->attr.nlink)
		r = txn_put(t, meta_key_number('O', inode->attr.ino), "\1", 1);
	return r < 0 ? r : txn_put_inode(t, inode);
}

int inode_check_parent(const struct inode *parent)
{
	if (!S_ISDIR(parent->attr.mode))
		return -ENOTDIR;
	return parent->attr.nlink ? 0 : -ENOENT;
}

uint64_t inode_usage(const struct inode *inode)
{
	return S_ISREG(inode->attr.mode) ? (inode->attr.size + 4095) & ~4095ull : 0;
}

void inode_count_version(const struct meta *m, struct inode *inode)
{
	inode->attr.version++;
	if (inode->attr.version < m->version_floor)
		inode->attr.version = m->version_floor;
}

void inode_kill_suid(struct inode *inode)
{
	if (S_ISDIR(inode->attr.mode))
		return;
	inode->attr.mode &= ~S_ISUID;
	if (inode->attr.mode & S_IXGRP)
		inode->attr.mode &= ~S_ISGID;
}

void inode_touch(struct inode *inode, const struct timespec *now)
{
	inode->attr.mtime = *now;
	inode->attr.ctime = *now;
}
