/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cache/fixture.h"

#include "cache/pack.h"

struct pack_fixture {
	char *dir;
	struct datadir *d;
	struct packs *p;
	_Atomic uint64_t next_id;
};

static int pack_setup(void **state)
{
	struct pack_fixture *x = calloc(1, sizeof(*x));
	char *why = NULL;

	x->dir = tempdir_make();
	x->next_id = 1;
	assert_int_equal(datadir_open(x->dir, &x->d, &why), 0);
	assert_int_equal(packs_new(x->d, &x->next_id, &x->p), 0);
	*state = x;
	return 0;
}

static int pack_teardown(void **state)
{
	struct pack_fixture *x = *state;

	packs_free(x->p);
	datadir_close(x->d);
	tempdir_remove(x->dir);
	free(x);
	return 0;
}

static void reopen(struct pack_fixture *x)
{
	packs_free(x->p);
	assert_int_equal(packs_new(x->d, &x->next_id, &x->p), 0);
}

static struct stat stat_pack(struct pack_fixture *x, uint64_t id)
{
	char path[4096];
	struct stat st = {};

	snprintf(path, sizeof(path), "%s/data/packs/%llx", x->dir, (unsigned long long)id);
	if (stat(path, &st) < 0)
		st.st_nlink = 0;
	return st;
}

static void files_get_places_of_their_own(void **state)
{
	static const size_t sizes[] = {1, 4095, 4096, 4097, 65536, 2600, 65535};
	struct pack_fixture *x = *state;
	struct pack *k[7];
	uint32_t slot[7];
	char data[CACHE_PACK_MAX], back[CACHE_PACK_MAX];

	for (size_t i = 0; i < 7; i++) {
		pattern_fill(i, 1, 0, sizes[i], data);
		assert_int_equal(packs_put(x->p, data, sizes[i], &k[i], &slot[i]), 0);
		assert_true(pack_is_place(slot[i], sizes[i]));
		for (size_t j = 0; j < i; j++)
			assert_true(k[i] != k[j] || slot[j] + pack_slots(sizes[j]) <= slot[i] ||
			            slot[i] + pack_slots(sizes[i]) <= slot[j]);
	}
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(pack_read(k[i], slot[i], 0, sizes[i], back), 0);
		assert_pattern(i, 1, 0, sizes[i], back);
		assert_int_equal(pack_read(k[i], slot[i], sizes[i] - 1, 1, back), 0);
		assert_pattern(i, 1, sizes[i] - 1, 1, back);
	}
	assert_int_equal(packs_count(x->p), 1);
	assert_int_equal(packs_put(x->p, data, 0, &k[0], &slot[0]), -EINVAL);
	assert_int_equal(packs_put(x->p, data, CACHE_PACK_MAX + 1, &k[0], &slot[0]), -EINVAL);
}

static void a_place_given_back_is_punched_and_leaves_its_neighbours(void **state)
{
	struct pack_fixture *x = *state;
	char data[3 * 4096], back[4096];
	struct pack *k;
	uint32_t slot[3], again;
	struct stat before, after;

	for (unsigned i = 0; i < 3; i++) {
		pattern_fill(i, 1, 0, 4096, data);
		assert_int_equal(packs_put(x->p, data, 4096, &k, &slot[i]), 0);
	}
	fsync(pack_fd(k));
	before = stat_pack(x, pack_id(k));
	pack_release(k, slot[1], 4096);
	after = stat_pack(x, pack_id(k));
	assert_int_equal(before.st_blocks - after.st_blocks, 8);
	assert_int_equal(after.st_size, PACK_BYTES);
	assert_int_equal(pack_read(k, slot[1], 0, 4096, back), 0);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(back[i], 0);
	for (unsigned i = 0; i < 3; i += 2) {
		assert_int_equal(pack_read(k, slot[i], 0, 4096, back), 0);
		assert_pattern(i, 1, 0, 4096, back);
	}
	/* Not at once: places are given out in order, up to the end of the pack. */
	assert_int_equal(packs_put(x->p, data, 4096, &k, &again), 0);
	assert_true(again > slot[2]);
}

