/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets the lease, who keeps it, and who is told that it is gone: on a file:// store, by real processes.
 */
#include "daemon/lease.h"

#include "common/cleanup.h"
#include "daemon/store/store.h"
#include "tests/harness/tempdir.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
/* after those it needs */
#include <cmocka.h>

enum { DURATION_MS = 1500 };

static char *dir;
static struct store *store;

static int set_up(void **state)
{
	const struct store_options options = {.create = true};
	char url[512], *why = NULL;

	(void)state;
	dir = tempdir_make();
	snprintf(url, sizeof(url), "file://%s/volume", dir);
	return store_open(url, &options, &store, &why);
}

static int tear_down(void **state)
{
	(void)state;
	store_close(store);
	tempdir_remove(dir);
	return 0;
}

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l}, NULL);
}

/* Until lease_check() says @p r; however slow the machine is. */
static bool wait_for_check(const struct lease *l, int r)
{
	for (int i = 0; i < 500 && lease_check(l, 0) != r; i++)
		sleep_ms(20);
	return lease_check(l, 0) == r;
}

static int take(bool break_it, struct lease **ret, char **ret_why)
{
	const struct lease_options options = {
		.mountpoint = "/mnt/test", .duration_ms = DURATION_MS, .break_it = break_it};

	return lease_take(store, &options, ret, ret_why);
}

/* As if @p r were what somebody wrote there. */
static void put_record(const struct lease_record *r)
{
	_cleanup_free_ char *text = lease_record_print(r);

	assert_non_null(text);
	assert_int_equal(store_put(store, LEASE_KEY, text, strlen(text)), 0);
}

static struct lease_record elsewhere(int64_t expires_s)
{
	struct lease_record r = {.epoch = 7,
	                         .meta_id = "other",
	                         .held = true,
	                         .host = "node-17",
	                         .mountpoint = "/data",
	                         .boot_id = "11111111-2222-3333-4444-555555555555",
	                         .token = "0123",
	                         .pid = 4711,
	                         .since_s = 1000000000,
	                         .expires_s = expires_s,
	                         .duration_ms = DURATION_MS};
	return r;
}

static void it_is_taken_renewed_and_given_up(void **state)
{
	struct lease_record first, later, after;
	_cleanup_free_ char *why = NULL;
	struct lease *l = NULL;

	(void)state;
	assert_int_equal(lease_read(store, &first), -ENOENT);
	assert_int_equal(take(false, &l, &why), 0);
	assert_int_equal(lease_check(l, 0), 0);
	assert_int_equal(lease_check(l, 2 * DURATION_MS), -EIO); /* not for so long */
	assert_false(lease_was_broken(l));
	assert_string_equal(lease_meta_id(l), "");
	assert_int_equal(lease_set_meta_id(l, "here"), 0);
	assert_int_equal(lease_read(store, &first), 0);
	assert_true(first.held);
	assert_int_equal(first.pid, getpid());
	assert_string_equal(first.mountpoint, "/mnt/test");
	assert_string_equal(first.meta_id, "here");
	assert_int_equal(first.epoch, lease_epoch(l));

	later = first;
	for (int i = 0; i < 500 && later.renewals < first.renewals + 2; i++) {
		sleep_ms(20);
		assert_int_equal(lease_read(store, &later), 0);
	}
	assert_true(later.renewals >= first.renewals + 2);
	assert_true(wait_for_check(l, 0));

	lease_release(l);
	assert_int_equal(lease_read(store, &after), 0);
	assert_false(after.held);
	assert_int_equal(take(false, &l, &why), 0);
	assert_int_equal(lease_epoch(l), after.epoch + 1);
	assert_string_equal(lease_meta_id(l), "here");
	lease_release(l);
}

static pthread_barrier_t together;

static void *taker(void *arg)
{
	_cleanup_free_ char *why = NULL;
	struct lease *l = NULL;

	(void)arg;
	pthread_barrier_wait(&together);
	return take(false, &l, &why) == 0 ? l : NULL;
}

