/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a store, and the entries that they are about. */
#include "daemon/store/writeback_internal.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/why.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

/* ---- names ---- */

static bool is_staged_key(const struct writeback *w, const char *key)
{
	return strncmp(key, w->prefix, strlen(w->prefix)) == 0 && !strchr(key, '-') &&
	       strlen(key) <= STORE_COMPONENT_MAX;
}

static void translate(const char *from, char ret[STORE_COMPONENT_MAX + 1], char what, char by)
{
	size_t i = 0;

	for (; i < STORE_COMPONENT_MAX && from[i]; i++)
		ret[i] = from[i] == what ? by : from[i];
	ret[i] = 0;
}

void writeback_name(const char *key, char ret[STORE_COMPONENT_MAX + 1])
{
	translate(key, ret, '/', '-');
}

/* ---- entries; the lock is held ---- */

static int compare_keys(const void *a, const void *b)
{
	return strcmp(a, b);
}

static struct staged *find(struct writeback *w, const char *key)
{
	const void *node = tfind(key, &w->tree, compare_keys);

	return node ? writeback_entry(node) : NULL;
}

static struct staged *new_entry(const char *key, uint64_t size, int64_t staged_s)
{
	struct staged *e = calloc(1, sizeof(*e) + strlen(key) + 1);

	if (!e)
		return NULL;
	e->size = size;
	e->staged_s = staged_s;
	strcpy(e->key, key);
	return e;
}

static int insert(struct writeback *w, struct staged *e)
{
	if (!tsearch(e->key, &w->tree, compare_keys))
		return -ENOMEM;
	e->ticket = w->next_ticket++;
	TAILQ_INSERT_TAIL(&w->entries, e, age);
	w->state.objects++;
	w->state.bytes += e->size;
	return 0;
}

void writeback_take_out(struct writeback *w, struct staged *e)
{
	tdelete(e->key, &w->tree, compare_keys);
	TAILQ_REMOVE(&w->entries, e, age);
	w->state.objects--;
	w->state.bytes -= e->size;
	pthread_cond_broadcast(&w->moved);
}

/* When nobody owns it. NULL: there is none. */
static struct staged *find_settled(struct writeback *w, const char *key)
{
	struct staged *e;

	while ((e = find(w, key)) && e->busy)
		pthread_cond_wait(&w->moved, &w->lock);
	return e;
}

static bool is_staged(struct writeback *w, const char *key, struct store_object *ret)
{
	const struct staged *e;

	SCOPED_LOCK(&w->lock);
	e = find(w, key);
	if (e && ret)
		*ret = (struct store_object){.size = e->size, .mtime_s = e->staged_s};
	return e != NULL;
}

void writeback_get_state(struct store *s, struct writeback_state *ret)
{
	struct writeback *w = writeback(s);
	const struct staged *first;

	SCOPED_LOCK(&w->lock);
	*ret = w->state;
	first = TAILQ_FIRST(&w->entries);
	ret->oldest_s = first ? first->staged_s : 0;
}

/* ---- the calls ---- */

static bool has_room(const struct writeback *w, size_t length)
{
	struct statvfs fs;

	if (statvfs(w->dir, &fs) < 0)
		return false;
	return (double)fs.f_bavail * fs.f_frsize - length >=
	       w->options.free_space_ratio * fs.f_blocks * fs.f_frsize;
}

/* Nothing of @p key is in the journal any more; *ret_below: it may be below. */
static int remove_staged(struct writeback *w, const char *key, bool *ret_below)
{
	char name[STORE_COMPONENT_MAX + 1];
	struct staged *e;
	int r;

	SCOPED_LOCK(&w->lock);
	e = find_settled(w, key);
	*ret_below = !e || e->perhaps_below;
	if (!e)
		return 0;
	e->busy = true;
	pthread_mutex_unlock(&w->lock);
	writeback_name(key, name);
	r = store_delete(w->journal, name);
	pthread_mutex_lock(&w->lock);
	e->busy = false;
	if (r < 0) {
		pthread_cond_broadcast(&w->moved);
		return r;
	}
	writeback_take_out(w, e);
	free(e);
	w->state.unneeded++;
	return 0;
}

