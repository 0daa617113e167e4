/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/cache.h"
#include "common/cleanup.h"
#include "daemon/meta/meta.h"
#include "daemon/store/store.h"
#include "daemon/volume.h"
#include "daemon/warmup.h"
#include "tests/harness/volume.h"

static struct test_volume t;
static char failed_path[256], failed_message[256];
static unsigned failures, progress_calls;

static int open_volume(void **state)
{
	(void)state;
	test_volume_open(&t);
	failures = progress_calls = 0;
	*failed_path = *failed_message = '\0';
	return 0;
}

static int close_volume(void **state)
{
	(void)state;
	test_volume_close(&t);
	return 0;
}

static void on_failed(const char *path, const char *message, void *arg)
{
	(void)arg;
	failures++;
	snprintf(failed_path, sizeof(failed_path), "%s", path);
	snprintf(failed_message, sizeof(failed_message), "%s", message);
}

static bool stop_at_once(const struct warmup_progress *p, void *arg)
{
	(void)p;
	(void)arg;
	progress_calls++;
	return false;
}

/* Warm (or check) one path. */
static struct warmup_progress warm(const char *path, bool check, bool metadata_only)
{
	const struct warmup_options options = {.paths = &path,
	                                       .count = 1,
	                                       .threads = 4,
	                                       .check = check,
	                                       .metadata_only = metadata_only,
	                                       .totals = true,
	                                       .failed = on_failed};
	struct warmup_progress done = {0};

	failures = 0;
	assert_int_equal(warmup_run(t.v, &options, &done), 0);
	return done;
}

static uint64_t make_file(uint64_t parent, const char *name, size_t size)
{
	return test_volume_make(&t, parent, name, S_IFREG | 0644, size);
}

static uint64_t make_dir(uint64_t parent, const char *name)
{
	return test_volume_make(&t, parent, name, S_IFDIR | 0755, 0);
}

static void everything_below_is_fetched(void **state)
{
	uint64_t a = make_dir(META_ROOT_INO, "a"), b = make_dir(a, "b");
	uint64_t x = make_file(a, "x", 300000), y = make_file(b, "y", 5 << 20),
		 z = make_file(META_ROOT_INO, "z", 7);
	struct warmup_progress done;

	(void)state;
	test_volume_make(&t, b, "link", S_IFLNK | 0777, 0);
	make_file(b, "empty", 0);
	cache_forget(t.v->cache, x);
	cache_forget(t.v->cache, y);
	cache_forget(t.v->cache, z);

	done = warm("", false, false);
	assert_int_equal(failures, 0);
	assert_int_equal(done.entries, 7);
	assert_int_equal(done.files, 4);
	assert_int_equal(done.bytes, 300000 + (5 << 20) + 7);
	assert_int_equal(done.fetched_bytes, done.bytes);
	assert_true(done.total_known);
	assert_int_equal(done.total_files, 4);
	assert_int_equal(done.total_bytes, done.bytes);
	assert_true(cache_cached_bytes(t.v->cache, y) >= 5 << 20);

	done = warm("", false, false);
	assert_int_equal(done.files, 4);
	assert_int_equal(done.fetched_bytes, 0);
}

static void only_what_was_asked_for_is_fetched(void **state)
{
	uint64_t a = make_dir(META_ROOT_INO, "a"), b = make_dir(a, "b");
	uint64_t x = make_file(a, "x", 1000), y = make_file(b, "y", 1000);
	struct warmup_progress done;

	(void)state;
	cache_forget(t.v->cache, x);
	cache_forget(t.v->cache, y);
	done = warm("a/b/y", false, false);
	assert_int_equal(failures, 0);
	assert_int_equal(done.files, 1);
	assert_int_equal(cache_cached_bytes(t.v->cache, x), 0);
	assert_true(cache_cached_bytes(t.v->cache, y) > 0);
}

static void check_names_what_is_not_cached_and_fetches_nothing(void **state)
{
	uint64_t a = make_dir(META_ROOT_INO, "a"), x = make_file(a, "x", 100000);
	struct store_stats before, after;

	(void)state;
	warm("", true, false);
	assert_int_equal(failures, 0);
	cache_forget(t.v->cache, x);
	store_get_stats(t.v->store, &before);
	warm("", true, false);
	store_get_stats(t.v->store, &after);
	assert_int_equal(failures, 1);
	assert_string_equal(failed_path, "a/x");
	assert_int_equal(after.requests[STORE_GET], before.requests[STORE_GET]);
	warm("", true, true); /* its metadata is all here */
	assert_int_equal(failures, 0);
}

