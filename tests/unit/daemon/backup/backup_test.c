/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata's copy in a file:// store: what comes back from it, and what does not count. */
#include "daemon/backup/backup.h"

#include "common/cleanup.h"
#include "daemon/backup/manifest.h"
#include "daemon/backup/restore.h"
#include "daemon/descriptor.h"
#include "daemon/lease.h"
#include "daemon/meta/check.h"
#include "daemon/meta/stream.h"
#include "daemon/store/store.h"
#include "tests/harness/tempdir.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* after those it needs */
#include <cmocka.h>

static const struct meta_volume volume = {
	.uuid = "00000000-1111-2222-3333-444444444444", .name = "test", .chunk_size = 4 << 20};
static const struct meta_cred cred = {.uid = 1000, .gid = 100};

/* Small, so that little metadata has many parts. */
static const struct backup_options small = {.interval_s = 3600, .part_bytes = 2000, .log_bytes = 2000};

static char *top;
static char dir[PATH_MAX];
static struct store *store;
static struct lease *lease;
static struct meta *meta;
static struct backup *backup;

static void take_lease(bool break_it)
{
	const struct lease_options options = {.break_it = break_it};
	char *why = NULL;

	if (lease_take(store, &options, &lease, &why) < 0)
		fail_msg("%s", why);
}

static void start(void)
{
	char *why = NULL;

	if (meta_open(dir, &meta, &why) < 0 || backup_start(meta, store, lease, &small, &backup, &why) < 0)
		fail_msg("%s", why);
}

static void stop(void)
{
	backup_stop(backup);
	backup = NULL;
	meta_close(meta);
	meta = NULL;
}

static int set_up(void **state)
{
	const struct store_options options = {.create = true};
	char url[PATH_MAX], *why = NULL;

	(void)state;
	top = tempdir_make();
	snprintf(url, sizeof(url), "file://%s/volume", top);
	snprintf(dir, sizeof(dir), "%s/meta", top);
	if (store_open(url, &options, &store, &why) < 0 || meta_format(dir, &volume, &why) < 0 ||
	    descriptor_write(store, &volume, &why) < 0)
		fail_msg("%s", why);
	take_lease(false);
	start();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stop();
	lease_release(lease);
	lease = NULL;
	store_close(store);
	tempdir_remove(top);
	return 0;
}

/* ---- what the metadata has ---- */

static void make_files(const char *prefix, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%u", prefix, i);
		assert_int_equal(
			meta_create(meta, META_ROOT_INO, name, &cred, S_IFREG | 0644, 0, NULL, NULL, NULL),
			0);
	}
}

static int print_change(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	const char *bytes = key.data;

	(void)op;
	/* Counters are another matter: numbers are skipped. */
	if (bytes[0] == 'N')
		return 0;
	fwrite(key.data, 1, key.size, arg);
	fputc('=', arg);
	fwrite(value.data, 1, value.size, arg);
	fputc('\n', arg);
	return 0;
}

static char *all_of(struct meta *m, size_t *ret_size)
{
	uint64_t sequence;
	char *text;
	FILE *f = open_memstream(&text, ret_size);

	assert_int_equal(meta_stream_all(m, print_change, f, &sequence), 0);
	fclose(f);
	return text;
}

static void print_problem(const char *text, void *arg)
{
	(void)arg;
	print_error("metadata check: %s\n", text);
}

/* Restore elsewhere; nothing there knows of the mount here, whose lease is taken away. */
static int restore_to(const char *name, struct restored *ret, char **ret_why)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	mkdir(path, 0700);
	return restore(store, path, true, NULL, NULL, ret, ret_why);
}

static void assert_restores_to(const char *wanted, size_t wanted_size)
{
	_cleanup_free_ char *got = NULL, *why = NULL;
	struct restored done;
	struct meta *m;
	char path[PATH_MAX];
	size_t size, problems = 1;

	if (restore_to("restored", &done, &why) < 0)
		fail_msg("%s", why);
	snprintf(path, sizeof(path), "%s/restored", top);
	assert_int_equal(meta_open(path, &m, &why), 0);
	got = all_of(m, &size);
	assert_int_equal(size, wanted_size);
	assert_memory_equal(got, wanted, size);
	assert_int_equal(meta_check(m, print_problem, NULL, &problems), 0);
	assert_int_equal(problems, 0);
	meta_close(m);
}

