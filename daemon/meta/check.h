/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_CHECK_H
#define CURVEFS_META_CHECK_H

/*
 * Is the metadata consistent with itself?  Walks every record in one snapshot and compares: names by name and
 * by position, link counts, entries and parents of directories, orphans, symlinks, xattr counts, slices
 * against sizes, objects against each other and the garbage, usage counters, reserved numbers.  Changes
 * nothing.
 */

#include "daemon/meta/meta.h"

/** Told of each thing that is wrong, as a sentence. */
typedef void (*meta_problem_fn)(const char *problem, void *arg);

/**
 * Takes about 100 bytes per inode and 8 per object.  @return 0, whatever was found, and the number of
 * problems; -ENOMEM, -EIO.
 */
int meta_check(struct meta *m, meta_problem_fn fn, void *arg, size_t *ret_problems);

#endif
