/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cache/fixture.h"

#include <dlfcn.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "cache/index.h"
#include "tests/harness/full_log.h"

#define VOLUME "0b9f27a8-6d1c-4a2e-9d57-0f3a8f5a3a11"

static atomic_bool slow;
static atomic_int put_calls;

/* Loses the CPU on the way while `slow`. */
void rocksdb_put(rocksdb_t *db, const rocksdb_writeoptions_t *options, const char *key, size_t key_size,
                 const char *value, size_t size, char **message)
{
	__typeof__(&rocksdb_put) next = (__typeof__(next))dlsym(RTLD_NEXT, "rocksdb_put");

	put_calls++;
	if (slow)
		usleep(500000);
	next(db, options, key, key_size, value, size, message);
}

static struct cache_index *open_index(const char *dir, const char *volume)
{
	struct cache_index *x = NULL;
	char *why = NULL;
	int r = cache_index_open(dir, volume, false, &x, &why);

	if (r)
		print_error("%s\n", why ? why : "?");
	free(why);
	assert_int_equal(r, 0);
	return x;
}

static int make_dir(void **state)
{
	*state = tempdir_make();
	return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
	tempdir_remove(*state);
	return 0;
}

/** Put bytes into the index that nobody here writes. */
static void put_raw(const char *dir, const void *key, size_t key_size, const void *value, size_t size)
{
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_writeoptions_t *w = rocksdb_writeoptions_create();
	char path[4096], *message = NULL;
	rocksdb_t *db;

	snprintf(path, sizeof(path), "%s/index", dir);
	db = rocksdb_open(o, path, &message);
	assert_null(message);
	rocksdb_put(db, w, key, key_size, value, size, &message);
	assert_null(message);
	rocksdb_close(db);
	rocksdb_options_destroy(o);
	rocksdb_writeoptions_destroy(w);
}

