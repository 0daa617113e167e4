/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_LIKE_H
#define CURVEFS_TESTS_LIKE_H

/*
 * Two directories, the same calls, the same answers (like-ext4.prog.c).
 *
 * A run makes its calls in the current directory and writes a line for each: what it was, and what came of
 * it. Nothing that depends on the file system may be in a line: sizes of directories, numbers of inodes,
 * times as such.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define NOBODY 65534
#define TEAM 4242 /* a group that NOBODY is in, too */

/** Begin a line: what is called. */
void like_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** End it: what the call returned, or the name of errno. @return r, and errno is as it was. */
long like_got(long r);
/** What @p path is now: type, mode, links, owner, size; a line of its own. */
void like_stat(const char *path);
/** The same of all that is below @p path, sorted by name. */
void like_tree(const char *path);

/** The effective user: 0 (all rights) or NOBODY, in the groups NOBODY and TEAM. */
void like_become(unsigned uid);

/** Set-up, which must work. */
void like_dir(const char *path, unsigned mode, unsigned uid, unsigned gid);
void like_file(const char *path, unsigned mode, unsigned uid, unsigned gid);
void like_must(long r, const char *what);

/**
 * A path of a table as it is meant: %L is a name of 255 bytes, %M of 256, %P a path of 4095 bytes, %Q one
 * more. Valid until the second next call.
 */
const char *like_path(const char *pattern);

/* What is tried, in this order. */
void like_paths(void);     /* each call with each kind of path */
void like_renames(void);   /* rename and link of each kind to each kind */
void like_users(void);     /* sticky, set-gid and set-uid rules, ownership */
void like_times(void);     /* which of mtime and ctime change */
void like_unnamed(void);   /* open and removed; O_TMPFILE */
void like_xattrs(void);    /* extended attributes */
void like_read_only(void); /* what like_paths() left, now read-only */

#endif
