/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3://bucket[/prefix]: the operations of store.h as S3 requests.
 *
 * With --endpoint-url the bucket goes into the path, as all S3 servers know it; to AWS
 * itself it goes into the host name, unless it has dots, which no certificate would fit.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/store/driver.h"
#include "daemon/store/s3_request.h"
#include "daemon/store/s3_xml.h"
#include "daemon/store/sigv4.h"

#define TIMEOUT_S 30
#define RETRIES 5
#define PREFIX_MAX 256
/* 1000 entries of at most about 4 KiB. */
#define LIST_PAGE_MAX (8 << 20)
/* Bytes compared at once in same_object(). */
#define COMPARE_BYTES (1 << 20)

static struct s3_store *s3_store(struct store *s)
{
	return (struct s3_store *)s;
}

static int s3_head(struct store *s, const char *key, uint64_t *ret_size);

/** Send and throw the answer away. */
static int send_only(struct store *s, const struct s3_request *q, unsigned *ret_attempts)
{
	struct s3_http_answer a;
	int r = s3_request_send(s3_store(s), q, &a, ret_attempts);

	if (!r)
		s3_http_answer_clear(&a);
	return r;
}

static int s3_get(struct store *s, const char *key, uint64_t offset, const struct iovec *parts, size_t count,
                  size_t length)
{
	struct s3_request q = {
		.kind = STORE_GET,
		.method = "GET",
		.key = key,
		.query = "",
		.ranged = true,
		.offset = offset,
		.into = parts,
		.into_count = count,
		.max = length,
	};
	unsigned attempts;
	uint64_t size;
	int r;

	/* HTTP has no empty range. */
	if (!length) {
		r = s3_head(s, key, &size);
		if (!r && offset > size)
			return store_fail(-ENODATA, "GET %s/%s: the object ends before %llu", s->url, key,
			                  (unsigned long long)offset);
		return r;
	}
	return send_only(s, &q, &attempts);
}

/** The tag is the ETag as it came, quotes and all. */
static int take_tag(struct store *s, const char *verb, const char *key, const struct s3_http_answer *a,
                    char *ret_tag)
{
	if (!*a->etag)
		return store_fail(-EIO, "%s %s/%s: the server's answer has no ETag, which is needed here",
		                  verb, s->url, key);
	memcpy(ret_tag, a->etag, sizeof(a->etag));
	return 0;
}

static int s3_get_all(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length,
                      char *ret_tag)
{
	struct s3_request q = {.kind = STORE_GET, .method = "GET", .key = key, .query = "", .max = max};
	struct s3_http_answer a;
	unsigned attempts;
	int r = s3_request_send(s3_store(s), &q, &a, &attempts);

	if (r < 0)
		return r;
	if (ret_tag) {
		_Static_assert(sizeof(a.etag) == STORE_TAG_MAX, "a tag is an ETag");
		r = take_tag(s, "GET", key, &a, ret_tag);
		if (r < 0) {
			s3_http_answer_clear(&a);
			return r;
		}
	}
	*ret_length = a.length;
	*ret_data = a.body ? TAKE_PTR(a.body) : calloc(1, 1);
	s3_http_answer_clear(&a);
	return *ret_data ? 0 : store_fail(-ENOMEM, "GET %s/%s: out of memory", s->url, key);
}

/** Does the object hold just these bytes? @return 1 or 0, or negative errno. */
static int same_object(struct store *s, const char *key, const void *data, size_t length)
{
	_cleanup_free_ char *part = NULL;
	uint64_t size;
	int r = s3_head(s, key, &size);

	if (r < 0 || size != length)
		return r;
	part = malloc(COMPARE_BYTES);
	if (!part)
		return -ENOMEM;
	for (size_t at = 0, n; at < length; at += n) {
		n = length - at < COMPARE_BYTES ? length - at : COMPARE_BYTES;
		r = s3_get(s, key, at, &(struct iovec){.iov_base = part, .iov_len = n}, 1, n);
		if (r < 0)
			return r;
		if (memcmp(part, (const char *)data + at, n))
			return 0;
	}
	return 1;
}

static int s3_put(struct store *s, const char *key, const void *data, size_t length, enum store_put how)
{
	struct s3_request q = {
		.kind = STORE_PUT,
		.method = "PUT",
		.key = key,
		.query = "",
		.body = data,
		.body_length = length,
		.only_new = how == STORE_ONLY_NEW,
		.max = 65536,
	};
	unsigned attempts;
	uint64_t size;
	int r;

	if (q.only_new) {
		/* Some servers do not know If-None-Match and would replace: ask them first. */
		r = s3_head(s, key, &size);
		if (!r)
			return store_fail(-EEXIST, "PUT %s/%s: the object exists", s->url, key);
		if (r != -ENOENT)
			return r;
	}
	r = send_only(s, &q, &attempts);
	/* An earlier attempt whose answer was lost may have been the one that put it. */
	if (r == -EEXIST && attempts > 1 && same_object(s, key, data, length) == 1)
		return 0;
	return r;
}

