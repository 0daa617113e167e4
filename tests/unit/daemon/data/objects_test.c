/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/daemon/data/fixture.h"

static void neighbours_are_in_one_folder_and_the_next_in_another(void **state)
{
	char key[DATA_KEY_MAX];

	(void)state;
	data_object_key(META_FIRST_OBJECT, 4194304, key);
	assert_string_equal(key, "data/00/00/1000000000000000_4194304");
	data_object_key(META_FIRST_OBJECT + 0x123456, 4194304, key);
	assert_string_equal(key, "data/34/12/1000000000123456_4194304");
	data_object_key(UINT64_MAX, UINT32_MAX, key);
	assert_string_equal(key, "data/ff/ff/ffffffffffffffff_4294967295");
}

static void keys_of_early_volumes_are_as_they_were(void **state)
{
	char key[DATA_KEY_MAX];

	(void)state;
	data_object_key(0x1234, 4194304, key);
	assert_string_equal(key, "data/34/12/0000000000001234_4194304");
	data_object_key(META_FIRST_OBJECT - 1, 4194304, key);
	assert_string_equal(key, "data/ff/ff/0fffffffffffffff_4194304");
}

static void a_checksum_for_each_block(void **state)
{
	(void)state;
	assert_int_equal(data_object_bytes(0), 0);
	assert_int_equal(data_object_bytes(1), 5);
	assert_int_equal(data_object_bytes(65536), 65540);
	assert_int_equal(data_object_bytes(65537), 65545);
	assert_int_equal(data_object_bytes(UINT32_MAX), UINT32_MAX + 4 * 65536ull);
}

/* One file of one object, not in the cache. */
struct one {
	struct model m;
	struct data_file *file;
	char key[DATA_KEY_MAX];
	char *bytes; /* as they should be in the store */
	size_t size;
};

static void one_make(struct fixture *f, struct one *one, const char *name, size_t size)
{
	_cleanup_slices_ struct meta_slices list = {};
	void *bytes;

	model_init(&one->m, make_file(f, name), 7);
	one->file = get(f, one->m.ino);
	model_write(&one->m, one->file, 0, size);
	assert_int_equal(data_flush(one->file), 0);
	assert_int_equal(meta_slices(f->meta, one->m.ino, 0, &list), 0);
	assert_int_equal(list.count, 1);
	data_object_key(list.slices[0].object, list.slices[0].size, one->key);
	assert_int_equal(store_get_all(f->store, one->key, 4 * MIB, &bytes, &one->size), 0);
	one->bytes = bytes;
	assert_int_equal(one->size, data_object_bytes(size));
}

static void one_free(struct one *one)
{
	data_file_put(one->file);
	free(one->m.bytes);
	free(one->bytes);
}

static void any_range_is_read_and_checked(void **state)
{
	static const uint32_t places[] = {0,      1,      4096,   65535,  65536, 65537,
	                                  100000, 131071, 131072, 199999, 200000};
	struct fixture *f = *state;
	struct one one;

	one_make(f, &one, "f", 200000);
	/* An extent that begins within a block: the rest of the object is behind other bytes. */
	model_write(&one.m, one.file, 0, 70001);
	assert_int_equal(data_flush(one.file), 0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (size_t j = i + 1; j < ARRAY_SIZE(places); j++)
			expect_bytes(one.file, places[i], one.m.bytes + places[i], places[j] - places[i]);
	one_free(&one);
}

/* Wherever a bit falls over, it is an error for its block and for no other; afterwards all is well again. */
static void a_flipped_bit_is_never_handed_out(void **state)
{
	static const uint32_t places[] = {0, 30000, 65535, 65536, 65539, 65540, 131079, 131080, 200000 + 15};
	struct fixture *f = *state;
	char buffer[100];
	struct one one;

	one_make(f, &one, "f", 200000);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint32_t block = places[i] / (DATA_OBJECT_BLOCK + DATA_OBJECT_CRC);

		one.bytes[places[i]] ^= 4;
		assert_int_equal(store_put(f->store, one.key, one.bytes, one.size), 0);
		assert_int_equal(data_read(one.file, block * DATA_OBJECT_BLOCK, 100, buffer), -EIO);
		one.bytes[places[i]] ^= 4;
	}
	assert_int_equal(store_put(f->store, one.key, one.bytes, one.size), 0);
	model_check(&one.m, f, one.file);
	one_free(&one);
}

static void a_whole_block_is_read_next_to_a_damaged_one(void **state)
{
	struct fixture *f = *state;
	char byte;
	struct one one;

	f->options.read_ahead = 0;
	fixture_reopen(f);
	one_make(f, &one, "f", 200000);
	one.bytes[70000] ^= 1;
	assert_int_equal(store_put(f->store, one.key, one.bytes, one.size), 0);
	/* Read up to the end of the file: of what is fetched together, all is refused. */
	assert_int_equal(data_read(one.file, 65536, 1, &byte), -EIO);
	expect_bytes(one.file, 131072, one.m.bytes + 131072, 200000 - 131072);
	expect_bytes(one.file, 0, one.m.bytes, 65536);
	one_free(&one);
}

