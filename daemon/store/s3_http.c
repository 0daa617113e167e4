/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each exchange takes an easy handle from a stack, so that the one used last, whose
 * connection is the most likely to be open still, is used next; name look-ups and TLS
 * sessions are shared between all of them.
 */
#include "daemon/store/s3_http.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

#define IDLE_MAX 64
#define ERROR_BODY_MAX 65536
/* Bytes per second below which an exchange counts as standing still. */
#define SLOW_BYTES_PER_S 1024
#define BUFFER_BYTES (256 * 1024)

struct s3_http {
	CURLSH *share;
	pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
	unsigned timeout_s;
	pthread_mutex_t lock;
	CURL *idle[IDLE_MAX]; /* protected by lock */
	size_t n_idle;        /* protected by lock */
};

/** One exchange under way. */
struct exchange {
	CURL *curl;
	const struct s3_http_request *request;
	struct s3_http_answer *answer;
	size_t room; /* allocated of answer->body */
	bool too_long, no_memory;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void init_curl(void)
{
	curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void lock_share(CURL *curl, curl_lock_data data, curl_lock_access access, void *arg)
{
	(void)curl;
	(void)access;
	pthread_mutex_lock(&((struct s3_http *)arg)->share_locks[data]);
}

static void unlock_share(CURL *curl, curl_lock_data data, void *arg)
{
	(void)curl;
	pthread_mutex_unlock(&((struct s3_http *)arg)->share_locks[data]);
}

int s3_http_open(unsigned timeout_s, struct s3_http **ret)
{
	struct s3_http *h;

	pthread_once(&curl_once, init_curl);
	if (curl_ready != CURLE_OK)
		return -ENOMEM;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->share = curl_share_init();
	if (!h->share) {
		free(h);
		return -ENOMEM;
	}
	for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_init(&h->share_locks[i], NULL);
	pthread_mutex_init(&h->lock, NULL);
	h->timeout_s = timeout_s;
	curl_share_setopt(h->share, CURLSHOPT_LOCKFUNC, lock_share);
	curl_share_setopt(h->share, CURLSHOPT_UNLOCKFUNC, unlock_share);
	curl_share_setopt(h->share, CURLSHOPT_USERDATA, h);
	curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	*ret = h;
	return 0;
}

void s3_http_close(struct s3_http *h)
{
	if (!h)
		return;
	while (h->n_idle)
		curl_easy_cleanup(h->idle[--h->n_idle]);
	curl_share_cleanup(h->share);
	for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_destroy(&h->share_locks[i]);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static CURL *take_handle(struct s3_http *h)
{
	SCOPED_LOCK(&h->lock);
	return h->n_idle ? h->idle[--h->n_idle] : curl_easy_init();
}

static void give_back(struct s3_http *h, CURL *curl)
{
	/* Keeps the connections, forgets all settings: they point into the request that is over. */
	curl_easy_reset(curl);
	{
		SCOPED_LOCK(&h->lock);
		if (h->n_idle < IDLE_MAX) {
			h->idle[h->n_idle++] = curl;
			return;
		}
	}
	curl_easy_cleanup(curl);
}

/** Copy the value of header @p name from @p line, if it is that one and fits. */
static void keep_header(const char *line, size_t length, const char *name, char *to, size_t size)
{
	size_t n = strlen(name);

	if (length <= n || line[n] != ':' || strncasecmp(line, name, n))
		return;
	line += n + 1;
	length -= n + 1;
	while (length && (*line == ' ' || *line == '\t'))
		line++, length--;
	while (length && strchr(" \t\r\n", line[length - 1]))
		length--;
	if (length >= size || memchr(line, 0, length))
		return;
	memcpy(to, line, length);
	to[length] = 0;
}

static size_t on_header(char *line, size_t one, size_t length, void *arg)
{
	struct s3_http_answer *a = ((struct exchange *)arg)->answer;

	(void)one;
	/* A status line: what came before it (100 Continue) was another answer. */
	if (length >= 5 && !strncmp(line, "HTTP/", 5))
		a->content_range[0] = a->checksum_crc32c[0] = a->bucket_region[0] = a->request_id[0] =
			a->etag[0] = 0;
	keep_header(line, length, "content-range", a->content_range, sizeof(a->content_range));
	keep_header(line, length, "x-amz-checksum-crc32c", a->checksum_crc32c, sizeof(a->checksum_crc32c));
	keep_header(line, length, "x-amz-bucket-region", a->bucket_region, sizeof(a->bucket_region));
	keep_header(line, length, "etag", a->etag, sizeof(a->etag));
	keep_header(line, length, "x-amz-request-id", a->request_id, sizeof(a->request_id));
	return length;
}

static bool success(long status)
{
	return status >= 200 && status < 300;
}

/** Make room for @p length bytes and a NUL, at most @p max. */
static bool grow(struct exchange *x, size_t length, size_t max)
{
	size_t room = x->room ? x->room : 4096;
	char *p;

	if (length < x->room)
		return true;
	while (room <= length)
		room *= 2;
	if (room > max + 1)
		room = max + 1;
	p = realloc(x->answer->body, room);
	if (!p)
		return false;
	x->answer->body = p;
	x->room = room;
	return true;
}

/** Put these bytes where those from @p at on go. */
static void scatter(const struct s3_http_request *r, size_t at, const char *data, size_t length)
{
	for (size_t i = 0; length && i < r->into_count; i++) {
		const struct iovec *part = &r->into[i];
		size_t n;

		if (at >= part->iov_len) {
			at -= part->iov_len;
			continue;
		}
		n = part->iov_len - at < length ? part->iov_len - at : length;
		memcpy((char *)part->iov_base + at, data, n);
		at = 0;
		data += n;
		length -= n;
	}
}

static size_t on_body(char *data, size_t one, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct s3_http_answer *a = x->answer;
	size_t keep = n, max = x->request->max;
	long status = 0;

	(void)one;
	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (!success(status))
		max = ERROR_BODY_MAX;
	if (keep > max - a->length) {
		if (success(status)) {
			x->too_long = true;
			return 0;
		}
		keep = max - a->length; /* enough of an error to know which */
	}
	if (success(status) && x->request->into) {
		scatter(x->request, a->length, data, keep);
	} else {
		if (!grow(x, a->length + keep, max)) {
			x->no_memory = true;
			return 0;
		}
		memcpy(a->body + a->length, data, keep);
		a->body[a->length + keep] = 0;
	}
	a->length += keep;
	return n;
}

static void set_options(struct s3_http *h, struct exchange *x, char error[CURL_ERROR_SIZE])
{
	const struct s3_http_request *r = x->request;
	const char *ca = getenv("AWS_CA_BUNDLE");
	CURL *c = x->curl;

	/* For servers whose certificate a private authority has signed; verification itself is always on. */
	if (ca && *ca)
		curl_easy_setopt(c, CURLOPT_CAINFO, ca);
	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(c, CURLOPT_SHARE, h->share);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)h->timeout_s);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_PER_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)h->timeout_s);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, (long)r->fresh);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	if (!strcmp(r->method, "HEAD")) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (!strcmp(r->method, "PUT")) {
		/* A POST in the eyes of libcurl: that sends from memory, again if it must. */
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body_length ? r->body : "");
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_length);
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	} else if (strcmp(r->method, "GET")) {
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	}
}

