/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/meta/internal.h"

static int rename_in(struct fixture *f, uint64_t parent, const char *name, uint64_t new_parent,
                     const char *new_name, unsigned flags)
{
	return meta_rename(f->m, parent, name, new_parent, new_name, flags, NULL);
}

static void a_name_moves_within_its_directory(void **state)
{
	struct fixture *f = *state;
	uint64_t file = make_file(f, 1, "a");
	struct meta_attr before = attr_of(f, file), root = attr_of(f, 1);
	struct meta_renamed ret;

	assert_int_equal(meta_rename(f->m, 1, "a", 1, "b", 0, &ret), 0);
	assert_int_equal(look(f, 1, "a"), 0);
	assert_int_equal(look(f, 1, "b"), file);
	assert_int_equal(ret.moved.ino, file);
	assert_true(time_order(&ret.moved.ctime, &before.ctime) > 0);
	assert_int_equal(time_order(&ret.moved.mtime, &before.mtime), 0);
	assert_int_equal(ret.other.ino, 0);
	assert_int_equal(ret.old_parent.ino, 1);
	assert_int_equal(ret.new_parent.ino, 1);
	assert_true(time_order(&ret.old_parent.mtime, &root.mtime) > 0);
	assert_int_equal(rename_in(f, 1, "a", 1, "c", 0), -ENOENT);
}

static void a_directory_moves_and_its_parents_count_it(void **state)
{
	struct fixture *f = *state;
	uint64_t p = make_dir(f, 1, "p"), q = make_dir(f, 1, "q"), d = make_dir(f, p, "d");
	struct meta_renamed ret;

	make_file(f, d, "inside");
	assert_int_equal(meta_rename(f->m, p, "d", q, "e", 0, &ret), 0);
	assert_int_equal(ret.moved.ino, d);
	assert_int_equal(ret.moved.parent, q);
	assert_int_equal(ret.old_parent.nlink, 2);
	assert_int_equal(ret.new_parent.nlink, 3);
	assert_int_equal(attr_of(f, p).nlink, 2);
	assert_int_equal(attr_of(f, q).nlink, 3);
	assert_int_equal(look(f, d, ".."), q);
	assert_int_not_equal(look(f, d, "inside"), 0);
	assert_int_equal(meta_rmdir(f->m, 1, "p", NULL, NULL), 0);
}

static void a_file_takes_the_place_of_another(void **state)
{
	struct fixture *f = *state;
	uint64_t p = make_dir(f, 1, "p"), a = make_file(f, 1, "a"), b = make_file(f, p, "b");
	struct meta_renamed ret;

	assert_int_equal(meta_rename(f->m, 1, "a", p, "b", 0, &ret), 0);
	assert_int_equal(ret.moved.ino, a);
	assert_int_equal(ret.other.ino, b);
	assert_int_equal(ret.other.nlink, 0);
	assert_int_equal(look(f, p, "b"), a);
	assert_int_equal(meta_reap(f->m, b), 0);
}

static void a_replaced_file_with_another_name_lives_on(void **state)
{
	struct fixture *f = *state;
	uint64_t b = make_file(f, 1, "b");
	struct meta_renamed ret;

	make_file(f, 1, "a");
	assert_int_equal(meta_link(f->m, b, 1, "c", NULL, NULL), 0);
	assert_int_equal(meta_rename(f->m, 1, "a", 1, "b", 0, &ret), 0);
	assert_int_equal(ret.other.ino, b);
	assert_int_equal(ret.other.nlink, 1);
	assert_int_equal(look(f, 1, "c"), b);
}

