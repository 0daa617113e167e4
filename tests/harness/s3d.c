/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/s3d.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "tests/harness/s3d_auth.h"
#include "tests/harness/s3d_fault.h"
#include "tests/harness/s3d_objects.h"
#include "tests/harness/s3d_uri.h"

#define BODY_MAX (256 << 20)
#define KEY_MAX 1024

struct s3d {
	struct s3d_options options;
	struct MHD_Daemon *http;
	pthread_mutex_t lock;
	/* Protected by lock: */
	char buckets[S3D_BUCKETS_MAX][64];
	size_t n_buckets;
	struct s3d_objects objects;
	struct s3d_faults faults;
	unsigned requests, refused, connections;
	unsigned long long sequence;
};

/** A request while it comes in. */
struct request {
	char *uri; /* as it came */
	char *body;
	size_t length, room;
	bool begun, too_long;
};

/** An answer before it becomes HTTP. */
struct answer {
	unsigned status;
	void *body; /* owned */
	size_t length;
	const char *content_type;
	char content_range[96], crc32c[9], etag[40], allow_region[64];
	bool head;
};

static void set_error(struct answer *a, unsigned status, const char *code, const char *message,
                      const char *region)
{
	char *xml;

	free(a->body);
	if (asprintf(&xml,
	             "<?xml version=\"1.0\" "
	             "encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>%s%s%s"
	             "<RequestId>TEST</RequestId></Error>",
	             code, message, region ? "<Region>" : "", region ? region : "",
	             region ? "</Region>" : "") < 0)
		abort();
	*a = (struct answer){.status = status, .body = xml, .length = strlen(xml), .head = a->head};
	a->content_type = "application/xml";
	if (region)
		snprintf(a->allow_region, sizeof(a->allow_region), "%s", region);
}

static const char *header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* ---- operations; all are called with the lock held ---- */

static bool bucket_exists(const struct s3d *d, const char *bucket)
{
	for (size_t i = 0; i < d->n_buckets; i++) {
		if (!strcmp(d->buckets[i], bucket))
			return true;
	}
	return false;
}

static void put_object(struct s3d *d, struct MHD_Connection *c, const char *name, struct request *q,
                       struct answer *a)
{
	const char *none_match = header(c, "If-None-Match"), *match = header(c, "If-Match"),
		   *crc = header(c, "x-amz-checksum-crc32c");
	struct s3d_object *o;

	if (!header(c, "Content-Length")) {
		set_error(a, 411, "MissingContentLength", "You must provide the Content-Length HTTP header.",
		          NULL);
		return;
	}
	if (header(c, "x-amz-copy-source") || (none_match && strcmp(none_match, "*")) ||
	    (none_match && match)) {
		set_error(a, 501, "NotImplemented", "A header you provided implies unknown functionality.",
		          NULL);
		return;
	}
	if (none_match && !d->options.old && s3d_objects_find(&d->objects, name)) {
		set_error(a, 412, "PreconditionFailed",
		          "At least one of the pre-conditions you specified did not hold", NULL);
		return;
	}
	if (match && !d->options.old) {
		char etag[sizeof(a->etag)];

		o = s3d_objects_find(&d->objects, name);
		if (!o) {
			set_error(a, 404, "NoSuchKey", "The specified key does not exist.", NULL);
			return;
		}
		snprintf(etag, sizeof(etag), "\"%s\"", o->etag);
		if (strcmp(match, etag)) {
			set_error(a, 412, "PreconditionFailed",
			          "At least one of the pre-conditions you specified did not hold", NULL);
			return;
		}
	}
	if (!q->body)
		q->body = calloc(1, 1);
	o = s3d_objects_put(&d->objects, name, TAKE_PTR(q->body), q->length);
	if (crc && !d->options.old)
		snprintf(o->crc32c, sizeof(o->crc32c), "%s", crc);
	strcpy(a->crc32c, o->crc32c);
	snprintf(a->etag, sizeof(a->etag), "\"%s\"", o->etag);
	a->status = 200;
}

/** "bytes=A-B" or "bytes=A-"; @return 0, or -1 if malformed. */
static int parse_range(const char *text, unsigned long long *first, unsigned long long *last)
{
	int end = 0;

	*last = ~0ull;
	if (sscanf(text, "bytes=%llu-%n", first, &end) != 1 || !end)
		return -1;
	if (!text[end])
		return 0;
	text += end;
	end = 0;
	return isdigit((unsigned char)*text) && sscanf(text, "%llu%n", last, &end) == 1 && !text[end] &&
	                       *first <= *last
	               ? 0
	               : -1;
}

