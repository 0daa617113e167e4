/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_S3D_H
#define CURVEFS_TESTS_S3D_H

/*
 * A strict S3 server for tests, on 127.0.0.1, with its objects in memory.
 *
 * Strict: what AWS would take with a shrug is refused here, so that a request that
 * passes is right: each is signed, over all of its x-amz headers; the payload fits its
 * SHA-256 and, if given, its MD5 and CRC32C; paths and queries are encoded as
 * SigV4 has them.  It shares no code with the driver it tests.
 *
 * It knows: PUT (If-None-Match: *), GET (Range), HEAD, DELETE of objects, ListObjectsV2,
 * HEAD and PUT of buckets; anything else is NotImplemented.
 *
 * Besides, without signature ("-" cannot begin a bucket name):
 *	GET  /-/stats    JSON: requests, connections, refused
 *	POST /-/faults   the body replaces all faults (s3d_fault.h)
 */

#include <stdbool.h>
#include <stddef.h>

#define S3D_BUCKETS_MAX 8

struct s3d_options {
	unsigned port; /* 0: a free one */
	const char *access_key, *secret_key, *region;
	const char *session_token; /* NULL: none may be sent */
	const char *buckets[S3D_BUCKETS_MAX + 1];
	unsigned max_keys;    /* of a page of a listing, at most 1000 */
	bool old;             /* knows neither If-None-Match nor x-amz-checksum-* */
	const char *faults;   /* s3d_fault.h, or NULL */
	const char *tls_cert; /* PEM; NULL: plain HTTP */
	const char *tls_key;
};

struct s3d;

/** @return the running server, or NULL with the reason said on standard error. */
struct s3d *s3d_start(const struct s3d_options *options);
unsigned s3d_port(const struct s3d *d);
void s3d_stop(struct s3d *d);

#endif
