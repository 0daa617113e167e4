/* SPDX-License-Identifier: Apache-2.0 */
/* The S3 test server must refuse what is wrong, else the driver's tests prove nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "daemon/store/sigv4.h"
#include "tests/harness/s3d_child.h"

#define HEADERS_MAX 8

static struct s3d_child server;

static int start(void **state)
{
	(void)state;
	return s3d_child_start(&server, NULL);
}

static int stop(void **state)
{
	(void)state;
	return s3d_child_stop(&server);
}

/** A PUT of "hello" that is right, before a test spoils it. */
struct request {
	const char *method, *path, *query, *body;
	const char *signed_path;     /* NULL: path */
	const char *sha256;          /* NULL: that of the body */
	const char *authorization;   /* NULL: computed; "": none */
	struct sigv4_header extra;   /* before x-amz-content-sha256 in the order of names */
	const char *unsigned_header; /* "name: value" */
	int off_s;                   /* of the clock */
	const char *secret;
};

static const struct request good = {
	.method = "PUT", .path = "/test/k", .query = "", .body = "hello", .secret = "test-secret-key"};

static size_t keep(char *data, size_t one, size_t n, void *arg)
{
	(void)one;
	strncat(arg, data, n < 2000 - strlen(arg) ? n : 2000 - strlen(arg));
	return n;
}

static struct curl_slist *add(struct curl_slist *l, const char *name, const char *value)
{
	_cleanup_free_ char *line = NULL;

	assert_true(asprintf(&line, "%s: %s", name, value) > 0);
	return curl_slist_append(l, line);
}

/** Send @p q. @return the status; the body is in @p text. */
static long send_request(const struct request *q, char text[2048])
{
	struct credentials c = {.access_key = "test-access-key", .secret_key = (char *)q->secret};
	char date[SIGV4_DATE_SIZE], sha256[SIGV4_SHA256_HEX_SIZE];
	struct sigv4_header headers[HEADERS_MAX];
	struct sigv4_request s = {
		.method = q->method,
		.path = q->signed_path ? q->signed_path : q->path,
		.query = q->query,
		.headers = headers,
		.payload_sha256 = q->sha256 ? q->sha256 : sha256,
		.date = date,
		.region = "us-east-1",
		.service = "s3",
	};
	_cleanup_free_ char *authorization = NULL, *url = NULL;
	struct curl_slist *l = NULL;
	CURL *curl = curl_easy_init();
	long status = 0;

	sigv4_date(time(NULL) + q->off_s, date);
	sigv4_sha256_hex(q->body, strlen(q->body), sha256);
	if (q->extra.name && strcmp(q->extra.name, "host") < 0)
		headers[s.n_headers++] = q->extra;
	headers[s.n_headers++] = (struct sigv4_header){"host", server.url + strlen("http://")};
	if (q->extra.name && strcmp(q->extra.name, "host") > 0)
		headers[s.n_headers++] = q->extra;
	headers[s.n_headers++] = (struct sigv4_header){"x-amz-content-sha256", s.payload_sha256};
	headers[s.n_headers++] = (struct sigv4_header){"x-amz-date", date};
	for (size_t i = 0; i < s.n_headers; i++)
		l = add(l, headers[i].name, headers[i].value);
	assert_int_equal(sigv4_authorization(&s, &c, &authorization), 0);
	if (!q->authorization || *q->authorization)
		l = add(l, "authorization", q->authorization ? q->authorization : authorization);
	if (q->unsigned_header)
		l = curl_slist_append(l, q->unsigned_header);
	assert_true(asprintf(&url, "%s%s%s%s", server.url, q->path, *q->query ? "?" : "", q->query) > 0);
	*text = 0;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, l);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
	if (*q->body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, q->body);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
	assert_int_equal(curl_easy_perform(curl), CURLE_OK);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(l);
	return status;
}

static void assert_refused(const struct request *q, long status, const char *code)
{
	char text[2048];
	long got = send_request(q, text);

	if (got != status || !strstr(text, code))
		fail_msg("wanted %ld %s, got %ld %s", status, code, got, text);
}

static void assert_taken(const struct request *q)
{
	char text[2048];
	long got = send_request(q, text);

	if (got != 200)
		fail_msg("%ld %s", got, text);
}

static void a_right_request_is_taken(void **state)
{
	struct request q = good;

	(void)state;
	assert_taken(&q);
	q.extra = (struct sigv4_header){"content-md5", "XUFAKrxLKna5cZ2REBfFkg=="};
	assert_taken(&q);
	q.extra = (struct sigv4_header){"x-amz-checksum-crc32c", "mnG7TA=="};
	assert_taken(&q);
	q.off_s = 14 * 60;
	assert_taken(&q);
}

