/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMTEST_STORM_H
#define VMTEST_STORM_H

/* What fuzz.c and scribble.c share: a world whose maps, ids and cache files are changed by chance. */

#include "vmtest/kernel/world.h"

enum { IDS = 64 };

struct storm {
	struct world *w;
	atomic_bool stop;
	_Atomic uint64_t ids[WORLD_FILES]; /* each file's own, as it is registered now */
	_Atomic uint64_t gone[IDS];        /* some that were */
	int other_device;
	atomic_ulong ioctls, taken, values, refused;
};

/* Register @fd; its id, or 0. */
uint64_t storm_add(int device, int fd);

/* Write one value of chance into one of the maps, or take some out, or change an id or a cache file. */
void scribble(struct storm *s, struct chance *c);

/* scribble DIR SECONDS: into maps of a daemon, by their pins. */
int scribble_pins(int argc, char **argv);

#endif
