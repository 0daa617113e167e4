/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_WARMUP_H
#define CURVEFS_WARMUP_H

/*
 * Warm-up: fetch files into the cache and publish all that the kernel could be
 * asked about them, so that the very first touch is answered there.
 *
 * Worker threads share a stack of directories to read and a bounded queue of
 * files to fetch. A directory is read in batches and put back with its position, its
 * subdirectories on top of it, so that what waits is bounded by depth, not by
 * the size of a directory, and depth costs no stack.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct volume;

struct warmup_progress {
	uint64_t entries;       /* names done, of any type */
	uint64_t files, bytes;  /* regular files done, and their size */
	uint64_t fetched_bytes; /* ... of which came from the store just now */
	bool total_known;
	uint64_t total_files, total_bytes;
};

struct warmup_options {
	const char *const *paths; /* relative to the root of the volume, "" is the root */
	size_t count;
	unsigned threads;   /* 1 ... */
	bool metadata_only; /* no data is fetched */
	bool check;         /* change nothing: what is not warm is reported as failed */
	bool totals;        /* count first, so that progress has totals */

	/** A few times a second, from the calling thread. @return false: stop. NULL: none. */
	bool (*progress)(const struct warmup_progress *progress, void *arg);
	/** What could not be warmed, or is not warm; from any thread, one at a time. */
	void (*failed)(const char *path, const char *message, void *arg);
	void *arg;
};

/**
 * Warm each path with all below it, and the directories that lead to it.
 * @return 0 when everything was tried (what failed was told), -ECANCELED, -ENOMEM, -EAGAIN (no threads).
 */
int warmup_run(struct volume *v, const struct warmup_options *options, struct warmup_progress *ret);

#endif
