// SPDX-License-Identifier: Apache-2.0
/*
 * Every key and value of the metadata, and the keys of objects.  First byte: which.  What is decoded and
 * encoded again must be the same bytes: there is one way to write a thing.
 */
#include "daemon/data/data.h"
#include "daemon/meta/codec.h"
#include "daemon/meta/slices.h"
#include "tests/fuzz/fuzz.h"

static void check_same(struct kv_slice value, const void *again, size_t size)
{
	CHECK(size == value.size && memcmp(again, value.data, size) == 0);
}

static void keys(struct kv_slice key)
{
	static const char kinds[] = "VNLISDRXCTOGK";
	uint64_t a, b;
	char name[META_NAME_MAX + 1];

	for (const char *kind = kinds; *kind; kind++) {
		if (meta_key_parse_number(key, *kind, &a) == 0) {
			struct meta_key k = meta_key_number(*kind, a);

			check_same(key, k.bytes, k.size);
		}
		if (meta_key_parse_pair(key, *kind, &a, &b) == 0) {
			struct meta_key k = meta_key_pair(*kind, a, b);

			check_same(key, k.bytes, k.size);
		}
		if (meta_key_parse_name(key, *kind, &a, name) == 0) {
			struct meta_key k = meta_key_name(*kind, a, name);

			check_same(key, k.bytes, k.size);
		}
	}
}

static void bytes(struct kv_slice value)
{
	void *decoded, *again;
	size_t size, again_size;

	if (meta_decode_bytes(value, &decoded, &size) < 0)
		return;
	CHECK(((char *)decoded)[size] == 0);
	CHECK(meta_encode_bytes(decoded, size, &again, &again_size) == 0);
	check_same(value, again, again_size);
	free(decoded);
	free(again);
}

static void slices(struct kv_slice value)
{
	struct meta_slices list;
	void *again;
	size_t size;

	if (meta_decode_slices(value, &list) < 0)
		return;
	CHECK(meta_slices_normal(&list));
	CHECK(meta_encode_slices(&list, &again, &size) == 0);
	check_same(value, again, size);
	free(again);
	meta_slices_clear(&list);
}

/* What an object is called: what a listing of the store has in it is anybody's. */
static void object_key(struct kv_slice value)
{
	char *key = fuzz_string(value.data, value.size), again[DATA_KEY_MAX];
	uint64_t object;
	uint32_t size;

	if (data_object_of_key(key, &object, &size) == 0) {
		data_object_key(object, size, again);
		CHECK(strcmp(key, again) == 0);
	}
	free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char again[META_VALUE_MAX];
	struct kv_slice value = {data + 1, size - 1};
	struct meta_volume v;
	struct inode i;
	struct dentry d;
	struct dentry_at at;
	uint64_t n;
	uint32_t m;

	if (!size)
		return 0;
	switch (data[0] % 12) {
	case 0:
		keys(value);
		break;
	case 1:
		if (meta_decode_volume(value, &v) == 0) {
			size = meta_encode_volume(&v, again);
			again[0] = data[1]; /* an earlier version has the same in it */
			check_same(value, again, size);
		}
		break;
	case 2:
		if (meta_decode_number(value, &n) == 0)
			check_same(value, again, meta_encode_number(n, again));
		break;
	case 3:
		if (meta_decode_counter(value, &n) == 0)
			CHECK(value.size == 8);
		break;
	case 4:
		if (meta_decode_inode(value, 5, &i) == 0)
			check_same(value, again, meta_encode_inode(&i, again));
		break;
	case 5:
		if (meta_decode_dentry(value, &d) == 0)
			check_same(value, again, meta_encode_dentry(&d, again));
		break;
	case 6:
		if (meta_decode_dentry_at(value, &at) == 0)
			check_same(value, again, meta_encode_dentry_at(&at, again));
		break;
	case 7:
		bytes(value);
		break;
	case 8:
		slices(value);
		break;
	case 9:
		if (meta_decode_garbage(value, &m) == 0)
			check_same(value, again, meta_encode_garbage(m, again));
		break;
	case 10:
		if (meta_decode_references(value, &n) == 0)
			check_same(value, again, meta_encode_references(n, again));
		break;
	case 11:
		object_key(value);
		break;
	}
	return 0;
}
