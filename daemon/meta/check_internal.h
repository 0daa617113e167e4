/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_CHECK_INTERNAL_H
#define CURVEFS_META_CHECK_INTERNAL_H

/*
 * What the parts of the check share: check.c walks the records, check_sums.c has what they add up to,
 * repair.c carries out what they would change.
 */

#include "daemon/meta/check.h"
#include "daemon/meta/internal.h"

/* What an inode says of itself, and what was found. */
struct seen {
	uint64_t ino, size, parent, entries, cut_from, next_position;
	uint64_t names_in, subdirs; /* found in the directory */
	uint64_t last_position;     /* of them */
	uint64_t found_parent;      /* directory: the one that names it */
	uint32_t mode, nlink, xattrs;
	uint32_t links, found_xattrs; /* dentries that lead here */
	bool orphan, cut, target;
};

/* An inode that is not there, though records are of it. */
struct lost {
	uint64_t ino;
	uint64_t size;          /* end of its data, or of its target */
	uint64_t last_position; /* of the names in it */
	uint64_t parent;        /* that has its name */
	bool data, target, names;
};

/* One change of a repair. */
struct edit {
	struct meta_key key;
	uint64_t unless; /* not if this lost inode is made again; 0: always */
	void *value;     /* NULL: take the record away */
	size_t size;
};

struct check {
	struct meta_txn *t;
	meta_problem_fn fn;
	const struct meta_check_hooks *hooks;
	uint64_t records;     /* looked at */
	bool repair;          /* collect edits */
	uint64_t next_object; /* numbers below are taken, whatever the metadata says */
	size_t problems;
	size_t paths_left; /* how many paths may still be looked up for messages */

	struct seen *inodes; /* sorted: the order of the records */
	size_t count, room;
	struct lost *lost; /* as noted; then one per inode, sorted */
	size_t lost_count, lost_room;
	struct meta_object *objects; /* one per slice list and object; then one per object, sorted */
	size_t object_count, object_room;
	uint64_t bytes; /* sum over the inodes */
	uint64_t max_ino, max_object, max_version;

	struct edit *edits;
	size_t edit_count, edit_room;
	int error;                 /* of an edit that could not be noted */
	bool wants_lost_and_found; /* and there is none */
};

__attribute__((format(printf, 2, 3))) void check_problem(struct check *c, const char *fmt, ...);

/** @p name for a message: escaped, in one of a few static buffers of the thread. */
const char *check_name(const char *name);

struct seen *check_find(struct check *c, uint64_t ino);

/* A name that leads to `ino`; a scan of names with check_is_name_of() ends with 1 at one. */
struct name_of {
	uint64_t ino, parent;
	char name[META_NAME_MAX + 1];
	struct dentry dentry;
};
int check_is_name_of(struct kv_slice key, struct kv_slice value, void *arg);

/* ---- check.c ---- */

/** Walk the records, one kind after the other. */
int check_records(struct check *c);

/* ---- check_sums.c ---- */

/** Inodes that cannot be reached: without a name, or in a loop. */
int check_reach(struct check *c);
/** What is counted. */
int check_sums(struct check *c);

/* ---- edits; nothing unless c->repair (repair.c) ---- */

void fix_delete(struct check *c, struct meta_key key);
void fix_put(struct check *c, struct meta_key key, const void *value, size_t size);
void fix_put_inode(struct check *c, const struct inode *inode);
void fix_put_dentry(struct check *c, uint64_t parent, const char *name, const struct dentry *d);
/** The record at @p key is of inode @p ino, which is not there. */
void fix_delete_lost(struct check *c, struct meta_key key, uint64_t ino);
/** The same, of which more is known: the fields that are set. */
void fix_note_lost(struct check *c, const struct lost *known);
/** A key as it was found. */
void fix_delete_slice(struct check *c, struct kv_slice key);

void check_free(struct check *c);

#endif
