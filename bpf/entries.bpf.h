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
 * Was what has been read of a value until now the wanted entry's? It begins with @tag (see extfuse_tag()).
 */
static __always_inline bool is_still(const __u64 *tag, __u64 wanted)
{
	asm volatile("" ::: "memory");
	return *(const volatile __u64 *)tag == wanted;
}

/* Which put of an inode's entry this is, and its flags: to be asked before anything else is read of it ... */
static __always_inline __u64 put_of(const struct extfuse_inode *i)
{
	__u64 put = *(const volatile __u64 *)&i->serial;

	asm volatile("" ::: "memory");
	return put;
}

/* ... and this after: was all of it of the wanted entry, and of the same put? */
static __always_inline bool is_same(const struct extfuse_inode *i, __u64 ino, __u64 put)
{
	return is_still(&i->attr.ino, ino) && put_of(i) == put;
}

/* The size of a file now. @return false: it was lent, and is being taken back; the daemon knows. */
static __always_inline bool get_size(const struct extfuse_inode *i, __u64 ino, __u64 *ret_size)
{
	struct extfuse_written *w;

	*ret_size = i->attr.size;
	if (!(i->flags & EXTFUSE_INODE_LENT))
		return true;
	w = bpf_map_lookup_elem(&written, &ino);
	if (!w)
		return false;
	*ret_size = w->size;
	return is_still(&w->ino, ino);
}

/*
 * Copy an inode's attributes, with what the kernel has done to them by itself. @return false: the entry is
 * another's by now, or the file was lent, and is being taken back; the daemon knows.
 */
static __always_inline bool copy_attr(struct fuse_attr *to, const struct extfuse_inode *i, __u64 ino,
                                      __u64 put)
{
	struct extfuse_written *w;
	__u64 time, sec;
	__u32 flags;

	copy_words(to, &i->attr, sizeof(i->attr));
	flags = i->flags;
	if (!is_same(i, ino, put))
		return false;
	if (!(flags & EXTFUSE_INODE_LENT))
		return true;
	w = bpf_map_lookup_elem(&written, &ino);
	if (!w)
		return false;
	time = w->time_ns;
	to->size = w->size;
	if (!is_still(&w->ino, ino))
		return false;
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

enum found {
	FOUND,
	NOT_FOUND,
	NOT_SURE, /* it went away while it was read */
};

static __always_inline enum found copy_dentry(const struct extfuse_dentry *d, __u64 tag,
                                              struct extfuse_dentry *ret)
{
	if (!d)
		return NOT_FOUND;
	if (!ret)
		return NOT_SURE;
	copy_words(ret, d, sizeof(*ret));
	return is_still(&d->tag, tag) ? FOUND : NOT_SURE;
}

/* A function of its own, so that the large key is on its stack only. */
static __noinline int find_long(struct extfuse_request *req, struct extfuse_dentry *ret)
{
	struct extfuse_dentry_long_key key;
	struct extfuse_dentry *d;

	long_key(&key, req->nodeid, req->name);
	d = bpf_map_lookup_elem(&dentry_long, &key);
	return copy_dentry(d, d ? EXTFUSE_TAG(&key) : 0, ret);
}

/* What the maps say of the request's (first) name. @ret: may be NULL, to ask only whether it is there. */
static __always_inline enum found find_dentry(struct extfuse_request *req, struct extfuse_dentry *ret)
{
	struct extfuse_dentry_key key;
	struct extfuse_dentry *d;

	if (req->name_len > EXTFUSE_NAME_SHORT)
		return find_long(req, ret);
	short_key(&key, req->nodeid, req->name);
	d = bpf_map_lookup_elem(&dentry, &key);
	return copy_dentry(d, d ? EXTFUSE_TAG(&key) : 0, ret);
}

#endif
