/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are lent: who has them writes the cache file and notes the pages, as the kernel does. */
#include "common/clock.h"
#include "tests/unit/daemon/data/fixture.h"

#define PAGE 4096u
#define LENT_CHUNKS 4 /* of 4 MiB */

/* Whoever files are lent to; one at a time. */
static struct borrower {
	bool lends; /* what may_lend says */
	bool lent;
	int fd;
	uint64_t size, fresh;
	bool chunks[LENT_CHUNKS];
	bool pages[LENT_CHUNKS * CACHE_CHUNK_SIZE / PAGE];
	unsigned fail; /* so often what was written cannot be taken over */
	unsigned lendings, writes;
} b;

static bool may_lend(void *arg)
{
	(void)arg;
	return b.lends;
}

static bool lend(void *arg, uint64_t ino, const struct data_loan *loan)
{
	struct meta_attr attr = {.ino = ino};

	assert_int_equal(data_pending(((struct fixture *)arg)->data, &attr), DATA_LENT);
	assert_false(b.lent);
	assert_int_equal(attr.size, loan->size);
	b.lent = true;
	b.fd = cache_file_fd(loan->cache);
	b.size = loan->size;
	b.fresh = (loan->size + CACHE_CHUNK_SIZE - 1) / CACHE_CHUNK_SIZE;
	for (uint64_t n = loan->offset / CACHE_CHUNK_SIZE;
	     loan->length && n <= (loan->offset + loan->length - 1) / CACHE_CHUNK_SIZE && n < b.fresh; n++)
		b.chunks[n] = true;
	b.lendings++;
	return true;
}

static int take_back(void *arg, uint64_t ino, bool end, data_written_fn fn, void *fn_arg,
                     struct timespec *ret_time)
{
	struct meta_attr attr = {.ino = ino};

	assert_int_equal(data_pending(((struct fixture *)arg)->data, &attr), DATA_PENDING);
	clock_gettime(CLOCK_REALTIME, ret_time);
	for (size_t i = 0; b.lent && i < ARRAY_SIZE(b.pages); i++) {
		uint64_t at = i * PAGE;

		if (!b.pages[i])
			continue;
		if (b.fail && b.fail--)
			return -ENOMEM;
		assert_int_equal(fn(fn_arg, at, b.size - at < PAGE ? b.size - at : PAGE), 0);
		b.chunks[at / CACHE_CHUNK_SIZE] = true;
	}
	memset(b.pages, 0, sizeof(b.pages));
	if (end)
		memset(b.chunks, 0, sizeof(b.chunks));
	b.lent = false;
	return 0;
}

static void add_hooks(struct data_hooks *hooks)
{
	hooks->may_lend = may_lend;
	hooks->lend = lend;
	hooks->take_back = take_back;
}

static int setup_with(void **state, unsigned expire_s)
{
	struct fixture *f = fixture_new(ROOMY);

	b = (struct borrower){.lends = true};
	f->add_hooks = add_hooks;
	f->options.expire_s = expire_s;
	fixture_open(f);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 0);
}

static int setup_hasty(void **state)
{
	return setup_with(state, 1);
}

/* A write(2): there if it can be, else by the daemon, which lends. */
static void write_there(struct model *m, struct data_file *file, uint64_t offset, size_t length)
{
	uint64_t chunk = offset / CACHE_CHUNK_SIZE, last = (offset + length - 1) / CACHE_CHUNK_SIZE;

	if (!b.lent || !(b.chunks[chunk] || chunk >= b.fresh) || !(b.chunks[last] || last >= b.fresh)) {
		model_write(m, file, offset, length);
		data_lend(file, offset, length);
		return;
	}
	for (size_t i = 0; i < length; i++)
		m->bytes[offset + i] = (char)rand_r(&m->seed);
	assert_int_equal(pwrite(b.fd, m->bytes + offset, length, (off_t)offset), length);
	for (uint64_t page = offset / PAGE; page * PAGE < offset + length; page++)
		b.pages[page] = true;
	if (offset + length > m->size)
		m->size = offset + length;
	if (offset + length > b.size)
		b.size = offset + length;
	b.writes++;
}

static void what_is_written_there_is_committed_by_a_flush(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "file");
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 1);
	data_lend(file, 0, 0);
	assert_true(b.lent);
	for (int i = 0; i < 100; i++)
		write_there(&m, file, m.size, 777);
	write_there(&m, file, 5 * MIB, 100000);
	assert_int_equal(b.writes, 101);
	assert_int_equal(objects_in_store(f), 0);
	assert_int_equal(data_fsync(file), 0);
	assert_true(b.lent); /* again */
	assert_int_equal(attr_of(f, ino).size, m.size);
	write_there(&m, file, 100, 10);
	assert_int_equal(b.writes, 102);
	assert_int_equal(data_flush(file), 0);
	assert_false(b.lent);
	model_finish(&m, f, file);
}

static void nobody_sees_less_than_what_was_written_there(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "file"), found;
	struct data_file *file = get(f, ino), *copy;
	struct model m;

	model_init(&m, ino, 2);
	data_lend(file, 0, 0);
	write_there(&m, file, 0, 5000);
	expect_bytes(file, 0, m.bytes, 5000);
	write_there(&m, file, 5000, 5000);
	assert_int_equal(data_seek(file, 0, true, &found), 0);
	assert_int_equal(found, 10000);
	write_there(&m, file, 10000, 1);
	write_there(&m, file, 10001, 1);
	copy = get(f, make_file(f, "copy"));
	assert_int_equal(data_copy(file, 0, copy, 0, 10002), 10002);
	expect_bytes(copy, 0, m.bytes, 10002);
	data_file_put(copy);
	write_there(&m, file, 10002, 10);
	write_there(&m, file, 10012, 10);
	model_truncate(&m, f, 10017);
	assert_false(b.lent);
	write_there(&m, file, 0, 3);
	write_there(&m, file, 0, 3);
	assert_int_equal(data_sync(f->data), 0);
	model_check(&m, f, file);
	data_file_put(file);
	free(m.bytes);
	assert_true(b.writes >= 6);
}

