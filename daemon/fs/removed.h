/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_FS_REMOVED_H
#define CURVEFS_FS_REMOVED_H

/*
 * Inodes that were removed while somebody may still use them, which shows here only for open files: a
 * directory may be somebody's current one, a fifo or socket is opened without asking, and O_PATH opens
 * nothing. They live until the kernel forgets the inode, which it does at once when nobody is left, or until
 * the unmount; after a crash the next mount finds them as orphans. Thread-safe.
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
