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

/* A value as it is now, of which each word is read once: what is compared with its tag is what is used. */
static __always_inline void copy_value(void *to, const void *from, int bytes)
{
	__u64 *t = to;
	const volatile __u64 *f = from;

#pragma unroll
	for (int i = 0; i < bytes / 8; i++)
		t[i] = f[i];
}

/*
 * An inode's entry. @return EXTFUSE_HIT; or what there is to count: _MISS, or _STALE, if it has expired or
 * was another's before it was copied. A function of its own, as most requests need it.
 */
static __noinline int find_inode(__u64 ino, struct extfuse_inode *ret)
{
	struct extfuse_inode *i = bpf_map_lookup_elem(&inode, &ino);

	if (!i)
		return EXTFUSE_MISS;
	copy_value(ret, i, sizeof(*ret));
	if (ret->tag != extfuse_inode_tag(ino, ret) || ret->attr.ino != ino || expired(ret->expires_ns))
		return EXTFUSE_STALE;
	return EXTFUSE_HIT;
}

/*
 * Is that, which find_inode() gave, the entry to this moment? Then what map "written" said in between was of
 * this loan: its value goes after the entry, and the next loan's entry has another serial number.
 */
static __always_inline bool is_still_lent(__u64 ino, const struct extfuse_inode *i)
{
	const volatile __u64 *now;

	asm volatile("" ::: "memory");
	now = bpf_map_lookup_elem(&inode, &ino);
	return now && *now == *(const __u64 *)i; /* the tag, the serial number and the flags */
}

/* The size of a file now. @return false: it was lent, and is being taken back; the daemon knows. */
static __always_inline bool get_size(const struct extfuse_inode *i, __u64 ino, __u64 *ret_size)
{
	const volatile struct extfuse_written *w;

	*ret_size = i->attr.size;
	if (!(i->flags & EXTFUSE_INODE_LENT))
		return true;
	w = bpf_map_lookup_elem(&written, &ino);
	if (!w)
		return false;
	*ret_size = w->size;
	return is_still_lent(ino, i);
}

/* An inode's attributes, with what the kernel has done to them by itself. @return as get_size(). */
static __always_inline bool get_attr(const struct extfuse_inode *i, __u64 ino, struct fuse_attr *to)
{
	const volatile struct extfuse_written *w;
	__u64 time, sec;

	copy_words(to, &i->attr, sizeof(i->attr));
	if (!(i->flags & EXTFUSE_INODE_LENT))
		return true;
	w = bpf_map_lookup_elem(&written, &ino);
	if (!w)
		return false;
	time = w->time_ns;
	to->size = w->size;
	if (!is_still_lent(ino, i))
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

/* @key_tag: EXTFUSE_TAG_KEY(). */
static __always_inline enum found copy_dentry(const struct extfuse_dentry *d, __u64 key_tag,
                                              struct extfuse_dentry *ret)
{
	if (!d)
		return NOT_FOUND;
	if (!ret)
		return NOT_SURE;
	copy_value(ret, d, sizeof(*ret));
	return ret->tag == extfuse_dentry_tag(key_tag, ret) ? FOUND : NOT_SURE;
}

/* A function of its own, so that the large key is on its stack only. */
static __noinline int find_long(struct extfuse_request *req, struct extfuse_dentry *ret)
{
	struct extfuse_dentry_long_key key;
	struct extfuse_dentry *d;

	long_key(&key, req->nodeid, req->name);
	d = bpf_map_lookup_elem(&dentry_long, &key);
	return copy_dentry(d, d ? EXTFUSE_TAG_KEY(&key) : 0, ret);
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
	return copy_dentry(d, d ? EXTFUSE_TAG_KEY(&key) : 0, ret);
}

#endif
