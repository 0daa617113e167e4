/* SPDX-License-Identifier: GPL-2.0 */
/* Reading entries: keys, expiry, and attributes as answers carry them. */
#ifndef EXTFUSE_ENTRIES_BPF_H
#define EXTFUSE_ENTRIES_BPF_H

#include "maps.bpf.h"

#define NSEC_PER_SEC 1000000000ull

static __always_inline bool expired(__u64 expires_ns)
{
	return expires_ns && bpf_ktime_get_ns() >= expires_ns;
}

/*
 * The name in a context is padded to EXTFUSE_NAME_SHORT, a longer one to 256: so
 * words are copied, not bytes, and there is no tail to clear.
 */
static __always_inline void copy_words(void *to, const void *from, int bytes)
{
	__u64 *t = to;
	const __u64 *f = from;

#pragma unroll
	for (int i = 0; i < bytes / 8; i++)
		t[i] = f[i];
}

/*
 * Copy an inode's attributes, with what the kernel has done to them by itself. @return false: it was lent,
 * and is being taken back; the daemon knows.
 */
static __always_inline bool copy_attr(struct fuse_attr *to, const struct extfuse_inode *i, __u64 ino)
{
	struct extfuse_written *w;
	__u64 time, sec;

	copy_words(to, &i->attr, sizeof(i->attr));
	if (!(i->flags & EXTFUSE_INODE_LENT))
		return true;
	w = bpf_map_lookup_elem(&written, &ino);
	if (!w)
		return false;
	time = w->time_ns;
	to->size = w->size;
	to->blocks = (to->size + 4095) / 4096 * 8; /* as daemon/attr.c has it */
	if (!time)
		return true;
	sec = time / NSEC_PER_SEC;
	to->mtime = sec;
	to->mtimensec = time % NSEC_PER_SEC;
	if (sec > to->ctime || (sec == to->ctime && to->mtimensec > to->ctimensec)) {
		to->ctime = sec;
		to->ctimensec = to->mtimensec;
	}
	return true;
}

static __always_inline void short_key(struct extfuse_dentry_key *key, __u64 parent, const char *name)
{
	key->parent = parent;
	copy_words(key->name, name, sizeof(key->name));
}

static __always_inline void long_key(struct extfuse_dentry_long_key *key, __u64 parent, const char *name)
{
	key->parent = parent;
	copy_words(key->name, name, sizeof(key->name));
}

/* Functions of their own, so that the large key is on their stacks only. */
static __noinline struct extfuse_dentry *find_long(struct extfuse_request *req)
{
	struct extfuse_dentry_long_key key;

	long_key(&key, req->nodeid, req->name);
	return bpf_map_lookup_elem(&dentry_long, &key);
}

#endif