/* ---- what the store has ---- */

struct listing {
	unsigned parts, manifests;
	char last_part[BACKUP_KEY_MAX];
};

static int list_one(const struct store_object *object, void *arg)
{
	struct listing *l = arg;

	if (strncmp(object->key, PART_PREFIX, strlen(PART_PREFIX)) == 0) {
		l->parts++;
		snprintf(l->last_part, sizeof(l->last_part), "%s", object->key);
	} else {
		l->manifests++;
	}
	return 0;
}

static struct listing list(void)
{
	struct listing l = {0};

	assert_int_equal(store_list(store, BACKUP_PREFIX, list_one, &l), 0);
	return l;
}

static uint64_t checkpoints(void)
{
	struct backup_state state;

	backup_get_state(backup, &state);
	return state.checkpoints;
}

/* ---- the tests ---- */

static void what_was_shipped_comes_back(void **state)
{
	_cleanup_free_ char *wanted = NULL;
	size_t size;

	(void)state;
	make_files("first", 30);
	assert_int_equal(backup_ship(backup), 0);
	assert_int_equal(checkpoints(), 1);
	make_files("second", 10);
	assert_int_equal(meta_unlink(meta, META_ROOT_INO, "first3", NULL, NULL), 0);
	assert_int_equal(meta_rename(meta, META_ROOT_INO, "first4", META_ROOT_INO, "second1", 0,
	                             &(struct meta_renamed){0}),
	                 0);
	assert_int_equal(backup_ship(backup), 0);
	assert_int_equal(checkpoints(), 1);
	wanted = all_of(meta, &size);
	make_files("late", 5);
	assert_restores_to(wanted, size);
}

static void nothing_new_is_not_shipped_again(void **state)
{
	struct backup_state state_before, state_after;

	(void)state;
	assert_int_equal(backup_ship(backup), 0);
	backup_get_state(backup, &state_before);
	assert_int_equal(backup_ship(backup), 0);
	backup_get_state(backup, &state_after);
	assert_int_equal(state_before.shipments, state_after.shipments);
	assert_int_equal(state_after.sequence, state_after.shipped);
}

static void what_frees_an_object_must_be_shipped_before_it_goes(void **state)
{
	uint64_t before;

	(void)state;
	make_files("f", 1);
	before = meta_sequence(meta);
	assert_false(backup_covers(backup, before));
	assert_int_equal(backup_ship(backup), 0);
	assert_true(backup_covers(backup, before));
	make_files("g", 1);
	assert_false(backup_covers(backup, meta_sequence(meta)));
}

static void objects_newer_than_every_copy_are_private(void **state)
{
	uint64_t object, later;

	(void)state;
	assert_int_equal(meta_new_object(meta, &object), 0);
	assert_true(backup_first_private(backup) <= object);
	make_files("f", 1);
	assert_int_equal(backup_ship(backup), 0);
	assert_true(backup_first_private(backup) > object);
	assert_int_equal(meta_new_object(meta, &later), 0);
	assert_true(backup_first_private(backup) <= later);
}

static void a_long_log_becomes_a_checkpoint_and_leaves_nothing_behind(void **state)
{
	_cleanup_free_ char *wanted = NULL;
	size_t size;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		char prefix[16];

		snprintf(prefix, sizeof(prefix), "round%u-", i);
		make_files(prefix, 5);
		assert_int_equal(backup_ship(backup), 0);
		assert_int_equal(list().manifests, 1);
	}
	assert_true(checkpoints() > 2);
	assert_true(list().parts < 40);
	wanted = all_of(meta, &size);
	assert_restores_to(wanted, size);
}