/** Is the object there the one that @p tag (NULL: none) says? */
static int check_tag(struct store *s, const char *key, const char *tag)
{
	struct s3_request q = {.kind = STORE_HEAD, .method = "HEAD", .key = key, .query = ""};
	struct s3_http_answer a;
	unsigned attempts;
	bool same;
	int r = s3_request_send(s3_store(s), &q, &a, &attempts);

	if (r == -ENOENT)
		return tag ? store_fail(-ESTALE, "PUT %s/%s: the object is gone", s->url, key) : 0;
	if (r < 0)
		return r;
	same = tag && !strcmp(a.etag, tag);
	s3_http_answer_clear(&a);
	if (same)
		return 0;
	return store_fail(tag ? -ESTALE : -EEXIST, "PUT %s/%s: the object %s", s->url, key,
	                  tag ? "is another one by now" : "exists");
}

static int s3_put_if(struct store *s, const char *key, const void *data, size_t length, const char *tag,
                     char *ret_tag)
{
	struct s3_request q = {
		.kind = STORE_PUT,
		.method = "PUT",
		.key = key,
		.query = "",
		.body = data,
		.body_length = length,
		.only_new = !tag,
		.only_tag = tag,
		.max = 65536,
	};
	struct s3_http_answer a;
	unsigned attempts;
	int r;

	/* Some servers know no conditions and would replace: ask them first. */
	r = check_tag(s, key, tag);
	if (r < 0)
		return r;
	r = s3_request_send(s3_store(s), &q, &a, &attempts);
	if (r < 0)
		return r;
	r = take_tag(s, "PUT", key, &a, ret_tag);
	s3_http_answer_clear(&a);
	return r;
}

static int s3_remove(struct store *s, const char *key)
{
	struct s3_request q = {
		.kind = STORE_DELETE, .method = "DELETE", .key = key, .query = "", .max = 65536};
	unsigned attempts;
	int r = send_only(s, &q, &attempts);

	/* S3 says 204 for what is not there; a 404 is about the bucket, but for a few servers. */
	if (r == -ENOENT && !strstr(store_last_error(), "NoSuchBucket"))
		return 0;
	return r;
}

static int s3_head(struct store *s, const char *key, uint64_t *ret_size)
{
	struct s3_request q = {.kind = STORE_HEAD, .method = "HEAD", .key = key, .query = ""};
	struct s3_http_answer a;
	unsigned attempts;
	int r = s3_request_send(s3_store(s), &q, &a, &attempts);

	if (r < 0)
		return r;
	if (a.content_length < 0)
		r = store_fail(-EBADMSG, "HEAD %s/%s: the answer has no Content-Length", s->url, key);
	else
		*ret_size = a.content_length;
	s3_http_answer_clear(&a);
	return r;
}

/* ---- list ---- */

/** Get the page that follows @p token (NULL: the first). */
static int get_page(struct s3_store *s, const char *prefix, const char *token, struct s3_list_page *ret)
{
	_cleanup_free_ char *query = NULL;
	struct s3_request q = {.kind = STORE_LIST, .method = "GET", .max = LIST_PAGE_MAX};
	struct s3_http_answer a;
	unsigned attempts;
	size_t length;
	FILE *f = open_memstream(&query, &length);
	int r;

	if (!f)
		return store_fail(-ENOMEM, "LIST %s: out of memory", s->base.url);
	/* In the order of their names, as the signature wants it. */
	if (token) {
		fputs("continuation-token=", f);
		sigv4_uri_encode(f, token, false);
		fputc('&', f);
	}
	fputs("encoding-type=url&list-type=2&prefix=", f);
	sigv4_uri_encode(f, s->key_start, false);
	sigv4_uri_encode(f, prefix, false);
	if (fclose(f))
		return store_fail(-ENOMEM, "LIST %s: out of memory", s->base.url);
	q.query = query;
	r = s3_request_send(s, &q, &a, &attempts);
	if (r < 0)
		return r;
	r = s3_xml_parse_list(a.body ? a.body : "", a.length, ret);
	s3_http_answer_clear(&a);
	if (r < 0)
		return store_fail(r, "LIST %s/%s: the answer is no ListBucketResult", s->base.url, prefix);
	return 0;
}

