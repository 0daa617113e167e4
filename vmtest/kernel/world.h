/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMTEST_WORLD_H
#define VMTEST_WORLD_H

/*
 * A mount under load, for what is done to it meanwhile.  Each file has one letter, and every byte that
 * anybody writes of it, into its cache file or by the daemon, is that letter: so a byte that a reader
 * gets is its file's, or 0 (a hole, or behind the end), or a wrong file's, whatever is in the maps.
 *
 * Those who use the mount are processes of their own: one that waits for a page must not be the daemon.
 */

#include "vmtest/kernel/trivialfs.h"

#include <sys/types.h>

enum { WORLD_FILES = 8, WORLD_USERS = 3 };

struct world_file {
	uint64_t ino;
	char name[80];
	int cache_fd; /* open for reading and writing; kept */
};

struct world {
	struct tfs *t;
	uint64_t seed;
	struct world_file files[WORLD_FILES];
	pid_t users[WORLD_USERS];
};

/* Seconds for each test, and what chance begins with: $FUZZ_SECONDS, $FUZZ_SEED, else a few and another each
 * time, which is printed. */
int world_seconds(int otherwise);
struct world *world_start(void);
void world_stop(struct world *w);

/* The users begin, for ever; and end, all of them having seen nothing wrong. */
void world_use(struct world *w);
void world_rest(struct world *w);

/* What every file reads as now, by the daemon or in the kernel: its own letter or 0. */
void world_check(struct world *w);

/* Numbers by chance, of a state of the caller's. */
struct chance {
	uint64_t state;
};
uint64_t chance(struct chance *c);
uint64_t chance_below(struct chance *c, uint64_t n);
bool one_in(struct chance *c, unsigned n);
/* One that is at a border of something, or anything. */
uint64_t chance_odd(struct chance *c);

#endif
