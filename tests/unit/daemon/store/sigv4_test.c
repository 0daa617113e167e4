/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against the values that AWS publishes: the examples of "Signature Calculations for the
 * Authorization Header" of the S3 documentation, and get-vanilla of the SigV4 test suite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/store/sigv4.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct credentials example = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};

static void assert_signature(const struct sigv4_request *q, const struct credentials *c, const char *expected)
{
	_cleanup_free_ char *value = NULL;
	const char *at;

	assert_int_equal(sigv4_authorization(q, c, &value), 0);
	at = strstr(value, "Signature=");
	assert_non_null(at);
	assert_string_equal(at + strlen("Signature="), expected);
}

static struct sigv4_request example_request(const struct sigv4_header *headers, size_t n)
{
	return (struct sigv4_request){
		.method = "GET",
		.path = "/",
		.query = "",
		.headers = headers,
		.n_headers = n,
		.payload_sha256 = EMPTY_SHA256,
		.date = "20130524T000000Z",
		.region = "us-east-1",
		.service = "s3",
	};
}

static void get_object_with_a_range(void **state)
{
	const struct sigv4_header headers[] = {
		{"host", "examplebucket.s3.amazonaws.com"},
		{"range", "bytes=0-9"},
		{"x-amz-content-sha256", EMPTY_SHA256},
		{"x-amz-date", "20130524T000000Z"},
	};
	struct sigv4_request q = example_request(headers, ARRAY_SIZE(headers));
	_cleanup_free_ char *value = NULL;

	(void)state;
	q.path = "/test.txt";
	assert_int_equal(sigv4_authorization(&q, &example, &value), 0);
	assert_string_equal(value,
	                    "AWS4-HMAC-SHA256 "
	                    "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
	                    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
	                    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void put_object_with_an_encoded_key(void **state)
{
	char sha256[SIGV4_SHA256_HEX_SIZE];
	const struct sigv4_header headers[] = {
		{"date", "Fri, 24 May 2013 00:00:00 GMT"},
		{"host", "examplebucket.s3.amazonaws.com"},
		{"x-amz-content-sha256", sha256},
		{"x-amz-date", "20130524T000000Z"},
		{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
	};
	struct sigv4_request q = example_request(headers, ARRAY_SIZE(headers));
	_cleanup_free_ char *path = NULL;
	size_t n;
	FILE *f = open_memstream(&path, &n);

	(void)state;
	sigv4_sha256_hex("Welcome to Amazon S3.", 21, sha256);
	assert_string_equal(sha256, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
	sigv4_uri_encode(f, "/test$file.text", true);
	fclose(f);
	assert_string_equal(path, "/test%24file.text");
	q.method = "PUT";
	q.path = path;
	q.payload_sha256 = sha256;
	assert_signature(&q, &example, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void get_a_bucket_setting(void **state)
{
	const struct sigv4_header headers[] = {
		{"host", "examplebucket.s3.amazonaws.com"},
		{"x-amz-content-sha256", EMPTY_SHA256},
		{"x-amz-date", "20130524T000000Z"},
	};
	struct sigv4_request q = example_request(headers, ARRAY_SIZE(headers));

	(void)state;
	q.query = "lifecycle=";
	assert_signature(&q, &example, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void list_objects(void **state)
{
	const struct sigv4_header headers[] = {
		{"host", "examplebucket.s3.amazonaws.com"},
		{"x-amz-content-sha256", EMPTY_SHA256},
		{"x-amz-date", "20130524T000000Z"},
	};
	struct sigv4_request q = example_request(headers, ARRAY_SIZE(headers));

	(void)state;
	q.query = "max-keys=2&prefix=J";
	assert_signature(&q, &example, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void get_vanilla_of_the_test_suite(void **state)
{
	const struct credentials c = {
		.access_key = "AKIDEXAMPLE",
		.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	};
	const struct sigv4_header headers[] = {
		{"host", "example.amazonaws.com"},
		{"x-amz-date", "20150830T123600Z"},
	};
	struct sigv4_request q = example_request(headers, ARRAY_SIZE(headers));

	(void)state;
	q.date = "20150830T123600Z";
	q.service = "service";
	assert_signature(&q, &c, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

static void the_date_is_that_of_utc(void **state)
{
	char date[SIGV4_DATE_SIZE];

	(void)state;
	setenv("TZ", "Asia/Tokyo", 1);
	sigv4_date(1369353600, date);
	unsetenv("TZ");
	assert_string_equal(date, "20130524T000000Z");
}

static void all_but_the_unreserved_is_encoded(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	sigv4_uri_encode(f, "Az09-._~/ +=&%\xc3\xa9*", true);
	sigv4_uri_encode(f, "/", false);
	fclose(f);
	assert_string_equal(text, "Az09-._~/%20%2B%3D%26%25%C3%A9%2A%2F");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(get_object_with_a_range),
		cmocka_unit_test(put_object_with_an_encoded_key),
		cmocka_unit_test(get_a_bucket_setting),
		cmocka_unit_test(list_objects),
		cmocka_unit_test(get_vanilla_of_the_test_suite),
		cmocka_unit_test(the_date_is_that_of_utc),
		cmocka_unit_test(all_but_the_unreserved_is_encoded),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