static void get_object(struct s3d *d, struct MHD_Connection *c, const char *name,
                       const struct s3d_fault *fault, struct answer *a)
{
	const char *range = header(c, "Range"), *mode = header(c, "x-amz-checksum-mode");
	struct s3d_object *o = s3d_objects_find(&d->objects, name);
	unsigned long long first = 0, last = ~0ull;

	if (!o) {
		set_error(a, 404, "NoSuchKey", "The specified key does not exist.", NULL);
		return;
	}
	a->status = 200;
	if (range) {
		if (parse_range(range, &first, &last) < 0) {
			set_error(a, 400, "InvalidArgument", "Malformed Range", NULL);
			return;
		}
		if (first >= o->length) {
			set_error(a, 416, "InvalidRange", "The requested range is not satisfiable", NULL);
			return;
		}
		if (fault && fault->shift && first + 1 < o->length)
			first++, last += last < o->length;
		a->status = 206;
	} else if (mode && !strcmp(mode, "ENABLED")) {
		strcpy(a->crc32c, o->crc32c);
	}
	if (o->length && last >= o->length)
		last = o->length - 1;
	a->length = o->length ? last - first + 1 : 0;
	if (range)
		snprintf(a->content_range, sizeof(a->content_range), "bytes %llu-%llu/%zu", first, last,
		         o->length);
	snprintf(a->etag, sizeof(a->etag), "\"%s\"", o->etag);
	a->body = malloc(a->length + 1);
	memcpy(a->body, (char *)o->data + first, a->length);
	a->content_type = "binary/octet-stream";
}

static void write_xml(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '&' || *s == '<' || *s == '>')
			fprintf(f, "&#%d;", *s);
		else
			fputc(*s, f);
	}
}

/** The name behind which to go on: what the token hides. @return -1 if it is none of ours. */
static int read_token(const char *token, char *ret, size_t size)
{
	size_t n = strlen(token);

	if (n % 2 || n / 2 >= size || strspn(token, "0123456789abcdef") != n)
		return -1;
	for (size_t i = 0; i < n / 2; i++)
		sscanf(token + 2 * i, "%2hhx", (unsigned char *)&ret[i]);
	ret[n / 2] = 0;
	return 0;
}