static void a_directory_takes_the_place_of_an_empty_one(void **state)
{
	struct fixture *f = *state;
	uint64_t p = make_dir(f, 1, "p"), d = make_dir(f, 1, "d"), e = make_dir(f, p, "e");
	struct meta_renamed ret;

	make_file(f, e, "in the way");
	assert_int_equal(rename_in(f, 1, "d", p, "e", 0), -ENOTEMPTY);
	assert_int_equal(meta_unlink(f->m, e, "in the way", NULL, NULL), 0);
	assert_int_equal(meta_rename(f->m, 1, "d", p, "e", 0, &ret), 0);
	assert_int_equal(ret.other.ino, e);
	assert_int_equal(ret.other.nlink, 0);
	assert_int_equal(look(f, p, "e"), d);
	assert_int_equal(ret.old_parent.nlink, 3);
	assert_int_equal(ret.new_parent.nlink, 3);
	/* and within one directory */
	make_dir(f, p, "x");
	assert_int_equal(meta_rename(f->m, p, "x", p, "e", 0, &ret), 0);
	assert_int_equal(ret.new_parent.nlink, 3);
	assert_int_equal(ret.other.ino, d);
}

static void types_must_agree(void **state)
{
	struct fixture *f = *state;

	make_dir(f, 1, "dir");
	make_file(f, 1, "file");
	assert_int_equal(rename_in(f, 1, "dir", 1, "file", 0), -ENOTDIR);
	assert_int_equal(rename_in(f, 1, "file", 1, "dir", 0), -EISDIR);
}

