/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_SIGV4_H
#define CURVEFS_STORE_SIGV4_H

/*
 * AWS Signature Version 4 in the Authorization header: pure computing, no I/O.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "daemon/store/credentials.h"

/** "20130524T000000Z" */
#define SIGV4_DATE_SIZE 17
#define SIGV4_SHA256_HEX_SIZE 65

struct sigv4_header {
	const char *name;  /* lower case */
	const char *value; /* without white space at its ends */
};

/** A request as it will be sent; strings are borrowed. */
struct sigv4_request {
	const char *method;
	const char *path;                   /* absolute, URI-encoded */
	const char *query;                  /* URI-encoded, sorted by name, without '?'; "" if none */
	const struct sigv4_header *headers; /* all that are to be signed, sorted by name; "host" is a must */
	size_t n_headers;
	const char *payload_sha256; /* hexadecimal, lower case */
	const char *date;           /* sigv4_date(); the same as in header x-amz-date */
	const char *region;
	const char *service; /* "s3" */
};

void sigv4_date(time_t t, char ret[SIGV4_DATE_SIZE]);
void sigv4_sha256_hex(const void *data, size_t length, char ret[SIGV4_SHA256_HEX_SIZE]);

/** Write @p s to @p f URI-encoded as S3 wants it: all but A-Z a-z 0-9 - . _ ~ and, if so told, '/'. */
void sigv4_uri_encode(FILE *f, const char *s, bool keep_slash);

/** @return 0 with the value of the Authorization header (free it), or -ENOMEM. */
int sigv4_authorization(const struct sigv4_request *request, const struct credentials *credentials,
                        char **ret_value);

#endif
