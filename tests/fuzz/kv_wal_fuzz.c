// SPDX-License-Identifier: Apache-2.0
/* A log of the metadata's database, as it is looked through before it is replayed. */
#include "daemon/meta/kv_wal.c"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wal *w = malloc(sizeof(*w));
	enum verdict verdict;
	uint64_t at = 0;
	char path[32];

	CHECK(w);
	w->fd = fuzz_file(data, size, path);
	w->size = size;
	CHECK(judge(w, &verdict, &at) == 0);
	CHECK(at <= size);
	if (verdict == TORN) {
		/* What is left is nothing but an end that is torn. */
		CHECK(cut(w, at) == 0);
		w->size = at + 1;
		CHECK(judge(w, &verdict, &at) == 0 && verdict == WHOLE);
	}
	close(w->fd);
	free(w);
	return 0;
}
