/* SPDX-License-Identifier: Apache-2.0 */
/* Written from AWS's description of SigV4 and apart from daemon/store/sigv4.c, so that both must be right. */
#include "tests/harness/s3d_auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/cleanup.h"
#include "tests/harness/s3d_uri.h"

#define SIGNED_MAX 32
#define SKEW_MAX_S (15 * 60)

#define REFUSE(status, code, message) ((struct s3d_refusal){status, code, message})

/** The Authorization header, taken apart in `text`. */
struct authorization {
	char text[2048];
	const char *access_key, *date, *region, *service, *terminator, *signature;
	const char *names[SIGNED_MAX]; /* of the signed headers */
	size_t n_names;
};

static const char *header(const struct s3d_incoming *in, const char *name)
{
	return MHD_lookup_connection_value(in->connection, MHD_HEADER_KIND, name);
}

static void hex(const unsigned char *bytes, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void sha256_hex(const void *data, size_t n, char out[65])
{
	unsigned char digest[32];

	EVP_Digest(data, n, digest, NULL, EVP_sha256(), NULL);
	hex(digest, sizeof(digest), out);
}

static void hmac(const void *key, size_t n, const char *text, unsigned char out[32])
{
	HMAC(EVP_sha256(), key, n, (const unsigned char *)text, strlen(text), out, NULL);
}

static bool parse(struct authorization *a, const char *value)
{
	char *rest, *credential, *names, *signature, *name;

	if (strncmp(value, "AWS4-HMAC-SHA256 ", 17) || strlen(value) >= sizeof(a->text))
		return false;
	strcpy(a->text, value + 17);
	rest = a->text;
	credential = strsep(&rest, ",");
	names = strsep(&rest, ",");
	signature = strsep(&rest, ",");
	if (!names || !signature || rest || strncmp(credential, "Credential=", 11) ||
	    strncmp(names, " SignedHeaders=", 15) || strncmp(signature, " Signature=", 11))
		return false;
	credential += 11;
	a->access_key = strsep(&credential, "/");
	a->date = strsep(&credential, "/");
	a->region = strsep(&credential, "/");
	a->service = strsep(&credential, "/");
	a->terminator = strsep(&credential, "/");
	if (!a->terminator || credential)
		return false;
	names += 15;
	while ((name = strsep(&names, ";"))) {
		if (a->n_names == SIGNED_MAX || !*name)
			return false;
		a->names[a->n_names++] = name;
	}
	a->signature = signature + 11;
	return strlen(a->signature) == 64;
}

static bool is_signed(const struct authorization *a, const char *name)
{
	for (size_t i = 0; i < a->n_names; i++) {
		if (!strcasecmp(a->names[i], name))
			return true;
	}
	return false;
}

struct unsigned_search {
	const struct authorization *a;
	bool found;
};

static enum MHD_Result find_unsigned(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct unsigned_search *s = arg;
	bool must = !strncasecmp(name, "x-amz-", 6) || !strcasecmp(name, "host") ||
	            !strcasecmp(name, "range") || !strcasecmp(name, "if-none-match") ||
	            !strcasecmp(name, "if-match");

	(void)kind;
	(void)value;
	s->found |= must && !is_signed(s->a, name);
	return MHD_YES;
}

static struct s3d_refusal check_headers(const struct authorization *a, const struct s3d_incoming *in)
{
	struct unsigned_search search = {.a = a};

	for (size_t i = 0; i < a->n_names; i++) {
		if (i && strcmp(a->names[i - 1], a->names[i]) >= 0)
			return REFUSE(400, "AuthorizationHeaderMalformed", "SignedHeaders are not sorted");
		if (!header(in, a->names[i]))
			return REFUSE(403, "AccessDenied", "a signed header was not sent");
	}
	MHD_get_connection_values(in->connection, MHD_HEADER_KIND, find_unsigned, &search);
	if (search.found || !is_signed(a, "host") || !is_signed(a, "x-amz-content-sha256") ||
	    !is_signed(a, "x-amz-date"))
		return REFUSE(403, "AccessDenied",
		              "There were headers present in the request which were not signed");
	return REFUSE(0, NULL, NULL);
}

static struct s3d_refusal check_date(const struct authorization *a, const char *stamp)
{
	struct tm tm = {0};
	const char *end = stamp ? strptime(stamp, "%Y%m%dT%H%M%SZ", &tm) : NULL;
	time_t off;

	if (!end || *end || strlen(stamp) != 16 || strncmp(stamp, a->date, 8) || strlen(a->date) != 8)
		return REFUSE(403, "AccessDenied",
		              "x-amz-date is malformed or not of the day of the credential");
	off = time(NULL) - timegm(&tm);
	if (off > SKEW_MAX_S || off < -SKEW_MAX_S)
		return REFUSE(403, "RequestTimeTooSkewed",
		              "The difference between the request time and the current time is too large.");
	return REFUSE(0, NULL, NULL);
}

/** The signature that the request should have; false if path or query are malformed. */
static bool compute(const struct s3d_options *options, const struct authorization *a,
                    const struct s3d_incoming *in, char out[65])
{
	_cleanup_free_ char *path = s3d_uri_decode(in->path, strlen(in->path));
	_cleanup_free_ char *query = s3d_uri_canonical_query(in->query);
	_cleanup_free_ char *canonical = NULL, *to_sign = NULL, *secret = NULL;
	unsigned char key[32], next[32];
	char hash[65];
	size_t n;
	FILE *f;

	if (!path || !query)
		return false;
	f = open_memstream(&canonical, &n);
	fprintf(f, "%s\n", in->method);
	s3d_uri_encode(f, path, true);
	fprintf(f, "\n%s\n", query);
	for (size_t i = 0; i < a->n_names; i++)
		fprintf(f, "%s:%s\n", a->names[i], header(in, a->names[i]));
	for (size_t i = 0; i < a->n_names; i++)
		fprintf(f, "%s%s", i ? ";" : "\n", a->names[i]);
	fprintf(f, "\n%s", header(in, "x-amz-content-sha256"));
	fclose(f);
	sha256_hex(canonical, n, hash);
	if (asprintf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", header(in, "x-amz-date"),
	             a->date, a->region, hash) < 0 ||
	    asprintf(&secret, "AWS4%s", options->secret_key) < 0)
		abort();
	hmac(secret, strlen(secret), a->date, key);
	hmac(key, 32, a->region, next);
	hmac(next, 32, "s3", key);
	hmac(key, 32, "aws4_request", next);
	hmac(next, 32, to_sign, key);
	hex(key, 32, out);
	return true;
}

