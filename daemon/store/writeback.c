/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal is a file:// store of its own, flat: an object's name there is its key with '-' for '/'.  (A
 * key with a '-' in it passes.)  In memory there is an entry for each, in a tree by key and in a list by age.
 *
 * An entry is there before anybody can know of the object, and goes once the store below has it; so who finds
 * none asks below.  Whoever writes or uploads the file of an entry owns it meanwhile (`busy`).
 */
#include "daemon/store/writeback.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/why.h"
#include "daemon/store/driver.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#define UPLOADS_MAX 64

struct staged {
	TAILQ_ENTRY(staged) age;
	uint64_t ticket;  /* counts up */
	uint64_t size;    /* bytes */
	int64_t staged_s; /* Unix time */
	bool busy;
	bool perhaps_below; /* an upload was tried; its answer may have been lost */
	char key[];
};

TAILQ_HEAD(staged_list, staged);

struct writeback {
	struct store base;
	struct store *below, *journal;
	char *dir, *prefix;
	struct writeback_options options;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t work;  /* for the uploaders: an entry, a drain, the end */
	pthread_cond_t moved; /* an upload ended, or an entry is gone */
	void *tree;           /* of keys, tsearch(3) */
	struct staged_list entries;
	uint64_t next_ticket;
	uint64_t hurry; /* entries below this ticket are uploaded without delay */
	struct writeback_state state;
	int64_t pause_until_ns; /* monotonic; after a failure */
	unsigned pause_s;
	uint64_t failures;
	int last_error;
	char last_text[512];
	bool ends;
	pthread_t threads[UPLOADS_MAX];
	unsigned thread_count;
};

static struct writeback *writeback(struct store *s)
{
	return (struct writeback *)s;
}

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

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

static void name_of(const char *key, char ret[STORE_COMPONENT_MAX + 1])
{
	translate(key, ret, '/', '-');
}

/* ---- entries; the lock is held ---- */

static int compare_keys(const void *a, const void *b)
{
	return strcmp(a, b);
}

static struct staged *entry_of_node(const void *node)
{
	return (struct staged *)(*(char *const *)node - offsetof(struct staged, key));
}

static struct staged *find(struct writeback *w, const char *key)
{
	const void *node = tfind(key, &w->tree, compare_keys);

