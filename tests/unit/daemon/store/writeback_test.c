/* SPDX-License-Identifier: Apache-2.0 */
/* What contract_test.c does not ask of it: when what is where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/store/store.h"
#include "daemon/store/writeback.h"
#include "tests/harness/tempdir.h"

#define LATER 3600 /* a delay that no test lasts */

static char *directory, *journal, *url;

static int make_directory(void **state)
{
	(void)state;
	directory = tempdir_make();
	return !directory || asprintf(&url, "file://%s/volume", directory) < 0 ||
	       asprintf(&journal, "%s/journal", directory) < 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unsetenv("CURVEFS_STORE_FAULTS");
	tempdir_remove(directory);
	free(url);
	free(journal);
	return 0;
}

static struct store *open_below(const char *faults)
{
	const struct store_options options = {.create = true};
	_cleanup_free_ char *why = NULL;
	struct store *below = NULL;

	setenv("CURVEFS_STORE_FAULTS", faults, 1);
	assert_int_equal(store_open(url, &options, &below, &why), 0);
	return below;
}

static struct store *open_with(struct writeback_options options, const char *faults)
{
	struct store *below = open_below(faults), *s = NULL;
	_cleanup_free_ char *why = NULL;

	options.dir = journal;
	options.prefix = "data/";
	assert_int_equal(writeback_open(below, &options, &s, &why), 0);
	return s;
}

static struct store *open_delayed(void)
{
	return open_with((struct writeback_options){.stage = true, .uploads = 2, .delay_s = LATER}, "");
}

static void put(struct store *s, const char *key, const char *text)
{
	assert_int_equal(store_put(s, key, text, strlen(text)), 0);
}

static void assert_holds(struct store *s, const char *key, const char *text)
{
	char got[64] = {0};

	assert_int_equal(store_get(s, key, 0, strlen(text), got), 0);
	assert_string_equal(got, text);
}

/* Is it in the store below, whatever the journal has? */
static bool is_uploaded(const char *key)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/volume/%s", directory, key) > 0);
	return access(path, F_OK) == 0;
}

static bool is_in_journal(const char *name)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", journal, name) > 0);
	return access(path, F_OK) == 0;
}

static struct writeback_state state_of(struct store *s)
{
	struct writeback_state state;

	writeback_get_state(s, &state);
	return state;
}

static void a_put_returns_with_the_object_in_the_journal_only(void **state)
{
	struct store *s = open_delayed();

	(void)state;
	put(s, "data/1", "one");
	put(s, "meta/1", "passes");
	assert_true(is_in_journal("data-1"));
	assert_false(is_uploaded("data/1"));
	assert_true(is_uploaded("meta/1"));
	assert_holds(s, "data/1", "one");
	assert_int_equal(state_of(s).objects, 1);
	assert_int_equal(state_of(s).bytes, 3);
	assert_int_not_equal(state_of(s).oldest_s, 0);
	assert_int_equal(store_delete(s, "data/1"), 0);
	store_close(s);
}

static void a_drain_uploads_what_was_put_before_it(void **state)
{
	struct store *s = open_delayed();

	(void)state;
	for (int i = 0; i < 50; i++) {
		char key[32];

		snprintf(key, sizeof(key), "data/drain/%d", i);
		put(s, key, "x");
	}
	assert_int_equal(writeback_drain(s), 0);
	assert_int_equal(state_of(s).objects, 0);
	assert_int_equal(state_of(s).uploaded, 50);
	assert_true(is_uploaded("data/drain/0"));
	assert_true(is_uploaded("data/drain/49"));
	assert_holds(s, "data/drain/7", "x");
	/* It was no promise for what comes later. */
	put(s, "data/drain/late", "x");
	assert_false(is_uploaded("data/drain/late"));
	assert_int_equal(store_delete(s, "data/drain/late"), 0);
	store_close(s);
}

static void what_is_deleted_before_its_upload_goes_nowhere(void **state)
{
	struct store *s = open_delayed();

	(void)state;
	put(s, "data/short-lived", "passes, for its name");
	put(s, "data/brief", "x");
	assert_true(is_uploaded("data/short-lived"));
	assert_int_equal(store_delete(s, "data/brief"), 0);
	assert_int_equal(writeback_drain(s), 0);
	assert_false(is_uploaded("data/brief"));
	assert_false(is_in_journal("data-brief"));
	assert_int_equal(state_of(s).unneeded, 1);
	assert_int_equal(store_get(s, "data/brief", 0, 0, NULL), -ENOENT);
	store_close(s);
}

static void the_next_open_goes_on_whatever_its_options(void **state)
{
	struct store *s = open_delayed();

	(void)state;
	put(s, "data/kept", "kept");
	store_close(s);
	assert_true(is_in_journal("data-kept"));
	assert_false(is_uploaded("data/kept"));
	/* One that only looks. */
	s = open_with((struct writeback_options){0}, "");
	assert_holds(s, "data/kept", "kept");
	put(s, "data/through", "through");
	assert_true(is_uploaded("data/through"));
	assert_int_equal(writeback_drain(s), -EROFS);
	store_close(s);
	s = open_with((struct writeback_options){.uploads = 1}, "");
	assert_int_equal(writeback_drain(s), 0);
	store_close(s);
	assert_true(is_uploaded("data/kept"));
	assert_false(is_in_journal("data-kept"));
}

