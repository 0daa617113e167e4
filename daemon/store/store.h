/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_H
#define CURVEFS_STORE_H

/*
 * An object store: immutable byte strings under keys.
 *
 * One small interface; drivers: file:// (a local directory), s3:// (libcurl)
 * and fault (stackable, injects errors and delays for tests).  All calls are
 * synchronous and thread-safe; how many run at once is the caller's business.
 * Keys are relative ("data/00/1"), of [A-Za-z0-9._/-], without a leading slash,
 * ".." or empty components, of at most 512 bytes; others give -EINVAL.  No key may
 * continue another one with a slash ("a" and "a/b"): a directory cannot hold both.
 *
 * Errors common to all calls: -ENOENT no such object or bucket, -EACCES refused
 * credentials, -ENOSPC the store is full, -EROFS it may not be written,
 * -ETIMEDOUT no answer within the time-out after all retries, -EBADMSG bytes
 * that do not fit their checksum or length, -EIO anything else.
 * store_last_error() has the sentence for people.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct store;

enum store_kind { STORE_GET, STORE_PUT, STORE_DELETE, STORE_LIST, STORE_HEAD, STORE_KINDS };

/** Counted since store_open(): requests sent (a retry counts again), payload bytes, failures after all
 * retries. */
struct store_stats {
	uint64_t requests[STORE_KINDS];
	uint64_t bytes[STORE_KINDS];
	uint64_t errors[STORE_KINDS];
	uint64_t retries;
};

/** What a store is opened with; strings are copied. NULL or 0: the default. */
struct store_options {
	const char *endpoint_url; /* s3: http[s]://host[:port], path-style; default AWS_ENDPOINT_URL, then AWS
	                             itself */
	const char *region;       /* s3: default AWS_REGION, AWS_DEFAULT_REGION, us-east-1 */
	unsigned timeout_s;       /* without any progress, per attempt; default 30 */
	unsigned retries;         /* after the first attempt, on 429, 5xx and broken transport; default 5 */
	bool create;              /* file: make the directory if it is not there (curvefs format) */
};

struct store_object {
	const char *key; /* valid during the callback */
	uint64_t size;   /* bytes */
	int64_t mtime_s; /* since the epoch */
};

/** @return 0 to go on; anything else ends the listing and is returned by it. */
typedef int (*store_list_fn)(const struct store_object *object, void *arg);

/**
 * Open the store that @p url names: `file:///dir` or `s3://bucket[/prefix]`.
 * With CURVEFS_STORE_FAULTS in the environment the fault driver is stacked on
 * top (its syntax: fault.h).
 * @return 0, or -EINVAL (malformed URL, missing credentials), -ENOENT (no such
 * directory), -ENOMEM. On failure *ret_why (free it) says what is wrong and what to do.
 */
int store_open(const char *url, const struct store_options *options, struct store **ret, char **ret_why);
void store_close(struct store *s);

/** The store's name for messages, as opened; never holds credentials. */
const char *store_url(const struct store *s);

/** Write the whole object durably; replaces what is there. @p data is not kept. */
int store_put(struct store *s, const char *key, const void *data, size_t length);

/** As store_put(), but -EEXIST and nothing written if the key is there. */
int store_put_new(struct store *s, const char *key, const void *data, size_t length);

/**
 * As store_put(), of a key that is used for this object and no other, ever: that may take a disk less time.
 * If the machine dies before the return a part of the object may be found there, but for that the same.
 */
int store_put_once(struct store *s, const char *key, const void *data, size_t length);

/** The longest tag, with its NUL. */
#define STORE_TAG_MAX 128

/**
 * Compare and swap: write the whole object if it still is the one whose tag was given out, @p tag, or, with
 * NULL, if there is none. A tag is opaque and changes with the bytes. Atomic against other store_put_if() of
 * that key by anybody (on a server that does not know conditional requests: checked just before).
 * @return 0 and the tag of what was written; -EEXIST (tag NULL) or -ESTALE: it is another one, or none, and
 * nothing was written. These may also be the echo of an own put whose answer was lost: if the bytes there
 * are the caller's, so was the put.
 */
int store_put_if(struct store *s, const char *key, const void *data, size_t length, const char *tag,
                 char ret_tag[STORE_TAG_MAX]);

/** As store_get_all(), with the object's tag. */
int store_get_tagged(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length,
                     char ret_tag[STORE_TAG_MAX]);

/** Read exactly @p length bytes at @p offset. @return 0, or -ENODATA if the object ends before offset +
 * length. */
int store_get(struct store *s, const char *key, uint64_t offset, size_t length, void *buffer);

/** The same into @p count places, one after the other. */
int store_get_parts(struct store *s, const char *key, uint64_t offset, const struct iovec *parts,
                    size_t count);

/** Read a whole object of at most @p max bytes (-EFBIG if larger); free *ret_data. */
int store_get_all(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length);

/** Delete; deleting what is not there is success. */
int store_delete(struct store *s, const char *key);

int store_head(struct store *s, const char *key, uint64_t *ret_size);

/** Call @p fn for each object whose key starts with @p prefix, in key order. */
int store_list(struct store *s, const char *prefix, store_list_fn fn, void *arg);

void store_get_stats(struct store *s, struct store_stats *ret);

/** The last failure of this thread on any store, for people: "PUT s3://b/k: 403 AccessDenied: ...". Never
 * NULL. */
const char *store_last_error(void);

#endif
