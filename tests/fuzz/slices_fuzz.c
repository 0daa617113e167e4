// SPDX-License-Identifier: Apache-2.0
/*
 * Slices put on top of each other and cut off, against a model: a small chunk whose every byte says
 * where in which object it is.  Six bytes an operation.
 */
#include "daemon/meta/slices.h"
#include "tests/fuzz/fuzz.h"

enum { CHUNK = 512 };

struct byte {
	uint64_t object;
	uint32_t offset;
};

static void check_flat(const struct meta_slices *list, const struct byte model[CHUNK], uint32_t pos,
                       uint32_t length)
{
	struct meta_extent *extents;
	uint32_t at = pos;
	size_t count;

	CHECK(meta_flatten(list, pos, length, &extents, &count) == 0);
	for (size_t i = 0; i < count; i++) {
		CHECK(extents[i].pos == at && extents[i].length);
		for (uint32_t k = 0; k < extents[i].length; k++, at++) {
			CHECK(model[at].object == extents[i].object);
			CHECK(!extents[i].object || model[at].offset == extents[i].offset + k);
		}
	}
	CHECK(at == pos + length);
	free(extents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct byte model[CHUNK] = {0};
	struct meta_slices list = {0};

	for (; size >= 6; data += 6, size -= 6) {
		struct meta_slice s = {
			.pos = (data[0] | data[1] << 8) % CHUNK,
			.length = data[2],
			.object = data[3] % 8,
			.offset = data[4],
			.size = 256,
		};

		if (data[5] == 255) {
			meta_slices_truncate(&list, s.pos);
			memset(&model[s.pos], 0, (CHUNK - s.pos) * sizeof(*model));
		} else {
			int r = meta_slices_put(&list, &s);

			CHECK((r == 0) == meta_slice_valid(&s));
			for (uint32_t i = 0; r == 0 && i < s.length && s.pos + i < CHUNK; i++)
				model[s.pos + i] = (struct byte){s.object, s.object ? s.offset + i : 0};
		}
		CHECK(meta_slices_normal(&list));
	}
	check_flat(&list, model, 0, CHUNK);
	check_flat(&list, model, CHUNK / 3, CHUNK / 2);
	meta_slices_clear(&list);
	return 0;
}
