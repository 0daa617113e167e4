/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_H
#define CURVEFS_META_H

/*
 * The metadata of a volume: inodes, dentries, xattrs, slices, orphans, counters.
 *
 * Each call is one transaction: done whole or not at all, retried inside when
 * it clashes with another.  Calls are thread-safe and return 0 or the negative
 * errno that the system call would give.  Permission checks are the kernel's
 * (default_permissions); the sticky, setgid and suid-clearing rules are done here.
 *
 * Inode numbers are never used again, so the generation is always 1 (kept in
 * the attributes all the same).  The root is inode 1.
 *
 * Attributes given back (`ret`, `ret_attr`, `ret_parent`) are as they are after
 * the change; of calls that change something these pointers may be NULL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define META_ROOT_INO 1
#define META_GENERATION 1 /* of every inode */
#define META_NAME_MAX 255
#define META_SYMLINK_MAX 4095
#define META_LINK_MAX 65000
#define META_XATTR_NAME_MAX 255
#define META_XATTR_SIZE_MAX 65536
#define META_SIZE_MAX INT64_MAX

struct meta;

struct meta_attr {
	uint64_t ino;
	uint64_t generation;
	uint64_t size;    /* bytes; of a directory 4096 */
	uint64_t version; /* data version: grows with each change of the data or size, by one or more */
	uint64_t parent;  /* of a directory; else 0 */
	uint32_t mode;    /* type and permissions */
	uint32_t nlink;   /* of a directory 2 + its subdirectories */
	uint32_t uid, gid;
	uint32_t rdev;
	uint32_t xattrs; /* number of extended attributes */
	struct timespec atime, mtime, ctime, btime;
};

/** One piece of a chunk's data. A chunk is a list of these, later ones on top; what none covers is zeros. */
struct meta_slice {
	uint32_t pos;    /* in the chunk, bytes */
	uint32_t length; /* bytes */
	uint64_t object; /* object id; 0: zeros (a punched or zeroed range) */
	uint32_t offset; /* in the object, bytes */
	uint32_t size;   /* of the whole object, bytes */
};

/** A slice list, newest last (where they do not overlap, the order means nothing); free .slices. */
struct meta_slices {
	struct meta_slice *slices;
	size_t count;
};

/** What the volume descriptor says; kept in the metadata too. */
struct meta_volume {
	char uuid[37];
	char name[64];
	uint32_t chunk_size; /* bytes; a power of two, 1 MiB ... 64 MiB */
};

/** The caller of a request. */
struct meta_cred {
	uint32_t uid, gid;
	/* The directory's default ACL counts: modes are as asked for, and the umask comes off if there is
	 * none. */
	bool acl;
	uint32_t umask;
};

/* ---- life ---- */

/** Make the metadata of a new volume in @p dir: an empty root, mode 0755, of the calling user. -EEXIST: there
 * is one. */
int meta_format(const char *dir, const struct meta_volume *volume, char **ret_why);

/** Open; -ENOENT: not formatted, -EBUSY: in use, -EPROTO: made by another version. *ret_why (free it) for
 * people. */
int meta_open(const char *dir, struct meta **ret, char **ret_why);
/** Makes every change durable, too. NULL is fine. */
void meta_close(struct meta *m);
const struct meta_volume *meta_volume(const struct meta *m);

/** Make every acknowledged change durable (fsync of the database's log). */
int meta_sync(struct meta *m);
/** The moment, for meta_sync_to(). */
uint64_t meta_moment(struct meta *m);
/** Make every change durable that was acknowledged at that moment. Costs nothing if something was made
 * durable since then, as that is all before it, too. */
int meta_sync_to(struct meta *m, uint64_t moment);

/**
 * Asked before each change is committed: 0, or the negative errno that it is refused with (the lease of the
 * volume is lost). Set it before there are other threads.
 */
typedef int (*meta_guard_fn)(void *arg);
void meta_set_guard(struct meta *m, meta_guard_fn guard, void *arg);

struct meta_usage {
	uint64_t bytes; /* sum of file sizes, rounded up to 4 KiB each */
	uint64_t inodes;
};
void meta_get_usage(struct meta *m, struct meta_usage *ret);

/** Call @p fn after each commit that changed the usage, before the call that made it returns. Set it before
 * other threads change it. */
void meta_set_usage_changed(struct meta *m, void (*fn)(void *arg), void *arg);

/* ---- inodes ---- */

int meta_getattr(struct meta *m, uint64_t ino, struct meta_attr *ret);

enum meta_set {
	META_SET_MODE = 1 << 0,
	META_SET_UID = 1 << 1,
	META_SET_GID = 1 << 2,
	META_SET_SIZE = 1 << 3,
	META_SET_ATIME = 1 << 4,
	META_SET_MTIME = 1 << 5,
	META_SET_CTIME = 1 << 6,
	META_SET_KILL_SUIDGID = 1 << 7, /* clear suid, and sgid if group-executable */
	META_SET_ATIME_NOW = 1 << 8,    /* the same as ctime becomes */
	META_SET_MTIME_NOW = 1 << 9,
};
/**
 * Set what @p set (enum meta_set) names from @p attr; ctime becomes now unless
 * given. A given size changes mtime unless that is given too; a changed one counts the version up and makes
 * bytes cut off read as zeros if the file grows again. chown by anyone clears suid/sgid as chown(2) says.
 */
