/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <linux/fs.h>
#include <rocksdb/c.h>

struct reading {
	struct fixture *f;
	char names[64][META_NAME_MAX + 1];
	uint64_t next[64];
	uint64_t inos[64];
	size_t count, max;
	bool with_attr;
};

static int take(const struct meta_dirent *entry, void *arg)
{
	struct reading *r = arg;

	if (r->count == r->max)
		return 1;
	assert_true(entry->next >= 16);
	assert_int_equal(entry->attr != NULL, r->with_attr);
	if (entry->attr) {
		struct meta_attr attr = attr_of(r->f, entry->ino);

		assert_memory_equal(entry->attr, &attr, sizeof(attr));
		assert_int_equal(attr.mode & S_IFMT, entry->type);
	}
	strcpy(r->names[r->count], entry->name);
	r->next[r->count] = entry->next;
	r->inos[r->count++] = entry->ino;
	return 0;
}

static struct reading read_some(struct fixture *f, uint64_t ino, uint64_t from, size_t max, bool with_attr)
{
	struct reading r = {.f = f, .max = max, .with_attr = with_attr};

	assert_int_equal(meta_readdir(f->m, ino, from, with_attr, take, &r), 0);
	return r;
}

static void entries_come_in_the_order_of_their_making(void **state)
{
	struct fixture *f = *state;
	uint64_t z = make_file(f, 1, "z"), a = make_dir(f, 1, "a"), m = make_file(f, 1, "m");
	struct reading r = read_some(f, 1, 0, 64, true);

	make_file(f, a, "elsewhere");
	assert_int_equal(r.count, 3);
	assert_string_equal(r.names[0], "z");
	assert_string_equal(r.names[1], "a");
	assert_string_equal(r.names[2], "m");
	assert_int_equal(r.inos[0], z);
	assert_int_equal(r.inos[1], a);
	assert_int_equal(r.inos[2], m);
	assert_int_equal(read_some(f, 1, 2, 64, false).count, 3);
}

static void reading_goes_on_where_it_stopped(void **state)
{
	struct fixture *f = *state;
	struct reading r;
	uint64_t from = 0;
	size_t total = 0;

	for (int i = 0; i < 10; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%d", i);
		make_file(f, 1, name);
	}
	do {
		r = read_some(f, 1, from, 3, false);
		for (size_t i = 0; i < r.count; i++) {
			char name[8];

			snprintf(name, sizeof(name), "n%zu", total++);
			assert_string_equal(r.names[i], name);
		}
		if (r.count)
			from = r.next[r.count - 1];
	} while (r.count);
	assert_int_equal(total, 10);
	assert_int_equal(read_some(f, 1, INT64_MAX, 64, false).count, 0);
	assert_int_equal(read_some(f, 1, UINT64_MAX, 64, false).count, 0);
}

static void positions_stay_while_others_come_and_go(void **state)
{
	struct fixture *f = *state;
	struct reading r;

	make_file(f, 1, "a");
	make_file(f, 1, "b");
	make_file(f, 1, "c");
	make_file(f, 1, "d");
	r = read_some(f, 1, 0, 2, false);
	assert_int_equal(meta_unlink(f->m, 1, "a", NULL, NULL), 0);
	assert_int_equal(meta_unlink(f->m, 1, "b", NULL, NULL), 0);
	make_file(f, 1, "a");
	fixture_reopen(f);
	r = read_some(f, 1, r.next[1], 64, false);
	assert_int_equal(r.count, 3);
	assert_string_equal(r.names[0], "c");
	assert_string_equal(r.names[1], "d");
	assert_string_equal(r.names[2], "a");
}

static void a_replaced_name_keeps_its_position(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = make_dir(f, 1, "dir"), fresh;
	struct reading before, after;

	make_file(f, 1, "kept");
	make_file(f, 1, "last");
	before = read_some(f, 1, 0, 64, false);
	make_file(f, dir, "tmp");
	assert_int_equal(meta_rename(f->m, dir, "tmp", 1, "kept", 0, NULL), 0);
	fresh = make_file(f, 1, "tmp2");
	assert_int_equal(meta_rename(f->m, 1, "tmp2", 1, "kept", 0, NULL), 0);
	after = read_some(f, 1, 0, 64, false);
	assert_int_equal(after.count, 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(after.names[i], before.names[i]);
		assert_int_equal(after.next[i], before.next[i]);
	}
	assert_int_equal(after.inos[1], fresh);
}

static void who_renames_what_he_reads_comes_to_an_end(void **state)
{
	struct fixture *f = *state;
	uint64_t from = 0;
	int steps = 0;

	for (int i = 0; i < 5; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%d", i);
		make_file(f, 1, name);
	}
	for (;;) {
		struct reading r = read_some(f, 1, from, 1, false);
		char name[META_NAME_MAX + 4];

		if (!r.count)
			break;
		from = r.next[0];
		snprintf(name, sizeof(name), "%s.x", r.names[0]);
		assert_int_equal(meta_rename(f->m, 1, r.names[0], 1, name, 0, NULL), 0);
		assert_true(++steps <= 5);
	}
	assert_int_equal(steps, 5);
}

static void the_end_is_behind_every_name_and_before_new_ones(void **state)
{
	struct fixture *f = *state;
	struct reading r;
	uint64_t end;

	make_file(f, 1, "a");
	assert_int_equal(meta_readdir_end(f->m, 1, &end), 0);
	make_file(f, 1, "b");
	r = read_some(f, 1, 0, 64, false);
	assert_true(r.next[0] < end);
	assert_true(r.next[1] >= end);
}

