/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_FS_REMOVED_H
#define CURVEFS_FS_REMOVED_H

/*
 * Directories that were removed while somebody may still be in them (a current
 * directory, an open one). They live until the kernel forgets the inode, which
 * it does when nobody is left, or until the unmount; after a crash the next mount finds them as orphans.
 * Thread-safe.
 */

#include <stdbool.h>
#include <stdint.h>

struct removed;

struct removed *removed_new(void);
void removed_free(struct removed *r);

/** @return 0 or -ENOMEM. */
int removed_add(struct removed *r, uint64_t ino);

/** @return true, once, if @p ino is among them. Cheap if there are none. */
bool removed_take(struct removed *r, uint64_t ino);

/** Any one of them, or 0: there are none left. */
uint64_t removed_take_any(struct removed *r);

#endif