static uint32_t crc_table[256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void fill_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
		crc_table[i] = c;
	}
}

static uint32_t crc32c(const uint8_t *p, size_t n)
{
	uint32_t crc = ~0u;

	pthread_once(&crc_once, fill_crc_table);
	while (n--)
		crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 255];
	return ~crc;
}

static struct s3d_refusal check_payload(const struct s3d_options *options, const struct s3d_incoming *in)
{
	const char *sha256 = header(in, "x-amz-content-sha256"), *md5 = header(in, "Content-MD5");
	const char *crc = header(in, "x-amz-checksum-crc32c");
	unsigned char digest[16];
	char have[65];

	sha256_hex(in->length ? in->body : "", in->length, have);
	if (strcmp(sha256, have))
		return REFUSE(400, "XAmzContentSHA256Mismatch",
		              "The provided 'x-amz-content-sha256' header does not match what was computed.");
	if (md5) {
		EVP_Digest(in->length ? in->body : "", in->length, digest, NULL, EVP_md5(), NULL);
		EVP_EncodeBlock((unsigned char *)have, digest, sizeof(digest));
		if (strcmp(md5, have))
			return REFUSE(400, "BadDigest",
			              "The Content-MD5 you specified did not match what we received.");
	}
	if (crc && !options->old) {
		uint32_t v = crc32c(in->body, in->length);
		unsigned char bytes[4] = {v >> 24, v >> 16, v >> 8, v};

		EVP_EncodeBlock((unsigned char *)have, bytes, sizeof(bytes));
		if (strcmp(crc, have))
			return REFUSE(400, "BadDigest",
			              "The CRC32C you specified did not match what we received.");
	}
	return REFUSE(0, NULL, NULL);
}

struct s3d_refusal s3d_auth_check(const struct s3d_options *options, const struct s3d_incoming *in)
{
	const char *value = header(in, "Authorization"), *token = header(in, "x-amz-security-token");
	struct authorization a = {0};
	struct s3d_refusal r;
	char signature[65];

	if (!value)
		return REFUSE(403, "AccessDenied", "Access Denied: the request is not signed");
	if (!parse(&a, value) || strcmp(a.terminator, "aws4_request") || strcmp(a.service, "s3"))
		return REFUSE(400, "AuthorizationHeaderMalformed", "The authorization header is malformed.");
	if (strcmp(a.region, options->region))
		return REFUSE(400, "AuthorizationHeaderMalformed",
		              "The authorization header is malformed; the region is wrong.");
	if (strcmp(a.access_key, options->access_key))
		return REFUSE(403, "InvalidAccessKeyId",
		              "The AWS Access Key Id you provided does not exist in our records.");
	if (!token != !options->session_token || (token && strcmp(token, options->session_token)))
		return REFUSE(400, "InvalidToken", "The provided token is malformed or otherwise invalid.");
	r = check_headers(&a, in);
	if (!r.status)
		r = check_date(&a, header(in, "x-amz-date"));
	if (r.status)
		return r;
	if (!compute(options, &a, in, signature))
		return REFUSE(400, "InvalidURI", "Couldn't parse the specified URI.");
	if (strcmp(signature, a.signature))
		return REFUSE(
			403, "SignatureDoesNotMatch",
			"The request signature we calculated does not match the signature you provided.");
	return check_payload(options, in);
}
