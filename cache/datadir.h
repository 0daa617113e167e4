/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_DATADIR_H
#define CURVEFS_CACHE_DATADIR_H

/*
 * The directory of the cache on disk:
 *
 *   lock                           flock'ed by the process that uses it
 *   index/                         RocksDB
 *   data/<xx>/<ino>.<version>.<id> data files; xx: low byte of ino in hex, version: when it was made,
 *                                  id: unique in this directory, in hex
 *   data/packs/<id>                pack files (pack.h), ids from the same numbers
 *
 * Symbolic links are not followed; files are 0600, directories 0700.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct datadir;

/** Everything in the name of a data file. */
struct data_name {
	uint64_t ino;
	uint64_t version;
	uint64_t id;
};

/** Make what is missing and take the lock. @return 0, -EBUSY, ...; then *ret_why (free it) says it for
 * people. */
int datadir_open(const char *dir, struct datadir **ret, char **ret_why);
void datadir_close(struct datadir *d);

/** Make an empty data file (one of that name is removed first). @return a descriptor or a negative errno. */
int datadir_create(struct datadir *d, const struct data_name *name);

/** @return a descriptor, -ENOENT (also if it is no regular file), ... */
int datadir_open_file(struct datadir *d, const struct data_name *name);

/** *ret_bytes: on disk. @return 0, -ENOENT (also if it is no regular file), ... */
int datadir_stat(struct datadir *d, const struct data_name *name, uint64_t *ret_bytes);
int datadir_unlink(struct datadir *d, const struct data_name *name);

/** Unlink every file whose name is that of a data file and that @p keep says false to. */
typedef bool (*datadir_keep_fn)(const struct data_name *name, void *arg);
int datadir_sweep(struct datadir *d, datadir_keep_fn keep, void *arg);

/** The same four for pack files; keep() is asked by id. */
int datadir_create_pack(struct datadir *d, uint64_t id);
int datadir_open_pack(struct datadir *d, uint64_t id);
int datadir_unlink_pack(struct datadir *d, uint64_t id);
typedef bool (*datadir_keep_pack_fn)(uint64_t id, void *arg);
int datadir_sweep_packs(struct datadir *d, datadir_keep_pack_fn keep, void *arg);

/** Bytes of the file system that are free (to users other than root) and bytes in all. */
int datadir_space(struct datadir *d, uint64_t *ret_free, uint64_t *ret_total);

#endif