static void a_mount_goes_on_where_the_last_one_stopped(void **state)
{
	_cleanup_free_ char *wanted = NULL;
	size_t size;

	(void)state;
	make_files("f", 20);
	assert_int_equal(backup_ship(backup), 0);
	for (unsigned i = 0; i < 3; i++) {
		char prefix[16];

		stop();
		lease_release(lease);
		take_lease(false);
		start();
		snprintf(prefix, sizeof(prefix), "again%u-", i);
		make_files(prefix, 2);
		assert_int_equal(backup_ship(backup), 0);
		assert_int_equal(checkpoints(), 0);
	}
	wanted = all_of(meta, &size);
	assert_restores_to(wanted, size);
}

static void after_a_broken_lease_nothing_of_the_other_is_needed(void **state)
{
	(void)state;
	make_files("f", 20);
	assert_int_equal(backup_ship(backup), 0);
	stop();
	lease_release(lease);
	/* Someone who does not give it up. */
	take_lease(false);
	start();
	make_files("g", 1);
	{
		struct lease *former = lease;
		struct backup *late = backup;
		_cleanup_free_ char *wanted = NULL;
		struct meta *m = meta;
		size_t size;

		take_lease(true);
		assert_int_equal(backup_start(m, store, lease, &small, &backup, &(char *){NULL}), 0);
		assert_int_equal(backup_ship(backup), 0);
		assert_int_equal(checkpoints(), 1);
		wanted = all_of(m, &size);
		/* The other one finds out, and ships nothing any more. */
		make_files("h", 1);
		lease_set_meta_id(former, "x");
		assert_int_equal(backup_ship(late), -EROFS);
		assert_false(backup_covers(late, 1));
		/* Who lost the lease knows nothing of the copies of others. */
		assert_true(backup_first_private(late) == UINT64_MAX);
		backup_stop(late);
		lease_release(former);
		assert_restores_to(wanted, size);
	}
}

static void a_manifest_of_an_earlier_epoch_does_not_count(void **state)
{
	_cleanup_free_ char *wanted = NULL, *why = NULL, *text = NULL;
	char key[BACKUP_KEY_MAX];
	struct manifest m;
	size_t size;

	(void)state;
	make_files("f", 3);
	assert_int_equal(backup_ship(backup), 0);
	wanted = all_of(meta, &size);
	/* Put late, and newer by every other measure. */
	assert_int_equal(manifest_newest(store, volume.uuid, &m, &why), 0);
	m.epoch--;
	m.number += 1000;
	m.sequence += 1000;
	m.created_s += 1000;
	m.parts[0].size++;
	text = manifest_print(&m, volume.uuid);
	manifest_key(m.epoch, m.number, key);
	manifest_clear(&m);
	assert_int_equal(store_put(store, key, text, strlen(text)), 0);
	assert_restores_to(wanted, size);
}

static void what_is_not_whole_is_not_restored(void **state)
{
	_cleanup_free_ char *why = NULL, *why_cut = NULL, *why_gone = NULL;
	_cleanup_free_ unsigned char *part = NULL;
	struct restored done;
	struct listing l;
	size_t size;

	(void)state;
	make_files("f", 60);
	assert_int_equal(backup_ship(backup), 0);
	l = list();
	assert_true(l.parts > 1);
	assert_int_equal(store_get_all(store, l.last_part, 1 << 20, (void **)&part, &size), 0);
	part[size / 2] ^= 1;
	assert_int_equal(store_put(store, l.last_part, part, size), 0);
	assert_int_equal(restore_to("flipped", &done, &why), -EBADMSG);
	assert_non_null(strstr(why, l.last_part));
	assert_int_equal(store_put(store, l.last_part, part, size / 2), 0);
	assert_int_equal(restore_to("cut", &done, &why_cut), -EBADMSG);
	assert_int_equal(store_delete(store, l.last_part), 0);
	assert_int_equal(restore_to("gone", &done, &why_gone), -EBADMSG);
	assert_non_null(strstr(why_gone, "not whole"));
}

