/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cache/fixture.h"

/** Write bytes of "version" @p version of the pattern. */
static int stage(struct cache_file *f, uint64_t version, uint64_t offset, size_t n)
{
	_cleanup_free_ void *data = malloc(n);

	pattern_fill(cache_file_ino(f), version, offset, n, data);
	return cache_write(f, offset, n, data);
}

struct found {
	uint64_t offset[16], length[16];
	unsigned n;
};

static int find(uint64_t offset, uint64_t length, void *arg)
{
	struct found *found = arg;

	assert_true(found->n < 16);
	found->offset[found->n] = offset;
	found->length[found->n++] = length;
	return 0;
}

static struct found dirty(struct cache_file *f, uint64_t offset, uint64_t length)
{
	struct found found = {};

	assert_int_equal(cache_for_dirty(f, offset, length, find, &found), 0);
	return found;
}

static void written_bytes_are_read_back_and_dirty(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 0);
	struct found found;

	assert_false(cache_file_is_dirty(f));
	assert_int_equal(stage(f, 2, 0, 100), 0);
	assert_int_equal(stage(f, 2, 100, 2 * B), 0);
	assert_int_equal(stage(f, 2, 4 * B, 10), 0);
	assert_true(cache_file_is_dirty(f));
	assert_int_equal(read_checked(f, 2, 0, 2 * B + 100), 2 * B + 100);
	found = dirty(f, 0, UINT64_MAX);
	assert_int_equal(found.n, 2);
	assert_int_equal(found.offset[0], 0);
	assert_int_equal(found.length[0], 2 * B + 100);
	assert_int_equal(found.offset[1], 4 * B);
	assert_int_equal(found.length[1], 10);
	found = dirty(f, 50, 60);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.offset[0], 50);
	assert_int_equal(found.length[0], 60);
	assert_int_equal(stats(x).dirty_bytes, 2 * B + 110);
	cache_file_put(f);
}

static void the_gap_before_a_write_beyond_the_end_reads_as_zeros(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 10);
	_cleanup_free_ char *data = malloc(3 * B);

	assert_int_equal(fill(f, 1, 0, 10), 0);
	assert_int_equal(stage(f, 1, 2 * B, 10), 0);
	assert_int_equal(cache_read(f, 0, 3 * B, data), 2 * B + 10);
	assert_pattern(7, 1, 0, 10, data);
	for (unsigned i = 10; i < 2 * B; i++)
		assert_int_equal(data[i], 0);
	assert_pattern(7, 1, 2 * B, 10, data + 2 * B);
	cache_file_put(f);
}

static void dirty_bytes_of_a_missing_sub_block_are_readable_and_a_fill_goes_around_them(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 2 * B);
	_cleanup_free_ char *data = malloc(2 * B);
	uint64_t valid;

	assert_int_equal(stage(f, 2, 100, 50), 0);
	assert_int_equal(read_checked(f, 2, 0, 200), 0);
	assert_int_equal(read_checked(f, 2, 110, 200), 40);
	assert_int_equal(cache_valid(f, 0, &valid), 0);
	assert_int_equal(valid, 0);
	assert_int_equal(fill(f, 1, 0, 2 * B), 0);
	assert_int_equal(cache_valid(f, 0, &valid), 0);
	assert_int_equal(valid, 3);
	assert_int_equal(cache_read(f, 0, 2 * B, data), 2 * B);
	assert_pattern(7, 1, 0, 100, data);
	assert_pattern(7, 2, 100, 50, data + 100);
	assert_pattern(7, 1, 150, 2 * B - 150, data + 150);
	cache_file_put(f);
}

