/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "daemon/meta/internal.h"

static void a_new_volume_has_an_empty_root(void **state)
{
	struct fixture *f = *state;
	struct meta_attr root = attr_of(f, META_ROOT_INO);
	struct meta_usage usage;

	assert_int_equal(root.mode, S_IFDIR | 0755);
	assert_int_equal(root.nlink, 2);
	assert_int_equal(root.uid, geteuid()); /* who formats it can use it */
	assert_int_equal(root.gid, getegid());
	assert_int_equal(root.parent, 1);
	meta_get_usage(f->m, &usage);
	assert_int_equal(usage.inodes, 1);
	assert_int_equal(usage.bytes, 0);
	assert_string_equal(meta_volume(f->m)->uuid, fixture_volume.uuid);
	assert_string_equal(meta_volume(f->m)->name, "test");
	assert_int_equal(meta_volume(f->m)->chunk_size, CHUNK);
	assert_int_equal(meta_sync(f->m), 0);
}

static void a_volume_is_formatted_once(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *why = NULL;
	uint64_t ino = make_file(f, 1, "a");

	meta_close(f->m);
	f->m = NULL;
	assert_int_equal(meta_format(f->dir, &fixture_volume, &why), -EEXIST);
	assert_non_null(strstr(why, f->dir));
	fixture_open(f);
	assert_int_equal(look(f, 1, "a"), ino);
}

static void an_open_volume_is_not_opened_again(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *why = NULL, *why_not = NULL;
	struct meta *second = (void *)1;

	assert_int_equal(meta_open(f->dir, &second, &why), -EBUSY);
	assert_non_null(why);
	assert_ptr_equal(second, (void *)1);
	assert_int_equal(meta_format(f->dir, &fixture_volume, &why_not), -EBUSY);
}

static void what_was_not_formatted_is_not_opened(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *why = NULL, *why_not = NULL, *why_ever = NULL;
	struct meta_volume odd = fixture_volume;
	struct meta *m = (void *)1;
	struct kv *kv;

	assert_int_equal(meta_open(f->dir, &m, &why), -ENOENT);
	assert_int_equal(access(f->dir, F_OK), -1);
	/* A database without a volume in it is what an interrupted format leaves. */
	assert_int_equal(kv_open(f->dir, true, &kv, &why_not), 0);
	kv_close(kv);
	assert_int_equal(meta_open(f->dir, &m, &why_not), -ENOENT);
	assert_ptr_equal(m, (void *)1);
	odd.chunk_size = 3 << 20;
	assert_int_equal(meta_format(f->dir, &odd, &why_ever), -EINVAL);
	assert_int_equal(meta_format(f->dir, &fixture_volume, &why_ever), 0);
	fixture_open(f);
}

/* Change a record behind the back of the closed volume. */
static void put_raw(struct fixture *f, struct meta_key key, const void *value, size_t size)
{
	struct kv_txn *txn;
	struct kv *kv;
	char *why;

	assert_int_equal(kv_open(f->dir, false, &kv, &why), 0);
	assert_int_equal(kv_begin(kv, &txn), 0);
	if (value)
		assert_int_equal(kv_put(txn, meta_key_slice(&key), (struct kv_slice){value, size}), 0);
	else
		assert_int_equal(kv_delete(txn, meta_key_slice(&key)), 0);
	assert_int_equal(kv_commit(txn, true), 0);
	kv_close(kv);
}

static void an_earlier_version_is_opened(void **state)
{
	struct meta_volume volume = {.chunk_size = 4 << 20, .uuid = "11111111-2222-3333-4444-555555555555"};
	unsigned char value[META_VALUE_MAX];
	struct fixture *f = *state;
	char *why = NULL;
	size_t size;

	meta_close(f->m);
	f->m = NULL;
	size = meta_encode_volume(&volume, value);
	value[0] = 2;
	put_raw(f, meta_key_plain('V'), value, size);
	assert_int_equal(meta_open(f->dir, &f->m, &why), 0);
	assert_string_equal(meta_volume(f->m)->uuid, volume.uuid);
}

static void another_version_is_not_opened(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *why = NULL;

	meta_close(f->m);
	f->m = NULL;
	put_raw(f, meta_key_plain('V'), "\1something else", 15);
	assert_int_equal(meta_open(f->dir, &f->m, &why), -EPROTO);
	assert_non_null(strstr(why, "version"));
	assert_null(f->m);
}

static void a_volume_without_root_is_damaged(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *why = NULL;

	meta_close(f->m);
	f->m = NULL;
	put_raw(f, meta_key_number('I', 1), NULL, 0);
	assert_int_equal(meta_open(f->dir, &f->m, &why), -EBADMSG);
	assert_null(f->m);
}

static void a_damaged_record_is_an_io_error(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_attr attr;

	meta_close(f->m);
	put_raw(f, meta_key_number('I', ino), "\1rubbish", 8);
	fixture_open(f);
	assert_int_equal(meta_getattr(f->m, ino, &attr), -EIO);
	assert_int_equal(meta_lookup(f->m, 1, "a", &attr), -EIO);
	assert_int_equal(meta_unlink(f->m, 1, "a", NULL, NULL), -EIO);
	assert_int_equal(meta_getattr(f->m, 1, &attr), 0);
}