static void an_upload_that_fails_is_tried_again(void **state)
{
	struct store *s = open_with((struct writeback_options){.stage = true, .uploads = 1},
	                            "put:error=EIO,times=2,key=data/");

	(void)state;
	put(s, "data/stubborn", "x");
	/* Once or twice it says so, as the store did; nothing is lost by that. */
	for (int i = 0; i < 3 && writeback_drain(s) < 0; i++)
		assert_non_null(strstr(store_last_error(), "injected"));
	assert_int_equal(writeback_drain(s), 0);
	assert_true(is_uploaded("data/stubborn"));
	assert_false(state_of(s).failing);
	store_close(s);
}

static void after_a_stop_nobody_is_at_work_in_the_directory(void **state)
{
	struct store *s = open_with((struct writeback_options){.stage = true, .uploads = 1},
	                            "put:delay_ms=300,key=data/");

	(void)state;
	put(s, "data/first", "x");
	usleep(50000); /* it is on its way */
	put(s, "data/second", "x");
	writeback_stop(s);
	assert_true(is_uploaded("data/first"));
	assert_false(is_in_journal("data-first"));
	usleep(400000);
	assert_false(is_uploaded("data/second"));
	assert_true(is_in_journal("data-second"));
	assert_int_equal(writeback_drain(s), -EROFS);
	assert_int_equal(store_delete(s, "data/second"), 0);
	store_close(s);
}

static void what_was_perhaps_uploaded_is_deleted_below_as_well(void **state)
{
	struct store *s = open_with((struct writeback_options){.stage = true, .uploads = 1},
	                            "put:error=EIO,late,times=1,key=data/");

	(void)state;
	put(s, "data/perhaps", "x");
	while (!state_of(s).failing)
		usleep(1000);
	assert_true(is_uploaded("data/perhaps"));
	assert_int_equal(store_delete(s, "data/perhaps"), 0);
	assert_false(is_uploaded("data/perhaps"));
	store_close(s);
}

static void without_room_it_goes_to_the_store_at_once(void **state)
{
	struct store *s = open_with(
		(struct writeback_options){
			.stage = true, .uploads = 1, .delay_s = LATER, .free_space_ratio = 1},
		"");

	(void)state;
	put(s, "data/large", "x");
	assert_true(is_uploaded("data/large"));
	assert_int_equal(state_of(s).passed, 1);
	assert_int_equal(state_of(s).objects, 0);
	store_close(s);
}

static void a_journal_that_cannot_be_written_stands_in_nobodys_way(void **state)
{
	struct store *s = open_delayed();

	(void)state;
	/* Root is stopped by no mode, but by the lack of a directory. */
	assert_int_equal(rmdir(journal), 0);
	put(s, "data/homeless", "x");
	assert_true(is_uploaded("data/homeless"));
	assert_holds(s, "data/homeless", "x");
	store_close(s);
}

static int count_key(const struct store_object *object, void *arg)
{
	char *seen = arg;

	assert_true(strlen(seen) + strlen(object->key) + 2 < 256);
	strcat(seen, object->key);
	strcat(seen, " ");
	return 0;
}

static void a_listing_has_both_in_order_once(void **state)
{
	struct store *s = open_delayed();
	char seen[256] = "";

	(void)state;
	put(s, "data/list/b", "x");
	put(s, "data/list/d", "x");
	assert_int_equal(writeback_drain(s), 0);
	put(s, "data/list/a", "x");
	put(s, "data/list/c", "x");
	put(s, "data/list/d", "again");
	put(s, "data/list/e", "x");
	put(s, "data/other", "x");
	assert_int_equal(store_list(s, "data/list/", count_key, seen), 0);
	assert_string_equal(seen, "data/list/a data/list/b data/list/c data/list/d data/list/e ");
	assert_holds(s, "data/list/d", "again");
	assert_int_equal(writeback_drain(s), 0);
	store_close(s);
}

static void what_it_did_not_write_is_left_alone(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct store *s;
	int fd;

	(void)state;
	store_close(open_delayed());
	assert_true(asprintf(&path, "%s/notes.txt", journal) > 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	s = open_delayed();
	assert_int_equal(state_of(s).objects, 0);
	store_close(s);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void an_object_that_was_cut_short_is_not_uploaded(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct store *s = open_delayed();

	(void)state;
	put(s, "data/cut", "a whole object");
	assert_true(asprintf(&path, "%s/data-cut", journal) > 0);
	assert_int_equal(truncate(path, 5), 0);
	assert_int_equal(writeback_drain(s), -EBADMSG);
	assert_non_null(strstr(store_last_error(), "data-cut"));
	assert_false(is_uploaded("data/cut"));
	/* Whoever removes it gives it up; the others go on. */
	put(s, "data/next", "x");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(writeback_drain(s), 0);
	assert_true(is_uploaded("data/next"));
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_put_returns_with_the_object_in_the_journal_only),
		cmocka_unit_test(a_drain_uploads_what_was_put_before_it),
		cmocka_unit_test(what_is_deleted_before_its_upload_goes_nowhere),
		cmocka_unit_test(the_next_open_goes_on_whatever_its_options),
		cmocka_unit_test(an_upload_that_fails_is_tried_again),
		cmocka_unit_test(after_a_stop_nobody_is_at_work_in_the_directory),
		cmocka_unit_test(what_was_perhaps_uploaded_is_deleted_below_as_well),
		cmocka_unit_test(without_room_it_goes_to_the_store_at_once),
		cmocka_unit_test(a_journal_that_cannot_be_written_stands_in_nobodys_way),
		cmocka_unit_test(a_listing_has_both_in_order_once),
		cmocka_unit_test(what_it_did_not_write_is_left_alone),
		cmocka_unit_test(an_object_that_was_cut_short_is_not_uploaded),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