static void two_names_of_one_file_stay(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a");
	struct meta_renamed ret;

	assert_int_equal(meta_link(f->m, a, 1, "b", NULL, NULL), 0);
	assert_int_equal(meta_rename(f->m, 1, "a", 1, "b", 0, &ret), 0);
	assert_int_equal(ret.moved.ino, a);
	assert_int_equal(ret.other.ino, 0);
	assert_int_equal(look(f, 1, "a"), a);
	assert_int_equal(look(f, 1, "b"), a);
	assert_int_equal(attr_of(f, a).nlink, 2);
	assert_int_equal(rename_in(f, 1, "a", 1, "a", 0), 0);
	assert_int_equal(rename_in(f, 1, "a", 1, "a", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(look(f, 1, "a"), a);
}

static void noreplace_replaces_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), b = make_file(f, 1, "b");

	assert_int_equal(rename_in(f, 1, "a", 1, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(look(f, 1, "a"), a);
	assert_int_equal(look(f, 1, "b"), b);
	assert_int_equal(rename_in(f, 1, "a", 1, "c", RENAME_NOREPLACE), 0);
	assert_int_equal(look(f, 1, "c"), a);
}

static void exchange_swaps_a_file_and_a_directory(void **state)
{
	struct fixture *f = *state;
	uint64_t p = make_dir(f, 1, "p"), file = make_file(f, 1, "a"), dir = make_dir(f, p, "b");
	struct meta_renamed ret;

	make_file(f, dir, "inside");
	assert_int_equal(meta_rename(f->m, 1, "a", p, "b", RENAME_EXCHANGE, &ret), 0);
	assert_int_equal(ret.moved.ino, file);
	assert_int_equal(ret.other.ino, dir);
	assert_int_equal(ret.other.parent, 1);
	assert_int_equal(ret.old_parent.nlink, 4);
	assert_int_equal(ret.new_parent.nlink, 2);
	assert_int_equal(look(f, 1, "a"), dir);
	assert_int_equal(look(f, p, "b"), file);
	assert_int_equal(look(f, dir, ".."), 1);
	assert_int_equal(rename_in(f, p, "b", 1, "none", RENAME_EXCHANGE), -ENOENT);
}

static void exchange_works_within_a_directory(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), b = make_dir(f, 1, "b");

	assert_int_equal(rename_in(f, 1, "a", 1, "b", RENAME_EXCHANGE), 0);
	assert_int_equal(look(f, 1, "a"), b);
	assert_int_equal(look(f, 1, "b"), a);
	assert_int_equal(attr_of(f, 1).nlink, 3);
}

static void a_directory_does_not_go_below_itself(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_dir(f, 1, "a"), b = make_dir(f, a, "b"), c = make_dir(f, b, "c");

	make_file(f, 1, "file");
	assert_int_equal(rename_in(f, 1, "a", a, "x", 0), -EINVAL);
	assert_int_equal(rename_in(f, 1, "a", c, "x", 0), -EINVAL);
	assert_int_equal(rename_in(f, 1, "a", b, "c", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(rename_in(f, b, "c", 1, "a", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(rename_in(f, b, "c", 1, "a", 0), -ENOTEMPTY);
	assert_int_equal(rename_in(f, b, "c", a, "c", 0), 0);
	assert_int_equal(look(f, c, ".."), a);
}

struct mover {
	struct fixture *f;
	uint64_t parent;
	atomic_bool done;
};

static void *move_directory(void *arg)
{
	struct mover *m = arg;

	assert_int_equal(rename_in(m->f, 1, "d", m->parent, "d", 0), 0);
	m->done = true;
	return NULL;
}

static void moves_of_directories_wait_for_each_other(void **state)
{
	struct fixture *f = *state;
	struct mover mover = {.f = f, .parent = make_dir(f, 1, "p")};
	struct meta_key key = meta_key_plain('L');
	struct kv_txn *other;
	pthread_t thread;
	void *value;
	size_t size;

	make_dir(f, 1, "d");
	make_dir(f, 1, "e");
	make_file(f, 1, "file");
	assert_int_equal(kv_begin(f->m->kv, &other), 0);
	assert_int_equal(kv_get(other, meta_key_slice(&key), true, &value, &size), -ENOENT);
	/* Neither a file nor a directory that keeps its parent can make a loop: they do not wait. */
	assert_int_equal(rename_in(f, 1, "file", mover.parent, "file", 0), 0);
	assert_int_equal(rename_in(f, 1, "e", 1, "g", 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, move_directory, &mover), 0);
	usleep(100000);
	assert_false(mover.done);
	kv_rollback(other);
	pthread_join(thread, NULL);
	assert_true(mover.done);
}

static void unknown_flags_are_refused(void **state)
{
	struct fixture *f = *state;

	make_file(f, 1, "a");
	make_file(f, 1, "b");
	assert_int_equal(rename_in(f, 1, "a", 1, "b", RENAME_WHITEOUT), -EINVAL);
	assert_int_equal(rename_in(f, 1, "a", 1, "b", RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
	assert_int_equal(rename_in(f, 1, "a", 1, "b", 1u << 30), -EINVAL);
	assert_int_equal(rename_in(f, 1, ".", 1, "b", 0), -EBUSY);
	assert_int_equal(rename_in(f, 1, "a", 1, "..", 0), -EBUSY);
}

static void renames_are_there_after_a_reopen(void **state)
{
	struct fixture *f = *state;
	uint64_t p = make_dir(f, 1, "p"), d = make_dir(f, 1, "d");

	assert_int_equal(rename_in(f, 1, "d", p, "e", 0), 0);
	fixture_reopen(f);
	assert_int_equal(look(f, p, "e"), d);
	assert_int_equal(look(f, 1, "d"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(a_name_moves_within_its_directory),
		META_TEST(a_directory_moves_and_its_parents_count_it),
		META_TEST(a_file_takes_the_place_of_another),
		META_TEST(a_replaced_file_with_another_name_lives_on),
		META_TEST(a_directory_takes_the_place_of_an_empty_one),
		META_TEST(types_must_agree),
		META_TEST(two_names_of_one_file_stay),
		META_TEST(noreplace_replaces_nothing),
		META_TEST(exchange_swaps_a_file_and_a_directory),
		META_TEST(exchange_works_within_a_directory),
		META_TEST(a_directory_does_not_go_below_itself),
		META_TEST(moves_of_directories_wait_for_each_other),
		META_TEST(unknown_flags_are_refused),
		META_TEST(renames_are_there_after_a_reopen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
