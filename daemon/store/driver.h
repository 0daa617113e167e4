/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_DRIVER_H
#define CURVEFS_STORE_DRIVER_H

/*
 * What the drivers of daemon/store/ share with store.c; nobody else includes it.
 *
 * store.c checks every argument (keys, ranges, NULL) before it calls a driver,
 * and counts bytes and errors after; a driver counts the requests it sends and
 * says why a call failed with store_fail().  All operations run in parallel.
 */

#include "daemon/store/store.h"

/** The longest key; with a prefix it stays below the 1024 bytes of S3 and PATH_MAX. */
#define STORE_KEY_MAX 512
/** The longest component of a key: NAME_MAX. */
#define STORE_COMPONENT_MAX 255

/** store_put(), store_put_new(), store_put_once() */
enum store_put { STORE_REPLACE, STORE_ONLY_NEW, STORE_ONCE };

struct store_driver {
	int (*put)(struct store *s, const char *key, const void *data, size_t length, enum store_put how);
	/* @parts together have @length bytes, which is in range. */
	int (*get)(struct store *s, const char *key, uint64_t offset, const struct iovec *parts, size_t count,
	           size_t length);
	/* ret_tag may be NULL */
	int (*get_all)(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length,
	               char *ret_tag);
	int (*put_if)(struct store *s, const char *key, const void *data, size_t length, const char *tag,
	              char *ret_tag);
	int (*remove)(struct store *s, const char *key);
	int (*head)(struct store *s, const char *key, uint64_t *ret_size);
	int (*list)(struct store *s, const char *prefix, store_list_fn fn, void *arg);
	void (*close)(struct store *s); /* frees the driver's structure, but not what struct store holds */
};

/** The first member of each driver's own structure. */
struct store {
	const struct store_driver *driver;
	char *url;                 /* owned; set by store_open() */
	struct store_stats *stats; /* own, or those of the store below a stacked one; relaxed atomics */
	struct store_stats own;
};

/** Opens what follows "scheme://"; on failure *ret_why as in store_open(). */
typedef int (*store_open_fn)(const char *rest, const struct store_options *options, struct store **ret,
                             char **ret_why);

int file_store_open(const char *rest, const struct store_options *options, struct store **ret,
                    char **ret_why);
int s3_store_open(const char *rest, const struct store_options *options, struct store **ret, char **ret_why);

/** True if @p key may name an object (store.h says which do). */
bool store_key_valid(const char *key);

/** True if @p name may be a component of a key; what is not may lie in a store, but is no object. */
bool store_component_valid(const char *name);

/** Set store_last_error() and return @p r. */
int store_fail(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Set *ret_why for a failing store_open() and return @p r. */
int store_open_fail(int r, char **ret_why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void store_count_request(struct store *s, enum store_kind kind);
void store_count_retry(struct store *s);

#endif