	return node ? entry_of_node(node) : NULL;
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

static void take_out(struct writeback *w, struct staged *e)
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

/* ---- uploading ---- */

/* Once the store below has it, the file may go. */
static int upload(struct writeback *w, const struct staged *e)
{
	_cleanup_free_ void *data = NULL;
	char name[STORE_COMPONENT_MAX + 1];
	size_t length;
	int r;

	name_of(e->key, name);
	r = store_get_all(w->journal, name, e->size, &data, &length);
	if (r == -ENOENT) {
		log_error("%s/%s was removed before it was uploaded: what it held is lost", w->dir, name);
		return 0;
	}
	if (r == 0 && length != e->size)
		r = store_fail(-EBADMSG,
		               "%s/%s has %zu bytes, %" PRIu64 " were written; remove it to give it up",
		               w->dir, name, length, e->size);
	if (r == 0)
		r = store_put(w->below, e->key, data, length);
	if (r < 0)
		return r;
	/* While the entry is owned: with it gone, the name may be another object's. */
	if (store_delete(w->journal, name) < 0)
		log_debug("%s/%s: uploaded, but cannot be deleted: %s", w->dir, name, store_last_error());
	return 0;
}

/* The upload of @p e failed with @p r. */
static void note_failure(struct writeback *w, struct staged *e, int r)
{
	e->perhaps_below = true;
	w->failures++;
	w->last_error = r;
	snprintf(w->last_text, sizeof(w->last_text), "%s", store_last_error());
	w->pause_s = w->pause_s ? 2 * w->pause_s : 1;
	if (w->pause_s > WRITEBACK_PAUSE_MAX_S)
		w->pause_s = WRITEBACK_PAUSE_MAX_S;
	w->pause_until_ns = monotonic_ns() + w->pause_s * 1000000000ll;
	if (!w->state.failing)
		log_warning(
			"what was written cannot be uploaded, it is kept in %s and this is tried again: %s",
			w->dir, w->last_text);
	w->state.failing = true;
}

static void note_success(struct writeback *w)
{
	w->state.uploaded++;
	w->pause_s = 0;
	w->pause_until_ns = 0;
	if (w->state.failing)
		log_info("what was written is uploaded again; %" PRIu64 " objects wait",
		         w->state.objects - 1);
	w->state.failing = false;
}

/* The next to upload, marked; NULL: the end. The lock is held. */
static struct staged *next_upload(struct writeback *w)
{
	while (!w->ends) {
		int64_t until = w->pause_until_ns, now = monotonic_ns();
		struct timespec t;
		struct staged *e;

		TAILQ_FOREACH (e, &w->entries, age) {
			if (!e->busy)
				break;
		}
		if (e && until <= now && e->ticket >= w->hurry && w->options.delay_s) {
			int64_t left = e->staged_s + w->options.delay_s - time(NULL);

			/* A clock that was set back makes nobody wait longer. */
			until = now + (left > w->options.delay_s ? w->options.delay_s : left) * 1000000000ll;
		}
		if (e && until <= now) {
			e->busy = true;
			return e;
		}
		t = (struct timespec){.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
		if (e)
			pthread_cond_timedwait(&w->work, &w->lock, &t);
		else
			pthread_cond_wait(&w->work, &w->lock);
	}
	return NULL;
}

static void *upload_main(void *arg)
{
	struct writeback *w = arg;
	struct staged *e;

	pthread_mutex_lock(&w->lock);
	while ((e = next_upload(w))) {
		int r;

		pthread_mutex_unlock(&w->lock);
		r = upload(w, e);
		pthread_mutex_lock(&w->lock);
		e->busy = false;
		if (r < 0) {
			note_failure(w, e, r);
			pthread_cond_broadcast(&w->moved);
			continue;
		}
		note_success(w);
		take_out(w, e);
		free(e);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int writeback_drain(struct store *s)
{
	struct writeback *w = writeback(s);
	const struct staged *first;
	uint64_t until, failures;

	SCOPED_LOCK(&w->lock);
	until = w->next_ticket;
	failures = w->failures;
	w->hurry = until;
	w->pause_until_ns = 0;
	pthread_cond_broadcast(&w->work);
	while ((first = TAILQ_FIRST(&w->entries)) && first->ticket < until) {
		if (!w->thread_count)
			return store_fail(-EROFS, "%" PRIu64 " objects in %s are not uploaded",
			                  w->state.objects, w->dir);
		if (w->failures != failures)
			return store_fail(w->last_error, "%s", w->last_text);
		pthread_cond_wait(&w->moved, &w->lock);
	}
	return 0;
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
	name_of(key, name);
	r = store_delete(w->journal, name);
	pthread_mutex_lock(&w->lock);
	e->busy = false;
	if (r < 0) {
		pthread_cond_broadcast(&w->moved);
		return r;
	}
	take_out(w, e);
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
	name_of(key, name);
	r = store_put(w->journal, name, data, length);
	SCOPED_LOCK(&w->lock);
	e->busy = false;
	pthread_cond_broadcast(&w->moved);
	if (r < 0 && new) {
		take_out(w, e);
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

static int writeback_put(struct store *s, const char *key, const void *data, size_t length, bool only_new)
{
	struct writeback *w = writeback(s);
	bool below;
	int r = -EAGAIN;

	store_count_request(s, STORE_PUT);
	if (only_new)
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
	return r < 0 ? r : store_put(w->below, key, data, length);
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
		name_of(key, name);
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
		name_of(key, name);
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

/* ---- listing: what is staged, merged into what is below ---- */

struct listing {
	const char *prefix;
	struct store_object *staged; /* sorted, keys of their own */
	size_t count, room, next;
	store_list_fn fn;
	void *arg;
	int r;
};

static void collect(const void *node, VISIT which, void *arg)
{
	const struct staged *e = entry_of_node(node);
	struct listing *l = arg;
	char *key;

	if ((which != postorder && which != leaf) || l->r ||
	    strncmp(e->key, l->prefix, strlen(l->prefix)) != 0)
		return;
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct store_object *bigger = reallocarray(l->staged, room, sizeof(*bigger));

		if (bigger) {
			l->staged = bigger;
			l->room = room;
		}
	}
	key = strdup(e->key);
	if (!key || l->count == l->room) {
		free(key);
		l->r = -ENOMEM;
		return;
	}
	l->staged[l->count++] = (struct store_object){.key = key, .size = e->size, .mtime_s = e->staged_s};
}

/* Tell of the staged ones up to @p key; NULL: all. */
static int list_staged(struct listing *l, const char *key)
{
	int r = 0;

	while (r == 0 && l->next < l->count && (!key || strcmp(l->staged[l->next].key, key) < 0))
		r = l->fn(&l->staged[l->next++], l->arg);
	return r;
}

static int list_below(const struct store_object *object, void *arg)
{
	struct listing *l = arg;
	int r = list_staged(l, object->key);

	/* Uploaded, and not deleted here yet, or since the listing began. */
	if (r == 0 && l->next < l->count && strcmp(l->staged[l->next].key, object->key) == 0)
		l->next++;
	return r ? r : l->fn(object, l->arg);
}

static int writeback_list(struct store *s, const char *prefix, store_list_fn fn, void *arg)
{
	struct writeback *w = writeback(s);
	struct listing l = {.prefix = prefix, .fn = fn, .arg = arg};
	int r;

	store_count_request(s, STORE_LIST);
	/* First: what is uploaded after that is seen twice, not missed. */
	pthread_mutex_lock(&w->lock);
	twalk_r(w->tree, collect, &l);
	pthread_mutex_unlock(&w->lock);
	r = l.r ? store_fail(l.r, "LIST %s/%s: %s", w->base.url, prefix, strerror(-l.r))
	        : store_list(w->below, prefix, list_below, &l);
	if (r == 0)
		r = list_staged(&l, NULL);
	for (size_t i = 0; i < l.count; i++)
		free((char *)l.staged[i].key);
	free(l.staged);
	return r;
}

/* ---- life ---- */

static void free_writeback(struct writeback *w)
{
	struct staged *e;

	while ((e = TAILQ_FIRST(&w->entries))) {
		take_out(w, e);
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

void writeback_stop(struct store *s)
{
	struct writeback *w = writeback(s);

	pthread_mutex_lock(&w->lock);
	w->ends = true;
	pthread_cond_broadcast(&w->work);
	pthread_mutex_unlock(&w->lock);
	while (w->thread_count)
		pthread_join(w->threads[--w->thread_count], NULL);
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

static int start_threads(struct writeback *w)
{
	unsigned count = w->options.uploads < UPLOADS_MAX ? w->options.uploads : UPLOADS_MAX;

	while (w->thread_count < count) {
		int r = pthread_create(&w->threads[w->thread_count], NULL, upload_main, w);

		/* Fewer do as well. */
		if (r)
			return w->thread_count ? 0 : -r;
		w->thread_count++;
	}
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
		r = start_threads(w);
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