static void records_survive_closing(void **state)
{
	struct cache_index *x = open_index(*state, VOLUME);
	struct cache_index_inode in = {1, INT64_MAX, 3, 4, 5, 6, 0, 0, 0}, out = {};
	struct cache_index_chunk c = {.valid = UINT64_C(0x8000000000000005)}, d = {};

	c.crc[0] = 1;
	c.crc[2] = 0xffffffff;
	c.crc[63] = 7;
	assert_int_equal(cache_index_get_inode(x, 9, &out), -ENOENT);
	assert_int_equal(cache_index_put_inode(x, 9, &in), 0);
	assert_int_equal(cache_index_put_chunk(x, 3, UINT64_C(1) << 40, &c), 0);
	cache_index_close(x);
	x = open_index(*state, VOLUME);
	assert_int_equal(cache_index_get_inode(x, 9, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(cache_index_get_chunk(x, 3, UINT64_C(1) << 40, &d), 0);
	assert_memory_equal(&c, &d, sizeof(c));
	assert_int_equal(cache_index_delete_inode(x, 9), 0);
	assert_int_equal(cache_index_get_inode(x, 9, &out), -ENOENT);
	d.valid = 0;
	assert_int_equal(cache_index_put_chunk(x, 3, UINT64_C(1) << 40, &d), 0);
	assert_int_equal(cache_index_get_chunk(x, 3, UINT64_C(1) << 40, &d), -ENOENT);
	cache_index_close(x);
}

static void records_of_packed_files_survive_and_are_checked(void **state)
{
	static const struct {
		uint32_t size, slot;
	} bad[] = {{0, 1}, {65537, 1}, {1, 0}, {1, 65536}, {4097, 65535}, {1, UINT32_MAX}};
	struct cache_index_inode in = {.version = 1,
	                               .size = 4097,
	                               .last_use = 2,
	                               .bytes = 8192,
	                               .pack = UINT64_MAX,
	                               .slot = 65534,
	                               .crc = 0xffffffff},
				 out = {};
	struct cache_index *x = open_index(*state, VOLUME);

	assert_int_equal(cache_index_put_inode(x, 9, &in), 0);
	cache_index_close(x);
	x = open_index(*state, VOLUME);
	assert_int_equal(cache_index_get_inode(x, 9, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		in.size = bad[i].size;
		in.slot = bad[i].slot;
		assert_int_equal(cache_index_put_inode(x, 9, &in), 0);
		assert_int_equal(cache_index_get_inode(x, 9, &out), -EBADMSG);
	}
	cache_index_close(x);
}

static void the_index_of_another_volume_is_emptied(void **state)
{
	struct cache_index *x = open_index(*state, VOLUME);
	struct cache_index_inode in = {1, 2, 3, 4, 5, 6, 0, 0, 0}, out;

	assert_int_equal(cache_index_put_inode(x, 9, &in), 0);
	cache_index_close(x);
	x = open_index(*state, "another");
	assert_int_equal(cache_index_get_inode(x, 9, &out), -ENOENT);
	assert_int_equal(cache_index_put_inode(x, 9, &in), 0);
	cache_index_close(x);
	x = open_index(*state, "another");
	assert_int_equal(cache_index_get_inode(x, 9, &out), 0);
	cache_index_close(x);
}

static void an_index_that_cannot_be_read_is_emptied(void **state)
{
	static const char *const names[] = {"CURRENT", "MANIFEST", ".sst", ".log"};
	struct cache_index_inode in = {1, 2, 3, 4, 5, 6, 0, 0, 0}, out;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct cache_index *x = open_index(*state, VOLUME);
		char path[4096], file[8192];
		struct dirent *e;
		DIR *d;

		for (uint64_t ino = 1; ino < 100; ino++)
			assert_int_equal(cache_index_put_inode(x, ino, &in), 0);
		cache_index_close(x);
		snprintf(path, sizeof(path), "%s/index", (char *)*state);
		d = opendir(path);
		while ((e = readdir(d))) {
			int fd;

			if (!strstr(e->d_name, names[i]))
				continue;
			snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
			fd = open(file, O_WRONLY | O_CLOEXEC);
			assert_int_equal(pwrite(fd, "\xff\xff\xff\xffgarbage, garbage", 20, 0), 20);
			close(fd);
		}
		closedir(d);
		x = open_index(*state, VOLUME);
		assert_in_range(-cache_index_get_inode(x, 200, &out), ENOENT, ENOENT);
		assert_int_equal(cache_index_put_inode(x, 200, &in), 0);
		assert_int_equal(cache_index_get_inode(x, 200, &out), 0);
		cache_index_delete_inode(x, 200);
		cache_index_close(x);
	}
}

static void records_that_do_not_fit_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t value[64];
		size_t size;
	} inodes[] =
		{
			{"empty", {0}, 0},        {"short", {1}, 55},
			{"long", {1}, 57},        {"unknown layout", {2, [8 + 16] = 1}, 56},
			{"data file 0", {1}, 56}, {"size above 2^63", {1, [8 + 15] = 0x80, [8 + 16] = 1}, 56},
		},
	  chunks[] = {
		  {"empty", {0}, 0},
		  {"no CRC", {1, [8] = 1}, 16},
		  {"half a CRC", {1, [8] = 1}, 18},
		  {"one CRC too many", {1, [8] = 1}, 24},
		  {"nothing valid", {1}, 16},
		  {"unknown layout", {9, [8] = 1}, 20},
	  };
	struct cache_index_inode inode = {.id = 77};
	struct cache_index_chunk chunk = {.valid = 77};
	struct cache_index *x;

	cache_index_close(open_index(*state, VOLUME));
	for (size_t i = 0; i < ARRAY_SIZE(inodes); i++) {
		put_raw(*state, "I\0\0\0\0\0\0\0\5", 9, inodes[i].value, inodes[i].size);
		x = open_index(*state, VOLUME);
		if (cache_index_get_inode(x, 5, &inode) != -EBADMSG)
			fail_msg("inode record: %s", inodes[i].what);
		assert_int_equal(inode.id, 77);
		cache_index_close(x);
	}
	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		put_raw(*state, "C\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\0", 17, chunks[i].value, chunks[i].size);
		x = open_index(*state, VOLUME);
		if (cache_index_get_chunk(x, 3, 0, &chunk) != -EBADMSG)
			fail_msg("chunk record: %s", chunks[i].what);
		assert_int_equal(chunk.valid, 77);
		cache_index_close(x);
	}
}

struct seen {
	uint64_t v[64];
	unsigned n;
};

static int see_inode(uint64_t ino, const struct cache_index_inode *inode, void *arg)
{
	struct seen *s = arg;

	(void)inode;
	s->v[s->n++ % 64] = ino;
	return 0;
}

static int see_id(uint64_t id, void *arg)
{
	struct seen *s = arg;

	s->v[s->n++ % 64] = id;
	return 0;
}

static int see_chunk(uint64_t chunk, uint64_t valid, void *arg)
{
	struct seen *s = arg;

	(void)valid;
	s->v[s->n++ % 64] = chunk;
	return 0;
}

