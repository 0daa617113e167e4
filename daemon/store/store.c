/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/store.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/store/driver.h"
#include "daemon/store/fault.h"

static const struct {
	const char *scheme;
	store_open_fn open;
} drivers[] = {
	{"file://", file_store_open},
	{"s3://", s3_store_open},
};

static __thread char last_error[1024];

const char *store_last_error(void)
{
	return last_error;
}

int store_fail(int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
	return r;
}

int store_open_fail(int r, char **ret_why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
	if (ret_why)
		*ret_why = strdup(last_error);
	return r;
}

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

void store_count_request(struct store *s, enum store_kind kind)
{
	count(&s->stats->requests[kind], 1);
}

void store_count_retry(struct store *s)
{
	count(&s->stats->retries, 1);
}

/** What a call ends with: @p r, after counting it. */
static int done(struct store *s, enum store_kind kind, int r, uint64_t bytes)
{
	if (r < 0)
		count(&s->stats->errors[kind], 1);
	else
		count(&s->stats->bytes[kind], bytes);
	return r;
}

static bool key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '-';
}

/** The length of the valid component that @p p starts with, or 0. */
static size_t component_length(const char *p)
{
	size_t n = 0;

	while (key_char(p[n]))
		n++;
	if (n > STORE_COMPONENT_MAX || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
		return 0;
	return n;
}

bool store_component_valid(const char *name)
{
	size_t n = component_length(name);

	return n && !name[n];
}

bool store_key_valid(const char *key)
{
	if (!key || strnlen(key, STORE_KEY_MAX + 1) > STORE_KEY_MAX)
		return false;
	for (;;) {
		size_t n = component_length(key);

		if (!n)
			return false;
		if (!key[n])
			return true;
		if (key[n] != '/')
			return false;
		key += n + 1;
	}
}

/** A prefix is what a valid key may begin with, so all its components but the last are whole. */
static bool prefix_valid(const char *prefix)
{
	char probe[STORE_KEY_MAX + 2];
	int n;

	if (!prefix)
		return false;
	n = snprintf(probe, sizeof(probe), "%sa", prefix);
	return n > 0 && n < (int)sizeof(probe) && store_key_valid(probe);
}

static int check_key(const struct store *s, const char *verb, const char *key)
{
	if (store_key_valid(key))
		return 0;
	return store_fail(-EINVAL, "%s %s: '%s' is not a valid key", verb, s->url, key ? key : "(null)");
}

/** Hand out @p s, below a fault driver if the environment asks for one. */
static int stack_faults(struct store *s, struct store **ret, char **ret_why)
{
	const char *faults = getenv("CURVEFS_STORE_FAULTS");
	int r = 0;

	if (faults && *faults)
		r = fault_store_open(faults, s, &s, ret_why);
	if (r < 0)
		store_close(s);
	else
		*ret = s;
	return r;
}

int store_open(const char *url, const struct store_options *options, struct store **ret, char **ret_why)
{
	static const struct store_options defaults;
	struct store *s = NULL;
	char *name;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		size_t n = strlen(drivers[i].scheme);

		if (strncmp(url, drivers[i].scheme, n))
			continue;
		name = strdup(url);
		if (!name)
			return store_open_fail(-ENOMEM, ret_why, "out of memory");
		r = drivers[i].open(url + n, options ? options : &defaults, &s, ret_why);
		if (r < 0) {
			free(name);
			return r;
		}
		for (n = strlen(name); n && name[n - 1] == '/' && name[n - 2] != '/'; n--)
			name[n - 1] = 0;
		s->url = name;
		s->stats = &s->own;
		return stack_faults(s, ret, ret_why);
	}
	return store_open_fail(-EINVAL, ret_why,
	                       "'%s' is not a store: use file:///directory or s3://bucket[/prefix]",
	                       strchr(url, '@') ? "...@..." : url); /* maybe a password */
}

void store_close(struct store *s)
{
	char *url;

	if (!s)
		return;
	url = s->url;
	s->driver->close(s);
	free(url);
}

const char *store_url(const struct store *s)
{
	return s->url;
}

static int put(struct store *s, const char *key, const void *data, size_t length, enum store_put how)
{
	int r = check_key(s, "PUT", key);

	if (r < 0)
		return r;
	if (length > SSIZE_MAX)
		return store_fail(-EINVAL, "PUT %s/%s: length out of range", s->url, key);
	r = s->driver->put(s, key, length ? data : "", length, how);
	/* Finding a key taken is the answer that was asked for, not a failure of the store. */
	if (r == -EEXIST)
		return r;
	return done(s, STORE_PUT, r, length);
}

