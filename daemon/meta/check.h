/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_CHECK_H
#define CURVEFS_META_CHECK_H

/*
 * Is the metadata consistent with itself?  Walks every record in one snapshot and compares: names by name and
 * by position, link counts, entries and parents of directories, orphans, symlinks, xattr counts, slices
 * against sizes, objects against each other and the garbage, usage counters, reserved numbers.
 *
 * Repair believes names and data more than what is counted from them:
 *
 *   - A name is made again from its place in readdir, and the other way round.
 *   - A lost inode that has data, a target or names in it is made again, owned by root and closed to others.
 *     The names of one that has nothing are taken away.
 *   - An inode without a name gets one, "#<number>", in /lost+found; one that was removed becomes an orphan.
 *   - Counts, parents and reserved numbers become what was found.
 *   - Data is never invented: what a damaged slice list or a lost object held stays an I/O error for whoever
 *     reads it, and is reported each time, until somebody removes, cuts or overwrites it.
 */

#include "daemon/meta/meta.h"

/** Told of each thing that is wrong, as a sentence; names in it are escaped as common/text.h has it. */
typedef void (*meta_problem_fn)(const char *problem, void *arg);

struct meta_check_hooks {
	meta_problem_fn problem;
	meta_problem_fn left; /* repair: of what is wrong still */
	/** Now and then: how many records have been looked at. @return false: stop, with -ECANCELED. */
	bool (*progress)(uint64_t records, void *arg);
	void *arg;
};

/** An object that slice lists name, or that waits for its deletion. */
struct meta_object {
	uint64_t object;
	uint64_t ino;  /* of a file that has it; 0: of none */
	uint32_t size; /* bytes */
	uint32_t refs; /* slices that name it; 0: it is in the garbage */
	bool seen;     /* the caller's */
};

struct meta_objects {
	struct meta_object *list; /* sorted by number, each once; free it */
	size_t count;
};

/**
 * Takes about 120 bytes per inode and 32 per object.  @return 0, whatever was found, and the number of
 * problems; -ENOMEM, -EIO.
 */
int meta_check(struct meta *m, meta_problem_fn fn, void *arg, size_t *ret_problems);

/** The same, and what objects there are. */
int meta_check_objects(struct meta *m, const struct meta_check_hooks *hooks, size_t *ret_problems,
                       struct meta_objects *ret_objects);

/**
 * Check, repair and check again, until there is nothing left that can be repaired; the hook "problem" is
 * told of everything that was wrong before, "left" of what still is. Only for metadata opened by
 * meta_open_to_repair(): what is kept in memory is not brought up to date.
 * @p next_object: object numbers must be reserved up to this one.
 */
int meta_repair(struct meta *m, uint64_t next_object, const struct meta_check_hooks *hooks,
                size_t *ret_problems, size_t *ret_left, struct meta_objects *ret_objects);

/** As meta_open(), but whatever is damaged, and nothing is done on the way: no open is counted, no truncation
 * completed. */
int meta_open_to_repair(const char *dir, struct meta **ret, char **ret_why);

/** Every object that the metadata names. */
int meta_list_objects(struct meta *m, struct meta_objects *ret);

struct meta_object *meta_find_object(const struct meta_objects *objects, uint64_t object);

/** "dir/name" of an inode, one of several perhaps; looks through all names. -ENOENT. Free *ret. */
int meta_find_path(struct meta *m, uint64_t ino, char **ret);

/** The inodes that have @p object, the first @p max of them in order; looks through all files. */
int meta_find_files(struct meta *m, uint64_t object, uint64_t *ret_inos, size_t max, size_t *ret_count);

#endif