static void an_unsigned_request_is_refused(void **state)
{
	struct request q = good;

	(void)state;
	q.authorization = "";
	assert_refused(&q, 403, "AccessDenied");
	q.authorization = "Basic dGVzdDp0ZXN0";
	assert_refused(&q, 400, "AuthorizationHeaderMalformed");
	q.authorization = "AWS4-HMAC-SHA256 Credential=test-access-key/20130524/us-east-1/s3/aws4_request, "
			  "SignedHeaders=host, Signature=00";
	assert_refused(&q, 400, "AuthorizationHeaderMalformed");
}

static void another_secret_is_refused(void **state)
{
	struct request q = good;

	(void)state;
	q.secret = "test-secret-kez";
	assert_refused(&q, 403, "SignatureDoesNotMatch");
}

static void another_path_than_the_signed_one_is_refused(void **state)
{
	struct request q = good;

	(void)state;
	q.signed_path = "/test/other";
	assert_refused(&q, 403, "SignatureDoesNotMatch");
}

static void a_clock_that_is_off_is_refused(void **state)
{
	struct request q = good;

	(void)state;
	q.off_s = 16 * 60;
	assert_refused(&q, 403, "RequestTimeTooSkewed");
	q.off_s = -16 * 60;
	assert_refused(&q, 403, "RequestTimeTooSkewed");
}

static void an_unsigned_header_of_weight_is_refused(void **state)
{
	static const char *const headers[] = {"x-amz-meta-a: b", "If-None-Match: *", "Range: bytes=0-1"};
	struct request q = good;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		q.unsigned_header = headers[i];
		assert_refused(&q, 403, "not signed");
	}
}

static void headers_out_of_order_are_refused(void **state)
{
	struct request q = good;

	(void)state;
	q.extra = (struct sigv4_header){"zzz", "b"};
	assert_refused(&q, 400, "not sorted");
}

static void a_payload_that_does_not_fit_is_refused(void **state)
{
	struct request q = good;

	(void)state;
	q.sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	assert_refused(&q, 400, "XAmzContentSHA256Mismatch");
	q.sha256 = "UNSIGNED-PAYLOAD";
	assert_refused(&q, 400, "XAmzContentSHA256Mismatch");
	q.sha256 = NULL;
	q.extra = (struct sigv4_header){"content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="};
	assert_refused(&q, 400, "BadDigest");
	q.extra = (struct sigv4_header){"x-amz-checksum-crc32c", "AAAAAA=="};
	assert_refused(&q, 400, "BadDigest");
}

static void a_condition_is_kept(void **state)
{
	struct request q = good;

	(void)state;
	q.path = "/test/condition";
	q.extra = (struct sigv4_header){"if-none-match", "*"};
	assert_taken(&q);
	assert_refused(&q, 412, "PreconditionFailed");
	q.extra.value = "\"etag\"";
	assert_refused(&q, 501, "NotImplemented");
}

static void a_malformed_range_is_refused(void **state)
{
	static const char *const ranges[] = {"bytes=2-1", "bytes=-1", "bytes=a-b", "lines=0-1",
	                                     "bytes=0-1,3-4"};
	struct request q = good;

	(void)state;
	assert_taken(&q);
	q.method = "GET";
	q.body = "";
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		q.extra = (struct sigv4_header){"range", ranges[i]};
		assert_refused(&q, 400, "InvalidArgument");
	}
	q.extra.value = "bytes=5-6";
	assert_refused(&q, 416, "InvalidRange");
}

static void a_listing_wants_its_version_and_its_own_tokens(void **state)
{
	struct request q = good;
	char text[2048];

	(void)state;
	q.method = "GET";
	q.path = "/test";
	q.body = "";
	assert_refused(&q, 501, "NotImplemented");
	q.query = "list-type=2&prefix=";
	assert_int_equal(send_request(&q, text), 200);
	assert_non_null(strstr(text, "<IsTruncated>false</IsTruncated>"));
	q.query = "continuation-token=zz&list-type=2";
	assert_refused(&q, 400, "InvalidArgument");
}

static void what_it_does_not_know_is_said(void **state)
{
	struct request q = good;

	(void)state;
	q.path = "/nobucket/k";
	assert_refused(&q, 404, "NoSuchBucket");
	q = good;
	q.method = "POST";
	assert_refused(&q, 405, "MethodNotAllowed");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_right_request_is_taken),
		cmocka_unit_test(an_unsigned_request_is_refused),
		cmocka_unit_test(another_secret_is_refused),
		cmocka_unit_test(another_path_than_the_signed_one_is_refused),
		cmocka_unit_test(a_clock_that_is_off_is_refused),
		cmocka_unit_test(an_unsigned_header_of_weight_is_refused),
		cmocka_unit_test(headers_out_of_order_are_refused),
		cmocka_unit_test(a_payload_that_does_not_fit_is_refused),
		cmocka_unit_test(a_condition_is_kept),
		cmocka_unit_test(a_malformed_range_is_refused),
		cmocka_unit_test(a_listing_wants_its_version_and_its_own_tokens),
		cmocka_unit_test(what_it_does_not_know_is_said),
	};

	return cmocka_run_group_tests(cases, start, stop);
}
