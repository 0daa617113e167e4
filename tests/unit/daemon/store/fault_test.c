/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/store/fault.h"
#include "daemon/store/store.h"
#include "tests/harness/tempdir.h"

static char *directory, *url;

static int make_directory(void **state)
{
	(void)state;
	directory = tempdir_make();
	return !directory || asprintf(&url, "file://%s", directory) < 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unsetenv("CURVEFS_STORE_FAULTS");
	tempdir_remove(directory);
	free(url);
	return 0;
}

static struct store *open_with(const char *faults)
{
	_cleanup_free_ char *why = NULL;
	struct store *s = NULL;

	setenv("CURVEFS_STORE_FAULTS", faults, 1);
	assert_int_equal(store_open(url, NULL, &s, &why), 0);
	return s;
}

static void an_error_comes_every_third_time(void **state)
{
	struct store *s = open_with("put:error=ENOSPC,every=3");
	struct store_stats stats;

	(void)state;
	for (int i = 1; i <= 9; i++)
		assert_int_equal(store_put(s, "a", "x", 1), i % 3 ? 0 : -ENOSPC);
	assert_non_null(strstr(store_last_error(), "injected"));
	store_get_stats(s, &stats);
	assert_int_equal(stats.requests[STORE_PUT], 6);
	assert_int_equal(stats.errors[STORE_PUT], 3);
	assert_int_equal(stats.bytes[STORE_PUT], 6);
	store_close(s);
}

static void after_and_times_bound_a_rule(void **state)
{
	struct store *s = open_with("get:error=ETIMEDOUT,after=2,times=2");
	char c;

	(void)state;
	assert_int_equal(store_put(s, "a", "x", 1), 0);
	for (int i = 1; i <= 6; i++)
		assert_int_equal(store_get(s, "a", 0, 1, &c), i == 3 || i == 4 ? -ETIMEDOUT : 0);
	store_close(s);
}

static void a_rule_keeps_to_its_keys(void **state)
{
	struct store *s = open_with("any:error=EACCES,key=data/");
	uint64_t size;

	(void)state;
	assert_int_equal(store_put(s, "meta/1", "x", 1), 0);
	assert_int_equal(store_put(s, "data/1", "x", 1), -EACCES);
	assert_int_equal(store_head(s, "data/1", &size), -EACCES);
	assert_int_equal(store_head(s, "meta/1", &size), 0);
	store_close(s);
}

static void corrupt_changes_what_is_read_and_not_what_is_kept(void **state)
{
	struct store *s = open_with("get:corrupt,times=2");
	_cleanup_free_ void *data = NULL;
	char got[10];
	size_t n;

	(void)state;
	assert_int_equal(store_put(s, "c", "0123456789", 10), 0);
	assert_int_equal(store_get(s, "c", 0, 10, got), 0);
	assert_memory_not_equal(got, "0123456789", 10);
	assert_int_equal(store_get_all(s, "c", 10, &data, &n), 0);
	assert_memory_not_equal(data, "0123456789", 10);
	assert_int_equal(store_get(s, "c", 0, 10, got), 0);
	assert_memory_equal(got, "0123456789", 10);
	store_close(s);
}

static void a_late_error_comes_after_the_deed(void **state)
{
	struct store *s = open_with("put:error=EIO,late;head:error=EIO,late,times=1");
	char got[3];
	uint64_t size = 77;

	(void)state;
	assert_int_equal(store_put(s, "late", "new", 3), -EIO);
	assert_int_equal(store_get(s, "late", 0, 3, got), 0);
	assert_memory_equal(got, "new", 3);
	assert_int_equal(store_head(s, "late", &size), -EIO);
	assert_int_equal(size, 77);
	store_close(s);
}

static void a_delay_delays(void **state)
{
	struct store *s = open_with("delete:delay_ms=30;delete:delay_ms=20");
	struct timespec a, b;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(store_delete(s, "x"), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec >= 50000000);
	store_close(s);
}

static void kill_ends_the_process(void **state)
{
	struct store *s = open_with("put:kill,late,after=1");
	uint64_t size;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid) {
		store_put(s, "killed/1", "x", 1);
		store_put(s, "killed/2", "x", 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(store_head(s, "killed/2", &size), 0);
	store_close(s);
}

static void a_listing_fails_too(void **state)
{
	struct store *s = open_with("list:error=EIO");

	(void)state;
	assert_int_equal(store_list(s, "", NULL, NULL), -EIO);
	store_close(s);
}

static void malformed_faults_are_refused_with_the_word(void **state)
{
	static const struct {
		const char *faults, *says;
	} cases[] = {
		{"put", "'put' is not OPERATION:FAULT"},
		{"write:error=EIO", "'write' is not one of"},
		{"put:error=EWHAT", "'error=EWHAT'"},
		{"put:error=", "'error='"},
		{"put:corrupt", "'corrupt' is not understood for 'put'"},
		{"put:every=3", "has none of"},
		{"put:error=EIO,every=0", "'every=0'"},
		{"put:error=EIO,every=-1", "'every=-1'"},
		{"put:error=EIO,every=99999999999999999999", "every=9999"},
		{"put:delay_ms=5x", "'delay_ms=5x'"},
		{"put:error=EIO;;", "'' is not"},
		{"put:error=EIO,", "'' is not understood"},
		{"get:delay_ms=3,late", "'late'"},
		{"put:error=EIO,key=", "'key='"},
		{":error=EIO", "'' is not one of"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *why = NULL;
		struct store *s = NULL;

		setenv("CURVEFS_STORE_FAULTS", cases[i].faults, 1);
		assert_int_equal(store_open(url, NULL, &s, &why), -EINVAL);
		assert_null(s);
		if (!strstr(why, cases[i].says))
			fail_msg("%s: %s", cases[i].faults, why);
	}
}

static void too_many_rules_are_refused(void **state)
{
	_cleanup_free_ char *why = NULL;
	char faults[40 * 20] = "";
	struct store *s = NULL;

	(void)state;
	for (int i = 0; i < 33; i++)
		strcat(faults, i ? ";put:error=EIO" : "put:error=EIO");
	setenv("CURVEFS_STORE_FAULTS", faults, 1);
	assert_int_equal(store_open(url, NULL, &s, &why), -EINVAL);
}

static void an_empty_variable_is_no_fault(void **state)
{
	struct store *s = open_with("");

	(void)state;
	assert_int_equal(store_put(s, "none", "x", 1), 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(an_error_comes_every_third_time),
		cmocka_unit_test(after_and_times_bound_a_rule),
		cmocka_unit_test(a_rule_keeps_to_its_keys),
		cmocka_unit_test(corrupt_changes_what_is_read_and_not_what_is_kept),
		cmocka_unit_test(a_late_error_comes_after_the_deed),
		cmocka_unit_test(a_delay_delays),
		cmocka_unit_test(kill_ends_the_process),
		cmocka_unit_test(a_listing_fails_too),
		cmocka_unit_test(malformed_faults_are_refused_with_the_word),
		cmocka_unit_test(too_many_rules_are_refused),
		cmocka_unit_test(an_empty_variable_is_no_fault),
	};

	return cmocka_run_group_tests(cases, make_directory, remove_directory);
}
