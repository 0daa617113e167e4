/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/data/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>
/* after those it needs */
#include <cmocka.h>

struct work {
	struct transfer *t;
	atomic_uint calls[1000];
	atomic_uint running, most, ran;
};

static void enter(struct work *w)
{
	unsigned now, most;

	transfer_begin(w->t, TRANSFER_DOWN);
	now = atomic_fetch_add(&w->running, 1) + 1;
	most = atomic_load(&w->most);
	while (now > most && !atomic_compare_exchange_weak(&w->most, &most, now))
		;
	usleep(500);
	atomic_fetch_sub(&w->running, 1);
	transfer_end(w->t, TRANSFER_DOWN);
}

static void call_one(void *arg, size_t i)
{
	struct work *w = arg;

	enter(w);
	atomic_fetch_add(&w->calls[i], 1);
}

static void job(void *arg)
{
	struct work *w = arg;

	enter(w);
	atomic_fetch_add(&w->ran, 1);
}

static struct transfer *pool(unsigned up, unsigned down)
{
	const unsigned limits[TRANSFER_KINDS] = {[TRANSFER_UP] = up, [TRANSFER_DOWN] = down};
	struct transfer *t;

	assert_int_equal(transfer_new(limits, &t), 0);
	return t;
}

static void each_index_is_called_once(void **state)
{
	static struct work w;

	(void)state;
	w = (struct work){.t = pool(1, 3)};
	transfer_each(w.t, TRANSFER_DOWN, 200, call_one, &w);
	for (int i = 0; i < 200; i++)
		assert_int_equal(w.calls[i], 1);
	assert_int_equal(w.calls[200], 0);
	transfer_each(w.t, TRANSFER_DOWN, 0, call_one, &w);
	assert_int_equal(w.calls[0], 1);
	transfer_free(w.t);
}

static void *caller(void *arg)
{
	struct work *w = arg;

	transfer_each(w->t, TRANSFER_DOWN, 100, call_one, w);
	return NULL;
}

static void no_more_requests_run_than_allowed(void **state)
{
	static struct work w;
	pthread_t threads[6];

	(void)state;
	w = (struct work){.t = pool(1, 3)};
	for (int i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, caller, &w);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	assert_in_range(w.most, 2, 3);
	assert_int_equal(transfer_running(w.t, TRANSFER_DOWN), 0);
	transfer_free(w.t);
}

static void nest_inner(void *arg, size_t i)
{
	(void)i;
	atomic_fetch_add(&((struct work *)arg)->ran, 1);
}

static void nest_outer(void *arg, size_t i)
{
	(void)i;
	transfer_each(((struct work *)arg)->t, TRANSFER_DOWN, 10, nest_inner, arg);
}

static void a_job_may_wait_for_jobs_of_its_own_pool(void **state)
{
	static struct work w;

	(void)state;
	w = (struct work){.t = pool(1, 1)};
	transfer_each(w.t, TRANSFER_DOWN, 20, nest_outer, &w);
	assert_int_equal(w.ran, 200);
	transfer_free(w.t);
}

static void freeing_runs_what_is_queued(void **state)
{
	static struct work w;

	(void)state;
	w = (struct work){.t = pool(1, 2)};
	for (int i = 0; i < 50; i++)
		assert_int_equal(transfer_submit(w.t, TRANSFER_DOWN, job, &w), 0);
	transfer_free(w.t);
	assert_int_equal(w.ran, 50);
}

static void draining_waits_for_all_jobs(void **state)
{
	static struct work w;

	(void)state;
	w = (struct work){.t = pool(1, 2)};
	transfer_drain(w.t);
	for (int i = 0; i < 50; i++)
		assert_int_equal(transfer_submit(w.t, TRANSFER_DOWN, job, &w), 0);
	transfer_drain(w.t);
	assert_int_equal(w.ran, 50);
	assert_int_equal(transfer_queued(w.t, TRANSFER_DOWN), 0);
	transfer_free(w.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_index_is_called_once),
		cmocka_unit_test(no_more_requests_run_than_allowed),
		cmocka_unit_test(a_job_may_wait_for_jobs_of_its_own_pool),
		cmocka_unit_test(freeing_runs_what_is_queued),
		cmocka_unit_test(draining_waits_for_all_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