static void a_full_pack_is_followed_by_another_and_filled_again(void **state)
{
	struct pack_fixture *x = *state;
	const unsigned big = (PACK_SLOTS - 1) / 16;
	struct pack *first, *k;
	uint32_t slot, places[PACK_SLOTS / 16];
	char data[CACHE_PACK_MAX] = "x";

	/* Large ones: few of them make it full. Their blocks need not be real. */
	for (uint32_t i = 0; i < big; i++) {
		places[i] = 1 + 16 * i;
		if (i < big - 1)
			continue;
		assert_int_equal(packs_put(x->p, data, 1, &first, &slot), 0);
	}
	reopen(x);
	for (uint32_t i = 0; i < big; i++)
		assert_int_equal(packs_claim(x->p, 1, places[i], CACHE_PACK_MAX), 0);
	first = packs_find(x->p, 1);
	/* 15 slots are left at its end: too little for this, and for a pack to be taken up again. */
	assert_int_equal(packs_put(x->p, data, CACHE_PACK_MAX, &k, &slot), 0);
	assert_ptr_not_equal(k, first);
	assert_int_equal(slot, 1);
	assert_int_equal(packs_count(x->p), 2);
	/* The second is full as well, and of the first an eighth is free: in pieces that are too small. */
	for (uint32_t i = 17; i <= PACK_SLOTS - 16; i += 16)
		assert_int_equal(packs_claim(x->p, pack_id(k), i, CACHE_PACK_MAX), 0);
	for (uint32_t i = 0; i < big; i += 4) {
		pack_release(first, places[i], CACHE_PACK_MAX);
		assert_int_equal(packs_claim(x->p, 1, places[i] + 8, 4096), 0);
	}
	assert_int_equal(packs_put(x->p, data, CACHE_PACK_MAX, &k, &slot), 0);
	assert_int_equal(packs_count(x->p), 3);
	/* Small ones fit. */
	for (uint32_t i = 17; i <= PACK_SLOTS - 16; i += 16)
		assert_int_equal(packs_claim(x->p, pack_id(k), i, CACHE_PACK_MAX), 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(packs_put(x->p, data, 2600, &k, &slot), 0);
		if (packs_count(x->p) == 3 && k == first)
			break;
	}
	assert_ptr_equal(k, first);
}

static void claims_are_checked(void **state)
{
	struct pack_fixture *x = *state;
	struct pack *k;
	uint32_t slot;
	char data[8192] = "x";

	assert_int_equal(packs_put(x->p, data, 8192, &k, &slot), 0);
	assert_int_equal(packs_claim(x->p, 1, slot + 1, 1), -EEXIST);
	reopen(x);
	assert_int_equal(packs_claim(x->p, 2, 1, 1), -ENOENT);
	assert_int_equal(packs_claim(x->p, 1, 0, 1), -EINVAL);
	assert_int_equal(packs_claim(x->p, 1, 1, 0), -EINVAL);
	assert_int_equal(packs_claim(x->p, 1, 1, CACHE_PACK_MAX + 1), -EINVAL);
	assert_int_equal(packs_claim(x->p, 1, PACK_SLOTS, 1), -EINVAL);
	assert_int_equal(packs_claim(x->p, 1, PACK_SLOTS - 1, 4097), -EINVAL);
	assert_int_equal(packs_claim(x->p, 1, UINT32_MAX, CACHE_PACK_MAX), -EINVAL);
	assert_int_equal(packs_claim(x->p, 1, PACK_SLOTS - 1, 4096), 0);
	assert_int_equal(packs_claim(x->p, 1, slot, 8192), 0);
	assert_int_equal(packs_claim(x->p, 1, slot + 1, 4096), -EEXIST);
	/* What is claimed is not given out. */
	assert_int_equal(packs_put(x->p, data, 4096, &k, &slot), 0);
	assert_true(slot >= 3);
}

static void packs_that_nobody_claims_go(void **state)
{
	struct pack_fixture *x = *state;
	struct pack *k;
	uint32_t slot;
	char path[4096];
	FILE *other;

	assert_int_equal(packs_put(x->p, "x", 1, &k, &slot), 0);
	x->next_id = 0x20;
	reopen(x);
	assert_int_equal(packs_put(x->p, "x", 1, &k, &slot), 0);
	assert_int_equal(pack_id(k), 0x20);
	reopen(x);
	snprintf(path, sizeof(path), "%s/data/packs/README", x->dir);
	other = fopen(path, "w");
	assert_non_null(other);
	fclose(other);
	assert_int_equal(packs_claim(x->p, 1, slot, 1), 0);
	assert_int_equal(packs_sweep(x->p), 0x20);
	assert_int_equal(stat_pack(x, 1).st_nlink, 1);
	assert_int_equal(stat_pack(x, 0x20).st_nlink, 0);
	assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, pack_setup, pack_teardown)
	const struct CMUnitTest tests[] = {
		TEST(files_get_places_of_their_own),
		TEST(a_place_given_back_is_punched_and_leaves_its_neighbours),
		TEST(a_full_pack_is_followed_by_another_and_filled_again),
		TEST(claims_are_checked),
		TEST(packs_that_nobody_claims_go),
	};

	return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