static void a_short_or_swapped_object_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct one a, b;
	char byte;

	one_make(f, &a, "a", 100000);
	one_make(f, &b, "b", 100000);
	assert_int_equal(store_put(f->store, a.key, a.bytes, a.size - 1), 0);
	assert_int_equal(data_read(a.file, 99999, 1, &byte), -EIO);
	assert_int_equal(store_put(f->store, a.key, "", 0), 0);
	assert_int_equal(data_read(a.file, 0, 1, &byte), -EIO);
	/* Sound in itself, but another one. */
	assert_int_equal(store_put(f->store, a.key, b.bytes, b.size), 0);
	assert_int_equal(data_read(a.file, 0, 1, &byte), -EIO);
	model_check(&b.m, f, b.file);
	one_free(&a);
	one_free(&b);
}

static void a_damaged_place_is_found_by_reading_everything(void **state)
{
	const uint64_t stride = DATA_OBJECT_BLOCK + DATA_OBJECT_CRC;
	struct fixture *f = *state;
	struct one one;
	uint64_t at = 0, object;
	uint32_t size;

	one_make(f, &one, "f", MIB - 7);
	assert_int_equal(data_object_of_key(one.key, &object, &size), 0);
	assert_int_equal(data_object_verify(f->store, object, size, &at), 0);
	for (size_t place = 0; place < one.size; place += one.size / 9) {
		one.bytes[place] ^= 1;
		assert_int_equal(store_put(f->store, one.key, one.bytes, one.size), 0);
		assert_int_equal(data_object_verify(f->store, object, size, &at), -EBADMSG);
		assert_int_equal(at, place / stride * stride);
		one.bytes[place] ^= 1;
	}
	assert_int_equal(store_put(f->store, one.key, one.bytes, one.size - 1), 0);
	assert_int_equal(data_object_verify(f->store, object, size, &at), -ENODATA);
	assert_int_equal(data_object_verify(f->store, object + 1, size, &at), -ENOENT);
	assert_int_equal(store_put(f->store, one.key, one.bytes, one.size), 0);
	one_free(&one);
}

static int setup_faults(void **state)
{
	struct fixture *f = fixture_new(NONE);

	f->faults = "get:corrupt,key=data/,every=2";
	fixture_open(f);
	*state = f;
	return 0;
}

static void a_bit_that_fell_over_on_the_way_is_fetched_again(void **state)
{
	struct fixture *f = *state;
	struct one one;

	f->options.read_ahead = 0;
	fixture_reopen(f);
	one_make(f, &one, "f", 200000);
	for (int i = 0; i < 4; i++)
		expect_bytes(one.file, i * 1000, one.m.bytes + i * 1000, 5000);
	one_free(&one);
}

static void a_key_leads_back_to_its_object(void **state)
{
	static const char *const bad[] = {"data/34/12/0000000000001234_4194304x",
	                                  "data/34/13/0000000000001234_4194304",
	                                  "data/56/34/1000000000123456_4194304",
	                                  "data/34/12/1234_4194304",
	                                  "data/34/12/0000000000001234",
	                                  "data/34/12/0000000000001234_4294967296",
	                                  "curvefs.json",
	                                  ""};
	uint64_t object = 0;
	uint32_t size = 0;

	(void)state;
	assert_int_equal(data_object_of_key("data/34/12/0000000000001234_4194304", &object, &size), 0);
	assert_true(object == 0x1234 && size == 4194304);
	assert_int_equal(data_object_of_key("data/ff/ff/ffffffffffffffff_4294967295", &object, &size), 0);
	assert_true(object == UINT64_MAX && size == UINT32_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(data_object_of_key(bad[i], &object, &size), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_in_one_folder_and_the_next_in_another),
		cmocka_unit_test(keys_of_early_volumes_are_as_they_were),
		cmocka_unit_test(a_checksum_for_each_block),
		cmocka_unit_test_setup_teardown(any_range_is_read_and_checked, setup_none, teardown),
		cmocka_unit_test_setup_teardown(a_flipped_bit_is_never_handed_out, setup_none, teardown),
		cmocka_unit_test_setup_teardown(a_whole_block_is_read_next_to_a_damaged_one, setup_none,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_short_or_swapped_object_is_an_error, setup_none, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_place_is_found_by_reading_everything, setup_none,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_bit_that_fell_over_on_the_way_is_fetched_again,
	                                        setup_faults, teardown),
		cmocka_unit_test(a_key_leads_back_to_its_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