static void metadata_only_fetches_nothing(void **state)
{
	uint64_t x = make_file(META_ROOT_INO, "x", 100000);

	(void)state;
	cache_forget(t.v->cache, x);
	assert_int_equal(warm("", false, true).entries, 1);
	assert_int_equal(failures, 0);
	assert_int_equal(cache_cached_bytes(t.v->cache, x), 0);
}

static int delete_object(const struct store_object *o, void *arg)
{
	(void)arg;
	if (strncmp(o->key, "data/", 5) == 0)
		assert_int_equal(store_delete(t.v->store, o->key), 0);
	return 0;
}

static void a_file_whose_object_is_lost_is_named_and_the_others_are_warmed(void **state)
{
	uint64_t a = make_dir(META_ROOT_INO, "a"), x = make_file(a, "x", 1000), y;

	(void)state;
	assert_int_equal(store_list(t.v->store, "", delete_object, NULL), 0);
	y = make_file(a, "y", 1000);
	cache_forget(t.v->cache, x);
	cache_forget(t.v->cache, y);
	assert_int_equal(warm("a", false, false).files, 2);
	assert_int_equal(failures, 1);
	assert_string_equal(failed_path, "a/x");
	assert_true(cache_cached_bytes(t.v->cache, y) > 0);
}

static void a_path_that_is_no_path_is_named(void **state)
{
	char name[400], path[400];

	(void)state;
	make_file(META_ROOT_INO, "f", 1);
	warm("nowhere/x", false, false);
	assert_int_equal(failures, 1);
	assert_string_equal(failed_path, "nowhere/x");
	assert_string_equal(failed_message, strerror(ENOENT));
	warm("f/x", false, false);
	assert_string_equal(failed_message, strerror(ENOTDIR));
	warm("../etc", false, false);
	assert_string_equal(failed_message, strerror(EINVAL));
	memset(name, 'n', 300);
	name[300] = '\0';
	snprintf(path, sizeof(path), "%s", name);
	warm(path, false, false);
	assert_string_equal(failed_message, strerror(ENAMETOOLONG));
}

static void a_deep_tree_and_a_wide_directory_are_walked_whole(void **state)
{
	uint64_t dir = META_ROOT_INO;
	char name[16];

	(void)state;
	for (int i = 0; i < 600; i++)
		dir = make_dir(dir, "d");
	make_file(dir, "bottom", 10);
	dir = make_dir(META_ROOT_INO, "wide");
	for (int i = 0; i < 2000; i++) { /* more than the queue holds, and several batches */
		snprintf(name, sizeof(name), "f%d", i);
		make_file(dir, name, 0);
	}
	assert_int_equal(warm("", false, false).entries, 600 + 1 + 1 + 2000);
	assert_int_equal(failures, 0);
}

static void it_stops_when_nobody_wants_it_any_more(void **state)
{
	const char *path = "";
	const struct warmup_options options = {
		.paths = &path, .count = 1, .threads = 2, .progress = stop_at_once};
	struct warmup_progress done = {.files = 99};
	int r;

	(void)state;
	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		make_file(META_ROOT_INO, name, 10);
	}
	r = warmup_run(t.v, &options, &done);
	assert_int_equal(r, -ECANCELED);
	assert_int_equal(progress_calls, 1);
	assert_int_equal(done.files, 99);
}

int main(void)
{
#define IN_VOLUME(f) cmocka_unit_test_setup_teardown(f, open_volume, close_volume)
	const struct CMUnitTest tests[] = {
		IN_VOLUME(everything_below_is_fetched),
		IN_VOLUME(only_what_was_asked_for_is_fetched),
		IN_VOLUME(check_names_what_is_not_cached_and_fetches_nothing),
		IN_VOLUME(metadata_only_fetches_nothing),
		IN_VOLUME(a_file_whose_object_is_lost_is_named_and_the_others_are_warmed),
		IN_VOLUME(a_path_that_is_no_path_is_named),
		IN_VOLUME(a_deep_tree_and_a_wide_directory_are_walked_whole),
		IN_VOLUME(it_stops_when_nobody_wants_it_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
