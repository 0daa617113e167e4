// SPDX-License-Identifier: Apache-2.0
/* The records of the cache index. */
#include "cache/index.c"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cache_index_inode inode;
	struct cache_index_chunk chunk;

	if (decode_inode(data, size, &inode) == 0)
		CHECK(inode.pack ? pack_is_place(inode.slot, inode.size) && inode.bytes >= inode.size
		                 : inode.id && inode.size <= INT64_MAX);
	if (decode_chunk(data, size, &chunk) == 0) {
		CHECK(chunk.valid && size == chunk_value_size(chunk.valid));
		for (unsigned bit = 0; bit < CACHE_BLOCKS_PER_CHUNK; bit++)
			CHECK(chunk.valid >> bit & 1 || !chunk.crc[bit]);
	}
	return 0;
}
