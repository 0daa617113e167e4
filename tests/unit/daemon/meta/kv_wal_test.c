/* SPDX-License-Identifier: Apache-2.0 */
/* Logs as a crash leaves them, and damaged ones. Keys are numbered, so that what is left can be told. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/meta/kv.h"
#include "daemon/meta/kv_wal.h"

enum { KEYS = 60, VALUE_MAX = 50000, SECTOR = 512 };

struct crashed {
	struct fixture *f;
	char dir[PATH_MAX + 64]; /* as it is when its process is killed */
	char log[PATH_MAX + 128];
	off_t size; /* of the log */
};

static void copy_file(int from_dir, const char *name, const char *to)
{
	static char buffer[1 << 20];
	_cleanup_close_ int from = openat(from_dir, name, O_RDONLY);
	_cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ssize_t n;

	assert_true(from >= 0 && out >= 0);
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		assert_int_equal(write(out, buffer, (size_t)n), n);
	assert_int_equal(n, 0);
}

/* What is in the files of an open database is what is there when it is killed. */
static void take_copy(struct crashed *c, const char *name)
{
	_cleanup_close_ int dir = open(c->f->dir, O_RDONLY | O_DIRECTORY);
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(c->dir, sizeof(c->dir), "%s/%s", c->f->top, name);
	assert_int_equal(mkdir(c->dir, 0700), 0);
	d = opendir(c->f->dir);
	assert_non_null(d);
	c->size = 0;
	while ((e = readdir(d))) {
		char to[PATH_MAX + 400];

		/* To close LOCK would free it. */
		if (e->d_type != DT_REG || !strcmp(e->d_name, "LOCK"))
			continue;
		snprintf(to, sizeof(to), "%s/%s", c->dir, e->d_name);
		copy_file(dir, e->d_name, to);
		if (strstr(e->d_name, ".log") && stat(to, &st) == 0 && st.st_size > c->size) {
			c->size = st.st_size;
			snprintf(c->log, sizeof(c->log), "%s/%.40s", c->dir, e->d_name);
		}
	}
	closedir(d);
	assert_true(c->size > 0);
}

static void put_numbered(struct kv *kv, int i)
{
	_cleanup_free_ char *value = malloc(VALUE_MAX);
	struct kv_txn *txn;
	char key[16];

	/* Some are in one part, some in many; no byte of them is zero. */
	memset(value, 'a' + i % 26, VALUE_MAX);
	snprintf(key, sizeof(key), "key%03d", i);
	assert_int_equal(kv_begin(kv, &txn), 0);
	assert_int_equal(kv_put(txn, (struct kv_slice){key, strlen(key)},
	                        (struct kv_slice){value, (size_t)(i * i * 7919 % VALUE_MAX)}),
	                 0);
	assert_int_equal(kv_commit(txn, false), 0);
}

static int setup(void **state)
{
	struct crashed *c = calloc(1, sizeof(*c));
	struct kv *kv;
	void *f;
	char *why = NULL;

	assert_non_null(c);
	fixture_setup_empty(&f);
	c->f = f;
	assert_int_equal(kv_open(c->f->dir, true, &kv, &why), 0);
	for (int i = 0; i < KEYS; i++)
		put_numbered(kv, i);
	take_copy(c, "crashed");
	kv_close(kv);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct crashed *c = *state;
	void *f = c->f;

	fixture_teardown(&f);
	free(c);
	return 0;
}

static int count_one(struct kv_slice key, struct kv_slice value, void *arg)
{
	char expected[16];

	(void)value;
	snprintf(expected, sizeof(expected), "key%03d", (*(int *)arg)++);
	assert_int_equal(key.size, strlen(expected));
	assert_memory_equal(key.data, expected, key.size);
	return 0;
}

/* The keys in the database, which must be the first ones. */
static int count_keys(const char *dir)
{
	struct kv_txn *txn;
	struct kv *kv;
	char *why = NULL;
	int count = 0;

	if (kv_open(dir, false, &kv, &why) < 0)
		fail_msg("%s", why);
	assert_int_equal(kv_begin_read(kv, &txn), 0);
	assert_int_equal(
		kv_scan(txn, (struct kv_slice){"key", 3}, (struct kv_slice){"", 0}, count_one, &count), 0);
	kv_rollback(txn);
	kv_close(kv);
	return count;
}

static void overwrite(const char *path, off_t at, const void *bytes, size_t size)
{
	_cleanup_close_ int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, size, at), size);
}

