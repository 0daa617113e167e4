/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "daemon/meta/codec.h"
#include "daemon/meta/slices.h"

static struct kv_slice bytes(const void *data, size_t size)
{
	return (struct kv_slice){data, size};
}

static void keys_sort_as_numbers(void **state)
{
	static const uint64_t numbers[] = {0, 1, 255, 256, 65535, 1ull << 32, INT64_MAX, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i + 1 < ARRAY_SIZE(numbers); i++) {
		struct meta_key a = meta_key_pair('R', numbers[i], numbers[i + 1]);
		struct meta_key b = meta_key_pair('R', numbers[i + 1], 0);
		uint64_t ino, second;

		assert_int_equal(a.size, b.size);
		assert_true(memcmp(a.bytes, b.bytes, a.size) < 0);
		assert_int_equal(meta_key_parse_pair(meta_key_slice(&a), 'R', &ino, &second), 0);
		assert_int_equal(ino, numbers[i]);
		assert_int_equal(second, numbers[i + 1]);
	}
}

static void keys_of_another_shape_are_refused(void **state)
{
	struct meta_key number = meta_key_number('I', 5), pair = meta_key_pair('C', 5, 6);
	struct meta_key name = meta_key_name('D', 5, "x");
	char text[META_NAME_MAX + 1];
	uint64_t a, b;

	(void)state;
	assert_int_equal(meta_key_parse_number(meta_key_slice(&number), 'I', &a), 0);
	assert_int_equal(meta_key_parse_number(meta_key_slice(&number), 'O', &a), -EBADMSG);
	assert_int_equal(meta_key_parse_number(meta_key_slice(&pair), 'C', &a), -EBADMSG);
	assert_int_equal(meta_key_parse_pair(meta_key_slice(&number), 'I', &a, &b), -EBADMSG);
	assert_int_equal(meta_key_parse_name(meta_key_slice(&name), 'D', &a, text), 0);
	assert_string_equal(text, "x");
	assert_int_equal(meta_key_parse_name(meta_key_slice(&number), 'I', &a, text), -EBADMSG);
	assert_int_equal(meta_key_parse_name(bytes("D", 1), 'D', &a, text), -EBADMSG);
	assert_int_equal(meta_key_parse_name(bytes("", 0), 'D', &a, text), -EBADMSG);
	name.bytes[9] = 0;
	assert_int_equal(meta_key_parse_name(meta_key_slice(&name), 'D', &a, text), -EBADMSG);
}

static struct inode some_inode(uint32_t mode)
{
	struct inode i = {.attr = {.ino = 9,
	                           .generation = 1,
	                           .size = 0x123456789abc,
	                           .version = 0xfedcba9876543210,
	                           .mode = mode,
	                           .nlink = 3,
	                           .uid = 0xfffffffe,
	                           .gid = 7,
	                           .rdev = 0x103,
	                           .xattrs = 2,
	                           .atime = {1, 2},
	                           .mtime = {-5, 999999999},
	                           .ctime = {INT64_MAX, 0},
	                           .btime = {INT64_MIN, 4}},
	                  .cut_from = META_CUT_NONE};

	if (S_ISDIR(mode)) {
		i.attr.parent = 4;
		i.entries = 5;
		i.next_position = 600;
	} else if (S_ISREG(mode)) {
		i.cut_from = 77;
	}
	return i;
}

static void an_inode_of_each_type_comes_back_as_it_was(void **state)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK};

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(types); n++) {
		struct inode in = some_inode(types[n] | 07654), out;
		unsigned char value[META_VALUE_MAX];
		size_t size = meta_encode_inode(&in, value);

		assert_true(size <= META_VALUE_MAX);
		assert_int_equal(meta_decode_inode(bytes(value, size), 9, &out), 0);
		assert_memory_equal(&in, &out, sizeof(in));
		for (size_t cut = 0; cut < size; cut++)
			assert_int_equal(meta_decode_inode(bytes(value, cut), 9, &out), -EBADMSG);
		assert_int_equal(meta_decode_inode(bytes(value, size + 1), 9, &out), -EBADMSG);
	}
}

