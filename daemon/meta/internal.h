/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_INTERNAL_H
#define CURVEFS_META_INTERNAL_H

/*
 * What the files of daemon/meta/ share.  meta.h is the interface for everybody else.
 *
 * Order of locks (kv.h, held to the end of the transaction): 'L', then inodes by ascending number
 * (txn_lock_inodes()); everything else of an inode is under the inode's lock and may come in any order.
 * So transactions wait for each other but do not deadlock; RocksDB's detection is the second line.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/meta/codec.h"

enum { META_EPOCH_SHIFT = 40 }; /* data versions that one open has, per inode */

/* Ids handed out from memory; `end` and what follows it is not yet reserved on disk. */
struct id_range {
	char counter; /* the key: 'N' and this */
	uint64_t next, end;
};

struct meta_crowded {
	uint64_t ino, chunk;
};

/* Of a directory: there is no entry below `position`, and never will be, as new ones get larger positions. */
struct meta_first {
	uint64_t ino, position;
};

struct meta {
	struct kv *kv;
	struct meta_volume volume;

	/* The smallest data version that a change made since this open may have.  Were versions only counted
	 * up, one lost in a power failure would be given again to other bytes, and a cache that survived
	 * would serve the lost ones. */
	uint64_t version_floor;

	uint64_t first_object; /* the first that this open can have given */

	pthread_mutex_t id_lock;
	struct id_range inos, objects; /* protected by id_lock */

	_Atomic uint64_t bytes, inodes; /* usage, as committed */

	/* For meta_next_crowded(); protected by crowded_lock. What finds no room comes again. */
	pthread_mutex_t crowded_lock;
	struct meta_crowded crowded[64];
	size_t crowded_count;

	/* Where reading of a directory begins: a queue, whose first names are taken away all the time, would
	 * else be read across all that were there before. By ino; protected by firsts_lock. */
	pthread_mutex_t firsts_lock;
	struct meta_first firsts[256];

	meta_guard_fn guard; /* NULL: none */
	void *guard_arg;
	void (*usage_changed)(void *arg); /* NULL: nobody wants to know */
	void *usage_changed_arg;
};

/* A slice that came (1) or went (-1), or an object that nobody named before (0). */
struct meta_ref {
	uint64_t object;
	uint32_t size; /* of the object */
	int change;
};

struct meta_refs {
	struct meta_ref *list;
	size_t count, room;
};

struct meta_txn {
	struct meta *m;
	struct kv_txn *kv;
	struct timespec now;
	uint64_t add_bytes, add_inodes; /* change of the usage; wraps for less */
	struct meta_refs refs;          /* written at the end */

	/* For meta_next_crowded(), once it is committed: who looked before would find nothing to do. */
	struct meta_crowded crowded[8];
	size_t crowded_count;
};

/**
 * The body of a transaction.  It may be run again from the start, so it must keep its results in @p arg only,
 * and free in itself what it allocated.  0 commits; > 0 and < 0 roll back and are returned; -EAGAIN runs it
 * again.
 */
typedef int (*meta_txn_fn)(struct meta_txn *t, void *arg);

/** Run @p fn in a transaction that is retried a bounded number of times; then -EBUSY. Damage found is -EIO.
 */
int meta_run(struct meta *m, bool sync, meta_txn_fn fn, void *arg);
/** The same, reading only, in one snapshot. */
int meta_run_read(struct meta *m, meta_txn_fn fn, void *arg);

/** -ENOENT, -EINVAL, -ENAMETOOLONG: not a name that a dentry may have; "." and ".." are @p dots. */
int meta_name_check(const char *name, int dots);

int meta_new_ino(struct meta *m, uint64_t *ret_ino);

/** Committed: directory @p dir has no entry at @p position any more; it is given to no other. */
void meta_entry_gone(struct meta *m, uint64_t dir, uint64_t position);

/** What @p txn has a volume of; its counters go on far behind what they are (stream.h). */
int volume_skip_ids(struct kv_txn *txn, struct meta_volume *ret, struct meta_usage *ret_usage);

/* ---- records (txn.c) ---- */

int txn_put(struct meta_txn *t, struct meta_key key, const void *value, size_t size);
int txn_delete(struct meta_txn *t, struct meta_key key);