int meta_setattr(struct meta *m, uint64_t ino, unsigned set, const struct meta_attr *attr,
                 struct meta_attr *ret);

int meta_readlink(struct meta *m, uint64_t ino, char **ret_target);

/* ---- names ---- */

int meta_lookup(struct meta *m, uint64_t parent, const char *name, struct meta_attr *ret);

/**
 * Create a file, directory, node or symlink (mode's type decides; @p target for
 * symlinks). In a setgid directory the group is the directory's and a new directory
 * inherits the bit. -EEXIST: *ret_attr is untouched.
 */
int meta_create(struct meta *m, uint64_t parent, const char *name, const struct meta_cred *cred,
                uint32_t mode, uint32_t rdev, const char *target, struct meta_attr *ret_attr,
                struct meta_attr *ret_parent);

int meta_link(struct meta *m, uint64_t ino, uint64_t parent, const char *name, struct meta_attr *ret_attr,
              struct meta_attr *ret_parent);

/**
 * A regular file without a name (O_TMPFILE): an orphan, as made by meta_unlink(), that meta_link_orphan() can
 * give its first name. -EPERM: @p parent was removed.
 */
int meta_create_orphan(struct meta *m, uint64_t parent, const struct meta_cred *cred, uint32_t mode,
                       struct meta_attr *ret_attr);
/** As meta_link(), of an orphan; the caller sees to it that nobody reaps it meanwhile. */
int meta_link_orphan(struct meta *m, uint64_t ino, uint64_t parent, const char *name,
                     struct meta_attr *ret_attr, struct meta_attr *ret_parent);

/**
 * Take a name away. @p ret_attr: the inode as it is after; with nlink 0 it is an
 * orphan: it lives until meta_reap(), which the caller does when nothing has it open.
 */
int meta_unlink(struct meta *m, uint64_t parent, const char *name, struct meta_attr *ret_attr,
                struct meta_attr *ret_parent);
int meta_rmdir(struct meta *m, uint64_t parent, const char *name, struct meta_attr *ret_attr,
               struct meta_attr *ret_parent);

/** What a rename touched; an ino of 0: not there. */
struct meta_renamed {
	struct meta_attr moved; /* the inode under its new name */
	struct meta_attr other; /* the one that was there before: with nlink 0 an orphan; exchanged: under the
	                           old name */
	struct meta_attr old_parent; /* after */
	struct meta_attr new_parent;
};
/** @p flags: RENAME_NOREPLACE, RENAME_EXCHANGE; others -EINVAL. A directory into its own subtree: -EINVAL. */
int meta_rename(struct meta *m, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
                unsigned flags, struct meta_renamed *ret);

struct meta_dirent {
	const char *name; /* valid during the callback */
	uint64_t next;    /* position to go on behind this entry; stable while others come and go; never 0 */
	uint64_t ino;
	uint32_t type;                /* S_IFMT bits */
	const struct meta_attr *attr; /* NULL unless asked for */
};
typedef int (*meta_dirent_fn)(const struct meta_dirent *entry, void *arg);
/**
 * The position that the next new name in directory @p ino gets. A reader that stops there, as of its opendir,
 * is not led on for ever by names it makes itself.
 */
int meta_readdir_end(struct meta *m, uint64_t ino, uint64_t *ret_end);
/**
 * Call @p fn for the entries behind position @p from (0: the start), without "." and "..", until it returns
 * non-zero (1: the buffer is full; not an error; a negative one is returned). Positions are 16 or more:
 * smaller ones are the caller's, for "." and "..". @p with_attr: fill entry->attr.
 */
int meta_readdir(struct meta *m, uint64_t ino, uint64_t from, bool with_attr, meta_dirent_fn fn, void *arg);

/* ---- extended attributes ---- */

#define META_XATTR_KILL_SGID (1 << 16)
/**
 * @p flags: XATTR_CREATE, XATTR_REPLACE. -E2BIG, -ERANGE as setxattr(2). @p ret: after (ctime, xattrs).
 *
 * ACLs (acl.h) change the mode, too, and one that says no more than the mode is not kept; meta_setattr() of
 * the mode changes them. To remove one that is not there is no error. META_XATTR_KILL_SGID: clear the bit,
 * since who sets this ACL is not in the file's group.
 */
int meta_setxattr(struct meta *m, uint64_t ino, const char *name, const void *value, size_t size, int flags,
                  struct meta_attr *ret);
