/* SPDX-License-Identifier: Apache-2.0 */
/* A volume whose lease is lost while it is mounted. */
#include "daemon/volume.h"

#include "common/cleanup.h"
#include "daemon/backup/backup.h"
#include "daemon/data/data.h"
#include "daemon/lease.h"
#include "daemon/meta/stream.h"
#include "daemon/store/store.h"
#include "tests/harness/tempdir.h"
#include "tests/harness/volume.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
/* after those it needs */
#include <cmocka.h>

static int count_one(const struct store_object *object, void *arg)
{
	(void)object;
	++*(unsigned *)arg;
	return 0;
}

static unsigned objects(struct store *s)
{
	unsigned count = 0;

	assert_int_equal(store_list(s, "", count_one, &count), 0);
	return count;
}

/* Somebody elsewhere takes it, and this mount finds out. */
static void lose_lease(struct volume *v)
{
	_cleanup_free_ char *text = NULL;
	struct lease_record r;

	assert_int_equal(lease_read(v->store, &r), 0);
	r.epoch++;
	r.expires_s = time(NULL) + 1000;
	strcpy(r.host, "node-17");
	strcpy(r.token, "another");
	text = lease_record_print(&r);
	assert_int_equal(store_put(v->store, LEASE_KEY, text, strlen(text)), 0);
	assert_int_equal(lease_set_meta_id(v->lease, meta_identity(v->meta)), -EROFS);
}

static void without_the_lease_nothing_is_written_any_more(void **state)
{
	struct test_volume t;
	struct meta_cred cred = {.uid = 0};
	struct meta_attr attr;
	struct data_file *f;
	uint64_t ino, sequence;
	unsigned before;
	char byte;

	(void)state;
	test_volume_open(&t);
	ino = test_volume_make(&t, META_ROOT_INO, "f", S_IFREG | 0644, 10);
	assert_int_equal(data_file_get(t.v->data, ino, &f), 0);
	assert_int_equal(data_write(f, 0, 1, "x", false), 0); /* written, but not flushed */
	assert_int_equal(volume_sync(t.v), 0);
	before = objects(t.v->store);
	assert_int_equal(data_write(f, 0, 1, "y", false), 0);
	lose_lease(t.v);

	sequence = meta_sequence(t.v->meta);
	assert_int_equal(data_write(f, 0, 1, "z", false), -EROFS);
	assert_true(data_flush(f) < 0);
	assert_int_equal(
		meta_create(t.v->meta, META_ROOT_INO, "g", &cred, S_IFREG | 0644, 0, NULL, &attr, NULL),
		-EROFS);
	assert_int_equal(meta_unlink(t.v->meta, META_ROOT_INO, "f", NULL, NULL), -EROFS);
	assert_int_equal(backup_ship(t.v->backup), -EROFS);
	assert_int_equal(meta_sequence(t.v->meta), sequence);
	/* What there is can be read. */
	assert_int_equal(meta_lookup(t.v->meta, META_ROOT_INO, "f", &attr), 0);
	assert_int_equal(data_read(f, 5, 1, &byte), 1);
	data_file_put(f);
	/* At most an object that nobody names was added; what the other one needs is there. */
	assert_true(objects(t.v->store) >= before);
	assert_true(volume_close(t.v) < 0);
	{
		char url[512];
		char *why = NULL;
		struct store *s;
		struct lease_record r;

		snprintf(url, sizeof(url), "file://%s/volume", t.dir);
		assert_int_equal(store_open(url, NULL, &s, &why), 0);
		assert_int_equal(lease_read(s, &r), 0);
		assert_true(r.held);
		assert_string_equal(r.host, "node-17");
		assert_true(objects(s) >= before);
		store_close(s);
	}
	options_free(&t.options);
	tempdir_remove(t.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_lease_nothing_is_written_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