static void scans_see_everything_once_and_in_order(void **state)
{
	struct cache_index *x = open_index(*state, VOLUME);
	const struct cache_index_inode in = {1, 2, 3, 4, 5, 6, 0, 0, 0};
	const struct cache_index_chunk c = {.valid = 7};
	struct seen s = {};
	uint64_t blocks = 0;

	for (uint64_t i = 1; i <= 300; i += 100) {
		assert_int_equal(cache_index_put_inode(x, i, &in), 0);
		for (uint64_t chunk = 0; chunk < 3000; chunk += 1000)
			assert_int_equal(cache_index_put_chunk(x, i, chunk, &c), 0);
	}
	assert_int_equal(cache_index_put_chunk(x, UINT64_MAX, 1, &c), 0);
	assert_int_equal(cache_index_for_inodes(x, see_inode, &s), 0);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.v[0], 1);
	assert_int_equal(s.v[2], 201);
	s.n = 0;
	assert_int_equal(cache_index_for_ids(x, see_id, &s), 0);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.v[1], 101);
	assert_int_equal(s.v[3], UINT64_MAX);
	s.n = 0;
	assert_int_equal(cache_index_for_chunks(x, 101, 1, 1999, see_chunk, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0], 1000);
	assert_int_equal(cache_index_delete_chunks(x, 101, 1000, &blocks), 0);
	assert_int_equal(blocks, 6);
	s.n = 0;
	assert_int_equal(cache_index_for_chunks(x, 101, 0, UINT64_MAX, see_chunk, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(cache_index_for_chunks(x, 201, 0, UINT64_MAX, see_chunk, &s), 0);
	assert_int_equal(s.n, 4);
	cache_index_close(x);
}

static void more_chunks_than_one_batch_are_deleted(void **state)
{
	struct cache_index *x = open_index(*state, VOLUME);
	const struct cache_index_chunk c = {.valid = 1};
	struct seen s = {};
	uint64_t blocks = 0;

	for (uint64_t chunk = 0; chunk < 2500; chunk++)
		assert_int_equal(cache_index_put_chunk(x, 1, chunk, &c), 0);
	assert_int_equal(cache_index_delete_chunks(x, 1, 0, &blocks), 0);
	assert_int_equal(blocks, 2500);
	assert_int_equal(cache_index_for_chunks(x, 1, 0, UINT64_MAX, see_chunk, &s), 0);
	assert_int_equal(s.n, 0);
	cache_index_close(x);
}

static void a_bad_record_does_not_stop_a_scan(void **state)
{
	const struct cache_index_inode in = {1, 2, 3, 4, 5, 6, 0, 0, 0};
	struct cache_index_inode out;
	struct cache_index *x = open_index(*state, VOLUME);
	struct seen s = {};

	assert_int_equal(cache_index_put_inode(x, 1, &in), 0);
	assert_int_equal(cache_index_put_inode(x, 6, &in), 0);
	cache_index_close(x);
	put_raw(*state, "I\0\0\0\0\0\0\0\5", 9, "bad", 3);
	put_raw(*state, "Ishort", 6, "bad", 3);
	x = open_index(*state, VOLUME);
	assert_int_equal(cache_index_for_inodes(x, see_inode, &s), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(cache_index_get_inode(x, 5, &out), -ENOENT);
	cache_index_close(x);
}

static void *put_slowly(void *arg)
{
	struct cache_index_inode in = {1, 2, 3, 4, 5, 6, 0, 0, 0};

	assert_int_equal(cache_index_put_inode(arg, 10, &in), -EIO);
	return NULL;
}

/* RocksDB forgets that it failed, or that the log did: when it has nothing in memory there is nothing to save
 * from a full disk.  One built with assertions ends the process with the next write. */
static void nothing_is_written_behind_a_failed_write(void **state)
{
	struct cache_index_inode in = {1, 2, 3, 4, 5, 6, 0, 0, 0};
	struct cache_index *x = open_index(*state, VOLUME);
	pthread_t other;
	int before;

	cache_index_close(x);
	x = open_index(*state, VOLUME);
	before = put_calls;
	slow = true;
	assert_int_equal(pthread_create(&other, NULL, put_slowly, x), 0);
	while (put_calls == before)
		usleep(1000);
	slow = false;
	log_full = true;
	assert_int_equal(cache_index_put_inode(x, 9, &in), -EIO);
	pthread_join(other, NULL);
	assert_int_equal(put_calls, before + 1);
	log_full = false;
	cache_index_close(x);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(records_survive_closing),
		TEST(records_of_packed_files_survive_and_are_checked),
		TEST(the_index_of_another_volume_is_emptied),
		TEST(an_index_that_cannot_be_read_is_emptied),
		TEST(records_that_do_not_fit_are_refused),
		TEST(scans_see_everything_once_and_in_order),
		TEST(more_chunks_than_one_batch_are_deleted),
		TEST(a_bad_record_does_not_stop_a_scan),
		TEST(nothing_is_written_behind_a_failed_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
