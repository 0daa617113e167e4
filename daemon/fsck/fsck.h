/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_FSCK_H
#define CURVEFS_FSCK_H

/*
 * The metadata against itself (meta/check.h) and against the object store, and what lies in the store though
 * nothing needs it.  The store is listed once, before the metadata is looked at, which is then one snapshot:
 * so both work on a volume that is mounted, by its daemon, as well as on one that is not.
 *
 * On a mounted volume nothing is repaired, and only objects are collected that an earlier mount left: those
 * of this one may be uploaded and not committed yet, and its janitor looks after them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct meta;
struct store;

struct fsck_options {
	bool mounted;
	bool read_data;    /* fsck: every object, and compare it with its checksums */
	bool repair;       /* fsck; the metadata was opened by meta_open_to_repair() */
	bool dry_run;      /* gc */
	int64_t min_age_s; /* gc: younger objects stay */
};

struct fsck_hooks {
	/** Something is wrong; @p left: and still is, after a repair. */
	void (*problem)(const char *problem, bool left, void *arg);
	/** gc: this object is deleted (dry run: would be). */
	void (*collected)(const char *key, uint64_t size, void *arg);
	/** @p total 0: not known. @return false: stop, with -ECANCELED. */
	bool (*progress)(const char *phase, uint64_t done, uint64_t total, void *arg);
	void *arg;
};

struct fsck_result {
	uint64_t problems, left;               /* left: without repair, all */
	uint64_t objects, bytes;               /* that the metadata names */
	uint64_t read_objects, read_bytes;     /* of them read, and good */
	uint64_t unused_objects, unused_bytes; /* in the store, and named by nothing: for gc */
};

/** @return 0, whatever was found. */
int fsck_run(struct meta *meta, struct store *store, const struct fsck_options *options,
             const struct fsck_hooks *hooks, struct fsck_result *ret);

struct gc_result {
	uint64_t orphans;        /* removed files of an earlier mount that were still there */
	uint64_t pending;        /* objects whose deletion was on record */
	uint64_t objects, bytes; /* that nothing named */
	uint64_t young;          /* such, but younger than the minimal age */
	uint64_t failed;         /* that could not be deleted; the first reason was logged */
};

/** Of a dry run: what would be done. -EIO: the metadata is damaged, so what it names is not known. */
int gc_run(struct meta *meta, struct store *store, const struct fsck_options *options,
           const struct fsck_hooks *hooks, struct gc_result *ret);

#endif