static void inodes_that_cannot_be_are_refused(void **state)
{
	unsigned char value[META_VALUE_MAX];
	struct inode in = some_inode(S_IFREG | 0644), out;
	size_t size;

	(void)state;
	size = meta_encode_inode(&in, value);
	assert_int_equal(meta_decode_inode(bytes(value, size), 0, &out), -EBADMSG);
	value[0]++;
	assert_int_equal(meta_decode_inode(bytes(value, size), 9, &out), -EBADMSG);

	in = some_inode(S_IFREG | 0644);
	in.attr.mtime.tv_nsec = 1000000000;
	assert_int_equal(meta_decode_inode(bytes(value, meta_encode_inode(&in, value)), 9, &out), -EBADMSG);
	in = some_inode(S_IFREG | 0644);
	in.attr.size = (uint64_t)META_SIZE_MAX + 1;
	assert_int_equal(meta_decode_inode(bytes(value, meta_encode_inode(&in, value)), 9, &out), -EBADMSG);
	in = some_inode(0644);
	assert_int_equal(meta_decode_inode(bytes(value, meta_encode_inode(&in, value)), 9, &out), -EBADMSG);
	in = some_inode(1u << 20 | S_IFREG);
	assert_int_equal(meta_decode_inode(bytes(value, meta_encode_inode(&in, value)), 9, &out), -EBADMSG);
	in = some_inode(S_IFDIR | 0755);
	in.next_position = META_POSITION_FIRST - 1;
	assert_int_equal(meta_decode_inode(bytes(value, meta_encode_inode(&in, value)), 9, &out), -EBADMSG);
	in = some_inode(S_IFDIR | 0755);
	in.attr.parent = 0;
	assert_int_equal(meta_decode_inode(bytes(value, meta_encode_inode(&in, value)), 9, &out), -EBADMSG);
}

static void dentries_come_back_as_they_were(void **state)
{
	struct dentry in = {.ino = 5, .type = S_IFLNK, .position = 77}, out;
	struct dentry_at at_in = {.ino = 5, .type = S_IFSOCK}, at_out;
	unsigned char value[META_VALUE_MAX];
	size_t size;

	(void)state;
	size = meta_encode_dentry(&in, value);
	assert_int_equal(meta_decode_dentry(bytes(value, size), &out), 0);
	assert_int_equal(out.ino, 5);
	assert_int_equal(out.type, S_IFLNK);
	assert_int_equal(out.position, 77);
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(meta_decode_dentry(bytes(value, cut), &out), -EBADMSG);
	in.position = 3;
	assert_int_equal(meta_decode_dentry(bytes(value, meta_encode_dentry(&in, value)), &out), -EBADMSG);
	in = (struct dentry){.ino = 0, .type = S_IFREG, .position = 77};
	assert_int_equal(meta_decode_dentry(bytes(value, meta_encode_dentry(&in, value)), &out), -EBADMSG);
	in = (struct dentry){.ino = 1, .type = 0x3000, .position = 77};
	assert_int_equal(meta_decode_dentry(bytes(value, meta_encode_dentry(&in, value)), &out), -EBADMSG);

	memset(at_in.name, 'n', META_NAME_MAX);
	size = meta_encode_dentry_at(&at_in, value);
	assert_true(size <= META_VALUE_MAX);
	assert_int_equal(meta_decode_dentry_at(bytes(value, size), &at_out), 0);
	assert_string_equal(at_out.name, at_in.name);
	for (size_t cut = 0; cut <= 10; cut++)
		assert_int_equal(meta_decode_dentry_at(bytes(value, cut), &at_out), -EBADMSG);
	assert_int_equal(meta_decode_dentry_at(bytes(value, size + 1), &at_out), -EBADMSG);
	value[20] = '/';
	assert_int_equal(meta_decode_dentry_at(bytes(value, size), &at_out), -EBADMSG);
	value[20] = 0;
	assert_int_equal(meta_decode_dentry_at(bytes(value, size), &at_out), -EBADMSG);
}

static void a_volume_comes_back_as_it_was(void **state)
{
	unsigned char value[META_VALUE_MAX];
	struct meta_volume in = fixture_volume, out;
	size_t size;

	(void)state;
	memset(in.name, 'n', sizeof(in.name) - 1);
	size = meta_encode_volume(&in, value);
	assert_int_equal(meta_decode_volume(bytes(value, size), &out), 0);
	assert_string_equal(out.name, in.name);
	assert_string_equal(out.uuid, in.uuid);
	assert_int_equal(out.chunk_size, CHUNK);
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(meta_decode_volume(bytes(value, cut), &out), -EBADMSG);
	value[0] = 99;
	assert_int_equal(meta_decode_volume(bytes(value, size), &out), -EPROTO);
	in.chunk_size = 3 << 20;
	assert_int_equal(meta_decode_volume(bytes(value, meta_encode_volume(&in, value)), &out), -EBADMSG);
}

