/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/s3_request.h"

#include <errno.h>
#include <inttypes.h>
#include <isa-l.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/store/s3_xml.h"
#include "daemon/store/sigv4.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 20000
/* A server that asks for more patience than this is asked earlier. */
#define RETRY_AFTER_MAX_MS 60000
#define CRC_CHUNK (1 << 30)

/* ---- signing ---- */

/** CRC32C as x-amz-checksum-crc32c has it: base64 of its four bytes, the highest first. */
static void crc32c_base64(const void *data, size_t length, char ret[9])
{
	const unsigned char *p = data;
	uint32_t crc = 0xffffffff;
	uint8_t bytes[4];

	for (size_t n; length; p += n, length -= n) {
		n = length < CRC_CHUNK ? length : CRC_CHUNK;
		crc = crc32_iscsi((unsigned char *)p, n, crc);
	}
	crc = ~crc;
	for (int i = 0; i < 4; i++)
		bytes[i] = crc >> (24 - 8 * i);
	EVP_EncodeBlock((unsigned char *)ret, bytes, sizeof(bytes));
}

/** What of a request stays the same over its attempts. */
struct prepared {
	char *path, *url, *range;
	char sha256[SIGV4_SHA256_HEX_SIZE], crc32c[9];
};

static void prepared_clear(struct prepared *p)
{
	free(p->path);
	free(p->url);
	free(p->range);
}

static int prepare(const struct s3_store *s, const struct s3_request *r, struct prepared *ret)
{
	size_t length;
	FILE *f = open_memstream(&ret->path, &length);

	if (!f)
		return -ENOMEM;
	fputs(s->path, f);
	if (r->key) {
		sigv4_uri_encode(f, s->key_start, true);
		sigv4_uri_encode(f, r->key, true);
	}
	if (fclose(f))
		return -ENOMEM;
	/* Listing "/bucket/" with a slash behind is another resource to some servers. */
	if (!r->key && length > 1)
		ret->path[length - 1] = 0;
	if (asprintf(&ret->url, "%s%s%s%s", s->origin, ret->path, *r->query ? "?" : "", r->query) < 0) {
		ret->url = NULL;
		return -ENOMEM;
	}
	if (r->ranged &&
	    asprintf(&ret->range, "bytes=%" PRIu64 "-%" PRIu64, r->offset, r->offset + r->max - 1) < 0) {
		ret->range = NULL;
		return -ENOMEM;
	}
	sigv4_sha256_hex(r->body_length ? r->body : "", r->body_length, ret->sha256);
	if (r->kind == STORE_PUT)
		crc32c_base64(r->body, r->body_length, ret->crc32c);
	return 0;
}

static void free_slist(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

static int add_header(struct curl_slist **l, const char *name, const char *value)
{
	_cleanup_free_ char *line = NULL;
	struct curl_slist *longer;

	if (asprintf(&line, "%s: %s", name, value) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	longer = curl_slist_append(*l, line);
	if (!longer)
		return -ENOMEM;
	*l = longer;
	return 0;
}

/** The headers of one attempt, signed as of now. */
static int sign_headers(const struct s3_store *s, const struct s3_request *r, const struct prepared *p,
                        struct curl_slist **ret)
{
	_cleanup_(free_slist) struct curl_slist *l = NULL;
	_cleanup_free_ char *authorization = NULL;
	char date[SIGV4_DATE_SIZE];
	bool whole_get = r->kind == STORE_GET && !r->ranged;
	/* All are signed; in the order of their names, those with a NULL are left out. */
	const struct sigv4_header all[] = {
		{"host", s->host},
		{"if-match", r->only_tag},
		{"if-none-match", r->only_new ? "*" : NULL},
		{"range", p->range},
		{"x-amz-checksum-crc32c", r->kind == STORE_PUT ? p->crc32c : NULL},
		{"x-amz-checksum-mode", whole_get ? "ENABLED" : NULL},
		{"x-amz-content-sha256", p->sha256},
		{"x-amz-date", date},
		{"x-amz-security-token", s->credentials.session_token},
	};
	struct sigv4_header sent[ARRAY_SIZE(all)];
	struct sigv4_request q = {
		.method = r->method,
		.path = p->path,
		.query = r->query,
		.headers = sent,
		.payload_sha256 = p->sha256,
		.date = date,
		.region = s->region,
		.service = "s3",
	};
	int error = 0;

	sigv4_date(time(NULL), date);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!all[i].value)
			continue;
		sent[q.n_headers++] = all[i];
		error |= add_header(&l, all[i].name, all[i].value);
	}
	if (error || sigv4_authorization(&q, &s->credentials, &authorization) < 0 ||
	    add_header(&l, "authorization", authorization) < 0)
		return -ENOMEM;
	/* A POST in the eyes of libcurl: leave out what it would say of a form, and do not wait for a 100. */
	if (r->kind == STORE_PUT && (add_header(&l, "content-type", "application/octet-stream") < 0 ||
	                             add_header(&l, "expect", "") < 0))
		return -ENOMEM;
	*ret = TAKE_PTR(l);
	return 0;
}