/** curl_easy_perform(), without the SIGPIPE that a TLS connection may raise when its peer is gone. */
static CURLcode perform(CURL *curl)
{
	const struct timespec at_once = {0};
	sigset_t pipe, pending, old;
	bool was_pending;
	CURLcode code;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	code = curl_easy_perform(curl);
	while (!was_pending && sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return code;
}

/** What a failed exchange means; sets `again`. */
static int classify(const struct exchange *x, CURLcode code)
{
	if (x->too_long)
		return -EFBIG;
	if (x->no_memory)
		return -ENOMEM;
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		x->answer->again = true;
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_WEIRD_SERVER_REPLY:
		x->answer->again = true;
		return -EIO;
	case CURLE_PEER_FAILED_VERIFICATION:
		return -EACCES;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

int s3_http_exchange(struct s3_http *h, const struct s3_http_request *request, struct s3_http_answer *ret)
{
	struct exchange x = {.curl = take_handle(h), .request = request, .answer = ret};
	char error[CURL_ERROR_SIZE] = "";
	curl_off_t retry_after = 0, content_length = -1;
	CURLcode code;
	int r = 0;

	*ret = (struct s3_http_answer){0};
	if (!x.curl) {
		strcpy(ret->message, "out of memory");
		return -ENOMEM;
	}
	set_options(h, &x, error);
	code = perform(x.curl);
	curl_easy_getinfo(x.curl, CURLINFO_RESPONSE_CODE, &ret->status);
	curl_easy_getinfo(x.curl, CURLINFO_RETRY_AFTER, &retry_after);
	curl_easy_getinfo(x.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &content_length);
	ret->content_length = content_length;
	if (retry_after > 0)
		ret->retry_after_s = retry_after < 3600 ? retry_after : 3600;
	if (code != CURLE_OK) {
		r = classify(&x, code);
		snprintf(ret->message, sizeof(ret->message), "%s",
		         x.too_long ? "the answer is longer than expected"
		         : *error   ? error
		                    : curl_easy_strerror(code));
	}
	give_back(h, x.curl);
	return r;
}

void s3_http_answer_clear(struct s3_http_answer *answer)
{
	free(answer->body);
	*answer = (struct s3_http_answer){0};
}