static void a_write_during_an_upload_stays_dirty(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 0);
	_cleanup_free_ char *data = malloc(B);
	struct found found;

	assert_int_equal(stage(f, 2, 0, B), 0);
	assert_int_equal(cache_begin_upload(f, 0, B), 0);
	assert_int_equal(dirty(f, 0, B).n, 0);
	assert_true(cache_file_is_dirty(f));
	assert_int_equal(cache_read_dirty(f, 0, B, data), 0);
	assert_int_equal(stage(f, 3, 10, 20), 0);
	assert_int_equal(cache_begin_upload(f, 0, B), -EBUSY);
	cache_end_upload(f, 0, B, true);
	found = dirty(f, 0, B);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.offset[0], 10);
	assert_int_equal(found.length[0], 20);
	assert_int_equal(cache_commit(f, 2, B), 0);
	assert_int_equal(read_checked(f, 3, 10, 20), 20);
	cache_file_put(f);
}

static void a_failed_upload_leaves_all_of_it_dirty(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 0);
	struct found found;

	assert_int_equal(stage(f, 2, 5, B), 0);
	assert_int_equal(cache_begin_upload(f, 0, 4 * B), 0);
	assert_int_equal(stage(f, 2, 10, 20), 0);
	cache_end_upload(f, 0, 4 * B, false);
	found = dirty(f, 0, UINT64_MAX);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.offset[0], 5);
	assert_int_equal(found.length[0], B);
	assert_int_equal(stats(x).dirty_bytes, B);
	cache_file_put(f);
}

static void reading_back_what_a_truncate_cut_says_so(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 0);
	char data[100];

	assert_int_equal(stage(f, 2, 0, 100), 0);
	assert_int_equal(cache_begin_upload(f, 0, 100), 0);
	assert_int_equal(cache_truncate(f, 50), 0);
	assert_int_equal(cache_read_dirty(f, 0, 100, data), -ENODATA);
	assert_int_equal(cache_read_dirty(f, 0, 50, data), 0);
	cache_end_upload(f, 0, 100, false);
	assert_int_equal(dirty(f, 0, 100).length[0], 50);
	cache_file_put(f);
}

static void committed_bytes_are_warm_after_a_restart(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 0);
	uint64_t size = C + 3 * B + 9;

	assert_int_equal(stage(f, 2, 0, size), 0);
	upload(f, 0, size, true);
	assert_true(!cache_file_is_dirty(f));
	assert_int_equal(cache_commit(f, 2, size), 0);
	assert_int_equal(cache_file_version(f), 2);
	assert_true(cache_is_complete(f));
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 7, 2, size);
	assert_int_equal(read_checked(f, 2, 0, size), size);
	assert_int_equal(stats(x).corrupt, 0);
	cache_file_put(f);
}

static void uncommitted_bytes_are_gone_after_a_restart(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 7, 1, 4 * B);
	f = get(x, 7, 1, 4 * B);
	assert_int_equal(stage(f, 2, B + 10, 20), 0);
	assert_int_equal(stage(f, 2, 4 * B, 2 * B), 0);
	upload(f, 0, UINT64_C(1) << 40, true); /* uploaded, but never committed */
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 7, 1, 4 * B);
	assert_int_equal(read_checked(f, 1, 0, 4 * B), B);
	assert_int_equal(read_checked(f, 1, 2 * B, 4 * B), 2 * B);
	assert_int_equal(stats(x).corrupt, 0);
	assert_int_equal(fill(f, 1, B, B), 0);
	assert_int_equal(read_checked(f, 1, 0, 4 * B), 4 * B);
	cache_file_put(f);
}

static void the_last_sub_block_is_cached_again_when_the_file_grew(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 7, 1, B + 100);
	f = get(x, 7, 1, B + 100);
	assert_int_equal(stage(f, 1, B + 100, 50), 0);
	assert_int_equal(read_checked(f, 1, 0, 2 * B), B + 150);
	upload(f, 0, 2 * B, true);
	assert_int_equal(cache_commit(f, 2, B + 150), 0);
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 7, 2, B + 150);
	assert_int_equal(read_checked(f, 1, 0, 2 * B), B + 150);
	cache_file_put(f);
}