/* ---- answers ---- */

/** What one attempt came to. */
struct outcome {
	int r;
	bool again;
	char message[640];
};

static void say(struct outcome *o, int r, bool again, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void say(struct outcome *o, int r, bool again, const char *fmt, ...)
{
	va_list ap;

	o->r = r;
	o->again = again;
	va_start(ap, fmt);
	vsnprintf(o->message, sizeof(o->message), fmt, ap);
	va_end(ap);
}

static bool is_one_of(const char *code, const char *const list[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(code, list[i]))
			return true;
	}
	return false;
}
#define IS_ONE_OF(code, ...)                                      \
	({                                                        \
		static const char *const _list[] = {__VA_ARGS__}; \
		is_one_of(code, _list, ARRAY_SIZE(_list));        \
	})

/** What to do about an error, in a half-sentence; "" if nothing comes to mind. */
static void hint(const struct s3_store *s, const struct s3_http_answer *a, const struct s3_error *e,
                 char *ret, size_t size)
{
	const char *region = *e->region ? e->region : a->bucket_region;
	bool misdirected = a->status == 301 || a->status == 307 || a->status == 400;

	*ret = 0;
	if (misdirected && *region && strcmp(region, s->region))
		snprintf(ret, size,
		         " (the bucket is in region %s, the request was for %s: set --region or AWS_REGION)",
		         region, s->region);
	else if ((misdirected && !*e->code) ||
	         IS_ONE_OF(e->code, "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed",
	                   "IllegalLocationConstraintException"))
		snprintf(ret, size,
		         " (wrong region? the request was for %s: check --region and --endpoint-url)",
		         s->region);
	else if (!strcmp(e->code, "NoSuchBucket"))
		snprintf(ret, size, " (create the bucket, or check its name, --region and --endpoint-url)");
	else if (!strcmp(e->code, "RequestTimeTooSkewed"))
		snprintf(ret, size, " (set the clock of this machine)");
	else if (!strcmp(e->code, "InvalidAccessKeyId") || !strcmp(e->code, "SignatureDoesNotMatch"))
		snprintf(ret, size,
		         " (check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in "
		         "~/.aws/credentials)");
	else if (IS_ONE_OF(e->code, "ExpiredToken", "InvalidToken", "TokenRefreshRequired"))
		snprintf(ret, size, " (get new credentials: the session token is no longer valid)");
	else if (a->status == 403)
		snprintf(ret, size,
		         " (the credentials are not allowed to do this, or the bucket is someone else's)");
}

static int error_of_status(const struct s3_http_answer *a, const struct s3_error *e)
{
	if (a->status == 507 ||
	    IS_ONE_OF(e->code, "XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"))
		return -ENOSPC;
	if (IS_ONE_OF(e->code, "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"))
		return -EBADMSG;
	switch (a->status) {
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 408:
	case 504:
		return -ETIMEDOUT;
	case 412:
		return -EEXIST;
	case 416:
		return -ENODATA;
	default:
		return -EIO;
	}
}

/** May the same request, sent again, be answered otherwise? */
static bool worth_again(const struct s3_http_answer *a, const struct s3_error *e, int r)
{
	if (r == -ENOSPC)
		return false;
	return a->status == 408 || a->status == 429 || (a->status >= 500 && a->status != 501) ||
	       r == -EBADMSG ||
	       IS_ONE_OF(e->code, "RequestTimeout", "SlowDown", "OperationAborted",
	                 "ConditionalRequestConflict");
}

static void judge_error(const struct s3_store *s, const struct s3_request *q, const struct s3_http_answer *a,
                        struct outcome *o)
{
	struct s3_error e;
	char what_to_do[256];
	int r;

	s3_xml_parse_error(a->body, a->length, &e);
	r = error_of_status(a, &e);
	/* Deleted meanwhile is changed, too. */
	if (q->only_tag && (r == -EEXIST || (r == -ENOENT && strcmp(e.code, "NoSuchBucket"))))
		r = -ESTALE;
	hint(s, a, &e, what_to_do, sizeof(what_to_do));
	say(o, r, worth_again(a, &e, r), "%ld%s%s%s%s%s", a->status, *e.code ? " " : "", e.code,
	    *e.message ? ": " : "", e.message, what_to_do);
}

/** Is the answer's range the one asked for? */
static void judge_range(const struct s3_request *r, const struct s3_http_answer *a, struct outcome *o)
{
	uint64_t first, last;
	int end = 0;

	if (a->status != 206) {
		say(o, -EIO, false, "status %ld to a range request: the server does not know ranges",
		    a->status);
		return;
	}
	if (sscanf(a->content_range, "bytes %" SCNu64 "-%" SCNu64 "/%n", &first, &last, &end) != 2 || !end ||
	    first != r->offset || last < first || last - first >= r->max) {
		say(o, -EBADMSG, true, "asked for %zu bytes at %" PRIu64 ", got Content-Range '%s'", r->max,
		    r->offset, a->content_range);
		return;
	}
	if (last - first + 1 < r->max) {
		say(o, -ENODATA, false, "the object ends at %" PRIu64 ", wanted are %zu bytes at %" PRIu64,
		    last + 1, r->max, r->offset);
		return;
	}
	if (a->length != r->max)
		say(o, -EBADMSG, true, "%zu bytes came, %zu were announced", a->length, r->max);
}

