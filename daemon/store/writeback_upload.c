/* SPDX-License-Identifier: Apache-2.0 */
/* From the journal to the store below. */
#include "daemon/store/writeback_internal.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Once the store below has it, the file may go. */
static int upload(struct writeback *w, const struct staged *e)
{
	_cleanup_free_ void *data = NULL;
	char name[STORE_COMPONENT_MAX + 1];
	size_t length;
	int r;

	writeback_name(e->key, name);
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
	w->pause_until_ns = monotonic_ns() + w->pause_s * NS_PER_S;
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
			until = now + (left > w->options.delay_s ? w->options.delay_s : left) * NS_PER_S;
		}
		if (e && until <= now) {
			e->busy = true;
			return e;
		}
		t = (struct timespec){.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
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
		writeback_take_out(w, e);
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

int writeback_start(struct writeback *w)
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
