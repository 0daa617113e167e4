/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every object read by a few threads. They note what is wrong; the thread that called takes the notes, since
 * to tell somebody, and to look up a path for it, is for one thread.
 */
#include "common/cleanup.h"
#include "daemon/data/data.h"
#include "daemon/fsck/internal.h"
#include "daemon/meta/check.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	THREADS = 8,
	PAUSE_MS = 100,    /* between two reports of the progress */
	FAILURES_MAX = 16, /* of the store; then it is not the objects */
};

struct note {
	const struct meta_object *o;
	int error;
	uint64_t at;
	char *why; /* NULL: the error says it */
};

struct reading {
	struct store *store;
	const struct meta_objects *objects;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	size_t next; /* object to read */
	uint64_t done, good, good_bytes;
	struct note notes[2 * THREADS];
	unsigned count; /* of notes */
	unsigned running, failures;
	int error; /* that ends it */
};

static bool is_to_be_read(const struct meta_object *o)
{
	return o->refs && !o->seen;
}

/* Called with the lock. @return NULL: there is no more to do. */
static const struct meta_object *next_object(struct reading *g)
{
	/* There is room for the note of each thread. */
	while (!g->error && g->count > THREADS)
		pthread_cond_wait(&g->changed, &g->lock);
	while (!g->error && g->next < g->objects->count) {
		const struct meta_object *o = &g->objects->list[g->next++];

		if (is_to_be_read(o))
			return o;
	}
	return NULL;
}

/* Called with the lock. */
static void note_result(struct reading *g, const struct meta_object *o, int r, uint64_t at)
{
	bool of_the_store = r < 0 && r != -ENOENT && r != -EBADMSG && r != -ENODATA;

	g->done++;
	if (r == 0) {
		g->good++;
		g->good_bytes += o->size;
		return;
	}
	if (of_the_store && ++g->failures == FAILURES_MAX)
		g->error = r;
	g->notes[g->count++] = (struct note){
		.o = o, .error = r, .at = at, .why = of_the_store ? strdup(store_last_error()) : NULL};
	pthread_cond_broadcast(&g->changed);
}

static void *read_some(void *arg)
{
	struct reading *g = arg;
	const struct meta_object *o;

	pthread_mutex_lock(&g->lock);
	while ((o = next_object(g))) {
		uint64_t at = 0;
		int r;

		pthread_mutex_unlock(&g->lock);
		r = data_object_verify(g->store, o->object, o->size, &at);
		pthread_mutex_lock(&g->lock);
		note_result(g, o, r, at);
	}
	g->running--;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

/* Called with the lock, which is given up meanwhile. */
static void take_notes(struct reading *g, const struct fsck_read_hooks *hooks)
{
	struct note notes[ARRAY_SIZE(g->notes)];
	unsigned count = g->count;

	memcpy(notes, g->notes, count * sizeof(*notes));
	g->count = 0;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	for (unsigned i = 0; i < count; i++) {
		const struct note *n = &notes[i];

		hooks->bad(n->o, n->error, n->at, n->why ? n->why : strerror(-n->error), hooks->arg);
		free(n->why);
	}
	pthread_mutex_lock(&g->lock);
}

static void wait_a_little(struct reading *g)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PAUSE_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&g->changed, &g->lock, &until);
}

/* Until all threads have ended. */
static void attend(struct reading *g, const struct fsck_read_hooks *hooks, uint64_t total)
{
	pthread_mutex_lock(&g->lock);
	while (g->running || g->count) {
		uint64_t done = g->done;
		bool go_on;

		if (!g->count)
			wait_a_little(g);
		take_notes(g, hooks);
		pthread_mutex_unlock(&g->lock);
		go_on = hooks->progress(done, total, hooks->arg);
		pthread_mutex_lock(&g->lock);
		if (!go_on && !g->error)
			g->error = -ECANCELED;
	}
	pthread_mutex_unlock(&g->lock);
}

int fsck_read(struct store *store, const struct meta_objects *objects, const struct fsck_read_hooks *hooks,
              uint64_t *ret_objects, uint64_t *ret_bytes)
{
	struct reading g = {.store = store,
	                    .objects = objects,
	                    .lock = PTHREAD_MUTEX_INITIALIZER,
	                    .changed = PTHREAD_COND_INITIALIZER,
	                    .running = THREADS};
	pthread_t threads[THREADS];
	unsigned started = 0;
	uint64_t total = 0;

	for (size_t i = 0; i < objects->count; i++)
		total += is_to_be_read(&objects->list[i]);
	while (started < THREADS && pthread_create(&threads[started], NULL, read_some, &g) == 0)
		started++;
	pthread_mutex_lock(&g.lock);
	g.running -= THREADS - started;
	pthread_mutex_unlock(&g.lock);
	if (!started)
		return -EAGAIN;
	attend(&g, hooks, total);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	*ret_objects = g.good;
	*ret_bytes = g.good_bytes;
	return g.error;
}
