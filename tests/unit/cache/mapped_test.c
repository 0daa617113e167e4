/* SPDX-License-Identifier: Apache-2.0 */
/* Data files that somebody has mapped: this process itself, as /proc/self/maps says. */
#include "tests/unit/cache/fixture.h"

#include <sys/mman.h>
#include <sys/sysmacros.h>

static bool is_mapped(void *arg, int fd)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long inode;
	unsigned long long device;
	bool found = false;
	unsigned ma, mi;
	char line[4096];
	struct stat st;

	assert_non_null(maps);
	assert_int_equal(fstat(fd, &st), 0);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%*s %*s %*s %x:%x %lu", &ma, &mi, &inode) != 3)
			continue;
		device = makedev(ma, mi);
		found |= device == st.st_dev && inode == st.st_ino;
	}
	fclose(maps);
	(void)arg;
	return found;
}

static void watch(struct fixture *x, uint64_t max_bytes)
{
	x->options.max_bytes = max_bytes;
	x->options.is_mapped = is_mapped;
	fixture_reopen(x);
}

/* The data file of a whole inode, mapped; the cache may close its own descriptor. */
static const uint8_t *map(struct fixture *x, uint64_t ino, uint64_t version, uint64_t size)
{
	struct cache_file *f = get(x, ino, version, size);
	const uint8_t *p = mmap(NULL, size, PROT_READ, MAP_SHARED, cache_file_fd(f), 0);

	assert_true(p != MAP_FAILED);
	cache_file_put(f);
	return p;
}

static void nothing_mapped_is_evicted(void **state)
{
	struct fixture *x = *state;
	const uint8_t *small, *large;

	watch(x, 4 * C);
	put_whole(x, 1, 1, 2 * B);
	put_whole(x, 2, 1, 2 * C + B);
	small = map(x, 1, 1, 2 * B);
	large = map(x, 2, 1, 2 * C + B);
	fixture_reopen(x); /* neither is in memory now */
	for (uint64_t ino = 3; ino < 40; ino++)
		put_whole(x, ino, 1, 5 * B);
	assert_true(stats(x).evictions > 0);
	assert_int_equal(cache_cached_bytes(x->c, 1), 2 * B);
	assert_int_equal(cache_cached_bytes(x->c, 2), 2 * C + B);
	assert_pattern(1, 1, 0, 2 * B, small);
	assert_pattern(2, 1, 0, 2 * C + B, large);
	/* until it is mapped no more */
	munmap((void *)small, 2 * B);
	munmap((void *)large, 2 * C + B);
	for (uint64_t ino = 40; ino < 100; ino++)
		put_whole(x, ino, 1, 5 * B);
	assert_int_equal(cache_cached_bytes(x->c, 1), 0);
	assert_true(cache_cached_bytes(x->c, 2) < 2 * C);
}

static void what_changes_past_the_cache_is_old_until_it_is_shown(void **state)
{
	struct fixture *x = *state;
	_cleanup_free_ uint8_t *data = malloc(2 * B);
	struct cache_file *f;
	const uint8_t *p;

	watch(x, 0);
	put_whole(x, 1, 1, 8 * B);
	p = map(x, 1, 1, 8 * B);
	f = get(x, 1, 1, 8 * B);
	assert_true(cache_is_mapped(f));
	pattern_fill(1, 2, 2 * B + 100, 2 * B, data);
	assert_int_equal(cache_invalidate(f, 2 * B + 100, 2 * B), 0);
	assert_pattern(1, 1, 0, 8 * B, p); /* no hole */
	assert_int_equal(cache_commit(f, 2, 8 * B), 0);
	cache_show(f, 2 * B + 100, 2 * B, data);
	assert_pattern(1, 1, 0, 2 * B + 100, p);
	assert_pattern(1, 2, 2 * B + 100, 2 * B, p + 2 * B + 100);
	assert_pattern(1, 1, 4 * B + 100, 4 * B - 100, p + 4 * B + 100);
	/* seen, but not cached */
	assert_false(cache_is_complete(f));
	assert_int_equal(read_checked(f, 1, 0, B), B);
	assert_int_equal(cache_read(f, 2 * B, 1, data), 0);
	/* and zeros, not beyond the end */
	assert_int_equal(cache_invalidate(f, 6 * B, 2 * B), 0);
	assert_int_equal(cache_commit(f, 3, 8 * B), 0);
	cache_show(f, 6 * B, 100 * B, NULL);
	assert_pattern(1, 1, 5 * B, B, p + 5 * B);
	for (uint64_t i = 6 * B; i < 8 * B; i++)
		assert_int_equal(p[i], 0);
	munmap((void *)p, 8 * B);
	assert_false(cache_is_mapped(f));
	cache_file_put(f);
}

static void without_a_mapping_showing_does_nothing(void **state)
{
	struct fixture *x = *state;
	uint8_t byte = 99, got;
	struct cache_file *f;

	watch(x, 0);
	put_whole(x, 1, 1, 2 * B);
	f = get(x, 1, 1, 2 * B);
	cache_show(f, 5, 1, &byte);
	assert_int_equal(pread(cache_file_fd(f), &got, 1, 5), 1);
	assert_int_equal(got, pattern(1, 1, 5));
	cache_file_put(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_mapped_is_evicted),
		TEST(what_changes_past_the_cache_is_old_until_it_is_shown),
		TEST(without_a_mapping_showing_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