static void without_a_backup_there_is_nothing_to_restore(void **state)
{
	_cleanup_free_ char *why = NULL;
	struct restored done;

	(void)state;
	assert_int_equal(restore_to("none", &done, &why), -ENODATA);
	assert_int_equal(backup_ship(backup), 0);
	assert_int_equal(backup_remove(store), 1);
	assert_int_equal(list().parts, 0);
	assert_int_equal(list().manifests, 0);
}

static void an_older_copy_of_the_directory_is_refused(void **state)
{
	_cleanup_free_ char *command = NULL, *why = NULL;

	(void)state;
	make_files("f", 3);
	stop();
	assert_true(asprintf(&command, "cp -a %s %s.old", dir, dir) > 0);
	assert_int_equal(system(command), 0);
	start();
	make_files("g", 30);
	assert_int_equal(backup_ship(backup), 0);
	stop();
	strcat(dir, ".old");
	assert_int_equal(meta_open(dir, &meta, &why), 0);
	assert_int_equal(backup_start(meta, store, lease, &small, &backup, &why), -ESTALE);
	assert_non_null(strstr(why, "older than its own backup"));
}

static void a_damaged_manifest_is_replaced_by_the_next_mount(void **state)
{
	_cleanup_free_ char *wanted = NULL, *why = NULL;
	struct manifest m;
	char key[BACKUP_KEY_MAX];
	size_t size;

	(void)state;
	make_files("f", 3);
	assert_int_equal(backup_ship(backup), 0);
	assert_int_equal(manifest_newest(store, volume.uuid, &m, &why), 0);
	manifest_key(m.epoch, m.number, key);
	manifest_clear(&m);
	stop();
	assert_int_equal(store_put(store, key, "{", 1), 0);
	lease_release(lease);
	take_lease(false);
	start();
	assert_int_equal(backup_ship(backup), 0);
	assert_int_equal(checkpoints(), 1);
	assert_int_equal(list().manifests, 1);
	wanted = all_of(meta, &size);
	assert_restores_to(wanted, size);
}

static void numbers_of_the_lost_machine_are_skipped(void **state)
{
	uint64_t object_before, object_after;
	struct meta_attr before, after;
	_cleanup_free_ char *why = NULL;
	struct restored done;
	struct meta *m;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(backup_ship(backup), 0);
	/* Not in the copy. */
	for (int i = 0; i < 5000; i++)
		assert_int_equal(meta_new_object(meta, &object_before), 0);
	assert_int_equal(meta_create(meta, META_ROOT_INO, "f", &cred, S_IFREG | 0644, 0, NULL, &before, NULL),
	                 0);
	assert_int_equal(restore_to("restored", &done, &why), 0);
	snprintf(path, sizeof(path), "%s/restored", top);
	assert_int_equal(meta_open(path, &m, &why), 0);
	assert_int_equal(meta_new_object(m, &object_after), 0);
	assert_int_equal(meta_create(m, META_ROOT_INO, "f", &cred, S_IFREG | 0644, 0, NULL, &after, NULL), 0);
	assert_true(object_after > object_before);
	assert_true(after.ino > before.ino);
	assert_int_equal(meta_setattr(m, after.ino, META_SET_SIZE, &(struct meta_attr){.size = 1}, &after),
	                 0);
	assert_true(after.version > before.version);
	meta_close(m);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_was_shipped_comes_back),
		CASE(nothing_new_is_not_shipped_again),
		CASE(what_frees_an_object_must_be_shipped_before_it_goes),
		CASE(objects_newer_than_every_copy_are_private),
		CASE(a_long_log_becomes_a_checkpoint_and_leaves_nothing_behind),
		CASE(a_mount_goes_on_where_the_last_one_stopped),
		CASE(after_a_broken_lease_nothing_of_the_other_is_needed),
		CASE(a_manifest_of_an_earlier_epoch_does_not_count),
		CASE(what_is_not_whole_is_not_restored),
		CASE(without_a_backup_there_is_nothing_to_restore),
		CASE(an_older_copy_of_the_directory_is_refused),
		CASE(a_damaged_manifest_is_replaced_by_the_next_mount),
		CASE(numbers_of_the_lost_machine_are_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