/** @return 0 and a copy to free, or -ENODATA. */
int meta_getxattr(struct meta *m, uint64_t ino, const char *name, void **ret_value, size_t *ret_size);
/** Names, each with its NUL, one after the other; free *ret_names. */
int meta_listxattr(struct meta *m, uint64_t ino, char **ret_names, size_t *ret_size);
int meta_removexattr(struct meta *m, uint64_t ino, const char *name, struct meta_attr *ret);

/* ---- data ---- */

/** The first of a volume; of those made by early versions it is 1. */
#define META_FIRST_OBJECT (1ull << 60)
/** A new object id (never used again, also after a crash; handed out from a reserved range). */
int meta_new_object(struct meta *m, uint64_t *ret_id);

/** The number that the next new object will have; writes nothing. */
int meta_next_object(struct meta *m, uint64_t *ret_id);
/** Smaller ones were not given since this open. */
uint64_t meta_first_object(const struct meta *m);

/**
 * The slices of one chunk (index = offset / chunk_size), sorted by position, without overlap and zero slices.
 * meta_flatten() (slices.h) makes extents of them.
 */
int meta_slices(struct meta *m, uint64_t ino, uint64_t chunk, struct meta_slices *ret);

struct meta_write {
	uint64_t chunk;
	struct meta_slice slice;
};
/**
 * Commit uploaded data: put each slice on top of its chunk, in order; the size becomes
 * max(size, @p min_size), mtime and ctime @p mtime, the version is counted up.
 * Slices that are wholly covered by newer ones leave the list, and their
 * objects go to the pending deletions in the same transaction. @p sync: durable on return.
 * What lies behind the size is cut off. @p kill_suid: also clear suid/sgid as write(2) does.
 * -ENOENT: the inode is gone. On failure nothing was recorded: the objects are the caller's to delete, but
 * after -EIO of a @p sync one they may be in use after all.
 */
int meta_commit_write(struct meta *m, uint64_t ino, const struct meta_write *writes, size_t count,
                      uint64_t min_size, struct timespec mtime, bool kill_suid, bool sync,
                      struct meta_attr *ret);

/**
 * Make [offset, offset + length) a hole; the size becomes max(size, @p min_size), mtime and ctime now, the
 * version is counted up.  Large ranges take several transactions: a crash may leave the later part as it
 * was, and the size.
 */
int meta_punch(struct meta *m, uint64_t ino, uint64_t offset, uint64_t length, uint64_t min_size,
               struct meta_attr *ret);

/** Set *ret to the first byte of data (or @p hole, one at the end of file included) at or behind @p offset;
 * -ENXIO: there is none, or @p offset is not below the size. */
int meta_seek(struct meta *m, uint64_t ino, uint64_t offset, bool hole, uint64_t *ret);

/**
 * Let [to_offset, to_offset + length) of file @p to be what is at @p from_offset of @p from (which may be the
 * same one, where the ranges must not overlap: -EINVAL), by naming the same objects.  *ret_copied: 0 at the
 * end of @p from, else at least 1; it may be fewer than asked for. @p ret: the destination; its size grows
 * if need be, mtime and ctime are now, the version is counted up.
 */
int meta_copy_range(struct meta *m, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
                    uint64_t length, uint64_t *ret_copied, struct meta_attr *ret);

#define META_SLICES_MANY 256 /* a chunk with more wants to be compacted */

/** A chunk whose list a commit left with more than META_SLICES_MANY slices; each is told once a commit, the
 * oldest first. False: none. */
bool meta_next_crowded(struct meta *m, uint64_t *ret_ino, uint64_t *ret_chunk);

/**
 * Compaction: put @p with, slices of new objects, in place of a chunk's whole list, which must still be
 * @p expect (as meta_slices() gave it). They must have all its bytes, from its first to its last; holes that
 * they cover are zeros in the objects.
 * No data changes, so neither version nor times do. -ESTALE: the list is another now; the objects are the
 * caller's to delete.
 */
int meta_replace_slices(struct meta *m, uint64_t ino, uint64_t chunk, const struct meta_slices *expect,
                        const struct meta_slices *with);

/* ---- what is to be deleted ---- */

/**
 * Objects that no metadata names any more (cut off, overwritten, reaped).
 * They were recorded in the transaction that freed them; delete each from the store, then say so.
 * Returns at most @p max; *ret_count 0: none are left.
 */
struct meta_garbage {
	uint64_t object;
	uint32_t size;
};
int meta_list_garbage(struct meta *m, struct meta_garbage *ret, size_t max, size_t *ret_count);
/** The same from object @p first on. */
int meta_list_garbage_from(struct meta *m, uint64_t first, struct meta_garbage *ret, size_t max,
                           size_t *ret_count);
int meta_garbage_deleted(struct meta *m, const struct meta_garbage *garbage, size_t count);

/** Delete orphan @p ino (nlink 0, nobody has it open): its objects become garbage. Does a bounded piece a
 * transaction. */
int meta_reap(struct meta *m, uint64_t ino);

/** Orphans left by an earlier mount; call meta_reap() on each. Free *ret_inos. */
int meta_list_orphans(struct meta *m, uint64_t **ret_inos, size_t *ret_count);

#endif