static void slices_come_back_as_they_were(void **state)
{
	struct meta_slice s[2] = {{0, 10, 7, 3, 20}, {10, 5, 8, 0, 5}};
	struct meta_slices in = {s, 2}, out = {.count = 9};
	_cleanup_free_ void *value = NULL;
	unsigned char *p;
	size_t size;

	(void)state;
	assert_int_equal(meta_encode_slices(&in, &value, &size), 0);
	assert_int_equal(meta_decode_slices(bytes(value, size), &out), 0);
	assert_int_equal(out.count, 2);
	assert_memory_equal(out.slices, s, sizeof(s));
	meta_slices_clear(&out);
	out.count = 9;
	for (size_t cut = 0; cut < size; cut++) {
		if (cut == 1 + 24)
			continue; /* one slice: sound */
		assert_int_equal(meta_decode_slices(bytes(value, cut), &out), -EBADMSG);
	}
	p = value;
	p[25]--; /* the second begins within the first */
	assert_int_equal(meta_decode_slices(bytes(value, size), &out), -EBADMSG);
	p[25]++;
	p[1 + 8] = 0; /* object 0 */
	assert_int_equal(meta_decode_slices(bytes(value, size), &out), -EBADMSG);
	p[1 + 8] = 7;
	p[1 + 16] = 11; /* 11 + 10 bytes of 20 */
	assert_int_equal(meta_decode_slices(bytes(value, size), &out), -EBADMSG);
	assert_int_equal(out.count, 9);
}

static void strings_and_numbers_come_back_as_they_were(void **state)
{
	_cleanup_free_ void *value = NULL, *text = NULL, *empty = NULL, *nothing = NULL;
	unsigned char small[META_VALUE_MAX];
	size_t size, length;
	uint64_t n;
	uint32_t g;

	(void)state;
	assert_int_equal(meta_encode_bytes("a\0b", 3, &value, &size), 0);
	assert_int_equal(meta_decode_bytes(bytes(value, size), &text, &length), 0);
	assert_int_equal(length, 3);
	assert_memory_equal(text, "a\0b", 4);
	assert_int_equal(meta_encode_bytes(NULL, 0, &empty, &size), 0);
	assert_int_equal(meta_decode_bytes(bytes(empty, size), &nothing, &length), 0);
	assert_int_equal(length, 0);
	assert_int_equal(meta_decode_bytes(bytes("", 0), &text, &length), -EBADMSG);
	assert_int_equal(meta_decode_bytes(bytes("\7x", 2), &text, &length), -EBADMSG);

	size = meta_encode_number(0x0123456789abcdef, small);
	assert_int_equal(meta_decode_number(bytes(small, size), &n), 0);
	assert_int_equal(n, 0x0123456789abcdef);
	assert_int_equal(meta_decode_number(bytes(small, size - 1), &n), -EBADMSG);
	assert_int_equal(meta_decode_counter(bytes("\1\0\0\0\0\0\0\1", 8), &n), 0);
	assert_int_equal(n, 0x0100000000000001);
	assert_int_equal(meta_decode_counter(bytes("\1\0\0\0\0\0\0\1", 7), &n), -EBADMSG);
	size = meta_encode_garbage(0xdeadbeef, small);
	assert_int_equal(meta_decode_garbage(bytes(small, size), &g), 0);
	assert_int_equal(g, 0xdeadbeef);
	assert_int_equal(meta_decode_garbage(bytes(small, size + 1), &g), -EBADMSG);
}