static void usage_is_counted_and_kept(void **state)
{
	struct fixture *f = *state;
	struct meta_usage before, after;
	uint64_t ino = make_file(f, 1, "a");

	make_dir(f, 1, "d");
	write_slice(f, ino, 0, 0, 4097);
	meta_get_usage(f->m, &before);
	assert_int_equal(before.inodes, 3);
	assert_int_equal(before.bytes, 8192);
	fixture_reopen(f);
	meta_get_usage(f->m, &after);
	assert_memory_equal(&before, &after, sizeof(after));
	assert_int_equal(meta_setattr(f->m, ino, META_SET_SIZE, &(struct meta_attr){.size = 1}, NULL), 0);
	meta_get_usage(f->m, &after);
	assert_int_equal(after.bytes, 4096);
	/* What failed is not counted. */
	assert_int_equal(meta_create(f->m, 1, "a", &fixture_cred, S_IFREG, 0, NULL, NULL, NULL), -EEXIST);
	meta_get_usage(f->m, &after);
	assert_int_equal(after.inodes, 3);
}

/* Leave inode *arg as a crash between two pieces of a truncation to 1 byte leaves it. */
static int begin_cut(struct meta_txn *t, void *arg)
{
	struct inode inode;
	int r = txn_get_inode(t, *(uint64_t *)arg, true, &inode);

	t->add_bytes = 4096 - inode_usage(&inode);
	inode.attr.size = 1;
	inode.cut_from = 1;
	if (!r)
		r = txn_put(t, meta_key_number('T', inode.attr.ino), "\1", 1);
	return r < 0 ? r : txn_put_inode(t, &inode);
}

static uint64_t make_half_cut(struct fixture *f)
{
	uint64_t ino = make_file(f, 1, "a");

	write_slice(f, ino, 0, 0, 1);
	for (unsigned i = 1; i < 10; i++)
		write_slice(f, ino, i, 0, CHUNK);
	assert_int_equal(meta_run(f->m, false, begin_cut, &ino), 0);
	assert_int_equal(garbage_count(f), 0);
	return ino;
}

static void a_cut_that_a_crash_interrupted_is_completed_by_the_next_open(void **state)
{
	struct fixture *f = *state;

	make_half_cut(f);
	fixture_reopen(f);
	assert_int_equal(garbage_count(f), 9);
}

static void what_is_damaged_can_be_cut_off(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_half_cut(f), other = make_file(f, 1, "b");
	struct meta_slices list = {};

	meta_close(f->m);
	put_raw(f, meta_key_pair('C', ino, 3), "\1rubbish", 8);
	fixture_open(f);
	write_slice(f, other, 0, 0, 10);
	assert_int_equal(meta_slices(f->m, ino, 3, &list), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(
		meta_commit_write(f->m, ino, NULL, 0, CHUNK, (struct timespec){1, 1}, false, false, NULL), 0);
}

static void chunks_that_are_being_cut_off_are_holes(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_half_cut(f);
	struct meta_slices list = {};

	assert_int_equal(meta_slices(f->m, ino, 5, &list), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(meta_slices(f->m, ino, 0, &list), 0);
	assert_int_equal(list.count, 1);
	free(list.slices);
}

static void a_write_to_a_file_that_is_being_cut_completes_the_cut_first(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_half_cut(f);
	struct meta_slices list = {};

	write_slice(f, ino, 5, 0, 100);
	assert_int_equal(garbage_count(f), 9);
	assert_int_equal(meta_slices(f->m, ino, 5, &list), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.slices[0].length, 100);
	free(list.slices);
}

static void growing_a_file_that_is_being_cut_completes_the_cut_first(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_half_cut(f);

	assert_int_equal(
		meta_setattr(f->m, ino, META_SET_SIZE, &(struct meta_attr){.size = 10ull * CHUNK}, NULL), 0);
	assert_int_equal(garbage_count(f), 9);
}

static void a_file_that_is_being_cut_can_be_reaped(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_half_cut(f);

	assert_int_equal(meta_unlink(f->m, 1, "a", NULL, NULL), 0);
	assert_int_equal(meta_reap(f->m, ino), 0);
	assert_int_equal(garbage_count(f), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(a_new_volume_has_an_empty_root),
		META_TEST(a_volume_is_formatted_once),
		META_TEST(an_open_volume_is_not_opened_again),
		cmocka_unit_test_setup_teardown(what_was_not_formatted_is_not_opened, fixture_setup_empty,
	                                        fixture_teardown_checked),
		META_TEST(an_earlier_version_is_opened),
		META_TEST(another_version_is_not_opened),
		META_TEST(a_volume_without_root_is_damaged),
		cmocka_unit_test_setup_teardown(a_damaged_record_is_an_io_error, fixture_setup,
	                                        fixture_teardown),
		META_TEST(usage_is_counted_and_kept),
		META_TEST(a_cut_that_a_crash_interrupted_is_completed_by_the_next_open),
		cmocka_unit_test_setup_teardown(what_is_damaged_can_be_cut_off, fixture_setup,
	                                        fixture_teardown),
		META_TEST(chunks_that_are_being_cut_off_are_holes),
		META_TEST(a_write_to_a_file_that_is_being_cut_completes_the_cut_first),
		META_TEST(growing_a_file_that_is_being_cut_completes_the_cut_first),
		META_TEST(a_file_that_is_being_cut_can_be_reaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