int store_put(struct store *s, const char *key, const void *data, size_t length)
{
	return put(s, key, data, length, STORE_REPLACE);
}

int store_put_new(struct store *s, const char *key, const void *data, size_t length)
{
	return put(s, key, data, length, STORE_ONLY_NEW);
}

int store_put_once(struct store *s, const char *key, const void *data, size_t length)
{
	return put(s, key, data, length, STORE_ONCE);
}

int store_get_parts(struct store *s, const char *key, uint64_t offset, const struct iovec *parts,
                    size_t count)
{
	int r = check_key(s, "GET", key);
	size_t length = 0;

	if (r < 0)
		return r;
	if (offset > INT64_MAX)
		return store_fail(-EINVAL, "GET %s/%s: range out of range", s->url, key);
	for (size_t i = 0; i < count; i++) {
		if (parts[i].iov_len > INT64_MAX - offset - length)
			return store_fail(-EINVAL, "GET %s/%s: range out of range", s->url, key);
		length += parts[i].iov_len;
	}
	return done(s, STORE_GET, s->driver->get(s, key, offset, parts, count, length), length);
}

int store_get(struct store *s, const char *key, uint64_t offset, size_t length, void *buffer)
{
	const struct iovec part = {.iov_base = buffer, .iov_len = length};

	return store_get_parts(s, key, offset, &part, 1);
}

static int get_all(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length,
                   char *ret_tag)
{
	void *data = NULL;
	size_t length = 0;
	int r = check_key(s, "GET", key);

	if (r < 0)
		return r;
	r = s->driver->get_all(s, key, max, &data, &length, ret_tag);
	done(s, STORE_GET, r, length);
	if (r < 0)
		return r;
	*ret_data = data;
	*ret_length = length;
	return 0;
}

int store_get_all(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length)
{
	return get_all(s, key, max, ret_data, ret_length, NULL);
}

int store_get_tagged(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length,
                     char ret_tag[STORE_TAG_MAX])
{
	char tag[STORE_TAG_MAX];
	int r = get_all(s, key, max, ret_data, ret_length, tag);

	if (!r)
		memcpy(ret_tag, tag, STORE_TAG_MAX);
	return r;
}

int store_put_if(struct store *s, const char *key, const void *data, size_t length, const char *tag,
                 char ret_tag[STORE_TAG_MAX])
{
	char new_tag[STORE_TAG_MAX];
	int r = check_key(s, "PUT", key);

	if (r < 0)
		return r;
	if (length > SSIZE_MAX)
		return store_fail(-EINVAL, "PUT %s/%s: length out of range", s->url, key);
	r = s->driver->put_if(s, key, length ? data : "", length, tag, new_tag);
	/* As for store_put_new(). */
	if (r == -EEXIST || r == -ESTALE)
		return r;
	if (!r)
		memcpy(ret_tag, new_tag, STORE_TAG_MAX);
	return done(s, STORE_PUT, r, length);
}

int store_delete(struct store *s, const char *key)
{
	int r = check_key(s, "DELETE", key);

	if (r < 0)
		return r;
	return done(s, STORE_DELETE, s->driver->remove(s, key), 0);
}

int store_head(struct store *s, const char *key, uint64_t *ret_size)
{
	int r = check_key(s, "HEAD", key);

	if (r < 0)
		return r;
	r = s->driver->head(s, key, ret_size);
	/* As above: asking whether a key is there is not a failure of the store. */
	if (r == -ENOENT)
		return r;
	return done(s, STORE_HEAD, r, 0);
}

/** Tells the caller's own end of a listing from a failing store. */
struct list_guard {
	store_list_fn fn;
	void *arg;
	bool ended;
};

static int list_guarded(const struct store_object *object, void *arg)
{
	struct list_guard *g = arg;
	int r = g->fn(object, g->arg);

	g->ended = r != 0;
	return r;
}

int store_list(struct store *s, const char *prefix, store_list_fn fn, void *arg)
{
	struct list_guard g = {.fn = fn, .arg = arg};
	int r;

	if (!prefix_valid(prefix))
		return store_fail(-EINVAL, "LIST %s: '%s' is not a valid prefix", s->url,
		                  prefix ? prefix : "(null)");
	r = s->driver->list(s, prefix, list_guarded, &g);
	return g.ended ? r : done(s, STORE_LIST, r, 0);
}

void store_get_stats(struct store *s, struct store_stats *ret)
{
	const uint64_t *from = (const uint64_t *)s->stats;
	uint64_t *to = (uint64_t *)ret;

	_Static_assert(sizeof(*ret) % sizeof(*to) == 0, "struct store_stats holds counters only");
	for (size_t i = 0; i < sizeof(*ret) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