static void flip(const char *path, off_t at)
{
	_cleanup_close_ int fd = open(path, O_RDWR);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1u << at % 8;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void a_whole_log_is_opened(void **state)
{
	struct crashed *c = *state;

	assert_int_equal(count_keys(c->dir), KEYS);
}

static void a_log_that_ends_early_is_opened(void **state)
{
	struct crashed *c = *state;
	char *why = NULL;

	for (off_t size = c->size - 1; size > c->size - 4000; size -= 37) {
		assert_int_equal(truncate(c->log, size), 0);
		assert_int_equal(kv_wal_check(c->dir, &why), 0);
	}
	assert_in_range(count_keys(c->dir), KEYS / 2, KEYS - 1);
}

/* A file's length may be on the disk before what was written there. */
static void a_log_that_ends_in_zeros_is_opened(void **state)
{
	static const char zeros[10000];
	struct crashed *c = *state;
	char *why = NULL;

	for (size_t n = 1; n < sizeof(zeros); n += n < 20 ? 1 : 499) {
		overwrite(c->log, c->size - (off_t)n, zeros, n);
		/* Too few to be sure that they are none of the data. */
		if (n >= SECTOR)
			assert_int_equal(kv_wal_check(c->dir, &why), 0);
		free(why);
		why = NULL;
	}
	assert_in_range(count_keys(c->dir), KEYS / 2, KEYS - 1);
}

static void behind_a_hole_nothing_is_replayed(void **state)
{
	static const char zeros[4096];
	struct crashed *c = *state;
	struct stat st;
	int count;

	overwrite(c->log, c->size / 2 / 4096 * 4096, zeros, sizeof(zeros));
	count = count_keys(c->dir);
	assert_in_range(count, 1, KEYS - 2);
	assert_true(stat(c->log, &st) < 0 || st.st_size <= c->size / 2);
}

static void a_damaged_log_is_refused(void **state)
{
	struct crashed *c = *state;

	for (off_t at = 0; at < c->size - VALUE_MAX; at += 1 + c->size / 300) {
		char *why = NULL, *name = strrchr(c->log, '/') + 1;

		flip(c->log, at);
		if (kv_wal_check(c->dir, &why) != -EBADMSG)
			fail_msg("the flip at %ld is not seen", at);
		assert_non_null(strstr(why, name));
		free(why);
		flip(c->log, at);
	}
	assert_int_equal(count_keys(c->dir), KEYS);
}

static void a_damaged_end_is_refused_if_it_is_no_torn_one(void **state)
{
	struct crashed *c = *state;
	char garbage[3000], *why = NULL;

	flip(c->log, c->size - 1);
	assert_int_equal(kv_wal_check(c->dir, &why), -EBADMSG);
	free(why);
	why = NULL;
	flip(c->log, c->size - 1);
	assert_int_equal(kv_wal_check(c->dir, &why), 0);
	memset(garbage, 0xa5, sizeof(garbage));
	overwrite(c->log, c->size, garbage, sizeof(garbage));
	assert_int_equal(kv_wal_check(c->dir, &why), -EBADMSG);
	free(why);
}

static void the_refusal_says_what_to_do(void **state)
{
	struct crashed *c = *state;
	_cleanup_free_ char *why = NULL;
	struct kv *kv = NULL;
	struct stat st;

	flip(c->log, c->size / 2);
	assert_int_equal(kv_open(c->dir, false, &kv, &why), -EBADMSG);
	assert_non_null(strstr(why, c->dir));
	assert_non_null(strstr(why, "curvefs restore"));
	/* For whoever can read more out of it. */
	assert_int_equal(stat(c->log, &st), 0);
	assert_int_equal(st.st_size, c->size);
}

static void the_log_of_an_open_database_is_left_alone(void **state)
{
	struct crashed *c = *state;
	char log[PATH_MAX + 400], *why = NULL;
	struct stat before, after;
	struct kv *kv;

	assert_int_equal(kv_open(c->f->dir, false, &kv, &why), 0);
	for (int i = 0; i < KEYS; i++)
		put_numbered(kv, i);
	take_copy(c, "second");
	snprintf(log, sizeof(log), "%s/%s", c->f->dir, strrchr(c->log, '/') + 1);
	flip(log, c->size / 2);
	assert_int_equal(stat(log, &before), 0);
	assert_int_equal(kv_wal_check(c->f->dir, &why), 0);
	assert_int_equal(stat(log, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	flip(log, c->size / 2);
	kv_close(kv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_whole_log_is_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(a_log_that_ends_early_is_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(a_log_that_ends_in_zeros_is_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(behind_a_hole_nothing_is_replayed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_log_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_end_is_refused_if_it_is_no_torn_one, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(the_refusal_says_what_to_do, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_of_an_open_database_is_left_alone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
