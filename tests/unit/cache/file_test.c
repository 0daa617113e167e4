/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cache/fixture.h"

#include <sys/statvfs.h>

#include "cache/crc.h"

static void crc_has_the_check_value_of_crc32c(void **state)
{
	(void)state;
	assert_int_equal(cache_crc32c("123456789", 9), 0xe3069283);
}

static void what_was_filled_is_read_back(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 3 * C + 100);

	assert_int_equal(fill(f, 1, 0, 3 * C + 100), 0);
	assert_int_equal(read_checked(f, 1, 0, 3 * C + 100), 3 * C + 100);
	assert_int_equal(read_checked(f, 1, C - 5, 10), 10);
	assert_int_equal(read_checked(f, 1, 3 * C + 90, 1000), 10);
	assert_int_equal(read_checked(f, 1, 3 * C + 100, 1000), 0);
	cache_file_put(f);
}

static void a_read_ends_at_the_first_missing_sub_block(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 10 * B);

	assert_int_equal(read_checked(f, 1, 0, B), 0);
	assert_int_equal(fill(f, 1, 2 * B, 2 * B), 0);
	assert_int_equal(read_checked(f, 1, 2 * B + 10, 8 * B), 2 * B - 10);
	assert_int_equal(read_checked(f, 1, B, 8 * B), 0);
	assert_int_equal(read_checked(f, 1, 4 * B, B), 0);
	assert_int_equal(stats(x).hits, 2);
	assert_int_equal(stats(x).misses, 1 + 6 + 8 + 1);
	cache_file_put(f);
}

static void valid_has_a_bit_for_each_whole_sub_block(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, C + 3 * B + 1);
	uint64_t valid = 99;

	assert_int_equal(cache_valid(f, 0, &valid), 0);
	assert_int_equal(valid, 0);
	assert_int_equal(fill(f, 1, C - B, 3 * B), 0);
	assert_int_equal(cache_valid(f, 0, &valid), 0);
	assert_true(valid == UINT64_C(1) << 63);
	assert_int_equal(cache_valid(f, 1, &valid), 0);
	assert_int_equal(valid, 3);
	assert_int_equal(fill(f, 1, C + 3 * B, 1), 0);
	assert_int_equal(cache_valid(f, 1, &valid), 0);
	assert_int_equal(valid, 3 | 8);
	assert_int_equal(cache_valid(f, 2, &valid), 0);
	assert_int_equal(valid, 0);
	assert_int_equal(cache_valid(f, UINT64_MAX, &valid), -EFBIG);
	cache_file_put(f);
}

static void a_partial_sub_block_is_not_filled(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 4 * B);

	assert_int_equal(fill(f, 1, 10, B), 0);
	assert_int_equal(read_checked(f, 1, 10, 10), 0);
	assert_int_equal(fill(f, 1, 10, 2 * B), 0);
	assert_int_equal(read_checked(f, 1, B, 3 * B), B);
	cache_file_put(f);
}

static void a_fill_of_another_version_is_refused(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 5, B);

	assert_int_equal(fill(f, 4, 0, B), -ESTALE);
	assert_int_equal(read_checked(f, 5, 0, B), 0);
	cache_file_put(f);
}

static void a_file_is_complete_when_its_last_byte_is_there(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 2 * C + 1), *empty = get(x, 8, 1, 0),
			  *huge = get(x, 9, 1, INT64_MAX);

	assert_true(cache_is_complete(empty));
	assert_false(cache_is_complete(huge));
	assert_int_equal(fill(f, 1, 0, 2 * C), 0);
	assert_false(cache_is_complete(f));
	assert_int_equal(fill(f, 1, 2 * C, 1), 0);
	assert_true(cache_is_complete(f));
	cache_file_put(f);
	cache_file_put(empty);
	cache_file_put(huge);
}

static void the_data_file_has_the_bytes_at_the_same_offsets(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, C + B);
	_cleanup_free_ char *data = malloc(B);
	struct stat st;
	uint64_t id = 0;
	int fd;

	assert_int_equal(fill(f, 1, C, B), 0);
	fd = cache_file_fd(f);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, data, B, (off_t)C), B);
	assert_pattern(7, 1, C, B, data);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, C + B);
	assert_true((uint64_t)st.st_blocks * 512 < 2 * B);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(cache_file_id(f, &id), 0);
	assert_int_not_equal(id, 0);
	assert_int_equal(cache_file_fd(f), fd);
	cache_file_put(f);
}

static void a_damaged_sub_block_is_dropped_and_counted_once(void **state)
{
	struct fixture *x = *state;
	uint64_t offset = 3 * B + 77, valid;
	struct cache_file *f;

	put_whole(x, 7, 1, 8 * B);
	cache_close(x->c);
	assert_int_equal(for_data_files(x, damage, &offset), 1);
	fixture_open(x);
	f = get(x, 7, 1, 8 * B);
	assert_int_equal(read_checked(f, 1, 0, 8 * B), 3 * B);
	assert_int_equal(stats(x).corrupt, 1);
	assert_int_equal(x->n_drops, 1);
	assert_int_equal(x->drops[0].ino, 7);
	assert_int_equal(x->drops[0].first, 0);
	assert_int_equal(x->drops[0].last, 0);
	assert_int_equal(cache_valid(f, 0, &valid), 0);
	assert_int_equal(valid, 0xf7);
	assert_int_equal(fill(f, 1, 3 * B, B), 0);
	assert_true(cache_is_complete(f));
	assert_int_equal(stats(x).corrupt, 1);
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 7, 1, 8 * B);
	assert_true(cache_is_complete(f));
	cache_file_put(f);
}

