// SPDX-License-Identifier: Apache-2.0
/* The manifest of the metadata backup, and the names in the store. */
#include "daemon/backup/manifest.c"

#include "tests/fuzz/fuzz.h"

static const char uuid[] = "00000000-1111-2222-3333-444444444444";

/* As if the checksum fitted. */
static void inner_part(const uint8_t *data, size_t size)
{
	json_t *inner = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct manifest m = {0}, again = {0};
	const char *wrong;
	int error;

	wrong = parse_inner(inner, uuid, &m, &error);
	CHECK(!wrong == !error);
	if (!wrong) {
		char *text = manifest_print(&m, uuid);

		CHECK(m.checkpoint_count && m.checkpoint_count <= m.count);
		/* A name that is not UTF-8 cannot come out of JSON. */
		CHECK(text && manifest_parse(text, strlen(text), uuid, &again, &wrong) == 0);
		CHECK(again.count == m.count && again.sequence == m.sequence);
		manifest_clear(&again);
		free(text);
	}
	manifest_clear(&m);
	json_decref(inner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest m = {0};
	const char *wrong = NULL;
	char *text = fuzz_string(data, size), key[BACKUP_KEY_MAX];
	uint64_t epoch, number;

	inner_part(data, size);
	if (manifest_parse(text, size, uuid, &m, &wrong) == 0) {
		manifest_clear(&m);
	} else {
		CHECK(wrong && !m.parts);
	}
	if (manifest_parse_key(text, PART_PREFIX, &epoch, &number)) {
		manifest_part_key(epoch, number, key);
		CHECK(strcmp(key, text) == 0);
	}
	if (manifest_parse_key(text, MANIFEST_PREFIX, &epoch, &number)) {
		manifest_key(epoch, number, key);
		CHECK(strcmp(key, text) == 0);
	}
	free(text);
	return 0;
}