static void of_two_takers_one_wins(void **state)
{
	pthread_t threads[2];
	void *won[2];

	(void)state;
	pthread_barrier_init(&together, NULL, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, taker, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], &won[i]);
	pthread_barrier_destroy(&together);
	assert_true(!won[0] != !won[1]);
	lease_release(won[0] ? won[0] : won[1]);
}

static void whoever_lives_is_not_overtaken(void **state)
{
	_cleanup_free_ char *why = NULL;
	struct lease *l = NULL, *second = NULL;
	char pid[32];

	(void)state;
	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_int_equal(take(false, &l, &why), 0);
	assert_int_equal(take(false, &second, &why), -EBUSY);
	assert_non_null(strstr(why, "/mnt/test"));
	assert_non_null(strstr(why, pid));
	assert_int_equal(lease_check(l, 0), 0);
	lease_release(l);
}

static void a_dead_process_of_this_machine_is_overtaken_at_once(void **state)
{
	_cleanup_free_ char *why = NULL;
	struct timespec from, to;
	struct lease_record r;
	struct lease *l = NULL;
	pid_t child;

	(void)state;
	child = fork();
	if (!child) {
		_exit(take(false, &l, &why) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &(int){0}, 0), child);
	assert_int_equal(lease_read(store, &r), 0);
	assert_true(r.held);
	assert_int_equal(r.pid, child);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(take(false, &l, &why), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec < 2);
	assert_int_equal(lease_epoch(l), r.epoch + 1);
	assert_false(lease_was_broken(l));
	lease_release(l);
}

static void a_number_that_went_to_another_process_is_dead(void **state)
{
	struct lease_record r = {.held = true};

	(void)state;
	assert_int_equal(lease_record_own(&r), 0);
	assert_int_equal(lease_record_holder(&r), LEASE_HERE);
	r.pid_start++;
	assert_int_equal(lease_record_holder(&r), LEASE_DEAD);
	r.pid_ns++;
	assert_int_equal(lease_record_holder(&r), LEASE_ELSEWHERE);
}

static void a_holder_elsewhere_is_named(void **state)
{
	struct lease_record r = elsewhere(time(NULL) + 100);
	_cleanup_free_ char *why = NULL;
	struct lease *l = NULL;

	(void)state;
	put_record(&r);
	assert_int_equal(take(false, &l, &why), -EBUSY);
	assert_non_null(strstr(why, "node-17"));
	assert_non_null(strstr(why, "4711"));
	assert_non_null(strstr(why, "/data"));
	assert_non_null(strstr(why, "2001-09-09 01:46:40 UTC"));
	assert_non_null(strstr(why, "--break-lease"));

	assert_int_equal(take(true, &l, &why), 0);
	assert_true(lease_was_broken(l));
	assert_int_equal(lease_epoch(l), 8);
	assert_string_equal(lease_meta_id(l), "other");
	lease_release(l);
}

static void an_expired_one_is_taken(void **state)
{
	struct lease_record r = elsewhere(time(NULL) - 10);
	_cleanup_free_ char *why = NULL;
	struct lease *l = NULL;

	(void)state;
	put_record(&r);
	assert_int_equal(take(false, &l, &why), 0);
	assert_true(lease_was_broken(l));
	lease_release(l);
}

/* A holder whose clock is an hour behind. */
static void *renew_elsewhere(void *arg)
{
	(void)arg;
	for (unsigned i = 1; i <= 6; i++) {
		struct lease_record r = elsewhere(time(NULL) - 3600);

		r.renewals = i;
		put_record(&r);
		sleep_ms(DURATION_MS / 6);
	}
	return NULL;
}

static void one_that_is_renewed_by_a_slow_clock_is_not_taken(void **state)
{
	_cleanup_free_ char *why = NULL;
	struct lease *l = NULL;
	pthread_t holder;
	int r;

	(void)state;
	assert_int_equal(pthread_create(&holder, NULL, renew_elsewhere, NULL), 0);
	sleep_ms(DURATION_MS / 12);
	r = take(false, &l, &why);
	pthread_join(holder, NULL);
	assert_int_equal(r, -EBUSY);
}

