/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_S3_HTTP_H
#define CURVEFS_STORE_S3_HTTP_H

/*
 * One HTTP exchange at a time per thread, over connections that are kept and
 * reused: all that is known of libcurl.  Knows nothing of S3 but the few headers it keeps.
 */

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct s3_http; /* thread-safe */

struct s3_http_request {
	const char *method; /* GET, HEAD, PUT, DELETE */
	const char *url;
	struct curl_slist *headers;
	const void *body; /* PUT only; not kept */
	size_t body_length;
	/* Where the body of a 2xx answer goes: into @into, of max bytes, else into memory of the answer's
	 * own. */
	const struct iovec *into;
	size_t into_count;
	size_t max; /* the longest such body */
	/* Over a new connection. On an old one that proves dead libcurl sends again by itself, unseen. */
	bool fresh;
};

/** What a server said; to be cleared with s3_http_answer_clear(). Header values not sent are "". */
struct s3_http_answer {
	long status;
	char *body;    /* of a 2xx answer without `into`, or the start of an error's; NUL behind it */
	size_t length; /* of the body received; at most `max` */
	int64_t content_length; /* as announced; -1: it was not */
	char content_range[64], checksum_crc32c[64], bucket_region[64], request_id[64], etag[128];
	unsigned retry_after_s;
	/* If the exchange failed: */
	bool again;        /* another attempt may do better */
	char message[256]; /* why, for people */
};

/** @p timeout_s is without progress, per exchange. @return 0 or -ENOMEM. */
int s3_http_open(unsigned timeout_s, struct s3_http **ret);
void s3_http_close(struct s3_http *h);

/**
 * Send and receive. @return 0 if a whole answer came (look at status), else with message and again set:
 * -ETIMEDOUT, -EFBIG (a 2xx body longer than max), -EACCES (TLS: not the server it should be),
 * -ENOMEM, -EIO.
 */
int s3_http_exchange(struct s3_http *h, const struct s3_http_request *request, struct s3_http_answer *ret);
void s3_http_answer_clear(struct s3_http_answer *answer);

#endif
