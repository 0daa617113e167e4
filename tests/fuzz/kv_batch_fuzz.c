// SPDX-License-Identifier: Apache-2.0
/* A batch of the log of the metadata's database, as it is read to be shipped. */
#include "daemon/meta/kv_batch.h"
#include "tests/fuzz/fuzz.h"

static int on_change(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	uint32_t *sum = arg;

	CHECK(op == KV_PUT || op == KV_DELETE || op == KV_ADD);
	for (size_t i = 0; i < key.size; i++)
		*sum += ((const unsigned char *)key.data)[i];
	for (size_t i = 0; i < value.size; i++)
		*sum += ((const unsigned char *)value.data)[i];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t count = 0, sum = 0;
	unsigned char *batch = (unsigned char *)fuzz_string(data, size);

	kv_batch_count((struct kv_slice){batch, size}, &count);
	kv_batch_read((struct kv_slice){batch, size}, on_change, &sum);
	free(batch);
	return 0;
}
