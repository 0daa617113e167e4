/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

static void to_hex(const uint8_t *bytes, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*ret++ = digits[bytes[i] >> 4];
		*ret++ = digits[bytes[i] & 15];
	}
	*ret = 0;
}

void sigv4_date(time_t t, char ret[SIGV4_DATE_SIZE])
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(ret, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm);
}

void sigv4_sha256_hex(const void *data, size_t length, char ret[SIGV4_SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256(data, length, digest);
	to_hex(digest, sizeof(digest), ret);
}

void sigv4_uri_encode(FILE *f, const char *s, bool keep_slash)
{
	for (; *s; s++) {
		unsigned char c = *s;

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c) || (c == '/' && keep_slash))
			fputc(c, f);
		else
			fprintf(f, "%%%02X", c);
	}
}

static void write_signed_headers(FILE *f, const struct sigv4_request *r)
{
	for (size_t i = 0; i < r->n_headers; i++)
		fprintf(f, "%s%s", i ? ";" : "", r->headers[i].name);
}

/** Hash of the canonical request. */
static int hash_request(const struct sigv4_request *r, char ret[SIGV4_SHA256_HEX_SIZE])
{
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	FILE *f = open_memstream(&text, &length);

	if (!f)
		return -ENOMEM;
	fprintf(f, "%s\n%s\n%s\n", r->method, r->path, r->query);
	for (size_t i = 0; i < r->n_headers; i++)
		fprintf(f, "%s:%s\n", r->headers[i].name, r->headers[i].value);
	fputc('\n', f);
	write_signed_headers(f, r);
	fprintf(f, "\n%s", r->payload_sha256);
	if (fclose(f))
		return -ENOMEM;
	sigv4_sha256_hex(text, length, ret);
	return 0;
}

/** key = HMAC-SHA256(key, text), in place. */
static int hmac_step(uint8_t key[SHA256_DIGEST_LENGTH], const char *text, size_t length)
{
	uint8_t out[SHA256_DIGEST_LENGTH];

	if (!HMAC(EVP_sha256(), key, SHA256_DIGEST_LENGTH, (const uint8_t *)text, length, out, NULL))
		return -ENOMEM;
	memcpy(key, out, sizeof(out));
	OPENSSL_cleanse(out, sizeof(out));
	return 0;
}

static int sign(const struct sigv4_request *r, const char *secret, const char *text, char *ret_hex)
{
	uint8_t key[SHA256_DIGEST_LENGTH];
	char *first;
	int n, error;

	n = asprintf(&first, "AWS4%s", secret);
	if (n < 0)
		return -ENOMEM;
	error = HMAC(EVP_sha256(), first, n, (const uint8_t *)r->date, 8, key, NULL) ? 0 : -ENOMEM;
	OPENSSL_cleanse(first, n);
	free(first);
	if (error || hmac_step(key, r->region, strlen(r->region)) ||
	    hmac_step(key, r->service, strlen(r->service)) || hmac_step(key, "aws4_request", 12) ||
	    hmac_step(key, text, strlen(text)))
		error = -ENOMEM;
	else
		to_hex(key, sizeof(key), ret_hex);
	OPENSSL_cleanse(key, sizeof(key));
	return error;
}

int sigv4_authorization(const struct sigv4_request *r, const struct credentials *credentials,
                        char **ret_value)
{
	char hash[SIGV4_SHA256_HEX_SIZE], signature[SIGV4_SHA256_HEX_SIZE];
	_cleanup_free_ char *scope = NULL, *to_sign = NULL, *value = NULL;
	size_t length = 0;
	FILE *f;

	if (asprintf(&scope, "%.8s/%s/%s/aws4_request", r->date, r->region, r->service) < 0) {
		scope = NULL;
		return -ENOMEM;
	}
	if (hash_request(r, hash) < 0)
		return -ENOMEM;
	if (asprintf(&to_sign, ALGORITHM "\n%s\n%s\n%s", r->date, scope, hash) < 0) {
		to_sign = NULL;
		return -ENOMEM;
	}
	if (sign(r, credentials->secret_key, to_sign, signature) < 0)
		return -ENOMEM;
	f = open_memstream(&value, &length);
	if (!f)
		return -ENOMEM;
	fprintf(f, ALGORITHM " Credential=%s/%s, SignedHeaders=", credentials->access_key, scope);
	write_signed_headers(f, r);
	fprintf(f, ", Signature=%s", signature);
	if (fclose(f))
		return -ENOMEM;
	*ret_value = TAKE_PTR(value);
	return 0;
}
