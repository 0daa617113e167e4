/* SPDX-License-Identifier: Apache-2.0 */
/* Parts and manifests: what is written is read, and every way of being damaged is found. */
#include "daemon/backup/part.h"

#include "common/cleanup.h"
#include "daemon/backup/manifest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after those it needs */
#include <cmocka.h>

#define UUID "00000000-1111-2222-3333-444444444444"
#define OTHER_UUID "00000000-1111-2222-3333-444444444445"

static struct kv_slice str(const char *text)
{
	return (struct kv_slice){text, strlen(text)};
}

static char said[4096];

static int note(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	size_t at = strlen(said);

	(void)arg;
	snprintf(said + at, sizeof(said) - at, "%d %.*s=%.*s;", op, (int)key.size, (const char *)key.data,
	         (int)value.size, (const char *)value.data);
	return 0;
}

static const struct part_id own = {.kind = PART_LOG, .epoch = 7, .number = 9, .uuid = UUID};

static void *make_part(size_t *ret_size, uint32_t *ret_crc)
{
	struct part_buffer b = {0};
	void *part;

	assert_int_equal(part_add(&b, KV_PUT, str("key"), str("value")), 0);
	assert_int_equal(part_add(&b, KV_DELETE, str("gone"), (struct kv_slice){NULL, 0}), 0);
	assert_int_equal(part_add(&b, KV_ADD, str("n"), str("12345678")), 0);
	assert_int_equal(part_add(&b, KV_PUT, str("empty"), str("")), 0);
	assert_int_equal(part_print(&b, &own, &part, ret_size, ret_crc), 0);
	part_clear(&b);
	return part;
}

static void a_part_is_read_as_it_was_written(void **state)
{
	const char *wrong;
	size_t size;
	uint32_t crc;
	_cleanup_free_ void *part = make_part(&size, &crc);

	(void)state;
	said[0] = '\0';
	assert_int_equal(part_crc(part, size), crc);
	assert_int_equal(part_read(part, size, &own, note, NULL, &wrong), 0);
	assert_string_equal(said, "1 key=value;2 gone=;3 n=12345678;1 empty=;");
}

static void a_large_part_is_read_as_it_was_written(void **state)
{
	_cleanup_free_ char *value = calloc(1, 3 << 20);
	struct part_buffer b = {0};
	_cleanup_free_ void *part = NULL;
	const char *wrong;
	size_t size;
	uint32_t crc;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(part_add(&b, KV_PUT, str("k"), (struct kv_slice){value, 3 << 20}), 0);
	assert_int_equal(b.changes, 4);
	assert_int_equal(part_print(&b, &own, &part, &size, &crc), 0);
	assert_true(size < b.size / 10);
	part_clear(&b);
	assert_int_equal(part_read(part, size, &own, note, NULL, &wrong), 0);
}

static int never(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	(void)op, (void)key, (void)value, (void)arg;
	fail_msg("a change was taken from a damaged part");
	return -1;
}

static void no_bit_of_a_part_may_be_another(void **state)
{
	const char *wrong;
	size_t size;
	uint32_t crc;
	_cleanup_free_ unsigned char *part = make_part(&size, &crc);

	(void)state;
	for (size_t bit = 0; bit < 8 * size; bit++) {
		int r;

		part[bit / 8] ^= 1 << bit % 8;
		r = part_read(part, size, &own, never, NULL, &wrong);
		assert_true(r == -EBADMSG || (r == -EPROTO && bit / 8 >= 8 && bit / 8 < 12));
		assert_non_null(wrong);
		part[bit / 8] ^= 1 << bit % 8;
	}
}

static void a_part_that_was_cut_off_is_damaged(void **state)
{
	const char *wrong;
	size_t size;
	uint32_t crc;
	_cleanup_free_ unsigned char *part = make_part(&size, &crc);

	(void)state;
	for (size_t n = 0; n < size; n++) {
		_cleanup_free_ char *start = malloc(n + 1); /* for a sanitizer to see reads behind it */

		memcpy(start, part, n);
		assert_int_equal(part_read(start, n, &own, never, NULL, &wrong), -EBADMSG);
	}
}

static void a_part_is_only_what_its_name_says(void **state)
{
	const struct part_id others[] = {
		{PART_CHECKPOINT, 7, 9, UUID},
		{PART_LOG, 8, 9, UUID},
		{PART_LOG, 7, 10, UUID},
		{PART_LOG, 7, 9, OTHER_UUID},
	};
	const char *wrong;
	size_t size;
	uint32_t crc;
	_cleanup_free_ void *part = make_part(&size, &crc);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(part_read(part, size, &others[i], never, NULL, &wrong), -EBADMSG);
	assert_string_equal(wrong, "it belongs to another volume");
}

/* ---- manifests ---- */