/* Of what was deleted; the reading is this thread's. */
static uint64_t walked_across(struct fixture *f, uint64_t ino)
{
	rocksdb_perfcontext_t *context = rocksdb_perfcontext_create();
	uint64_t count;

	rocksdb_set_perf_level(rocksdb_enable_count);
	rocksdb_perfcontext_reset(context);
	read_some(f, ino, 0, 1, false);
	count = rocksdb_perfcontext_metric(context, rocksdb_internal_delete_skipped_count);
	rocksdb_set_perf_level(rocksdb_disable);
	rocksdb_perfcontext_destroy(context);
	return count;
}

static void names_that_went_are_walked_across_once(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = make_dir(f, 1, "queue"), other = make_dir(f, 1, "done");
	char name[16];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		make_file(f, dir, name);
	}
	assert_int_equal(walked_across(f, dir), 0);
	/* The first last: only who reads then sees where it begins now. */
	for (int i = 99; i >= 0; i--) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(meta_unlink(f->m, dir, name, NULL, NULL), 0);
	}
	assert_in_range(walked_across(f, dir), 99, 101);
	assert_in_range(walked_across(f, dir), 0, 1);
	/* One after the other, in three ways. */
	for (int i = 100; i < 290; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		if (i % 2)
			assert_int_equal(meta_unlink(f->m, dir, name, NULL, NULL), 0);
		else if (i % 4)
			assert_int_equal(meta_rename(f->m, dir, name, other, name, 0, NULL), 0);
		else
			assert_int_equal(meta_rename(f->m, dir, name, dir, "n299", 0, NULL), 0);
	}
	assert_in_range(walked_across(f, dir), 0, 1);
	assert_int_equal(read_some(f, dir, 0, 64, false).count, 10);
	for (int i = 299; i >= 290; i--) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(meta_unlink(f->m, dir, name, NULL, NULL), 0);
	}
	assert_in_range(walked_across(f, dir), 9, 11);
	assert_in_range(walked_across(f, dir), 0, 1);
	make_file(f, dir, "late");
	assert_int_equal(read_some(f, dir, 0, 64, false).count, 1);
}

/* Each way of getting into a directory whose first names went. */
static void no_name_comes_before_the_first(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = make_dir(f, 1, "dir"), inode;
	struct reading r;

	make_file(f, dir, "a");
	make_file(f, dir, "b");
	make_file(f, dir, "c");
	assert_int_equal(read_some(f, dir, 0, 64, false).count, 3);
	assert_int_equal(meta_rename(f->m, dir, "a", 1, "a", 0, NULL), 0);
	assert_int_equal(meta_unlink(f->m, dir, "b", NULL, NULL), 0);
	assert_int_equal(read_some(f, dir, 0, 64, false).count, 1);
	/* Read from behind the first, which says nothing of it. */
	r = read_some(f, dir, 0, 64, false);
	assert_int_equal(read_some(f, dir, r.next[0], 64, false).count, 0);
	assert_int_equal(read_some(f, dir, 0, 64, false).count, 1);

	assert_int_equal(meta_rename(f->m, 1, "a", dir, "c", RENAME_EXCHANGE, NULL), 0);
	assert_string_equal(read_some(f, dir, 0, 64, false).names[0], "c");
	assert_int_equal(meta_rename(f->m, 1, "a", dir, "a", 0, NULL), 0);
	assert_int_equal(meta_rename(f->m, dir, "c", dir, "d", 0, NULL), 0);
	inode = make_file(f, 1, "e");
	assert_int_equal(meta_link(f->m, inode, dir, "e", NULL, NULL), 0);
	make_file(f, 1, "f");
	assert_int_equal(meta_rename(f->m, 1, "f", dir, "d", 0, NULL), 0);
	r = read_some(f, dir, 0, 64, false);
	assert_int_equal(r.count, 3);
	assert_string_equal(r.names[0], "d");
	assert_string_equal(r.names[1], "a");
	assert_string_equal(r.names[2], "e");
}

static int refuse(const struct meta_dirent *entry, void *arg)
{
	(void)entry, (void)arg;
	return -ENOBUFS;
}

static void errors_are_given_back(void **state)
{
	struct fixture *f = *state;
	uint64_t file = make_file(f, 1, "file"), end = 7;

	assert_int_equal(meta_readdir(f->m, file, 0, false, refuse, NULL), -ENOTDIR);
	assert_int_equal(meta_readdir(f->m, 999, 0, false, refuse, NULL), -ENOENT);
	assert_int_equal(meta_readdir(f->m, 1, 0, false, refuse, NULL), -ENOBUFS);
	assert_int_equal(meta_readdir_end(f->m, file, &end), -ENOTDIR);
	assert_int_equal(end, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(entries_come_in_the_order_of_their_making),
		META_TEST(reading_goes_on_where_it_stopped),
		META_TEST(positions_stay_while_others_come_and_go),
		META_TEST(a_replaced_name_keeps_its_position),
		META_TEST(who_renames_what_he_reads_comes_to_an_end),
		META_TEST(the_end_is_behind_every_name_and_before_new_ones),
		META_TEST(names_that_went_are_walked_across_once),
		META_TEST(no_name_comes_before_the_first),
		META_TEST(errors_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
