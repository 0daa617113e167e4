/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/descriptor.h"
#include "tests/unit/daemon/store/file_fixture.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static const struct meta_volume volume = {.uuid = UUID, .name = "models \"v2\"", .chunk_size = 4 << 20};

/* The store has @text as its descriptor: reading it must fail with @error, saying @says. */
static void refuse_text(struct fixture *f, const char *text, size_t length, int error, const char *says)
{
	struct meta_volume found = {.name = "untouched"};
	_cleanup_free_ char *why = NULL;

	assert_int_equal(store_put(f->store, DESCRIPTOR_KEY, text, length), 0);
	assert_int_equal(descriptor_read(f->store, &found, &why), error);
	assert_string_equal(found.name, "untouched");
	assert_non_null(why);
	if (!strstr(why, says))
		fail_msg("\"%s\" does not say \"%s\"", why, says);
}

static void what_was_written_is_read(void **state)
{
	struct fixture *f = *state;
	struct meta_volume found;
	char *why = NULL;

	assert_int_equal(descriptor_write(f->store, &volume, &why), 0);
	assert_int_equal(descriptor_read(f->store, &found, &why), 0);
	assert_null(why);
	assert_string_equal(found.uuid, volume.uuid);
	assert_string_equal(found.name, volume.name);
	assert_int_equal(found.chunk_size, volume.chunk_size);
}

static void empty_store_holds_no_volume(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *why = NULL;
	struct meta_volume found;

	assert_int_equal(descriptor_read(f->store, &found, &why), -ENOENT);
	assert_non_null(strstr(why, "curvefs format"));
}

static void second_volume_is_refused(void **state)
{
	struct fixture *f = *state;
	struct meta_volume other = volume, found;
	_cleanup_free_ char *why = NULL;

	strcpy(other.name, "other");
	assert_int_equal(descriptor_write(f->store, &volume, &why), 0);
	assert_int_equal(descriptor_write(f->store, &other, &why), -EEXIST);
	assert_non_null(strstr(why, "holds a volume already"));
	free(TAKE_PTR(why));
	assert_int_equal(descriptor_read(f->store, &found, &why), 0);
	assert_string_equal(found.name, volume.name);
}

static void nonsense_is_not_written(void **state)
{
	struct fixture *f = *state;
	struct meta_volume bad[3] = {volume, volume, volume}, found;
	char *why = NULL;

	strcpy(bad[0].uuid, "../../etc");
	strcpy(bad[1].name, "two\nlines");
	bad[2].chunk_size = 3 << 20;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(descriptor_write(f->store, &bad[i], &why), -EINVAL);
		free(TAKE_PTR(why));
	}
	assert_int_equal(descriptor_read(f->store, &found, &why), -ENOENT);
	free(why);
}

#define TEXT(magic, version, uuid, name, chunk_size)                                           \
	"{\"magic\": " magic ", \"version\": " version ", \"uuid\": " uuid ", \"name\": " name \
	", \"chunk_size\": " chunk_size "}"
#define REFUSE(text, error, says) refuse_text(*state, text, sizeof(text) - 1, error, says)

static void text_that_should_be_taken_is_taken(void **state)
{
	/* What the refusals below differ from by one thing each. */
	static const char *const texts[] = {TEXT("\"curvefs\"", "2", "\"" UUID "\"", "\"n\"", "4194304"),
	                                    TEXT("\"curvefs\"", "3", "\"" UUID "\"", "\"n\"", "4194304")};
	struct fixture *f = *state;
	struct meta_volume found;
	char *why = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(store_put(f->store, DESCRIPTOR_KEY, texts[i], strlen(texts[i])), 0);
		assert_int_equal(descriptor_read(f->store, &found, &why), 0);
	}
}

static void descriptors_that_are_none_are_refused(void **state)
{
	REFUSE("", -EBADMSG, "not a JSON object");
	REFUSE("[1]", -EBADMSG, "not a JSON object");
	REFUSE("{\"magic\": \"curvefs\"", -EBADMSG, "not a JSON object");
	REFUSE("{\"magic\": \"curvefs\", \"magic\": \"curvefs\"}", -EBADMSG, "not a JSON object");
	REFUSE(TEXT("\"other\"", "2", "\"" UUID "\"", "\"n\"", "4194304"), -EBADMSG, "magic");
	REFUSE(TEXT("\"curvefs\"", "\"1\"", "\"" UUID "\"", "\"n\"", "4194304"), -EBADMSG, "version");
	REFUSE(TEXT("\"curvefs\"", "0", "\"" UUID "\"", "\"n\"", "4194304"), -EBADMSG, "version");
	REFUSE(TEXT("\"curvefs\"", "2", "\"../../../../../../../../../../../etc/x\"", "\"n\"", "4194304"),
	       -EBADMSG, "uuid");
	REFUSE(TEXT("\"curvefs\"", "2", "17", "\"n\"", "4194304"), -EBADMSG, "uuid");
	REFUSE(TEXT("\"curvefs\"", "2", "\"" UUID "\"", "\"a\\u0000b\"", "4194304"), -EBADMSG,
	       "not a JSON object");
	REFUSE(TEXT("\"curvefs\"", "2", "\"" UUID "\"", "\"a\\u001bb\"", "4194304"), -EBADMSG, "name");
	REFUSE(TEXT("\"curvefs\"", "2", "\"" UUID "\"",
	            "\"0123456789012345678901234567890123456789012345678901234567890123\"", "4194304"),
	       -EBADMSG, "name");
	REFUSE(TEXT("\"curvefs\"", "2", "\"" UUID "\"", "\"n\"", "5000000"), -EBADMSG, "chunk_size");
	REFUSE(TEXT("\"curvefs\"", "2", "\"" UUID "\"", "\"n\"", "-4194304"), -EBADMSG, "chunk_size");
	REFUSE(TEXT("\"curvefs\"", "2", "\"" UUID "\"", "\"n\"", "134217728"), -EBADMSG, "chunk_size");
	REFUSE(TEXT("\"curvefs\"", "2", "\"" UUID "\"", "\"n\"", "4194304.5"), -EBADMSG, "chunk_size");
}

static void other_versions_are_told_from_nonsense(void **state)
{
	REFUSE("{\"magic\": \"curvefs\", \"version\": 4, \"shards\": []}", -EPROTO, "later version");
	REFUSE(TEXT("\"curvefs\"", "1", "\"" UUID "\"", "\"n\"", "4194304"), -EPROTO, "earlier version");
}

static void oversized_descriptor_is_refused(void **state)
{
	_cleanup_free_ char *text = malloc(DESCRIPTOR_MAX + 1);

	memset(text, ' ', DESCRIPTOR_MAX + 1);
	refuse_text(*state, text, DESCRIPTOR_MAX + 1, -EBADMSG, "larger than");
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(what_was_written_is_read),
		with_store(empty_store_holds_no_volume),
		with_store(second_volume_is_refused),
		with_store(nonsense_is_not_written),
		with_store(text_that_should_be_taken_is_taken),
		with_store(descriptors_that_are_none_are_refused),
		with_store(other_versions_are_told_from_nonsense),
		with_store(oversized_descriptor_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
