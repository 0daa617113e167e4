/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "daemon/store/driver.h"

#define RULES_MAX 32
#define KEY_PART_MAX 64
#define NUMBER_MAX 3600000
#define ANY_KIND STORE_KINDS

struct rule {
	unsigned kind; /* enum store_kind or ANY_KIND */
	int error;     /* 0: none */
	unsigned delay_ms, after, every, times;
	bool corrupt, kill, late;
	char key[KEY_PART_MAX];
	uint64_t seen, hit; /* calls that matched, and those it was applied to; protected by lock */
};

struct fault_store {
	struct store base;
	struct store *below;
	pthread_mutex_t lock;
	size_t n;
	struct rule rules[RULES_MAX];
};

/** What the rules say about one call. */
struct fate {
	unsigned delay_ms;
	int error, late_error;
	bool corrupt, kill, late_kill;
};

static const char *const kind_names[] = {
	[STORE_GET] = "get",   [STORE_PUT] = "put",   [STORE_DELETE] = "delete",
	[STORE_LIST] = "list", [STORE_HEAD] = "head", [ANY_KIND] = "any",
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{"EIO", EIO},     {"EACCES", EACCES},       {"ENOENT", ENOENT},   {"ENOSPC", ENOSPC},
	{"EROFS", EROFS}, {"ETIMEDOUT", ETIMEDOUT}, {"EBADMSG", EBADMSG}, {"ENOMEM", ENOMEM},
};

static struct fault_store *fault_store(struct store *s)
{
	return (struct fault_store *)s;
}

/* ---- the calls ---- */

static struct fate decide(struct store *s, enum store_kind kind, const char *key)
{
	struct fault_store *f = fault_store(s);
	struct fate fate = {0};

	SCOPED_LOCK(&f->lock);
	for (struct rule *r = f->rules; r < f->rules + f->n; r++) {
		if ((r->kind != kind && r->kind != ANY_KIND) || !strstr(key, r->key))
			continue;
		if (++r->seen <= r->after || (r->seen - r->after) % r->every ||
		    (r->times && r->hit == r->times))
			continue;
		r->hit++;
		fate.delay_ms += r->delay_ms;
		fate.corrupt |= r->corrupt;
		if (r->error && !r->late)
			fate.error = r->error;
		if (r->error && r->late)
			fate.late_error = r->error;
		fate.kill |= r->kill && !r->late;
		fate.late_kill |= r->kill && r->late;
	}
	return fate;
}

static int injected(struct store *s, enum store_kind kind, const char *key, int error)
{
	return store_fail(-error, "%s %s/%s: injected fault: %s", kind_names[kind], s->url, key,
	                  strerror(error));
}

/** What comes before the call. @return 0 to carry it out, or the error that it ends with. */
static int before(struct store *s, enum store_kind kind, const char *key, struct fate *ret_fate)
{
	struct fate fate = decide(s, kind, key);
	struct timespec t = {.tv_sec = fate.delay_ms / 1000, .tv_nsec = fate.delay_ms % 1000 * 1000000L};

	while (fate.delay_ms && nanosleep(&t, &t) < 0 && errno == EINTR)
		;
	if (fate.kill)
		raise(SIGKILL);
	*ret_fate = fate;
	return fate.error ? injected(s, kind, key, fate.error) : 0;
}

/** What comes after the call, which ended with @p r. */
static int after(struct store *s, enum store_kind kind, const char *key, const struct fate *fate, int r)
{
	if (fate->late_kill)
		raise(SIGKILL);
	return fate->late_error ? injected(s, kind, key, fate->late_error) : r;
}

static void corrupt(const struct fate *fate, void *data, size_t length)
{
	if (fate->corrupt && length)
		((unsigned char *)data)[length / 2] ^= 0x10;
}

static int fault_put(struct store *s, const char *key, const void *data, size_t length, enum store_put how)
{
	struct store *below = fault_store(s)->below;
	struct fate fate;
	int r = before(s, STORE_PUT, key, &fate);

	if (r < 0)
		return r;
	return after(s, STORE_PUT, key, &fate, below->driver->put(below, key, data, length, how));
}

static void corrupt_parts(const struct fate *fate, const struct iovec *parts, size_t length)
{
	size_t at = length / 2;

	if (!fate->corrupt || !length)
		return;
	for (; at >= parts->iov_len; parts++)
		at -= parts->iov_len;
	((unsigned char *)parts->iov_base)[at] ^= 0x10;
}

static int fault_get(struct store *s, const char *key, uint64_t offset, const struct iovec *parts,
                     size_t count, size_t length)
{
	struct store *below = fault_store(s)->below;
	struct fate fate;
	int r = before(s, STORE_GET, key, &fate);

	if (r < 0)
		return r;
	r = below->driver->get(below, key, offset, parts, count, length);
	if (!r)
		corrupt_parts(&fate, parts, length);
	return after(s, STORE_GET, key, &fate, r);
}

static int fault_put_if(struct store *s, const char *key, const void *data, size_t length, const char *tag,
                        char *ret_tag)
{
	struct store *below = fault_store(s)->below;
	struct fate fate;
	int r = before(s, STORE_PUT, key, &fate);

	if (r < 0)
		return r;
	return after(s, STORE_PUT, key, &fate, below->driver->put_if(below, key, data, length, tag, ret_tag));
}

static int fault_get_all(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length,
                         char *ret_tag)
{
	struct store *below = fault_store(s)->below;
	_cleanup_free_ void *data = NULL;
	struct fate fate;
	size_t length = 0;
	int r = before(s, STORE_GET, key, &fate);

	if (r < 0)
		return r;
	r = below->driver->get_all(below, key, max, &data, &length, ret_tag);
	if (!r)
		corrupt(&fate, data, length);
	r = after(s, STORE_GET, key, &fate, r);
	if (r < 0)
		return r;
	*ret_data = TAKE_PTR(data);
	*ret_length = length;
	return 0;
}

