/* SPDX-License-Identifier: Apache-2.0 */
/* Batches as RocksDB writes them, and bytes that are none. */
#include "daemon/meta/kv_batch.h"

#include "common/cleanup.h"

#include <errno.h>
#include <rocksdb/c.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* after those it needs */
#include <cmocka.h>

static char said[4096];

static int note(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	size_t at = strlen(said);

	(void)arg;
	snprintf(said + at, sizeof(said) - at, "%d %.*s %zu;", op, (int)key.size, (const char *)key.data,
	         value.size);
	return 0;
}

static void what_rocksdb_wrote_is_read(void **state)
{
	rocksdb_writebatch_t *b = rocksdb_writebatch_create();
	struct kv_slice bytes;
	char long_value[300] = {0};
	uint32_t count;

	(void)state;
	rocksdb_writebatch_put(b, "a", 1, long_value, sizeof(long_value));
	rocksdb_writebatch_delete(b, "bb", 2);
	rocksdb_writebatch_put_log_data(b, "ignored", 7);
	rocksdb_writebatch_merge(b, "c", 1, long_value, 8);
	bytes.data = rocksdb_writebatch_data(b, &bytes.size);
	said[0] = '\0';
	assert_int_equal(kv_batch_count(bytes, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(kv_batch_read(bytes, note, NULL), 0);
	assert_string_equal(said, "1 a 300;2 bb 0;3 c 8;");
	/* Cut off anywhere, it is none. */
	for (size_t n = 0; n < bytes.size; n++) {
		_cleanup_free_ char *part = malloc(n + 1); /* for a sanitizer to see reads behind it */

		memcpy(part, bytes.data, n);
		assert_int_equal(kv_batch_read((struct kv_slice){part, n}, note, NULL), -EBADMSG);
	}
	rocksdb_writebatch_destroy(b);
}

static void what_is_no_batch_is_refused(void **state)
{
#define BATCH(...)                                                  \
	{                                                           \
		{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, __VA_ARGS__},  \
			12 + sizeof((unsigned char[]){__VA_ARGS__}) \
	}
	static const struct {
		unsigned char bytes[32];
		size_t size;
	} bad[] =
		{
			BATCH(0x01, 200, 1),                             /* a key longer than all */
			BATCH(0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), /* a length without end */
			BATCH(0x00, 1, 'a', 0x00, 1, 'b'),               /* more than it says */
			BATCH(0x0d),                                     /* less */
		},
	  unknown[] = {
		  BATCH(0x0f, 1, 'a', 1, 'b'), /* a range deletion */
		  BATCH(0x02, 1, 'a', 1, 'b'), /* an addition of one byte */
		  BATCH(0xff),
	  };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(kv_batch_read((struct kv_slice){bad[i].bytes, bad[i].size}, note, NULL),
		                 -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_int_equal(
			kv_batch_read((struct kv_slice){unknown[i].bytes, unknown[i].size}, note, NULL),
			-EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_rocksdb_wrote_is_read),
		cmocka_unit_test(what_is_no_batch_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
