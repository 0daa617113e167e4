/* SPDX-License-Identifier: Apache-2.0 */
/* Listing: what is staged, merged into what is below. */
#include "daemon/store/writeback_internal.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

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
	const struct staged *e = writeback_entry(node);
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

int writeback_list(struct store *s, const char *prefix, store_list_fn fn, void *arg)
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