static void a_truncate_cuts_what_is_valid_and_dirty(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;
	_cleanup_free_ char *data = malloc(4 * B);
	struct stat st;

	put_whole(x, 7, 1, 4 * B);
	f = get(x, 7, 1, 4 * B);
	assert_int_equal(stage(f, 1, 3 * B, B), 0);
	assert_int_equal(cache_truncate(f, B + 10), 0);
	assert_int_equal(x->n_drops, 1);
	assert_int_equal(x->drops[0].first, 0);
	assert_int_equal(x->drops[0].last, 0);
	assert_int_equal(fstat(cache_file_fd(f), &st), 0);
	assert_int_equal(st.st_size, B + 10);
	assert_false(cache_file_is_dirty(f));
	assert_int_equal(read_checked(f, 1, 0, 4 * B), B + 10);
	assert_int_equal(cache_truncate(f, 3 * B), 0);
	assert_int_equal(cache_read(f, 0, 4 * B, data), 3 * B);
	assert_pattern(7, 1, 0, B + 10, data);
	for (unsigned i = B + 10; i < 3 * B; i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(cache_commit(f, 2, 3 * B), 0);
	cache_file_put(f);
	fixture_reopen(x);
	f = get(x, 7, 2, 3 * B);
	assert_int_equal(cache_read(f, 0, 4 * B, data), 3 * B);
	for (unsigned i = B + 10; i < 3 * B; i++)
		assert_int_equal(data[i], 0);
	cache_file_put(f);
}

static void a_fill_that_was_fetched_before_a_truncate_does_not_bring_bytes_back(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 2 * B);
	_cleanup_free_ char *data = malloc(2 * B);

	assert_int_equal(cache_truncate(f, 10), 0);
	assert_int_equal(cache_truncate(f, 2 * B), 0);
	assert_int_equal(fill(f, 1, 0, 2 * B), 0);
	assert_int_equal(cache_read(f, 0, 2 * B, data), 2 * B);
	assert_pattern(7, 1, 0, 10, data);
	for (unsigned i = 10; i < 2 * B; i++)
		assert_int_equal(data[i], 0);
	cache_file_put(f);
}

static void growing_to_the_largest_size_costs_nothing(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 10);
	char data[16];
	int r;

	assert_int_equal(fill(f, 1, 0, 10), 0);
	assert_int_equal(cache_truncate(f, INT64_MAX), 0);
	assert_true(cache_is_complete(f));
	memset(data, 'x', sizeof(data));
	assert_int_equal(cache_read(f, INT64_MAX - 16, 16, data), 16);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(data[i], 0);
	r = cache_write(f, INT64_MAX - 3, 3, "end"); /* no room beyond 16 TiB of ext4 */
	assert_true(r == 0 || r == -ENOSPC);
	upload(f, 0, UINT64_MAX, true);
	assert_int_equal(cache_commit(f, 2, INT64_MAX), 0);
	assert_int_equal(read_checked(f, 1, 0, 10), 10);
	assert_int_equal(cache_read(f, 10, 6, data), 6);
	assert_int_equal(cache_read(f, INT64_MAX / 2, 16, data), 0);
	assert_int_equal(cache_truncate(f, 5), 0);
	assert_int_equal(cache_commit(f, 3, 5), 0);
	assert_int_equal(read_checked(f, 1, 0, 10), 5);
	assert_true(stats(x).bytes < 2 * B);
	cache_file_put(f);
}

