/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes: a record each, counted in the inode so that "none" costs no search. */
#include "daemon/meta/acl.h"
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "common/cleanup.h"

enum { NAMES_MAX = 65536 }; /* what listxattr(2) can give back */

struct xattr_op {
	uint64_t ino;
	const char *name;
	const void *set_value; /* set */
	size_t set_size;
	int flags;

	struct inode inode; /* results: set, remove */
	void *value;        /* get: the value; list: the names */
	size_t size;
};

static int check_name(const char *name)
{
	size_t length = strnlen(name, META_XATTR_NAME_MAX + 1);

	return !length || length > META_XATTR_NAME_MAX ? -ERANGE : 0;
}

/* ---- get, list ---- */

static int get(struct meta_txn *t, void *arg)
{
	struct xattr_op *op = arg;
	struct meta_key key = meta_key_name('X', op->ino, op->name);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r;

	r = txn_get_inode(t, op->ino, false, &op->inode);
	if (r < 0)
		return r;
	if (!op->inode.attr.xattrs)
		return -ENODATA;
	r = kv_get(t->kv, meta_key_slice(&key), false, &value, &size);
	if (r < 0)
		return r == -ENOENT ? -ENODATA : r;
	return meta_decode_bytes((struct kv_slice){value, size}, &op->value, &op->size);
}

int meta_getxattr(struct meta *m, uint64_t ino, const char *name, void **ret_value, size_t *ret_size)
{
	struct xattr_op op = {.ino = ino, .name = name};
	int r = check_name(name);

	if (!r)
		r = meta_run_read(m, get, &op);
	if (r < 0)
		return r;
	*ret_value = op.value;
	*ret_size = op.size;
	return 0;
}

static int add_name(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct xattr_op *op = arg;
	char name[META_XATTR_NAME_MAX + 1], *bigger;
	uint64_t ino;
	size_t length;
	int r = meta_key_parse_name(key, 'X', &ino, name);

	(void)value;
	if (r < 0)
		return r;
	length = strlen(name) + 1;
	bigger = realloc(op->value, op->size + length);
	if (!bigger)
		return -ENOMEM;
	memcpy(bigger + op->size, name, length);
	op->value = bigger;
	op->size += length;
	return 0;
}

/* The names, each with its NUL, into op->value and op->size. */
static int scan_names(struct meta_txn *t, struct xattr_op *op)
{
	struct meta_key prefix = meta_key_number('X', op->ino);
	int r;

	op->size = 0;
	r = kv_scan(t->kv, meta_key_slice(&prefix), meta_key_slice(&prefix), add_name, op);
	if (r < 0) {
		free(op->value);
		op->value = NULL;
	}
	return r;
}

static int list(struct meta_txn *t, void *arg)
{
	struct xattr_op *op = arg;
	int r = txn_get_inode(t, op->ino, false, &op->inode);

	return r < 0 || !op->inode.attr.xattrs ? r : scan_names(t, op);
}

int meta_listxattr(struct meta *m, uint64_t ino, char **ret_names, size_t *ret_size)
{
	struct xattr_op op = {.ino = ino};
	int r = meta_run_read(m, list, &op);

	if (!r && !op.value) {
		op.value = calloc(1, 1);
		r = op.value ? 0 : -ENOMEM;
	}
	if (r < 0)
		return r;
	*ret_names = op.value;
	*ret_size = op.size;
	return 0;
}

/* ---- set, remove ---- */

