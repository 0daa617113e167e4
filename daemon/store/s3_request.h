/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_S3_REQUEST_H
#define CURVEFS_STORE_S3_REQUEST_H

/*
 * One S3 request: signed, sent until it is answered or the attempts are used up,
 * its answer checked against what was asked.
 */

#include "daemon/store/credentials.h"
#include "daemon/store/driver.h"
#include "daemon/store/s3_http.h"

struct s3_store {
	struct store base;
	struct s3_http *http;
	struct credentials credentials;
	char *origin;    /* "https://host[:port]" */
	char *host;      /* "host[:port]" */
	char *path;      /* URI-encoded, before the key, with a slash at its end: "/bucket/" or "/" */
	char *key_start; /* what keys are prefixed with in the bucket: "" or "prefix/" */
	char *region;
	unsigned retries;
};

struct s3_request {
	enum store_kind kind;
	const char *method;
	const char *key;   /* relative to the prefix; NULL: the request is to the bucket */
	const char *query; /* URI-encoded, sorted; "" if none */
	const void *body;  /* PUT */
	size_t body_length;
	bool only_new;        /* If-None-Match: * */
	const char *only_tag; /* If-Match; NULL: none */
	bool ranged;          /* GET only `max` bytes at `offset`, and of nothing less */
	uint64_t offset;
	const struct iovec *into; /* as in struct s3_http_request; ranged only */
	size_t into_count;
	size_t max;
};

/**
 * @return 0 on a 2xx answer that fits the request, else as store.h has it, -EEXIST if an object is there
 * that must not be, -ESTALE if it is not the one it must be, -EFBIG if the answer is longer than max, with
 * store_last_error() set. The answer is to be cleared on success only. *ret_attempts is set in any case.
 */
int s3_request_send(struct s3_store *s, const struct s3_request *request, struct s3_http_answer *ret,
                    unsigned *ret_attempts);

#endif
