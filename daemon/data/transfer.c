/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/data/transfer.h"

#include "common/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

struct job {
	TAILQ_ENTRY(job) entry;
	void (*fn)(void *arg);
	void *arg;
};

struct pool {
	TAILQ_HEAD(, job) jobs;
	size_t queued;
	pthread_cond_t work;
	pthread_t *threads;
	unsigned count, idle, busy, limit;

	unsigned running; /* requests */
	pthread_cond_t slot;
};

struct transfer {
	pthread_mutex_t lock; /* all below */
	struct pool pools[TRANSFER_KINDS];
	pthread_cond_t drained;
	bool ending;
};

/* A thread finds its pool by this. */
struct worker {
	struct transfer *t;
	struct pool *p;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct transfer *t = w->t;
	struct pool *p = w->p;

	free(w);
	pthread_mutex_lock(&t->lock);
	for (;;) {
		struct job *job = TAILQ_FIRST(&p->jobs);

		if (!job) {
			if (t->ending)
				break;
			p->idle++;
			pthread_cond_wait(&p->work, &t->lock);
			p->idle--;
			continue;
		}
		TAILQ_REMOVE(&p->jobs, job, entry);
		p->queued--;
		p->busy++;
		pthread_mutex_unlock(&t->lock);
		job->fn(job->arg);
		free(job);
		pthread_mutex_lock(&t->lock);
		p->busy--;
		if (!p->queued && !p->busy)
			pthread_cond_broadcast(&t->drained);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int transfer_new(const unsigned limits[TRANSFER_KINDS], struct transfer **ret)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->drained, NULL);
	for (int kind = 0; kind < TRANSFER_KINDS; kind++) {
		struct pool *p = &t->pools[kind];

		TAILQ_INIT(&p->jobs);
		p->limit = limits[kind] ? limits[kind] : 1;
		pthread_cond_init(&p->work, NULL);
		pthread_cond_init(&p->slot, NULL);
		p->threads = calloc(p->limit, sizeof(*p->threads));
		if (!p->threads) {
			transfer_free(t);
			return -ENOMEM;
		}
	}
	*ret = t;
	return 0;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	for (int kind = 0; kind < TRANSFER_KINDS; kind++)
		pthread_cond_broadcast(&t->pools[kind].work);
	pthread_mutex_unlock(&t->lock);
	for (int kind = 0; kind < TRANSFER_KINDS; kind++)
		for (unsigned i = 0; i < t->pools[kind].count; i++)
			pthread_join(t->pools[kind].threads[i], NULL);
	for (int kind = 0; kind < TRANSFER_KINDS; kind++) {
		struct pool *p = &t->pools[kind];
		struct job *job;

		/* Left by a job of the other kind that ended last. */
		while ((job = TAILQ_FIRST(&p->jobs))) {
			TAILQ_REMOVE(&p->jobs, job, entry);
			job->fn(job->arg);
			free(job);
		}
		free(p->threads);
		pthread_cond_destroy(&p->work);
		pthread_cond_destroy(&p->slot);
	}
	pthread_cond_destroy(&t->drained);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool is_drained(struct transfer *t)
{
	for (int kind = 0; kind < TRANSFER_KINDS; kind++)
		if (t->pools[kind].queued || t->pools[kind].busy)
			return false;
	return true;
}

void transfer_drain(struct transfer *t)
{
	SCOPED_LOCK(&t->lock);
	while (!is_drained(t))
		pthread_cond_wait(&t->drained, &t->lock);
}

/* One more thread, if there is more work than idle ones. The lock is held. @return whether any will run it.
 */
static bool ensure_worker(struct transfer *t, struct pool *p)
{
	struct worker *w;

	if (p->idle >= p->queued || p->count == p->limit || t->ending)
		return p->count > 0;
	w = malloc(sizeof(*w));
	if (!w)
		return p->count > 0;
	*w = (struct worker){.t = t, .p = p};
	if (pthread_create(&p->threads[p->count], NULL, worker_main, w) != 0) {
		free(w);
		return p->count > 0;
	}
	p->count++;
	return true;
}

static int submit(struct transfer *t, enum transfer_kind kind, void (*fn)(void *arg), void *arg, bool urgent)
{
	struct pool *p = &t->pools[kind];
	struct job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	*job = (struct job){.fn = fn, .arg = arg};
	SCOPED_LOCK(&t->lock);
	if (urgent)
		TAILQ_INSERT_HEAD(&p->jobs, job, entry);
	else
		TAILQ_INSERT_TAIL(&p->jobs, job, entry);
	p->queued++;
	if (!ensure_worker(t, p)) {
		TAILQ_REMOVE(&p->jobs, job, entry);
		p->queued--;
		free(job);
		return -EAGAIN;
	}
	pthread_cond_signal(&p->work);
	return 0;
}

int transfer_submit(struct transfer *t, enum transfer_kind kind, void (*fn)(void *arg), void *arg)
{
	return submit(t, kind, fn, arg, false);
}

/* Work that several threads take from; lives until the last helper has looked at it. */
struct each {
	pthread_mutex_t lock;
	pthread_cond_t finished;
	size_t next, done, count;
	unsigned refs;
	void (*fn)(void *arg, size_t i);
	void *arg; /* the caller's: not touched once all is done */
};

static void each_unref(struct each *e)
{
	unsigned refs;

	pthread_mutex_lock(&e->lock);
	refs = --e->refs;
	pthread_mutex_unlock(&e->lock);
	if (refs)
		return;
	pthread_cond_destroy(&e->finished);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void each_work(struct each *e)
{
	pthread_mutex_lock(&e->lock);
	while (e->next < e->count) {
		size_t i = e->next++;

		pthread_mutex_unlock(&e->lock);
		e->fn(e->arg, i);
		pthread_mutex_lock(&e->lock);
		if (++e->done == e->count)
			pthread_cond_broadcast(&e->finished);
	}
	pthread_mutex_unlock(&e->lock);
}

static void each_help(void *arg)
{
	each_work(arg);
	each_unref(arg);
}

void transfer_each(struct transfer *t, enum transfer_kind kind, size_t count, void (*fn)(void *arg, size_t i),
                   void *arg)
{
	struct each *e = count > 1 ? calloc(1, sizeof(*e)) : NULL;

	if (!e) {
		for (size_t i = 0; i < count; i++)
			fn(arg, i);
		return;
	}
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->finished, NULL);
	e->count = count;
	e->fn = fn;
	e->arg = arg;
	e->refs = 1;
	for (size_t i = 1; i < count && i < t->pools[kind].limit; i++) {
		pthread_mutex_lock(&e->lock);
		e->refs++;
		pthread_mutex_unlock(&e->lock);
		if (submit(t, kind, each_help, e, true) < 0) {
			each_unref(e);
			break;
		}
	}
	each_work(e);
	pthread_mutex_lock(&e->lock);
	while (e->done < e->count)
		pthread_cond_wait(&e->finished, &e->lock);
	pthread_mutex_unlock(&e->lock);
	each_unref(e);
}

void transfer_begin(struct transfer *t, enum transfer_kind kind)
{
	struct pool *p = &t->pools[kind];

	SCOPED_LOCK(&t->lock);
	while (p->running >= p->limit)
		pthread_cond_wait(&p->slot, &t->lock);
	p->running++;
}

void transfer_end(struct transfer *t, enum transfer_kind kind)
{
	struct pool *p = &t->pools[kind];

	SCOPED_LOCK(&t->lock);
	p->running--;
	pthread_cond_signal(&p->slot);
}

unsigned transfer_running(struct transfer *t, enum transfer_kind kind)
{
	SCOPED_LOCK(&t->lock);
	return t->pools[kind].running;
}

size_t transfer_queued(struct transfer *t, enum transfer_kind kind)
{
	SCOPED_LOCK(&t->lock);
	return t->pools[kind].queued;
}