static int list_page(struct s3_store *s, const char *prefix, const struct s3_list_page *page,
                     store_list_fn fn, void *arg)
{
	size_t skip = strlen(s->key_start);

	for (size_t i = 0; i < page->n; i++) {
		const struct s3_list_entry *e = &page->entries[i];
		struct store_object object = {.size = e->size, .mtime_s = e->mtime_s};
		int r;

		if (strncmp(e->key, s->key_start, skip) || strncmp(e->key + skip, prefix, strlen(prefix)))
			return store_fail(-EIO, "LIST %s/%s: the answer has keys that were not asked for",
			                  s->base.url, prefix);
		object.key = e->key + skip;
		/* Someone else's: folder marks of web consoles, keys that we never make. */
		if (!store_key_valid(object.key))
			continue;
		r = fn(&object, arg);
		if (r)
			return r;
	}
	return 0;
}

static int s3_list(struct store *s, const char *prefix, store_list_fn fn, void *arg)
{
	_cleanup_free_ char *token = NULL;
	int r;

	do {
		_cleanup_(s3_list_page_clear) struct s3_list_page page = {0};

		r = get_page(s3_store(s), prefix, token, &page);
		if (!r)
			r = list_page(s3_store(s), prefix, &page, fn, arg);
		if (!r && token && page.next_token && !strcmp(token, page.next_token))
			r = store_fail(-EIO, "LIST %s/%s: the listing goes round in circles", s->url, prefix);
		free(token);
		token = TAKE_PTR(page.next_token);
	} while (!r && token);
	return r;
}

/* ---- open ---- */

static void s3_close(struct store *base)
{
	struct s3_store *s = s3_store(base);

	s3_http_close(s->http);
	credentials_clear(&s->credentials);
	free(s->origin);
	free(s->host);
	free(s->path);
	free(s->key_start);
	free(s->region);
	free(s);
}

static const struct store_driver s3_driver = {
	.put = s3_put,
	.get = s3_get,
	.get_all = s3_get_all,
	.put_if = s3_put_if,
	.remove = s3_remove,
	.head = s3_head,
	.list = s3_list,
	.close = s3_close,
};

/** First that is not empty of @p given and two environment variables. */
static const char *first_set(const char *given, const char *first, const char *second)
{
	const char *value = given;

	if (!value || !*value)
		value = getenv(first);
	if (!value || !*value)
		value = getenv(second);
	return value && *value ? value : NULL;
}