static void judge_checksum(const struct s3_request *r, const struct prepared *p,
                           const struct s3_http_answer *a, struct outcome *o)
{
	char have[9];

	if (r->kind == STORE_PUT) {
		memcpy(have, p->crc32c, sizeof(have));
	} else {
		/* "...-N" is a checksum over the checksums of N parts: not ours, and not to be checked here.
		 */
		if (r->kind != STORE_GET || r->ranged || strlen(a->checksum_crc32c) != 8)
			return;
		crc32c_base64(a->body, a->length, have);
	}
	if (*a->checksum_crc32c && strcmp(a->checksum_crc32c, have))
		say(o, -EBADMSG, true, "CRC32C is %s here, %s there", have, a->checksum_crc32c);
}

static struct outcome judge(const struct s3_store *s, const struct s3_request *r, const struct prepared *p,
                            const struct s3_http_answer *a, int error)
{
	struct outcome o = {0};

	if (error) {
		/* More than the range asked for does not fit the request; only a whole object may be too big.
		 */
		if (error == -EFBIG && r->ranged)
			error = -EBADMSG;
		say(&o, error, a->again, "%s", a->message);
		return o;
	}
	if (a->status < 200 || a->status >= 300) {
		judge_error(s, r, a, &o);
		return o;
	}
	if (r->ranged)
		judge_range(r, a, &o);
	if (!o.r)
		judge_checksum(r, p, a, &o);
	return o;
}

/* ---- attempts ---- */

/** How long to wait before attempt @p attempt + 1: anything up to twice as long each time (full jitter). */
static unsigned backoff_ms(unsigned attempt, unsigned retry_after_s)
{
	unsigned ceiling = attempt < 9 ? BACKOFF_FIRST_MS << (attempt - 1) : BACKOFF_MAX_MS;
	uint64_t asked = retry_after_s * 1000ull;
	uint32_t random = 0;
	unsigned wait;

	if (ceiling > BACKOFF_MAX_MS)
		ceiling = BACKOFF_MAX_MS;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = time(NULL) * 2654435761u;
	wait = random % (ceiling + 1);
	if (asked > RETRY_AFTER_MAX_MS)
		asked = RETRY_AFTER_MAX_MS;
	return wait > asked ? wait : asked;
}

static void sleep_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static struct outcome attempt(struct s3_store *s, const struct s3_request *r, const struct prepared *p,
                              struct s3_http_answer *ret)
{
	_cleanup_(free_slist) struct curl_slist *headers = NULL;
	struct s3_http_request q = {
		.method = r->method,
		.url = p->url,
		.body = r->body,
		.body_length = r->body_length,
		.into = r->into,
		.into_count = r->into_count,
		.max = r->max,
		/* A put that must not replace has to know of each attempt: the first may have put it. */
		.fresh = r->only_new || r->only_tag,
	};

	store_count_request(&s->base, r->kind);
	if (sign_headers(s, r, p, &headers) < 0) {
		*ret = (struct s3_http_answer){.message = "out of memory"};
		return judge(s, r, p, ret, -ENOMEM);
	}
	q.headers = headers;
	return judge(s, r, p, ret, s3_http_exchange(s->http, &q, ret));
}

int s3_request_send(struct s3_store *s, const struct s3_request *r, struct s3_http_answer *ret,
                    unsigned *ret_attempts)
{
	_cleanup_(prepared_clear) struct prepared p = {0};
	const char *slash = r->key ? "/" : "", *key = r->key ? r->key : "";
	unsigned n;

	*ret_attempts = 0;
	if (prepare(s, r, &p) < 0)
		return store_fail(-ENOMEM, "%s %s%s%s: out of memory", r->method, s->base.url, slash, key);
	for (n = 1;; n++) {
		struct s3_http_answer a;
		struct outcome o = attempt(s, r, &p, &a);
		unsigned wait;

		*ret_attempts = n;
		if (!o.r) {
			*ret = a;
			return 0;
		}
		wait = backoff_ms(n, a.retry_after_s);
		log_debug("%s %s%s%s: attempt %u: %s%s%s", r->method, s->base.url, slash, key, n, o.message,
		          *a.request_id ? ", request id " : "", a.request_id);
		s3_http_answer_clear(&a);
		if (!o.again)
			return store_fail(o.r, "%s %s%s%s: %s", r->method, s->base.url, slash, key,
			                  o.message);
		if (n > s->retries)
			return store_fail(o.r, "%s %s%s%s: %s (given up after %u attempts)", r->method,
			                  s->base.url, slash, key, o.message, n);
		store_count_retry(&s->base);
		sleep_ms(wait);
	}
}
