/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "daemon/meta/slices.h"

/* A model of a chunk: for each byte which object's byte is there. */
enum { MODEL_SIZE = 512 };
struct model {
	uint64_t object[MODEL_SIZE];
	uint32_t offset[MODEL_SIZE];
};

static void model_put(struct model *m, const struct meta_slice *s)
{
	for (uint32_t i = 0; i < s->length; i++) {
		m->object[s->pos + i] = s->object;
		m->offset[s->pos + i] = s->object ? s->offset + i : 0;
	}
}

static void assert_range_is(const struct meta_slices *list, const struct model *m, uint32_t pos,
                            uint32_t length)
{
	struct meta_extent *extents = NULL;
	size_t count = 0;
	uint32_t at = pos;

	assert_int_equal(meta_flatten(list, pos, length, &extents, &count), 0);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(extents[i].pos, at);
		assert_true(extents[i].length > 0);
		assert_true(at + extents[i].length <= pos + length);
		for (uint32_t j = 0; j < extents[i].length; j++, at++) {
			assert_int_equal(extents[i].object, m->object[at]);
			if (m->object[at])
				assert_int_equal(extents[i].offset + j, m->offset[at]);
		}
	}
	assert_int_equal(at, pos + length);
	free(extents);
}

static struct meta_slice slice(uint32_t pos, uint32_t length, uint64_t object)
{
	return (struct meta_slice){.pos = pos, .length = length, .object = object, .size = length};
}

static void put_agrees_with_a_model_of_bytes(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 300; round++) {
		_cleanup_slices_ struct meta_slices list = {};
		struct meta_slice all[40];
		struct model model = {};

		for (int i = 0; i < 40; i++) {
			struct meta_slice *s = &all[i];

			s->pos = rand_r(&seed) % (MODEL_SIZE - 1);
			s->length = 1 + rand_r(&seed) % (MODEL_SIZE - s->pos);
			if (rand_r(&seed) % 3)
				s->length = 1 + s->length % 16;
			if (s->length > MODEL_SIZE - s->pos)
				s->length = MODEL_SIZE - s->pos;
			s->object = rand_r(&seed) % 5 ? (uint64_t)i + 1 : 0;
			s->offset = rand_r(&seed) % 10;
			s->size = s->offset + s->length + rand_r(&seed) % 10;
			assert_int_equal(meta_slices_put(&list, s), 0);
			model_put(&model, s);
			assert_true(meta_slices_normal(&list));
		}
		assert_range_is(&list, &model, 0, MODEL_SIZE);
		assert_range_is(&(struct meta_slices){all, 40}, &model, 0, MODEL_SIZE);
		for (int i = 0; i < 20; i++) {
			uint32_t pos = rand_r(&seed) % MODEL_SIZE;

			assert_range_is(&list, &model, pos, rand_r(&seed) % (MODEL_SIZE - pos + 1));
		}
		uint32_t cut = rand_r(&seed) % MODEL_SIZE;

		meta_slices_truncate(&list, cut);
		memset(&model.object[cut], 0, (MODEL_SIZE - cut) * sizeof(model.object[0]));
		assert_true(meta_slices_normal(&list));
		assert_range_is(&list, &model, 0, MODEL_SIZE);
	}
}

static void a_write_into_the_middle_splits_a_slice(void **state)
{
	_cleanup_slices_ struct meta_slices list = {};
	struct meta_slice big = slice(0, 100, 1), small = slice(40, 20, 2);

	(void)state;
	assert_int_equal(meta_slices_put(&list, &big), 0);
	assert_int_equal(meta_slices_put(&list, &small), 0);
	assert_int_equal(list.count, 3);
	assert_int_equal(list.slices[0].length, 40);
	assert_int_equal(list.slices[1].object, 2);
	assert_int_equal(list.slices[2].object, 1);
	assert_int_equal(list.slices[2].pos, 60);
	assert_int_equal(list.slices[2].offset, 60);
	assert_int_equal(list.slices[2].size, 100);
}

static void a_zero_slice_leaves_a_hole(void **state)
{
	_cleanup_slices_ struct meta_slices list = {};
	struct meta_slice data = slice(10, 10, 1), zeros = {.pos = 0, .length = 100};

	(void)state;
	assert_int_equal(meta_slices_put(&list, &data), 0);
	assert_int_equal(meta_slices_put(&list, &zeros), 0);
	assert_int_equal(list.count, 0);
}

static void unsound_slices_are_refused(void **state)
{
	_cleanup_slices_ struct meta_slices list = {};
	struct meta_slice bad[] = {
		{.pos = 0, .length = 0, .object = 1, .size = 10},
		{.pos = UINT32_MAX, .length = 1, .object = 1, .size = 10},
		{.pos = 5, .length = UINT32_MAX, .object = 1, .size = UINT32_MAX},
		{.pos = 0, .length = 11, .object = 1, .size = 10},
		{.pos = 0, .length = 10, .object = 1, .offset = 1, .size = 10},
		{.pos = 0, .length = 1, .object = 1, .offset = 11, .size = 10},
	};
	struct meta_extent *extents = (void *)1;
	size_t count = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(meta_slices_put(&list, &bad[i]), -EINVAL);
		assert_int_equal(meta_flatten(&(struct meta_slices){&bad[i], 1}, 0, 10, &extents, &count),
		                 -EBADMSG);
	}
	assert_ptr_equal(extents, (void *)1);
	assert_int_equal(count, 7);
	assert_int_equal(list.count, 0);
}

static void an_empty_range_has_no_extents(void **state)
{
	struct meta_extent *extents = NULL;
	size_t count = 7;

	(void)state;
	assert_int_equal(meta_flatten(&(struct meta_slices){}, 5, 0, &extents, &count), 0);
	assert_int_equal(count, 0);
	free(extents);
	assert_int_equal(meta_flatten(&(struct meta_slices){}, 5, UINT32_MAX, &extents, &count), -EINVAL);
}

static void lists_out_of_order_are_not_normal(void **state)
{
	struct meta_slice overlap[] = {slice(0, 10, 1), slice(9, 10, 2)};
	struct meta_slice backwards[] = {slice(20, 10, 1), slice(0, 10, 2)};
	struct meta_slice zeros[] = {slice(20, 10, 0)};

	(void)state;
	assert_false(meta_slices_normal(&(struct meta_slices){overlap, 2}));
	assert_false(meta_slices_normal(&(struct meta_slices){backwards, 2}));
	assert_false(meta_slices_normal(&(struct meta_slices){zeros, 1}));
	assert_true(meta_slices_normal(&(struct meta_slices){}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_agrees_with_a_model_of_bytes),
		cmocka_unit_test(a_write_into_the_middle_splits_a_slice),
		cmocka_unit_test(a_zero_slice_leaves_a_hole),
		cmocka_unit_test(unsound_slices_are_refused),
		cmocka_unit_test(an_empty_range_has_no_extents),
		cmocka_unit_test(lists_out_of_order_are_not_normal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
