// SPDX-License-Identifier: Apache-2.0
/*
 * A part of the metadata backup. First byte: 0, an object as it is; 1, what of an object is under the
 * checksum, which is put right, and with it the size; else the changes in a part that is sound otherwise.
 */
#include "daemon/backup/part.c"

#include "tests/fuzz/change.h"

static const struct part_id id = {
	.kind = PART_LOG, .epoch = 1, .number = 2, .uuid = "00000000-1111-2222-3333-444444444444"};

static void read_part(const void *part, size_t size)
{
	const char *wrong = NULL;
	uint32_t sum = 0;
	int r = part_read(part, size, &id, fuzz_on_change, &sum, &wrong);

	CHECK(r <= 0 && (r == 0) == !wrong);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct part_buffer changes = {0};
	unsigned char *part;
	size_t part_size;
	uint32_t crc;
	void *printed;

	if (size < 2)
		return 0;
	if (data[0] <= 1) {
		part = (unsigned char *)fuzz_string(data + 1, --size);
		if (data[0] && size >= HEADER_SIZE) {
			if (get32(part + 32) > 1 << 20)
				put32(part + 32, 1 << 20);
			put32(part + 36, (uint32_t)(size - HEADER_SIZE));
			put32(part + CRC_AT, crc_of(part, size));
		}
		read_part(part, size);
		free(part);
		return 0;
	}
	changes.bytes = (unsigned char *)fuzz_string(data + 2, size - 2);
	changes.size = size - 2;
	changes.changes = data[1];
	CHECK(part_print(&changes, &id, &printed, &part_size, &crc) == 0);
	CHECK(part_crc(printed, part_size) == crc);
	read_part(printed, part_size);
	free(printed);
	part_clear(&changes);
	return 0;
}