static void list_objects(struct s3d *d, const char *bucket, const char *query, struct answer *a)
{
	_cleanup_free_ char *type = s3d_uri_parameter(query, "list-type"), *token = NULL, *prefix = NULL,
			    *wanted = NULL, *encoding = s3d_uri_parameter(query, "encoding-type"),
			    *delimiter = s3d_uri_parameter(query, "delimiter"), *start = NULL;
	char after[KEY_MAX + 80] = "";
	size_t skip = strlen(bucket) + 1, max = d->options.max_keys, n = 0, i, size;
	const char *last = NULL;
	char *xml;
	FILE *f;

	token = s3d_uri_parameter(query, "continuation-token");
	prefix = s3d_uri_parameter(query, "prefix");
	wanted = s3d_uri_parameter(query, "max-keys");
	if (!type || strcmp(type, "2") || delimiter || (encoding && strcmp(encoding, "url"))) {
		set_error(a, 501, "NotImplemented", "only ListObjectsV2 without a delimiter", NULL);
		return;
	}
	if (token && read_token(token, after, sizeof(after)) < 0) {
		set_error(a, 400, "InvalidArgument", "The continuation token provided is incorrect", NULL);
		return;
	}
	if (wanted && strtoul(wanted, NULL, 10) < max)
		max = strtoul(wanted, NULL, 10);
	if (asprintf(&start, "%s/%s", bucket, prefix ? prefix : "") < 0)
		abort();
	f = open_memstream(&xml, &size);
	fprintf(f,
	        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>%s</Name>",
	        bucket);
	i = s3d_objects_at_or_after(&d->objects, token ? after : start);
	if (token && i < d->objects.n && !strcmp(d->objects.v[i].name, after))
		i++;
	for (; n < max && i < d->objects.n && !strncmp(d->objects.v[i].name, start, strlen(start));
	     i++, n++) {
		const struct s3d_object *o = &d->objects.v[i];
		struct tm tm;
		char stamp[40];

		gmtime_r(&o->mtime, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		last = o->name;
		fputs("<Contents><Key>", f);
		if (encoding)
			s3d_uri_encode(f, o->name + skip, true);
		else
			write_xml(f, o->name + skip);
		fprintf(f,
		        "</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%zu</Size>"
		        "<StorageClass>STANDARD</StorageClass></Contents>\n",
		        stamp, o->etag, o->length);
	}
	fprintf(f, "<KeyCount>%zu</KeyCount><MaxKeys>%zu</MaxKeys>", n, max);
	if (encoding)
		fputs("<EncodingType>url</EncodingType>", f);
	if (n == max && last && i < d->objects.n && !strncmp(d->objects.v[i].name, start, strlen(start))) {
		fputs("<IsTruncated>true</IsTruncated><NextContinuationToken>", f);
		for (const char *p = last; *p; p++)
			fprintf(f, "%02x", (unsigned char)*p);
		fputs("</NextContinuationToken>", f);
	} else {
		fputs("<IsTruncated>false</IsTruncated>", f);
	}
	fputs("</ListBucketResult>", f);
	fclose(f);
	a->status = 200;
	a->body = xml;
	a->length = size;
	a->content_type = "application/xml";
}

static void do_bucket(struct s3d *d, const char *method, const char *bucket, const char *query,
                      struct answer *a)
{
	if (!strcmp(method, "PUT") && !*query) {
		if (bucket_exists(d, bucket)) {
			set_error(a, 409, "BucketAlreadyOwnedByYou", "The bucket is yours already.", NULL);
		} else if (d->n_buckets == S3D_BUCKETS_MAX || strlen(bucket) >= sizeof(d->buckets[0])) {
			set_error(a, 400, "TooManyBuckets", "No more room.", NULL);
		} else {
			strcpy(d->buckets[d->n_buckets++], bucket);
			a->status = 200;
		}
	} else if (!bucket_exists(d, bucket)) {
		set_error(a, 404, "NoSuchBucket", "The specified bucket does not exist", NULL);
	} else if (!strcmp(method, "HEAD")) {
		a->status = 200;
	} else if (!strcmp(method, "GET")) {
		list_objects(d, bucket, query, a);
	} else {
		set_error(a, 501, "NotImplemented", "not known to this server", NULL);
	}
}

static void do_object(struct s3d *d, struct MHD_Connection *c, const char *method, const char *name,
                      struct request *q, const struct s3d_fault *fault, struct answer *a)
{
	if (!strcmp(method, "PUT")) {
		put_object(d, c, name, q, a);
	} else if (!strcmp(method, "GET") || !strcmp(method, "HEAD")) {
		get_object(d, c, name, fault, a);
	} else if (!strcmp(method, "DELETE")) {
		s3d_objects_delete(&d->objects, name);
		a->status = 204;
	} else {
		set_error(a, 405, "MethodNotAllowed", "not known to this server", NULL);
	}
}

/* ---- HTTP ---- */

/** A body with something wrong on the way. */
struct bad_body {
	char *data;
	size_t length;
	unsigned stall_ms;
	bool cut;
};

static void sleep_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&t, NULL);
}

static ssize_t read_bad_body(void *arg, uint64_t at, char *buffer, size_t max)
{
	struct bad_body *b = arg;
	size_t half = b->length / 2, n;

	if (at >= half && b->stall_ms) {
		sleep_ms(b->stall_ms);
		b->stall_ms = 0;
	}
	if (at >= half && b->cut)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = (at < half ? half : b->length) - at;
	if (n > max)
		n = max;
	memcpy(buffer, b->data + at, n);
	return n;
}

static void free_bad_body(void *arg)
{
	free(((struct bad_body *)arg)->data);
	free(arg);
}

static struct MHD_Response *make_response(struct answer *a, const struct s3d_fault *fault)
{
	struct bad_body *b;

	if (fault && fault->corrupt && a->length)
		((char *)a->body)[a->length / 2] ^= 1;
	if (!fault || (!fault->cut && !fault->stall_ms) || !a->length)
		return MHD_create_response_from_buffer(a->length, TAKE_PTR(a->body), MHD_RESPMEM_MUST_FREE);
	b = malloc(sizeof(*b));
	*b = (struct bad_body){.length = a->length, .stall_ms = fault->stall_ms, .cut = fault->cut};
	b->data = TAKE_PTR(a->body);
	return MHD_create_response_from_callback(b->length, 65536, read_bad_body, b, free_bad_body);
}

