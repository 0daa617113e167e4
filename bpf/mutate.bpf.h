/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests that change something: drop what they touch, then pass.
 *
 * The order within a drop is: the epoch first, then the entries.  A publisher
 * reads the epoch before it reads the truth and again after it wrote the entry;
 * whichever way the two interleave, either the entry is deleted here or the
 * publisher sees that the epoch moved and deletes it itself.  Last comes the
 * counter in "changes", for what the module remembers of the entries.
 *
 * Data.  A read hit needs the inode entry (for the size), so deleting the inode
 * entry alone makes read hits impossible; EXTFUSE_INODE_CACHED goes with it.
 * read_cache entries stay: whoever publishes the inode entry again has put them
 * right before.
 *
 * What cannot be found is not an error.  A child whose name is in no map may
 * still have an inode entry (it was published under another name); the daemon,
 * which handles the request next, drops or republishes every inode it changes
 * before it replies.
 */
#ifndef EXTFUSE_MUTATE_BPF_H
#define EXTFUSE_MUTATE_BPF_H

#include "entries.bpf.h"
#include "stats.bpf.h"

static __always_inline void add_one(void *counters, __u64 ino)
{
	__u32 slot = extfuse_epoch_slot(ino);
	__u32 *n = bpf_map_lookup_elem(counters, &slot);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Without the last step, for a directory of which a name goes, too. */
static __always_inline void begin_drop(__u64 ino)
{
	add_one(&epoch, ino);
	bpf_map_delete_elem(&inode, &ino);
}

static __always_inline void drop_inode(__u64 ino)
{
	begin_drop(ino);
	add_one(&changes, ino);
}

/* The dentry's epoch is its directory's, which begin_drop(parent) has moved already. */
static __always_inline __u64 take_dentry(void *map, const void *key)
{
	struct extfuse_dentry *d = bpf_map_lookup_elem(map, key);
	__u64 ino;

	if (!d)
		return 0;
	ino = d->ino;
	bpf_map_delete_elem(map, key);
	return ino;
}

static __noinline __u64 take_long(struct extfuse_request *req)
{
	struct extfuse_dentry_long_key key;

	long_key(&key, req->nodeid, req->name);
	return take_dentry(&dentry_long, &key);
}

static __noinline __u64 take_long2(struct extfuse_request *req)
{
	struct extfuse_dentry_long_key key;

	long_key(&key, req->nodeid2, req->name2);
	return take_dentry(&dentry_long, &key);
}

/* Drop the directory, the (first) name in it, and the inode that the name led to, which is returned (or 0).
 */
static __noinline __u64 drop_name(struct extfuse_request *req)
{
	struct extfuse_dentry_key key;
	__u64 ino = 0;

	begin_drop(req->nodeid);
	if (req->name_len > EXTFUSE_NAME_SHORT) {
		ino = take_long(req);
	} else if (req->name_len) {
		short_key(&key, req->nodeid, req->name);
		ino = take_dentry(&dentry, &key);
	}
	add_one(&changes, req->nodeid);
	if (ino)
		drop_inode(ino);
	return ino;
}

/* The same for the second name of a rename, in its own directory. */
static __noinline __u64 drop_name2(struct extfuse_request *req)
{
	struct extfuse_dentry_key key;
	__u64 ino = 0;

	begin_drop(req->nodeid2);
	if (req->name2_len > EXTFUSE_NAME_SHORT) {
		ino = take_long2(req);
	} else if (req->name2_len) {
		short_key(&key, req->nodeid2, req->name2);
		ino = take_dentry(&dentry, &key);
	}
	add_one(&changes, req->nodeid2);
	if (ino)
		drop_inode(ino);
	return ino;
}

static __always_inline int dropped(void *ctx, enum extfuse_op op, __u64 ino, __u64 parent, __u64 new_parent)
{
	count(op, EXTFUSE_DROP);
	if (mount_config.events) {
		struct extfuse_event ev = {
			.kind = EXTFUSE_EVENT_DROP,
			.op = op,
			.ino = ino,
			.parent = parent,
			.new_parent = new_parent,
			.time_ns = bpf_ktime_get_ns(),
		};

		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &ev, sizeof(ev));
	}
	return EXTFUSE_V_PASS;
}

/* CREATE, MKDIR, MKNOD, SYMLINK, UNLINK, RMDIR: one name in one directory. */
static __always_inline int do_name(void *ctx, struct extfuse_request *req, enum extfuse_op op)
{
	__u64 ino = drop_name(req);

	return dropped(ctx, op, ino, req->nodeid, 0);
}

/* RENAME, RENAME2: both names with what they lead to, both directories; an exchange touches no more. */
static __always_inline int do_rename(void *ctx, struct extfuse_request *req)
{
	__u64 ino = drop_name(req);

	drop_name2(req);
	return dropped(ctx, EXTFUSE_OP_RENAME, ino, req->nodeid, req->nodeid2);
}

/* LINK: the new name (known to be absent until now), its directory, and the inode that gets it. */
static __always_inline int do_link(void *ctx, struct extfuse_request *req)
{
	drop_inode(req->nodeid2);
	drop_name(req);
	return dropped(ctx, EXTFUSE_OP_LINK, req->nodeid2, req->nodeid, 0);
}

/* SETATTR, WRITE, FALLOCATE, SETXATTR, ...: one inode's attributes or data. */
static __always_inline int do_inode(void *ctx, __u64 ino, enum extfuse_op op)
{
	drop_inode(ino);
	return dropped(ctx, op, ino, 0, 0);
}

#endif