/* Every decoder, on @p size hostile bytes in memory that ends where they do. */
static void decode_all(const unsigned char *data, size_t size)
{
	unsigned char *exact = malloc(size ? size : 1);
	struct meta_slices slices = {};
	struct meta_volume volume;
	struct dentry_at at;
	struct dentry dentry;
	struct inode inode;
	char name[META_NAME_MAX + 1];
	void *text = NULL;
	size_t length;
	uint64_t a, b;
	uint32_t g;

	assert_non_null(exact);
	memcpy(exact, data, size);
	meta_decode_volume(bytes(exact, size), &volume);
	meta_decode_number(bytes(exact, size), &a);
	meta_decode_counter(bytes(exact, size), &a);
	meta_decode_dentry(bytes(exact, size), &dentry);
	meta_decode_garbage(bytes(exact, size), &g);
	meta_key_parse_number(bytes(exact, size), 'I', &a);
	meta_key_parse_pair(bytes(exact, size), 'C', &a, &b);
	if (!meta_decode_inode(bytes(exact, size), 1, &inode)) {
		unsigned char again[META_VALUE_MAX];

		/* What decodes is what encodes: nothing was lost or made up. */
		assert_int_equal(meta_encode_inode(&inode, again), size);
		assert_memory_equal(again, exact, size);
	}
	if (!meta_decode_dentry_at(bytes(exact, size), &at))
		assert_true(strlen(at.name) > 0 && strlen(at.name) <= META_NAME_MAX);
	if (!meta_key_parse_name(bytes(exact, size), 'D', &a, name))
		assert_true(strlen(name) > 0 && strlen(name) <= META_NAME_MAX);
	if (!meta_decode_bytes(bytes(exact, size), &text, &length))
		free(text);
	if (!meta_decode_slices(bytes(exact, size), &slices)) {
		assert_true(meta_slices_normal(&slices));
		meta_slices_clear(&slices);
	}
	free(exact);
}

static void hostile_bytes_do_no_harm(void **state)
{
	unsigned char good[8][META_VALUE_MAX], bad[META_VALUE_MAX];
	struct meta_slice s[3] = {{0, 10, 7, 3, 20}, {10, 5, 8, 0, 5}, {100, 5, 8, 0, 5}};
	_cleanup_free_ void *list = NULL;
	struct inode inode = some_inode(S_IFREG | 0644), dir = some_inode(S_IFDIR | 0755);
	struct dentry d = {.ino = 5, .type = S_IFREG, .position = 77};
	struct dentry_at at = {.ino = 5, .type = S_IFREG, .name = "a name"};
	struct meta_key key = meta_key_name('D', 5, "x");
	unsigned seed = 4711;
	size_t sizes[8];

	(void)state;
	sizes[0] = meta_encode_inode(&inode, good[0]);
	sizes[1] = meta_encode_inode(&dir, good[1]);
	sizes[2] = meta_encode_dentry(&d, good[2]);
	sizes[3] = meta_encode_dentry_at(&at, good[3]);
	sizes[4] = meta_encode_volume(&fixture_volume, good[4]);
	sizes[5] = meta_encode_number(5, good[5]);
	assert_int_equal(meta_encode_slices(&(struct meta_slices){s, 3}, &list, &sizes[6]), 0);
	memcpy(good[6], list, sizes[6]);
	sizes[7] = key.size;
	memcpy(good[7], key.bytes, key.size);

	for (int round = 0; round < 200000; round++) {
		size_t which = rand_r(&seed) % ARRAY_SIZE(good), size = sizes[which];

		memcpy(bad, good[which], size);
		for (int flips = rand_r(&seed) % 4; flips; flips--)
			bad[rand_r(&seed) % size] = rand_r(&seed);
		if (rand_r(&seed) % 4 == 0)
			size = rand_r(&seed) % (size + 1);
		decode_all(bad, size);
	}
	for (int round = 0; round < 20000; round++) {
		size_t size = rand_r(&seed) % sizeof(bad);

		for (size_t i = 0; i < size; i++)
			bad[i] = rand_r(&seed);
		bad[0] = 1;
		decode_all(bad, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_sort_as_numbers),
		cmocka_unit_test(keys_of_another_shape_are_refused),
		cmocka_unit_test(an_inode_of_each_type_comes_back_as_it_was),
		cmocka_unit_test(inodes_that_cannot_be_are_refused),
		cmocka_unit_test(dentries_come_back_as_they_were),
		cmocka_unit_test(a_volume_comes_back_as_it_was),
		cmocka_unit_test(slices_come_back_as_they_were),
		cmocka_unit_test(strings_and_numbers_come_back_as_they_were),
		cmocka_unit_test(hostile_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