static int fault_remove(struct store *s, const char *key)
{
	struct store *below = fault_store(s)->below;
	struct fate fate;
	int r = before(s, STORE_DELETE, key, &fate);

	if (r < 0)
		return r;
	return after(s, STORE_DELETE, key, &fate, below->driver->remove(below, key));
}

static int fault_head(struct store *s, const char *key, uint64_t *ret_size)
{
	struct store *below = fault_store(s)->below;
	struct fate fate;
	uint64_t size = 0;
	int r = before(s, STORE_HEAD, key, &fate);

	if (r < 0)
		return r;
	r = after(s, STORE_HEAD, key, &fate, below->driver->head(below, key, &size));
	if (!r)
		*ret_size = size;
	return r;
}

static int fault_list(struct store *s, const char *prefix, store_list_fn fn, void *arg)
{
	struct store *below = fault_store(s)->below;
	struct fate fate;
	int r = before(s, STORE_LIST, prefix, &fate);

	if (r < 0)
		return r;
	return after(s, STORE_LIST, prefix, &fate, below->driver->list(below, prefix, fn, arg));
}

static void fault_close(struct store *s)
{
	store_close(fault_store(s)->below);
	pthread_mutex_destroy(&fault_store(s)->lock);
	free(s);
}

static const struct store_driver fault_driver = {
	.put = fault_put,
	.get = fault_get,
	.get_all = fault_get_all,
	.put_if = fault_put_if,
	.remove = fault_remove,
	.head = fault_head,
	.list = fault_list,
	.close = fault_close,
};

/* ---- the syntax ---- */

static int parse_error_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!strcmp(name, errors[i].name))
			return errors[i].error;
	}
	return 0;
}

static bool parse_number(const char *text, unsigned least, unsigned *ret)
{
	char *end;
	unsigned long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || n < least || n > NUMBER_MAX)
		return false;
	*ret = n;
	return true;
}

static bool parse_word(struct rule *r, char *word)
{
	char *value = strchr(word, '=');

	if (!value) {
		if (!strcmp(word, "corrupt"))
			return r->corrupt = r->kind == STORE_GET;
		if (!strcmp(word, "kill"))
			return r->kill = true;
		return !strcmp(word, "late") && (r->late = true);
	}
	*value++ = 0;
	if (!strcmp(word, "error"))
		return (r->error = parse_error_name(value)) != 0;
	if (!strcmp(word, "key")) {
		if (!*value || strlen(value) >= sizeof(r->key))
			return false;
		strcpy(r->key, value);
		return true;
	}
	if (!strcmp(word, "delay_ms"))
		return parse_number(value, 1, &r->delay_ms);
	if (!strcmp(word, "after"))
		return parse_number(value, 0, &r->after);
	if (!strcmp(word, "every"))
		return parse_number(value, 1, &r->every);
	return !strcmp(word, "times") && parse_number(value, 1, &r->times);
}

static int parse_rule(struct rule *r, char *text, char **ret_why)
{
	char *words = strchr(text, ':'), *word;

	if (!words)
		return store_open_fail(-EINVAL, ret_why, "CURVEFS_STORE_FAULTS: '%s' is not OPERATION:FAULT",
		                       text);
	*words++ = 0;
	for (r->kind = 0; r->kind <= ANY_KIND && strcmp(text, kind_names[r->kind]);)
		r->kind++;
	if (r->kind > ANY_KIND)
		return store_open_fail(
			-EINVAL, ret_why,
			"CURVEFS_STORE_FAULTS: '%s' is not one of get, put, delete, list, head, any", text);
	r->every = 1;
	while ((word = strsep(&words, ","))) {
		char shown[80];

		snprintf(shown, sizeof(shown), "%s", word);
		if (!parse_word(r, word))
			return store_open_fail(-EINVAL, ret_why,
			                       "CURVEFS_STORE_FAULTS: '%s' is not understood for '%s'", shown,
			                       text);
	}
	if (!r->error && !r->delay_ms && !r->corrupt && !r->kill)
		return store_open_fail(-EINVAL, ret_why,
		                       "CURVEFS_STORE_FAULTS: a rule for '%s' has none of error=, delay_ms=, "
		                       "corrupt, kill",
		                       text);
	if (r->late && !r->error && !r->kill)
		return store_open_fail(-EINVAL, ret_why,
		                       "CURVEFS_STORE_FAULTS: 'late' for '%s' needs error= or kill", text);
	return 0;
}

int fault_store_open(const char *spec, struct store *below, struct store **ret, char **ret_why)
{
	_cleanup_free_ char *text = strdup(spec), *url = strdup(below->url);
	_cleanup_free_ struct fault_store *f = calloc(1, sizeof(*f));
	char *rest = text, *rule;

	if (!text || !f || !url)
		return store_open_fail(-ENOMEM, ret_why, "out of memory");
	while ((rule = strsep(&rest, ";"))) {
		int r;

		if (f->n == RULES_MAX)
			return store_open_fail(-EINVAL, ret_why, "CURVEFS_STORE_FAULTS: more than %d rules",
			                       RULES_MAX);
		r = parse_rule(&f->rules[f->n++], rule, ret_why);
		if (r < 0)
			return r;
	}
	pthread_mutex_init(&f->lock, NULL);
	f->base.driver = &fault_driver;
	f->base.url = TAKE_PTR(url);
	f->base.stats = below->stats;
	f->below = below;
	*ret = &TAKE_PTR(f)->base;
	return 0;
}
