// SPDX-License-Identifier: Apache-2.0
/* A batch of the log of the metadata's database, as it is read to be shipped. */
#include "daemon/meta/kv_batch.h"
#include "tests/fuzz/change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t count = 0, sum = 0;
	unsigned char *batch = (unsigned char *)fuzz_string(data, size);

	kv_batch_count((struct kv_slice){batch, size}, &count);
	kv_batch_read((struct kv_slice){batch, size}, fuzz_on_change, &sum);
	free(batch);
	return 0;
}