static void one_taken_by_another_is_lost_for_ever(void **state)
{
	struct lease_record r = elsewhere(time(NULL) + 100), after;
	_cleanup_free_ char *why = NULL;
	struct lease *l = NULL;

	(void)state;
	assert_int_equal(take(false, &l, &why), 0);
	put_record(&r);
	assert_true(wait_for_check(l, -EROFS));
	assert_int_equal(lease_set_meta_id(l, "x"), -EROFS);
	lease_release(l);
	assert_int_equal(lease_read(store, &after), 0);
	assert_string_equal(after.host, "node-17");
}

static void one_that_cannot_be_renewed_is_good_again_with_the_store(void **state)
{
	_cleanup_free_ char *why = NULL, *from = NULL, *to = NULL;
	struct lease *l = NULL;

	(void)state;
	assert_true(asprintf(&from, "%s/volume/" LEASE_KEY, dir) > 0);
	assert_true(asprintf(&to, "%s/volume/.lock~", dir) > 0);
	assert_int_equal(take(false, &l, &why), 0);
	/* Nobody can lock a directory that cannot be opened for writing. */
	assert_int_equal(unlink(to), 0);
	assert_int_equal(mkdir(to, 0700), 0);
	assert_true(wait_for_check(l, -EIO));
	assert_int_equal(rmdir(to), 0);
	assert_true(wait_for_check(l, 0));
	lease_release(l);
}

static void what_is_no_lease_is_only_broken(void **state)
{
	static const struct {
		const char *text;
		int r;
	} bad[] = {
		{"", -EBADMSG},
		{"{", -EBADMSG},
		{"[]", -EBADMSG},
		{"{\"magic\":\"other\",\"version\":1,\"epoch\":1,\"meta_id\":\"\",\"holder\":null}",
	         -EBADMSG},
		{"{\"magic\":\"curvefs-lease\",\"version\":2,\"epoch\":1,\"meta_id\":\"\",\"holder\":null}",
	         -EPROTO},
		{"{\"magic\":\"curvefs-lease\",\"version\":1,\"epoch\":0,\"meta_id\":\"\",\"holder\":null}",
	         -EBADMSG},
		{"{\"magic\":\"curvefs-lease\",\"version\":1,\"epoch\":9223372036854775807,\"meta_id\":\"\","
	         "\"holder\":null}",
	         -EBADMSG},
		{"{\"magic\":\"curvefs-lease\",\"version\":1,\"epoch\":1,\"meta_id\":\"\",\"holder\":{}}",
	         -EBADMSG},
		{"{\"magic\":\"curvefs-lease\",\"version\":1,\"epoch\":1,\"meta_id\":\"\\u001b[2J\","
	         "\"holder\":null}",
	         -EBADMSG},
	};
	_cleanup_free_ char *why = NULL;
	struct lease_record r;
	struct lease *l = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		free(TAKE_PTR(why));
		assert_int_equal(store_put(store, LEASE_KEY, bad[i].text, strlen(bad[i].text)), 0);
		assert_int_equal(lease_read(store, &r), bad[i].r);
		assert_int_equal(take(false, &l, &why), bad[i].r);
		assert_non_null(why);
	}
	assert_int_equal(take(true, &l, &why), 0);
	assert_true(lease_epoch(l) > 1000000000); /* above all before, whatever they were */
	lease_release(l);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(it_is_taken_renewed_and_given_up),
		CASE(of_two_takers_one_wins),
		CASE(whoever_lives_is_not_overtaken),
		CASE(a_dead_process_of_this_machine_is_overtaken_at_once),
		CASE(a_number_that_went_to_another_process_is_dead),
		CASE(a_holder_elsewhere_is_named),
		CASE(an_expired_one_is_taken),
		CASE(one_that_is_renewed_by_a_slow_clock_is_not_taken),
		CASE(one_taken_by_another_is_lost_for_ever),
		CASE(one_that_cannot_be_renewed_is_good_again_with_the_store),
		CASE(what_is_no_lease_is_only_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