static void valid_bits_are_checked_before_they_are_handed_out(void **state)
{
	struct fixture *x = *state;
	uint64_t offset = 5 * B, valid;
	struct cache_file *f;

	put_whole(x, 7, 1, 8 * B);
	cache_close(x->c);
	for_data_files(x, damage, &offset);
	fixture_open(x);
	f = get(x, 7, 1, 8 * B);
	assert_int_equal(cache_valid(f, 0, &valid), 0);
	assert_int_equal(valid, 0xdf);
	assert_false(cache_is_complete(f));
	cache_file_put(f);
}

static void cut(const char *path, void *arg)
{
	assert_int_equal(truncate(path, (off_t) * (uint64_t *)arg), 0);
}

static void a_cut_data_file_gives_misses(void **state)
{
	struct fixture *x = *state;
	uint64_t size = 2 * B + 5;
	struct cache_file *f;

	put_whole(x, 7, 1, 8 * B);
	cache_close(x->c);
	for_data_files(x, cut, &size);
	fixture_open(x);
	f = get(x, 7, 1, 8 * B);
	assert_int_equal(read_checked(f, 1, 0, 8 * B), 2 * B);
	cache_file_put(f);
}

static void replace_by_link(const char *path, void *arg)
{
	(void)arg;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
}

static void remove_file(const char *path, void *arg)
{
	(void)arg;
	assert_int_equal(unlink(path), 0);
}

static void a_lost_data_file_is_a_miss(void **state)
{
	void (*const lose[])(const char *, void *) = {remove_file, replace_by_link};
	struct fixture *x = *state;
	struct cache_file *f;

	for (size_t i = 0; i < ARRAY_SIZE(lose); i++) {
		put_whole(x, 7, 1, 8 * B);
		cache_close(x->c);
		for_data_files(x, lose[i], NULL);
		fixture_open(x);
		assert_int_equal(stats(x).files, 0);
		f = get(x, 7, 1, 8 * B);
		assert_int_equal(read_checked(f, 1, 0, 8 * B), 0);
		assert_int_equal(fill(f, 1, 0, 8 * B), 0);
		assert_int_equal(read_checked(f, 1, 0, 8 * B), 8 * B);
		cache_file_put(f);
		assert_int_equal(for_data_files(x, NULL, NULL), 1);
	}
}

static void ranges_beyond_what_a_file_can_have_are_refused(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;
	char byte = 0;
	int r;

	assert_int_equal(cache_file_get(x->c, 7, 1, UINT64_MAX, &f), -EFBIG);
	assert_int_equal(cache_file_get(x->c, 0, 1, 1, &f), -EINVAL);
	f = get(x, 7, 1, INT64_MAX);
	assert_int_equal(cache_fill(f, 1, INT64_MAX, 1, &byte), -EFBIG);
	assert_int_equal(cache_fill(f, 1, UINT64_MAX, 2, &byte), -EFBIG);
	assert_int_equal(cache_write(f, UINT64_MAX, 2, &byte), -EFBIG);
	assert_true(cache_read(f, UINT64_MAX, 2, &byte) < 0);
	assert_int_equal(cache_read(f, INT64_MAX - 1, 1, &byte), 0);
	/* Where ext4 ends (16 TiB) is not where a file ends: there is just no room for it. tmpfs takes it. */
	r = fill(f, 1, INT64_MAX - INT64_MAX % B, INT64_MAX % B);
	assert_true(r == 0 || r == -ENOSPC);
	assert_int_equal(read_checked(f, 1, INT64_MAX - 10, 10), r ? 0 : 10);
	cache_file_put(f);
}

static void filling_counts_bytes_on_disk(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 100 * B);

	assert_int_equal(stats(x).bytes, 0);
	assert_int_equal(fill(f, 1, 10 * B, 10 * B), 0);
	assert_in_range(stats(x).bytes, 10 * B, 11 * B);
	assert_int_equal(stats(x).files, 1);
	assert_int_equal(cache_cached_bytes(x->c, 7), 10 * B);
	cache_file_put(f);
	cache_forget(x->c, 7);
	assert_int_equal(stats(x).bytes, 0);
	assert_int_equal(stats(x).files, 0);
	assert_int_equal(cache_cached_bytes(x->c, 7), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_has_the_check_value_of_crc32c),
		cmocka_unit_test_setup_teardown(what_was_filled_is_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_read_ends_at_the_first_missing_sub_block, setup, teardown),
		cmocka_unit_test_setup_teardown(valid_has_a_bit_for_each_whole_sub_block, setup, teardown),
		cmocka_unit_test_setup_teardown(a_partial_sub_block_is_not_filled, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fill_of_another_version_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_is_complete_when_its_last_byte_is_there, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(the_data_file_has_the_bytes_at_the_same_offsets, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_damaged_sub_block_is_dropped_and_counted_once, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(valid_bits_are_checked_before_they_are_handed_out, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_cut_data_file_gives_misses, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_data_file_is_a_miss, setup, teardown),
		cmocka_unit_test_setup_teardown(ranges_beyond_what_a_file_can_have_are_refused, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(filling_counts_bytes_on_disk, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