static enum MHD_Result reply(struct s3d *d, struct MHD_Connection *c, struct answer *a,
                             const struct s3d_fault *fault)
{
	struct MHD_Response *r = make_response(a, fault);
	enum MHD_Result result;
	char text[32];

	if (a->content_type)
		MHD_add_response_header(r, "Content-Type", a->content_type);
	if (*a->content_range)
		MHD_add_response_header(r, "Content-Range", a->content_range);
	if (*a->crc32c)
		MHD_add_response_header(r, "x-amz-checksum-crc32c", a->crc32c);
	if (*a->etag)
		MHD_add_response_header(r, "ETag", a->etag);
	if (*a->allow_region)
		MHD_add_response_header(r, "x-amz-bucket-region", a->allow_region);
	if (fault && fault->retry_after) {
		snprintf(text, sizeof(text), "%u", fault->retry_after);
		MHD_add_response_header(r, "Retry-After", text);
	}
	pthread_mutex_lock(&d->lock);
	snprintf(text, sizeof(text), "%016llX", ++d->sequence);
	pthread_mutex_unlock(&d->lock);
	MHD_add_response_header(r, "x-amz-request-id", text);
	result = MHD_queue_response(c, a->status, r);
	MHD_destroy_response(r);
	return result;
}

static void control(struct s3d *d, const char *method, const char *path, const struct request *q,
                    struct answer *a)
{
	_cleanup_free_ char *text = strndup(q->body ? q->body : "", q->length);
	struct s3d_faults faults;
	char *json;

	a->status = 404;
	if (!strcmp(path, "/-/stats") && !strcmp(method, "GET")) {
		SCOPED_LOCK(&d->lock);
		if (asprintf(&json,
		             "{\"requests\": %u, \"refused\": %u, \"connections\": %u, \"objects\": %zu}\n",
		             d->requests, d->refused, d->connections, d->objects.n) < 0)
			abort();
		a->status = 200;
		a->body = json;
		a->length = strlen(json);
		a->content_type = "application/json";
	} else if (!strcmp(path, "/-/faults") && !strcmp(method, "POST")) {
		a->status = 400;
		if (text && s3d_faults_parse(text, &faults)) {
			SCOPED_LOCK(&d->lock);
			d->faults = faults;
			a->status = 204;
		}
	}
}

static const char *operation(const char *method, bool of_object)
{
	if (!strcmp(method, "GET"))
		return of_object ? "get" : "list";
	return !strcmp(method, "PUT") ? "put" : !strcmp(method, "HEAD") ? "head" : "delete";
}

/** All that comes between the whole request and its answer; false: close the connection. */
static bool serve(struct s3d *d, struct MHD_Connection *c, const char *method, struct request *q,
                  struct answer *a, struct s3d_fault *fault, bool *faulty)
{
	_cleanup_free_ char *path = NULL, *name = NULL;
	size_t n = strcspn(q->uri, "?");
	struct s3d_incoming in = {.connection = c, .method = method, .body = q->body, .length = q->length};
	struct s3d_refusal refusal;
	const char *key;

	path = strndup(q->uri, n);
	in.path = path;
	in.query = q->uri + n + (q->uri[n] == '?');
	if (!strncmp(path, "/-/", 3)) {
		control(d, method, path, q, a);
		return true;
	}
	name = s3d_uri_decode(path + 1, n - 1);
	key = name ? strchr(name, '/') : NULL;
	key = key && key[1] ? key + 1 : NULL;
	{
		SCOPED_LOCK(&d->lock);
		d->requests++;
		*faulty = name && s3d_faults_next(&d->faults, operation(method, key), key ? key : "", fault);
	}
	if (*faulty && fault->delay_ms)
		sleep_ms(fault->delay_ms);
	if (*faulty && !fault->late && fault->drop)
		return false;
	if (*faulty && !fault->late && fault->status) {
		set_error(a, fault->status, *fault->code ? fault->code : "InjectedFault",
		          "as the test wants it", NULL);
		return true;
	}
	if (!name || !*name || q->too_long || (key && strlen(key) > KEY_MAX)) {
		set_error(a, 400, "InvalidURI", "Couldn't parse the specified URI, or too much of it.", NULL);
		return true;
	}
	refusal = s3d_auth_check(&d->options, &in);
	SCOPED_LOCK(&d->lock);
	if (refusal.status) {
		d->refused++;
		set_error(a, refusal.status, refusal.code, refusal.message,
		          !strcmp(refusal.code, "AuthorizationHeaderMalformed") ? d->options.region : NULL);
		return true;
	}
	if (key) {
		char bucket[64];

		snprintf(bucket, sizeof(bucket), "%.*s", (int)(key - 1 - name), name);
		if (!bucket_exists(d, bucket))
			set_error(a, 404, "NoSuchBucket", "The specified bucket does not exist", NULL);
		else
			do_object(d, c, method, name, q, *faulty ? fault : NULL, a);
	} else {
		name[strcspn(name, "/")] = 0;
		do_bucket(d, method, name, in.query, a);
	}
	if (*faulty && fault->late && fault->drop)
		return false;
	if (*faulty && fault->late && fault->status)
		set_error(a, fault->status, *fault->code ? fault->code : "InjectedFault",
		          "as the test wants it", NULL);
	if (*faulty && fault->garbage) {
		free(a->body);
		a->body = strdup("<html><body>It works!<br></body></html>");
		a->length = strlen(a->body);
		a->crc32c[0] = 0;
	}
	return true;
}

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *c)
{
	struct request *q = calloc(1, sizeof(*q));

	(void)arg;
	(void)c;
	q->uri = strdup(uri);
	return q;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
	struct request *q = *state;

	(void)arg;
	(void)c;
	(void)why;
	if (!q)
		return;
	free(q->uri);
	free(q->body);
	free(q);
	*state = NULL;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
	struct s3d *d = arg;

	(void)c;
	(void)state;
	if (code != MHD_CONNECTION_NOTIFY_STARTED)
		return;
	SCOPED_LOCK(&d->lock);
	d->connections++;
}