/* Lock the inode. @return 1: it has the attribute; 0: not. */
static int lock_and_find(struct meta_txn *t, struct xattr_op *op)
{
	struct meta_key key = meta_key_name('X', op->ino, op->name);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r;

	r = txn_get_inode(t, op->ino, true, &op->inode);
	if (r < 0)
		return r;
	r = kv_get(t->kv, meta_key_slice(&key), false, &value, &size);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* Take the attribute away if it is @p there. */
static int drop(struct meta_txn *t, struct xattr_op *op, bool there)
{
	int r = 0;

	op->inode.attr.ctime = t->now;
	if (there) {
		op->inode.attr.xattrs--;
		r = txn_delete(t, meta_key_name('X', op->ino, op->name));
	}
	return r < 0 ? r : txn_put_inode(t, &op->inode);
}

/* What an ACL does to the mode. @return 1: then there is nothing more to keep of it. */
static int apply_acl(struct xattr_op *op)
{
	uint32_t *mode = &op->inode.attr.mode;

	if (S_ISLNK(*mode))
		return -EOPNOTSUPP;
	if (!strcmp(op->name, META_ACL_DEFAULT)) {
		if (meta_acl_empty(op->set_size))
			return 1;
		return S_ISDIR(*mode) ? 0 : -EACCES;
	}
	if (meta_acl_empty(op->set_size))
		return 1;
	if (op->flags & META_XATTR_KILL_SGID)
		*mode &= ~(uint32_t)S_ISGID;
	return meta_acl_to_mode(op->set_value, op->set_size, mode);
}

static int set(struct meta_txn *t, void *arg)
{
	struct xattr_op *op = arg;
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r, there;

	there = lock_and_find(t, op);
	if (there < 0)
		return there;
	r = meta_acl_name(op->name) ? apply_acl(op) : 0;
	if (r)
		return r < 0 ? r : drop(t, op, there);
	if (there && (op->flags & XATTR_CREATE))
		return -EEXIST;
	if (!there && (op->flags & XATTR_REPLACE))
		return -ENODATA;
	if (!there) {
		r = scan_names(t, op);
		free(op->value);
		op->value = NULL;
		if (r < 0)
			return r;
		if (op->size + strlen(op->name) + 1 > NAMES_MAX)
			return -ENOSPC;
		op->inode.attr.xattrs++;
	}
	op->inode.attr.ctime = t->now;
	r = meta_encode_bytes(op->set_value, op->set_size, &value, &size);
	if (!r)
		r = txn_put(t, meta_key_name('X', op->ino, op->name), value, size);
	return r < 0 ? r : txn_put_inode(t, &op->inode);
}

int meta_setxattr(struct meta *m, uint64_t ino, const char *name, const void *value, size_t size, int flags,
                  struct meta_attr *ret)
{
	struct xattr_op op = {.ino = ino, .name = name, .set_value = value, .set_size = size, .flags = flags};
	int r = check_name(name);

	if (r < 0)
		return r;
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE | META_XATTR_KILL_SGID))
		return -EINVAL;
	if (size > META_XATTR_SIZE_MAX)
		return -E2BIG;
	if (meta_acl_name(name))
		r = meta_acl_check(value, size);
	if (r < 0)
		return r;
	r = meta_run(m, false, set, &op);
	if (!r && ret)
		*ret = op.inode.attr;
	return r;
}

static int take_away(struct meta_txn *t, void *arg)
{
	struct xattr_op *op = arg;
	int r = lock_and_find(t, op);

	if (r < 0)
		return r;
	return r || meta_acl_name(op->name) ? drop(t, op, r) : -ENODATA;
}

/* ---- ACLs and modes ---- */

/* The ACL @p name of an inode; *ret NULL: none. */
static int get_acl(struct meta_txn *t, const struct inode *inode, const char *name, void **ret,
                   size_t *ret_size)
{
	struct meta_key key = meta_key_name('X', inode->attr.ino, name);
	_cleanup_free_ void *value = NULL, *acl = NULL;
	size_t size;
	int r;

	*ret = NULL;
	if (!inode->attr.xattrs)
		return 0;
	r = kv_get(t->kv, meta_key_slice(&key), false, &value, &size);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = meta_decode_bytes((struct kv_slice){value, size}, &acl, &size);
	if (r < 0)
		return r;
	if (meta_acl_check(acl, size) < 0)
		return -EBADMSG;
	*ret = TAKE_PTR(acl);
	*ret_size = size;
	return 0;
}

static int put_acl(struct meta_txn *t, uint64_t ino, const char *name, const void *acl, size_t size)
{
	_cleanup_free_ void *value = NULL;
	int r = meta_encode_bytes(acl, size, &value, &size);

	return r < 0 ? r : txn_put(t, meta_key_name('X', ino, name), value, size);
}

int txn_chmod_acl(struct meta_txn *t, const struct inode *inode)
{
	_cleanup_free_ void *acl = NULL;
	size_t size;
	int r = get_acl(t, inode, META_ACL_ACCESS, &acl, &size);

	if (r < 0 || !acl)
		return r;
	meta_acl_set_mode(acl, size, inode->attr.mode);
	return put_acl(t, inode->attr.ino, META_ACL_ACCESS, acl, size);
}

int txn_inherit_acl(struct meta_txn *t, const struct inode *dir, const struct meta_cred *cred,
                    struct inode *inode)
{
	_cleanup_free_ void *acl = NULL;
	struct meta_attr *a = &inode->attr;
	size_t size;
	int r;

	if (!cred->acl || S_ISLNK(a->mode))
		return 0;
	r = get_acl(t, dir, META_ACL_DEFAULT, &acl, &size);
	if (r < 0)
		return r;
	if (!acl) {
		a->mode &= ~(cred->umask & 0777);
		return 0;
	}
	if (S_ISDIR(a->mode)) {
		a->xattrs++;
		r = put_acl(t, a->ino, META_ACL_DEFAULT, acl, size);
	}
	if (r < 0 || meta_acl_create(acl, size, &a->mode))
		return r;
	a->xattrs++;
	return put_acl(t, a->ino, META_ACL_ACCESS, acl, size);
}

int meta_removexattr(struct meta *m, uint64_t ino, const char *name, struct meta_attr *ret)
{
	struct xattr_op op = {.ino = ino, .name = name};
	int r = check_name(name);

	if (!r)
		r = meta_run(m, false, take_away, &op);
	if (!r && ret)
		*ret = op.inode.attr;
	return r;
}