static void another_version_is_refused_while_there_are_changes(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f = get(x, 7, 1, 10), *g = NULL;

	assert_int_equal(stage(f, 1, 0, 10), 0);
	assert_int_equal(cache_file_get(x->c, 7, 2, 10, &g), -EBUSY);
	assert_null(g);
	g = get(x, 7, 1, 999); /* the staged size counts */
	assert_ptr_equal(f, g);
	assert_int_equal(read_checked(g, 1, 0, 100), 10);
	cache_file_put(g);
	cache_file_put(f);
	/* Not referenced: still there. */
	f = get(x, 7, 1, 10);
	assert_int_equal(dirty(f, 0, 100).n, 1);
	upload(f, 0, 10, true);
	assert_int_equal(cache_commit(f, 2, 10), 0);
	cache_file_put(f);
	f = get(x, 7, 3, 10);
	assert_int_equal(read_checked(f, 1, 0, 10), 0);
	cache_file_put(f);
}

static void invalidated_bytes_are_gone_and_not_filled_before_the_commit(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 7, 1, 8 * B);
	f = get(x, 7, 1, 8 * B);
	assert_int_equal(stage(f, 1, 4 * B, 100), 0);
	assert_int_equal(stage(f, 1, 2 * B, B), 0);
	assert_int_equal(cache_invalidate(f, B + 10, 3 * B + 40), 0); /* up to 4 B + 50 */
	assert_int_equal(x->n_drops, 1);
	assert_int_equal(read_checked(f, 1, 0, 8 * B), B);
	assert_int_equal(read_checked(f, 1, 4 * B, B), 0);
	assert_int_equal(read_checked(f, 1, 4 * B + 50, B), 50);
	assert_int_equal(read_checked(f, 1, 5 * B, 8 * B), 3 * B);
	assert_int_equal(dirty(f, 0, 8 * B).n, 1);
	assert_int_equal(fill(f, 1, 0, 8 * B), 0);
	assert_int_equal(read_checked(f, 1, 0, 8 * B), B);
	upload(f, 0, 8 * B, true);
	assert_int_equal(cache_commit(f, 2, 8 * B), 0);
	assert_int_equal(fill(f, 2, B, 4 * B), 0);
	assert_int_equal(read_checked(f, 2, B, 4 * B), 4 * B);
	cache_file_put(f);
}

static void a_write_past_the_cache_that_grows_the_file_is_a_miss(void **state)
{
	struct fixture *x = *state;
	struct cache_file *f;

	put_whole(x, 7, 1, B + 10);
	f = get(x, 7, 1, B + 10);
	assert_int_equal(cache_invalidate(f, B + 10, 3 * B), 0);
	assert_int_equal(cache_commit(f, 2, 4 * B + 10), 0);
	assert_int_equal(read_checked(f, 1, 0, 8 * B), B);
	assert_int_equal(fill(f, 2, B, 3 * B + 10), 0);
	assert_int_equal(read_checked(f, 2, B, 8 * B), 3 * B + 10);
	cache_file_put(f);
}

static void a_damaged_sub_block_is_found_before_a_part_of_it_is_written(void **state)
{
	struct fixture *x = *state;
	uint64_t offset = B + 500;
	struct cache_file *f;

	put_whole(x, 7, 1, 4 * B);
	cache_close(x->c);
	for_data_files(x, damage, &offset);
	fixture_open(x);
	f = get(x, 7, 1, 4 * B);
	assert_int_equal(stage(f, 1, B + 100, 10), 0);
	assert_int_equal(stats(x).corrupt, 1);
	assert_int_equal(read_checked(f, 1, 0, 4 * B), B);
	assert_int_equal(read_checked(f, 1, B + 100, 4 * B), 10);
	cache_file_put(f);
}

/*
 * The model: a file as the owner sees it (`now`) and as its metadata and store
 * have it (`committed`), under random operations. Every byte that the cache returns must be that of `now`.
 */
#define MODEL_MAX (C + 10 * B)

struct model {
	struct fixture *x;
	struct cache_file *f;
	unsigned seed;
	uint64_t version;
	uint64_t size, committed_size;
	uint8_t *now, *committed, *clean;
	uint64_t served; /* bytes */
};

static unsigned pick(struct model *m, unsigned n)
{
	return (unsigned)rand_r(&m->seed) % n;
}