static void take_body(struct request *q, const char *data, size_t n)
{
	if (q->length + n > BODY_MAX) {
		q->too_long = true;
		return;
	}
	if (q->length + n > q->room) {
		q->room = (q->length + n) * 2;
		q->body = realloc(q->body, q->room);
		if (!q->body)
			abort();
	}
	memcpy(q->body + q->length, data, n);
	q->length += n;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *length, void **state)
{
	struct request *q = *state;
	struct s3d_fault fault = {0};
	bool faulty = false, answered;
	struct answer a = {.head = !strcmp(method, "HEAD")};
	enum MHD_Result result = MHD_NO;

	(void)url;
	(void)version;
	if (!q->begun) {
		q->begun = true;
		return MHD_YES;
	}
	if (*length) {
		take_body(q, data, *length);
		*length = 0;
		return MHD_YES;
	}
	answered = serve(arg, c, method, q, &a, &fault, &faulty);
	if (answered)
		result = reply(arg, c, &a, faulty ? &fault : NULL);
	free(a.body);
	return result;
}

static char *read_whole(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char *text = calloc(1, 65536);

	if (!f || !fread(text, 1, 65535, f)) {
		fprintf(stderr, "s3d: %s: %s\n", path, strerror(errno));
		free(text);
		return NULL;
	}
	return text;
}

struct s3d *s3d_start(const struct s3d_options *options)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options->port)};
	_cleanup_free_ char *cert = NULL, *key = NULL;
	struct MHD_OptionItem tls[3] = {{MHD_OPTION_END, 0, NULL}};
	unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
	struct s3d *d = calloc(1, sizeof(*d));

	d->options = *options;
	if (!d->options.max_keys || d->options.max_keys > 1000)
		d->options.max_keys = 1000;
	pthread_mutex_init(&d->lock, NULL);
	if (options->faults && !s3d_faults_parse(options->faults, &d->faults)) {
		fprintf(stderr, "s3d: malformed faults '%s'\n", options->faults);
		goto fail;
	}
	for (size_t i = 0; options->buckets[i]; i++)
		snprintf(d->buckets[d->n_buckets++], sizeof(d->buckets[0]), "%s", options->buckets[i]);
	if (options->tls_cert) {
		cert = read_whole(options->tls_cert);
		key = read_whole(options->tls_key);
		if (!cert || !key)
			goto fail;
		flags |= MHD_USE_TLS;
		tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, cert};
		tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key};
		tls[2] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	}
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	d->http = MHD_start_daemon(flags, 0, NULL, NULL, on_request, d, MHD_OPTION_SOCK_ADDR, &address,
	                           MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_NOTIFY_COMPLETED,
	                           on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, d,
	                           MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)262144, MHD_OPTION_ARRAY, tls,
	                           MHD_OPTION_END);
	if (d->http)
		return d;
	fprintf(stderr, "s3d: cannot listen on 127.0.0.1:%u: %s\n", options->port, strerror(errno));
fail:
	pthread_mutex_destroy(&d->lock);
	free(d);
	return NULL;
}

unsigned s3d_port(const struct s3d *d)
{
	return MHD_get_daemon_info(d->http, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void s3d_stop(struct s3d *d)
{
	MHD_stop_daemon(d->http);
	s3d_objects_clear(&d->objects);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