static struct manifest_part parts[] = {{1, 2, 300, 0xffffffff}, {1, 3, 400, 0}, {7, 8, 500, 12345}};
static const struct manifest made = {.meta_id = "identity",
                                     .epoch = 7,
                                     .number = 10,
                                     .sequence = 123456789,
                                     .created_s = 1000000000,
                                     .parts = parts,
                                     .count = 3,
                                     .checkpoint_count = 2};

static void a_manifest_is_read_as_it_was_written(void **state)
{
	_cleanup_free_ char *text = manifest_print(&made, UUID);
	struct manifest m;
	const char *wrong;

	(void)state;
	assert_int_equal(manifest_parse(text, strlen(text), UUID, &m, &wrong), 0);
	assert_string_equal(m.meta_id, "identity");
	assert_int_equal(m.epoch, 7);
	assert_int_equal(m.number, 10);
	assert_int_equal(m.sequence, 123456789);
	assert_int_equal(m.created_s, 1000000000);
	assert_int_equal(m.checkpoint_count, 2);
	assert_int_equal(m.count, 3);
	assert_memory_equal(m.parts, parts, sizeof(parts));
	manifest_clear(&m);
	assert_int_equal(manifest_parse(text, strlen(text), OTHER_UUID, &m, &wrong), -EBADMSG);
	assert_string_equal(wrong, "it belongs to another volume");
}

static void no_byte_of_a_manifest_may_be_another(void **state)
{
	_cleanup_free_ char *text = manifest_print(&made, UUID);
	struct manifest m;
	const char *wrong;
	size_t length = strlen(text);

	(void)state;
	for (size_t i = 0; i < length; i++) {
		assert_true(manifest_parse(text, i, UUID, &m, &wrong) < 0);
		text[i] ^= 1;
		assert_true(manifest_parse(text, length, UUID, &m, &wrong) < 0);
		assert_non_null(wrong);
		text[i] ^= 1;
	}
}

/* The checksum is right, and what it is of is wrong: tests/assets has them by name. */
static void what_a_manifest_cannot_say_is_refused(void **state)
{
	static const struct {
		const char *file;
		int r;
	} assets[] = {
		{"should-fail-manifest-later-version.json", -EPROTO},
		{"should-fail-manifest-no-checkpoint.json", -EBADMSG},
		{"should-fail-manifest-negative-size.json", -EBADMSG},
		{"should-fail-manifest-huge-part.json", -EBADMSG},
		{"should-fail-manifest-part-of-three.json", -EBADMSG},
		{"should-fail-manifest-no-meta-id.json", -EBADMSG},
		{"should-fail-manifest-not-json.json", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(assets); i++) {
		char path[256], text[4096];
		_cleanup_fclose_ FILE *f = NULL;
		struct manifest m;
		const char *wrong;
		size_t n;

		snprintf(path, sizeof(path), "tests/assets/%s", assets[i].file);
		f = fopen(path, "re");
		if (!f)
			fail_msg("%s: %s", path, strerror(errno));
		n = fread(text, 1, sizeof(text), f);
		if (manifest_parse(text, n, UUID, &m, &wrong) != assets[i].r)
			fail_msg("%s was not refused as it should", path);
		assert_true(i + 1 == ARRAY_SIZE(assets) || strcmp(wrong, "its checksum is wrong") != 0);
	}
}

static void names_are_in_the_order_of_time(void **state)
{
	char early[BACKUP_KEY_MAX], late[BACKUP_KEY_MAX];
	uint64_t epoch, number;

	(void)state;
	manifest_key(9, 0xffff, early);
	manifest_key(10, 1, late);
	assert_true(strcmp(early, late) < 0);
	assert_true(manifest_parse_key(early, MANIFEST_PREFIX, &epoch, &number));
	assert_int_equal(epoch, 9);
	assert_int_equal(number, 0xffff);
	assert_false(manifest_parse_key(early, PART_PREFIX, &epoch, &number));
	assert_false(manifest_parse_key(MANIFEST_PREFIX "000000000000000a-00000000000000-1", MANIFEST_PREFIX,
	                                &epoch, &number));
	assert_false(manifest_parse_key(MANIFEST_PREFIX "a-1", MANIFEST_PREFIX, &epoch, &number));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_part_is_read_as_it_was_written),
		cmocka_unit_test(a_large_part_is_read_as_it_was_written),
		cmocka_unit_test(no_bit_of_a_part_may_be_another),
		cmocka_unit_test(a_part_that_was_cut_off_is_damaged),
		cmocka_unit_test(a_part_is_only_what_its_name_says),
		cmocka_unit_test(a_manifest_is_read_as_it_was_written),
		cmocka_unit_test(no_byte_of_a_manifest_may_be_another),
		cmocka_unit_test(what_a_manifest_cannot_say_is_refused),
		cmocka_unit_test(names_are_in_the_order_of_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