static uint64_t pick_offset(struct model *m, uint64_t limit)
{
	uint64_t offset = ((uint64_t)rand_r(&m->seed) << 8 ^ (uint64_t)rand_r(&m->seed)) % (limit + 1);

	switch (pick(m, 4)) {
	case 0:
		return offset / B * B;
	case 1: /* around the border between chunks */
		return limit > C + 2 * B ? C - B + offset % (2 * B) : offset;
	default:
		return offset;
	}
}

static void model_check(struct model *m, uint64_t offset, uint64_t length)
{
	_cleanup_free_ uint8_t *data = malloc(length + 1);
	ssize_t n = cache_read(m->f, offset, length, data);

	assert_true(n >= 0);
	assert_true((uint64_t)n <= (offset < m->size ? m->size - offset : 0));
	if (n)
		assert_memory_equal(data, m->now + offset, (size_t)n);
	m->served += (uint64_t)n;
}

static void model_resize(uint8_t *bytes, uint64_t *size, uint64_t new)
{
	if (new < *size)
		memset(bytes + new, 0, *size - new);
	*size = new;
}

static void model_write(struct model *m, uint64_t offset, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		m->now[offset + i] = (uint8_t)(1 + rand_r(&m->seed) % 255);
	if (length && offset + length > m->size)
		m->size = offset + length;
	assert_int_equal(cache_write(m->f, offset, length, m->now + offset), 0);
}

static int model_upload(uint64_t offset, uint64_t length, void *arg)
{
	struct model *m = arg;
	_cleanup_free_ uint8_t *data = malloc(length);
	bool ok = pick(m, 5) != 0;

	assert_int_equal(cache_begin_upload(m->f, offset, length), 0);
	if (pick(m, 2))
		model_write(m, offset + length / 2, length / 4);
	assert_int_equal(cache_read_dirty(m->f, offset, length, data), 0);
	if (pick(m, 2))
		model_write(m, offset + length / 3, length / 4);
	if (ok) {
		memcpy(m->committed + offset, data, length);
		m->committed_size = offset + length > m->committed_size ? offset + length : m->committed_size;
		m->version++;
	}
	cache_end_upload(m->f, offset, length, ok);
	if (ok)
		assert_int_equal(cache_commit(m->f, m->version, m->committed_size), 0);
	return 0;
}

static int take_committed(uint64_t offset, uint64_t length, void *arg)
{
	struct model *m = arg;

	memcpy(m->clean + offset, m->committed + offset, length);
	return 0;
}

/** What is not dirty must be what the owner committed: nothing was forgotten. */
static void model_check_dirty(struct model *m)
{
	memcpy(m->clean, m->now, MODEL_MAX);
	assert_int_equal(cache_for_dirty(m->f, 0, UINT64_MAX, take_committed, m), 0);
	assert_memory_equal(m->clean, m->committed, m->committed_size);
}

static void model_reopen(struct model *m, bool restart)
{
	cache_file_put(m->f);
	if (restart) {
		fixture_reopen(m->x);
		memcpy(m->now, m->committed, MODEL_MAX);
		m->size = m->committed_size;
	}
	m->f = get(m->x, 7, m->version, m->committed_size);
}