static bool bucket_valid(const char *b, size_t n)
{
	if (n < 3 || n > 63 || !isalnum((unsigned char)b[0]) || !isalnum((unsigned char)b[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!islower((unsigned char)b[i]) && !isdigit((unsigned char)b[i]) && b[i] != '-' &&
		    b[i] != '.')
			return false;
	}
	return true;
}

static bool region_valid(const char *region)
{
	size_t n = strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return n && n < 64 && !region[n];
}

/** Take the bucket and the prefix out of "bucket[/prefix]". */
static int parse_name(const char *rest, char *ret_bucket, size_t size, struct s3_store *s, char **ret_why)
{
	size_t n = strcspn(rest, "/"), prefix_length;
	const char *prefix = rest + n + strspn(rest + n, "/");

	/* As in s3://KEY:SECRET@bucket, which some programs take: not to be printed. */
	if (strchr(rest, '@'))
		return store_open_fail(
			-EINVAL, ret_why,
			"s3://...@...: credentials do not belong into SOURCE, where everybody sees "
			"them: use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials");
	if (!bucket_valid(rest, n))
		return store_open_fail(-EINVAL, ret_why,
		                       "s3://%s: '%.*s' is no bucket name; use s3://bucket[/prefix]", rest,
		                       n < 80 ? (int)n : 80, rest);
	snprintf(ret_bucket, size, "%.*s", (int)n, rest);
	prefix_length = strlen(prefix);
	while (prefix_length && prefix[prefix_length - 1] == '/')
		prefix_length--;
	if (asprintf(&s->key_start, "%.*s%s", (int)prefix_length, prefix, prefix_length ? "/" : "") < 0) {
		s->key_start = NULL;
		return store_open_fail(-ENOMEM, ret_why, "out of memory");
	}
	s->key_start[prefix_length] = 0;
	if (prefix_length && (prefix_length > PREFIX_MAX || !store_key_valid(s->key_start)))
		return store_open_fail(
			-EINVAL, ret_why,
			"s3://%s: the prefix may have A-Z a-z 0-9 . _ - and single slashes, at most %d", rest,
			PREFIX_MAX);
	if (prefix_length)
		s->key_start[prefix_length] = '/';
	return 0;
}

static void free_url(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void free_curl(char **p)
{
	curl_free(*p);
}

/** Fill in origin, host and path from an endpoint given by the user. */
static int use_endpoint(struct s3_store *s, const char *endpoint, const char *bucket, char **ret_why)
{
	_cleanup_(free_url) CURLU *u = curl_url();
	_cleanup_(free_curl) char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *part = NULL;
	size_t n;

	if (!u)
		return store_open_fail(-ENOMEM, ret_why, "out of memory");
	if (curl_url_set(u, CURLUPART_URL, endpoint, 0) || curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
	    (strcmp(scheme, "http") && strcmp(scheme, "https")) ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) || curl_url_get(u, CURLUPART_PATH, &path, 0) ||
	    !curl_url_get(u, CURLUPART_USER, &part, 0) || !curl_url_get(u, CURLUPART_QUERY, &part, 0) ||
	    !curl_url_get(u, CURLUPART_FRAGMENT, &part, 0))
		return store_open_fail(-EINVAL, ret_why,
		                       "the S3 endpoint is not of the form http[s]://host[:port]");
	curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
	n = strlen(path);
	while (n && path[n - 1] == '/')
		path[--n] = 0;
	if (asprintf(&s->host, "%s%s%s", host, port ? ":" : "", port ? port : "") < 0)
		s->host = NULL;
	if (asprintf(&s->origin, "%s://%s", scheme, s->host ? s->host : "") < 0)
		s->origin = NULL;
	if (asprintf(&s->path, "%s/%s/", path, bucket) < 0)
		s->path = NULL;
	return 0;
}

static void use_aws(struct s3_store *s, const char *bucket)
{
	const char *china = strncmp(s->region, "cn-", 3) ? "" : ".cn";
	bool in_path = strchr(bucket, '.');

	if (asprintf(&s->host, "%s%ss3.%s.amazonaws.com%s", in_path ? "" : bucket, in_path ? "" : ".",
	             s->region, china) < 0)
		s->host = NULL;
	if (asprintf(&s->origin, "https://%s", s->host ? s->host : "") < 0)
		s->origin = NULL;
	if (asprintf(&s->path, "/%s%s", in_path ? bucket : "", in_path ? "/" : "") < 0)
		s->path = NULL;
}

static int set_up(struct s3_store *s, const char *rest, const struct store_options *options, char **ret_why)
{
	_cleanup_free_ char *file_region = NULL, *file_endpoint = NULL;
	const char *region, *endpoint;
	char bucket[64];
	int r;

	r = parse_name(rest, bucket, sizeof(bucket), s, ret_why);
	if (r < 0)
		return r;
	r = credentials_load(&s->credentials, ret_why);
	if (r < 0)
		return r;
	region = first_set(options->region, "AWS_REGION", "AWS_DEFAULT_REGION");
	if (!region) {
		file_region = credentials_setting("region");
		region = file_region;
	}
	if (!region)
		region = "us-east-1";
	if (!region_valid(region))
		return store_open_fail(-EINVAL, ret_why,
		                       "'%.80s' is no S3 region; an example is eu-central-1", region);
	s->region = strdup(region);
	if (!s->region)
		return store_open_fail(-ENOMEM, ret_why, "out of memory");
	endpoint = first_set(options->endpoint_url, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
	if (!endpoint) {
		file_endpoint = credentials_setting("endpoint_url");
		endpoint = file_endpoint;
	}
	if (endpoint)
		r = use_endpoint(s, endpoint, bucket, ret_why);
	else
		use_aws(s, bucket);
	if (r < 0)
		return r;
	s->retries = options->retries ? options->retries : RETRIES;
	if (!s->host || !s->origin || !s->path ||
	    s3_http_open(options->timeout_s ? options->timeout_s : TIMEOUT_S, &s->http) < 0)
		return store_open_fail(-ENOMEM, ret_why, "out of memory");
	return 0;
}

int s3_store_open(const char *rest, const struct store_options *options, struct store **ret, char **ret_why)
{
	struct s3_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return store_open_fail(-ENOMEM, ret_why, "out of memory");
	s->base.driver = &s3_driver;
	r = set_up(s, rest, options, ret_why);
	if (r < 0) {
		s3_close(&s->base);
		return r;
	}
	log_debug("s3://%s: endpoint %s, region %s", rest, s->origin, s->region);
	*ret = &s->base;
	return 0;
}