/* The entry of @p key, made if there is none, and owned. NULL: no memory. */
static struct staged *own_entry(struct writeback *w, const char *key, bool *ret_new)
{
	struct staged *e;

	SCOPED_LOCK(&w->lock);
	e = find_settled(w, key);
	*ret_new = !e;
	if (!e) {
		e = new_entry(key, 0, time(NULL));
		if (!e || insert(w, e) < 0) {
			free(e);
			return NULL;
		}
	}
	e->busy = true;
	return e;
}

/* @return 0, an error, or -EAGAIN: nothing of it is here, so let it go below. */
static int stage(struct writeback *w, const char *key, const void *data, size_t length)
{
	char name[STORE_COMPONENT_MAX + 1];
	struct staged *e;
	bool new;
	int r;

	e = own_entry(w, key, &new);
	if (!e)
		return -EAGAIN;
	writeback_name(key, name);
	r = store_put(w->journal, name, data, length);
	SCOPED_LOCK(&w->lock);
	e->busy = false;
	pthread_cond_broadcast(&w->moved);
	if (r < 0 && new) {
		writeback_take_out(w, e);
		free(e);
		return -EAGAIN;
	}
	if (r < 0)
		return r;
	w->state.bytes += length - e->size;
	e->size = length;
	w->state.staged++;
	pthread_cond_signal(&w->work);
	return 0;
}

static int writeback_put(struct store *s, const char *key, const void *data, size_t length,
                         enum store_put how)
{
	struct writeback *w = writeback(s);
	bool below;
	int r = -EAGAIN;

	store_count_request(s, STORE_PUT);
	if (how == STORE_ONLY_NEW)
		return is_staged(w, key, NULL) ? -EEXIST : store_put_new(w->below, key, data, length);
	if (w->options.stage && is_staged_key(w, key)) {
		if (has_room(w, length))
			r = stage(w, key, data, length);
		if (r != -EAGAIN)
			return r;
		SCOPED_LOCK(&w->lock);
		w->state.passed++;
	}
	/* What is there under this key must not come after it. */
	r = remove_staged(w, key, &below);
	if (r < 0)
		return r;
	return how == STORE_ONCE ? store_put_once(w->below, key, data, length)
	                         : store_put(w->below, key, data, length);
}

static int writeback_get(struct store *s, const char *key, uint64_t offset, const struct iovec *parts,
                         size_t count, size_t length)
{
	struct writeback *w = writeback(s);
	char name[STORE_COMPONENT_MAX + 1];
	int r = -ENOENT;

	store_count_request(s, STORE_GET);
	(void)length;
	if (is_staged(w, key, NULL)) {
		writeback_name(key, name);
		r = store_get_parts(w->journal, name, offset, parts, count);
	}
	/* Or uploaded meanwhile. */
	return r == -ENOENT ? store_get_parts(w->below, key, offset, parts, count) : r;
}

/* Tags are given out below, so what is staged under this key goes there first. */
static int settle_below(struct writeback *w, const char *key)
{
	return is_staged(w, key, NULL) ? writeback_drain(&w->base) : 0;
}

static int writeback_get_all(struct store *s, const char *key, size_t max, void **ret_data,
                             size_t *ret_length, char *ret_tag)
{
	struct writeback *w = writeback(s);
	char name[STORE_COMPONENT_MAX + 1];
	int r = -ENOENT;

	store_count_request(s, STORE_GET);
	if (ret_tag) {
		r = settle_below(w, key);
		return r < 0 ? r : store_get_tagged(w->below, key, max, ret_data, ret_length, ret_tag);
	}
	if (is_staged(w, key, NULL)) {
		writeback_name(key, name);
		r = store_get_all(w->journal, name, max, ret_data, ret_length);
	}
	return r == -ENOENT ? store_get_all(w->below, key, max, ret_data, ret_length) : r;
}

static int writeback_put_if(struct store *s, const char *key, const void *data, size_t length,
                            const char *tag, char *ret_tag)
{
	int r = settle_below(writeback(s), key);

	store_count_request(s, STORE_PUT);
	return r < 0 ? r : store_put_if(writeback(s)->below, key, data, length, tag, ret_tag);
}