static void model_step(struct model *m)
{
	uint64_t offset = pick_offset(m, m->size), length = pick_offset(m, pick(m, 2) ? 3 * B : 5000), end;

	switch (pick(m, 10)) {
	case 0:
	case 1:
		if (pick(m, 4) == 0)
			offset = pick_offset(m, MODEL_MAX);
		if (offset + length <= MODEL_MAX)
			model_write(m, offset, length);
		break;
	case 2:
	case 3:
	case 4: /* a fetch, of what is committed */
		offset = offset / B * B;
		end = (offset + length + B) / B * B;
		end = end > m->committed_size ? m->committed_size : end;
		if (offset < end)
			assert_int_equal(
				cache_fill(m->f, m->version, offset, end - offset, m->committed + offset), 0);
		break;
	case 5:
		assert_int_equal(cache_for_dirty(m->f, offset, length * 4, model_upload, m), 0);
		break;
	case 6:
		if (pick(m, 4) == 0) { /* the owner commits a truncate at once */
			uint64_t size = pick_offset(m, pick(m, 2) ? MODEL_MAX : m->size);

			model_resize(m->now, &m->size, size);
			model_resize(m->committed, &m->committed_size, size);
			assert_int_equal(cache_truncate(m->f, size), 0);
			assert_int_equal(cache_commit(m->f, ++m->version, size), 0);
		}
		break;
	case 7:
		if (offset + length <= m->size && pick(m, 3) == 0) { /* a write past the cache */
			for (uint64_t i = 0; i < length; i++)
				m->now[offset + i] = m->committed[offset + i] =
					(uint8_t)(1 + rand_r(&m->seed) % 255);
			if (length && offset + length > m->committed_size)
				m->committed_size = offset + length;
			assert_int_equal(cache_invalidate(m->f, offset, length), 0);
			assert_int_equal(cache_commit(m->f, ++m->version, m->committed_size), 0);
		}
		break;
	case 8:
		if (pick(m, 10) == 0)
			model_reopen(m, pick(m, 5) == 0);
		else if (pick(m, 4) == 0) /* others need the room */
			put_whole(m->x, 100 + pick(m, 9), m->version, C / 4);
		break;
	default:
		model_check(m, offset, length);
	}
}

static void random_operations_never_give_a_wrong_byte(void **state)
{
	struct fixture *x = *state;

	x->options.max_bytes = 2 * C;
	fixture_reopen(x);
	for (unsigned seed = 1; seed <= 4; seed++) {
		struct model m = {.x = x, .seed = seed, .version = seed * 1000000};

		m.now = calloc(1, MODEL_MAX + B);
		m.committed = calloc(1, MODEL_MAX + B);
		m.clean = calloc(1, MODEL_MAX + B);
		m.f = get(x, 7, m.version, 0);
		for (unsigned i = 0; i < 3000; i++) {
			model_step(&m);
			if (i % 50 == 0) {
				model_check_dirty(&m);
				for (uint64_t at = 0; at < m.size; at += B / 2)
					model_check(&m, at, B);
			}
		}
		assert_true(m.served > 10 * MODEL_MAX);
		model_reopen(&m, true);
		for (uint64_t at = 0; at < m.size; at += B / 2)
			model_check(&m, at, B);
		assert_int_equal(stats(x).corrupt, 0);
		cache_file_put(m.f);
		cache_forget(x->c, 7);
		assert_int_equal(stats(x).full, 0);
		free(m.now);
		free(m.committed);
		free(m.clean);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(written_bytes_are_read_back_and_dirty),
		T(the_gap_before_a_write_beyond_the_end_reads_as_zeros),
		T(dirty_bytes_of_a_missing_sub_block_are_readable_and_a_fill_goes_around_them),
		T(a_write_during_an_upload_stays_dirty),
		T(a_failed_upload_leaves_all_of_it_dirty),
		T(reading_back_what_a_truncate_cut_says_so),
		T(committed_bytes_are_warm_after_a_restart),
		T(uncommitted_bytes_are_gone_after_a_restart),
		T(the_last_sub_block_is_cached_again_when_the_file_grew),
		T(a_truncate_cuts_what_is_valid_and_dirty),
		T(a_fill_that_was_fetched_before_a_truncate_does_not_bring_bytes_back),
		T(growing_to_the_largest_size_costs_nothing),
		T(another_version_is_refused_while_there_are_changes),
		T(invalidated_bytes_are_gone_and_not_filled_before_the_commit),
		T(a_write_past_the_cache_that_grows_the_file_is_a_miss),
		T(a_damaged_sub_block_is_found_before_a_part_of_it_is_written),
		T(random_operations_never_give_a_wrong_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
