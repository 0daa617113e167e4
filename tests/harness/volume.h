/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_VOLUME_H
#define CURVEFS_TESTS_VOLUME_H

/* A volume as a mount has it, of real parts, in a temporary folder; without FUSE and BPF. */

#include "daemon/options.h"

#include <stddef.h>
#include <stdint.h>

struct volume;

struct test_volume {
	char *dir; /* volume/, meta/, cache/ and an empty mnt/ are in it */
	struct options options;
	struct volume *v;
};

/** Format and open; fails the test if it cannot. */
void test_volume_open(struct test_volume *t);
/** Close and remove. */
void test_volume_close(struct test_volume *t);

/** Make an entry; a regular file gets @p size bytes of data, flushed. @return its inode number. */
uint64_t test_volume_make(struct test_volume *t, uint64_t parent, const char *name, uint32_t mode,
                          size_t size);

#endif