static int writeback_remove(struct store *s, const char *key)
{
	struct writeback *w = writeback(s);
	bool below;
	int r = remove_staged(w, key, &below);

	store_count_request(s, STORE_DELETE);
	return r < 0 || !below ? r : store_delete(w->below, key);
}

static int writeback_head(struct store *s, const char *key, uint64_t *ret_size)
{
	struct writeback *w = writeback(s);
	struct store_object staged;

	store_count_request(s, STORE_HEAD);
	if (!is_staged(w, key, &staged))
		return store_head(w->below, key, ret_size);
	*ret_size = staged.size;
	return 0;
}

/* ---- life ---- */

static void free_writeback(struct writeback *w)
{
	struct staged *e;

	while ((e = TAILQ_FIRST(&w->entries))) {
		writeback_take_out(w, e);
		free(e);
	}
	if (w->journal)
		store_close(w->journal);
	pthread_cond_destroy(&w->moved);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w->dir);
	free(w->prefix);
	free(w);
}

static void writeback_close(struct store *s)
{
	struct writeback *w = writeback(s);
	struct store *below = w->below;

	writeback_stop(s);
	if (w->state.objects)
		log_warning("%" PRIu64 " objects (%" PRIu64
		            " bytes) are not uploaded yet; they stay in %s until "
		            "the next mount of this volume",
		            w->state.objects, w->state.bytes, w->dir);
	free_writeback(w);
	store_close(below);
}

static const struct store_driver writeback_driver = {
	.put = writeback_put,
	.get = writeback_get,
	.get_all = writeback_get_all,
	.put_if = writeback_put_if,
	.remove = writeback_remove,
	.head = writeback_head,
	.list = writeback_list,
	.close = writeback_close,
};

static struct writeback *new_writeback(struct store *below, const struct writeback_options *options)
{
	struct writeback *w = calloc(1, sizeof(*w));
	pthread_condattr_t monotonic;

	if (!w)
		return NULL;
	w->base.driver = &writeback_driver;
	w->base.url = strdup(store_url(below));
	w->base.stats = &w->base.own;
	w->below = below;
	w->options = *options;
	w->dir = strdup(options->dir);
	w->prefix = strdup(options->prefix);
	TAILQ_INIT(&w->entries);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_cond_init(&w->moved, NULL);
	if (!w->base.url || !w->dir || !w->prefix) {
		free(w->base.url);
		free_writeback(w);
		return NULL;
	}
	return w;
}

/* What an earlier open left. */
static int adopt(const struct store_object *object, void *arg)
{
	struct writeback *w = arg;
	char key[STORE_COMPONENT_MAX + 1];
	struct staged *e;

	translate(object->key, key, '-', '/');
	if (!store_key_valid(key) || !is_staged_key(w, key)) {
		log_warning("%s/%s is no object that was written here; it is left alone", w->dir,
		            object->key);
		return 0;
	}
	e = new_entry(key, object->size, object->mtime_s);
	if (!e || insert(w, e) < 0) {
		free(e);
		return -ENOMEM;
	}
	e->perhaps_below = true;
	return 0;
}

/* As store_open() does it, but that no faults are injected here. */
static int open_journal(struct writeback *w, char **ret_why)
{
	const struct store_options options = {.create = true};
	_cleanup_free_ char *url = NULL;
	int r;

	if (asprintf(&url, "file://%s", w->dir) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	r = file_store_open(w->dir, &options, &w->journal, ret_why);
	if (r < 0)
		return r;
	w->journal->url = TAKE_PTR(url);
	w->journal->stats = &w->journal->own;
	return 0;
}

bool writeback_is_there(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0;
}

int writeback_open(struct store *below, const struct writeback_options *options, struct store **ret,
                   char **ret_why)
{
	struct writeback *w = new_writeback(below, options);
	_cleanup_free_ char *why = NULL;
	int r;

	if (!w)
		return -ENOMEM;
	r = open_journal(w, &why);
	if (r == 0)
		r = store_list(w->journal, "", adopt, w);
	if (r == 0)
		r = writeback_start(w);
	if (r < 0) {
		r = why_r(r, ret_why, "cannot use the journal of what is to be uploaded, %s: %s",
		          options->dir, why ? why : strerror(-r));
		free(w->base.url);
		free_writeback(w);
		return r;
	}
	*ret = &w->base;
	return 0;
}