int txn_get_inode(struct meta_txn *t, uint64_t ino, bool lock, struct inode *ret);
int txn_put_inode(struct meta_txn *t, const struct inode *inode);

/** Lock and read @p count (at most 4) inodes, into the places of @p ret that go with @p inos; a number may
 * come twice. */
int txn_lock_inodes(struct meta_txn *t, size_t count, const uint64_t *inos, struct inode *ret);

int txn_get_dentry(struct meta_txn *t, uint64_t parent, const char *name, struct dentry *ret);
/** Write a dentry, by name and by position. */
int txn_put_dentry(struct meta_txn *t, uint64_t parent, const char *name, const struct dentry *d);
int txn_delete_dentry(struct meta_txn *t, uint64_t parent, const char *name, const struct dentry *d);

/** The numbers of all records 'T' or 'O'; free *ret. */
int txn_list_numbers(struct meta_txn *t, char kind, uint64_t **ret, size_t *ret_count);

/** One name less for @p inode (locked), which is written: a directory is removed; without a name left it is
 * an orphan. */
int txn_drop_link(struct meta_txn *t, struct inode *inode);

/** -ENOTDIR, or -ENOENT: nothing can be made in a removed directory. */
int inode_check_parent(const struct inode *parent);

/** After a chmod of @p inode (locked): its access ACL, if it has one, follows. */
int txn_chmod_acl(struct meta_txn *t, const struct inode *inode);

/** Mode and ACLs of a new @p inode (written by the caller) in @p dir, by its default ACL or by the umask. */
int txn_inherit_acl(struct meta_txn *t, const struct inode *dir, const struct meta_cred *cred,
                    struct inode *inode);

/** What the inode counts in struct meta_usage.bytes. */
uint64_t inode_usage(const struct inode *inode);

void inode_count_version(const struct meta *m, struct inode *inode);
void inode_kill_suid(struct inode *inode);

/** mtime and ctime. */
void inode_touch(struct inode *inode, const struct timespec *now);

/* ---- references to objects (refs.c) ---- */

/** These slices came into a list, or left one; those of object 0 do not count. What no slice names any more
 * at the end of the transaction becomes garbage. */
int txn_refs_came(struct meta_txn *t, const struct meta_slice *slices, size_t count);
int txn_refs_went(struct meta_txn *t, const struct meta_slice *slices, size_t count);
/** The object of @p slice was just uploaded: so far nothing names it. */
int txn_refs_new(struct meta_txn *t, const struct meta_slice *slice);
/** At the end of a transaction. */
int txn_settle_refs(struct meta_txn *t);

/* ---- data (data.c) ---- */

/** The slice list of a chunk; an absent one is empty. */
int txn_get_chunk(struct meta_txn *t, uint64_t ino, uint64_t chunk, struct meta_slices *ret);

/** Store @p list in place of the @p count slices of @p before, which were there. References are counted. */
int txn_put_chunk(struct meta_txn *t, uint64_t ino, uint64_t chunk, const struct meta_slice *before,
                  size_t count, const struct meta_slices *list);

/** The list of this chunk is longer than META_SLICES_MANY. */
void meta_note_crowded(struct meta *m, uint64_t ino, uint64_t chunk);

/** A value of 'C', checked against the chunk size too. */
int meta_decode_chunk(const struct meta *m, struct kv_slice value, struct meta_slices *ret);

enum { META_CUT_PENDING = 1 }; /* returned by a body: call meta_finish_cut(), then run it again */

/**
 * Take away what lies at or behind @p size of a file, in @p inode (locked, not written here): the boundary
 * chunk is trimmed, later chunks go into the garbage, a bounded number of them; if there are more,
 * inode->cut_from says so and meta_finish_cut() does the rest.
 */
int txn_truncate(struct meta_txn *t, struct inode *inode, uint64_t size);

/** Drop a bounded number of chunks from *first on; *first goes on. @return 1: there may be more; 0: none. */
int txn_drop_chunks(struct meta_txn *t, uint64_t ino, uint64_t *first);

/** Complete a cut that txn_truncate() began. 0 also if there is none or the inode is gone. */
int meta_finish_cut(struct meta *m, uint64_t ino);

#endif
