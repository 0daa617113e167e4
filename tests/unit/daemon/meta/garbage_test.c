/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static void deleted_garbage_is_forgotten(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_garbage list[8];
	size_t count = 0;

	for (uint32_t i = 0; i < 6; i++)
		write_slice(f, ino, 0, 0, 100 + i);
	assert_int_equal(meta_list_garbage(f->m, list, 3, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(list[0].size, 100);
	assert_int_equal(meta_garbage_deleted(f->m, list, 3), 0);
	fixture_reopen(f);
	assert_int_equal(meta_list_garbage(f->m, list, 8, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(list[0].size, 103);
	assert_int_equal(list[1].size, 104);
	assert_int_equal(meta_list_garbage_from(f->m, list[1].object, list, 8, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(list[0].size, 104);
	assert_int_equal(meta_list_garbage_from(f->m, list[0].object + 1, list, 8, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(meta_list_garbage(f->m, list, 8, &count), 0);
	assert_int_equal(meta_garbage_deleted(f->m, list, 2), 0);
	assert_int_equal(meta_garbage_deleted(f->m, list, 2), 0); /* said twice: no harm */
	assert_int_equal(meta_list_garbage(f->m, list, 8, &count), 0);
	assert_int_equal(count, 0);
}

static void a_reaped_file_leaves_its_objects_only(void **state)
{
	struct fixture *f = *state;
	struct meta_usage before, after;
	struct meta_attr attr;
	uint64_t ino, object, *orphans = NULL;
	size_t count = 7;

	meta_get_usage(f->m, &before);
	ino = make_file(f, 1, "a");
	object = write_slice(f, ino, 2, 0, 100);
	assert_int_equal(meta_setxattr(f->m, ino, "user.a", "x", 1, 0, NULL), 0);
	assert_int_equal(meta_setxattr(f->m, ino, "user.b", "x", 1, 0, NULL), 0);
	assert_int_equal(meta_reap(f->m, ino), -EINVAL);
	assert_int_equal(meta_unlink(f->m, 1, "a", NULL, NULL), 0);
	assert_false(is_garbage(f, object));
	assert_int_equal(meta_reap(f->m, ino), 0);
	assert_true(is_garbage(f, object));
	assert_int_equal(meta_getattr(f->m, ino, &attr), -ENOENT);
	assert_int_equal(meta_reap(f->m, ino), 0);
	assert_int_equal(meta_list_orphans(f->m, &orphans, &count), 0);
	assert_int_equal(count, 0);
	free(orphans);
	meta_get_usage(f->m, &after);
	assert_int_equal(after.bytes, before.bytes);
	assert_int_equal(after.inodes, before.inodes);
}

static void directories_and_symlinks_are_reaped_too(void **state)
{
	struct fixture *f = *state;
	struct meta_usage usage;
	struct meta_attr attr;
	uint64_t dir = make_dir(f, 1, "d");

	assert_int_equal(meta_create(f->m, 1, "l", &fixture_cred, S_IFLNK, 0, "target", &attr, NULL), 0);
	assert_int_equal(meta_rmdir(f->m, 1, "d", NULL, NULL), 0);
	assert_int_equal(meta_unlink(f->m, 1, "l", NULL, NULL), 0);
	assert_int_equal(meta_reap(f->m, dir), 0);
	assert_int_equal(meta_reap(f->m, attr.ino), 0);
	meta_get_usage(f->m, &usage);
	assert_int_equal(usage.inodes, 1);
}

static void orphans_are_found_by_the_next_open(void **state)
{
	struct fixture *f = *state;
	uint64_t a = make_file(f, 1, "a"), b = make_file(f, 1, "b"), *inos = NULL;
	size_t count = 0;

	make_file(f, 1, "c");
	write_slice(f, a, 0, 0, 5);
	assert_int_equal(meta_unlink(f->m, 1, "a", NULL, NULL), 0);
	assert_int_equal(meta_rename(f->m, 1, "c", 1, "b", 0, NULL), 0);
	fixture_reopen(f);
	assert_int_equal(meta_list_orphans(f->m, &inos, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(inos[0], a);
	assert_int_equal(inos[1], b);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(meta_reap(f->m, inos[i]), 0);
	free(inos);
	assert_int_equal(garbage_count(f), 1);
}

static void a_file_longer_than_a_transaction_is_reaped_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_attr attr;

	for (unsigned i = 0; i < 1500; i++)
		write_slice(f, ino, i, 0, CHUNK);
	assert_int_equal(meta_unlink(f->m, 1, "a", NULL, NULL), 0);
	assert_int_equal(meta_reap(f->m, ino), 0);
	assert_int_equal(garbage_count(f), 1500);
	assert_int_equal(meta_getattr(f->m, ino, &attr), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(deleted_garbage_is_forgotten),
		META_TEST(a_reaped_file_leaves_its_objects_only),
		META_TEST(directories_and_symlinks_are_reaped_too),
		META_TEST(orphans_are_found_by_the_next_open),
		META_TEST(a_file_longer_than_a_transaction_is_reaped_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