/* It is not lost, nor is the file written by two meanwhile. */
static void what_cannot_be_taken_over_is_taken_over_later(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "file");
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 3);
	data_lend(file, 0, 0);
	write_there(&m, file, 0, 3 * PAGE);
	b.fail = 1;
	assert_int_equal(data_write(file, 1, 1, "x", false), -ENOMEM);
	b.fail = 1;
	assert_int_equal(data_fsync(file), -ENOMEM);
	assert_int_equal(data_fsync(file), 0);
	model_finish(&m, f, file);
}

static bool comes_to_be_uploaded(struct fixture *f, int64_t seconds)
{
	for (int64_t end = monotonic_ns() + seconds * 1000000000ll; monotonic_ns() < end; usleep(20000))
		if (objects_in_store(f))
			return true;
	return false;
}

/* Nobody closes it or asks for it; and if what was said of it was lost, it only takes longer. */
static void what_is_written_there_is_uploaded_in_time_heard_of_or_not(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "file");
	struct data_file *file = get(f, ino);
	int64_t start = monotonic_ns();
	struct model m;

	model_init(&m, ino, 5);
	data_lend(file, 0, 0);
	write_there(&m, file, 0, 5000);
	data_lend(file, 0, 0); /* does nothing, but what was done above was before what another thread does */
	assert_true(comes_to_be_uploaded(f, 60));
	assert_true(monotonic_ns() - start >= 3000000000ll); /* so it was not heard of */
	model_finish(&m, f, file);
}

/* Only a part of the file is in the cache: what is written there is lent, and stays so when it is written
 * elsewhere. */
static void a_file_of_which_a_part_is_there_is_lent_in_part(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "file");
	struct data_file *file = get(f, ino);
	struct model m;

	b.lends = false;
	model_init(&m, ino, 6);
	for (size_t at = 0; at < 5 * MIB; at += MIB)
		model_write(&m, file, at, MIB);
	assert_int_equal(data_flush(file), 0);
	data_file_put(file);
	cache_forget(f->cache, ino);
	file = get(f, ino);
	b.lends = true;

	write_there(&m, file, 4 * MIB + 5, 100); /* nothing is there */
	assert_false(b.lent);
	expect_bytes(file, 4 * MIB, m.bytes + 4 * MIB, MIB);
	write_there(&m, file, 4 * MIB, 100);
	assert_true(b.lent && b.chunks[1] && !b.chunks[0]);
	write_there(&m, file, 4 * MIB + 300 * KIB, 5000);
	write_there(&m, file, 2 * MIB, 5000); /* not there */
	assert_true(b.lent && b.chunks[1] && !b.chunks[0]);
	write_there(&m, file, 4 * MIB + 100 * KIB, 5000);
	write_there(&m, file, 4 * MIB - 50, 100);
	assert_true(b.lent && b.chunks[1] && !b.chunks[0]);
	write_there(&m, file, 5 * MIB, 70000); /* longer than it was */
	assert_int_equal(b.writes, 3);
	model_truncate(&m, f, 4 * MIB + 5000);
	assert_false(b.lent || b.chunks[1]);
	write_there(&m, file, 4 * MIB + 4000, 5); /* its end is there still */
	write_there(&m, file, 4 * MIB + 4990, 100);
	assert_int_equal(b.writes, 4);
	assert_int_equal(data_flush(file), 0);
	model_finish(&m, f, file);
}

static void random_operations_by_both(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "file"), fetched;
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 4);
	for (int i = 0; i < 1500; i++) {
		unsigned what = model_random(&m, 100);
		size_t length = 1 + model_random(&m, model_random(&m, 10) ? 9 * KIB : 300 * KIB);
		uint64_t offset = model_random(&m, MODEL_MAX - length);

		if (what < 60) {
			write_there(&m, file, model_random(&m, 3) ? offset : offset % (64 * KIB), length);
		} else if (what < 65) { /* as from a mapping */
			model_write(&m, file, offset, length);
		} else if (what < 67) {
			model_truncate(&m, f, model_random(&m, MODEL_MAX));
		} else if (what < 69) {
			assert_int_equal(data_fallocate(file, true, true, offset, length), 0);
			if (offset < m.size)
				memset(m.bytes + offset, 0,
				       length < m.size - offset ? length : m.size - offset);
		} else if (what < 85) {
			assert_int_equal(data_fsync(file), 0);
		} else if (what < 90) {
			assert_int_equal(data_flush(file), 0);
		} else if (what < 92) { /* all of it is there again */
			assert_int_equal(data_flush(file), 0);
			assert_int_equal(data_fetch(f->data, ino, &fetched), 0);
		} else if (m.size) {
			uint64_t at = model_random(&m, m.size);
			size_t n = 1 + model_random(&m, 100 * KIB);

			expect_bytes(file, at, m.bytes + at, n < m.size - at ? n : m.size - at);
		}
	}
	assert_true(b.writes > 100 && b.lendings > 50);
	assert_int_equal(data_flush(file), 0);
	model_finish(&m, f, file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_there_is_committed_by_a_flush, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(nobody_sees_less_than_what_was_written_there, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_taken_over_is_taken_over_later, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(what_is_written_there_is_uploaded_in_time_heard_of_or_not,
	                                        setup_hasty, teardown),
		cmocka_unit_test_setup_teardown(a_file_of_which_a_part_is_there_is_lent_in_part, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(random_operations_by_both, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
