// SPDX-License-Identifier: Apache-2.0
/* The volume descriptor, as it comes from the store. */
#include "daemon/descriptor.c"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct meta_volume v;
	int error;
	const char *wrong = descriptor_parse(data, size, &v, &error);

	CHECK(!wrong == !error);
	if (!wrong) {
		CHECK(uuid_is_valid(v.uuid));
		CHECK(name_is_valid(v.name));
		CHECK(chunk_size_is_valid(v.chunk_size));
	}
	return 0;
}
