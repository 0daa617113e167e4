/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: served whole out of the cache file, or not at all. */
#include "vmtest/kernel/cached.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SIZE = 200000 };

static struct fixture setup(int flags)
{
	return fixture_cached(SIZE, flags);
}

static void every_part_of_a_cached_file_is_read_in_the_kernel(void)
{
	static const struct {
		long pos, count, expected;
	} reads[] = {
		{0, 1, 1},
		{0, 4096, 4096},
		{4095, 2, 2},
		{65530, 20, 20},
		{1, SIZE, SIZE - 1},
		{SIZE - 1, 1, 1},
		{SIZE - 1, 99, 1},
		{SIZE, 10, 0},
		{SIZE + 9, 10, 0},
		{1L << 40, 10, 0},
		{0, SIZE, SIZE},
		{0, SIZE * 2, SIZE},
		{12345, 70000, 70000},
	};
	struct fixture f = setup(O_RDONLY);
	static char buf[SIZE * 2];

	memset(buf, 1, sizeof(buf));
	for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
		buf[reads[i].expected] = '#';
		check_equal(pread(f.fd, buf, (size_t)reads[i].count, reads[i].pos), reads[i].expected);
		check(is_cached(buf, (size_t)reads[i].expected, (uint64_t)reads[i].pos));
		check(buf[reads[i].expected] == '#');
	}
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT), sizeof(reads) / sizeof(*reads));
	teardown(&f);
}

static void read_moves_the_position_until_the_end(void)
{
	struct fixture f = setup(O_RDONLY);
	char buf[7000];
	uint64_t pos = 0;
	ssize_t n;

	while ((n = read(f.fd, buf, sizeof(buf))) > 0) {
		check(is_cached(buf, (size_t)n, pos));
		pos += (uint64_t)n;
		check_equal(lseek(f.fd, 0, SEEK_CUR), pos);
	}
	check_equal(n, 0);
	check_equal(pos, SIZE);
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	teardown(&f);
}

static void vectors_and_direct_reads_are_served(void)
{
	struct fixture f = setup(O_RDONLY | O_DIRECT);
	char a[100], b[5000];
	struct iovec iov[] = {{a, sizeof(a)}, {NULL, 0}, {b, sizeof(b)}};
	char *aligned = aligned_alloc(4096, 8192);

	check_equal(preadv(f.fd, iov, 3, 1000), 5100);
	check(is_cached(a, 100, 1000) && is_cached(b, 5000, 1100));
	check_equal(pread(f.fd, aligned, 8192, 4096), 8192);
	check(is_cached(aligned, 8192, 4096));
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT), 2);
	free(aligned);
	teardown(&f);
}

static void a_buffer_that_is_not_there_yet_is_fetched_and_counted_once(void)
{
	struct fixture f = setup(O_RDONLY);
	char *buf = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(buf != MAP_FAILED);
	check_equal(pread(f.fd, buf, SIZE, 0), SIZE);
	check(is_cached(buf, SIZE, 0));
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT), 1);
	teardown(&f);
}

/* The page fault asks the daemon, which must be able to wait for the barrier. */
static void a_buffer_in_a_file_of_the_mount_works(void)
{
	struct fixture f = setup(O_RDONLY);
	char *d = daemon_bytes(8192), *buf;
	int fd;

	tfs_add(f.t, FUSE_ROOT_ID, "target", S_IFREG | 0644, d);
	fd = open(tfs_path(f.t, "target"), O_RDWR);
	check(fd >= 0);
	buf = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(buf != MAP_FAILED);
	check_equal(pread(f.fd, buf, 8192, 0), 8192);
	check(is_cached(buf, 8192, 0));
	check(munmap(buf, 8192) == 0);
	close(fd);
	free(d);
	teardown(&f);
}

static void a_bad_buffer_is_efault(void)
{
	struct fixture f = setup(O_RDONLY);
	char *buf = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(buf != MAP_FAILED && munmap(buf + 4096, 4096) == 0);
	check_errno(pread(f.fd, buf + 4096, 100, 0), EFAULT);
	check_equal(pread(f.fd, buf, 4096, 0), 4096);
	check(is_cached(buf, 4096, 0));
	teardown(&f);
}

static void a_stale_id_passes(void)
{
	struct fixture f = setup(O_RDONLY);
	char buf[4096];

	check(ioctl(f.t->device_fd, EXTFUSE_IOC_BACKING_DEL, &f.id) == 0);
	check_errno(ioctl(f.t->device_fd, EXTFUSE_IOC_BACKING_DEL, &f.id), ENOENT);
	check_equal(pread(f.fd, buf, sizeof(buf), 0), 4096);
	check(is_daemons(buf, sizeof(buf)));
	/* and an id is not used again */
	check(tfs_backing(f.t, "x", 1, NULL) > f.id);
	teardown(&f);
}

static void an_id_of_another_device_passes(void)
{
	struct fixture f = setup(O_RDONLY);
	struct extfuse_ioc_backing add = {.fd = f.cache_fd};
	int device = open(EXTFUSE_DEVICE, O_RDWR);
	char buf[4096];

	check(device >= 0);
	check(ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add) == 0);
	tfs_publish_inode(f.t, f.ino, add.id);
	check_equal(pread(f.fd, buf, sizeof(buf), 0), 4096);
	check(is_daemons(buf, sizeof(buf)));
	close(device);
	teardown(&f);
}

/* Never zeros, never half of each: whole from the daemon. */
static void a_cache_file_that_is_too_short_falls_back_whole(void)
{
	struct fixture f = setup(O_RDONLY);
	static char buf[SIZE];

	memset(buf, 1, sizeof(buf));
	check(ftruncate(f.cache_fd, SIZE / 2) == 0);
	check_equal(pread(f.fd, buf, SIZE, 0), SIZE);
	check(is_daemons(buf, SIZE));
	check_equal(pread(f.fd, buf, 1000, SIZE / 2 - 500), 1000);
	check(is_daemons(buf, 1000));
	check_equal(pread(f.fd, buf, 1000, 0), 1000); /* this part is there */
	check(is_cached(buf, 1000, 0));
	check_equal(lseek(f.fd, SIZE / 2 - 10, SEEK_SET), SIZE / 2 - 10);
	check_equal(read(f.fd, buf, 20), 20);
	check_equal(lseek(f.fd, 0, SEEK_CUR), SIZE / 2 + 10);
	teardown(&f);
}

static void a_shared_writable_mapping_makes_reads_step_aside(void)
{
	struct fixture f = setup(O_RDWR);
	char buf[100], *map;

	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
	check(map != MAP_FAILED);
	map[10] = 'W';
	check_equal(pread(f.fd, buf, sizeof(buf), 0), 100);
	check(buf[10] == 'W' && buf[11] == 'd');
	check(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_ASIDE) > 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT), 0);
	check(munmap(map, 4096) == 0);
	/* dirty, or on its way to the daemon, or there (and then published anew): never the old byte */
	for (int i = 0; i < 100; i++) {
		check_equal(pread(f.fd, buf, sizeof(buf), 0), 100);
		if (is_cached(buf, sizeof(buf), 0)) {
			check(f.t->nodes[f.ino].data[10] == 'W');
			break;
		}
		check(buf[10] == 'W');
	}
	teardown(&f);
}

/* ---- files cached in part ---- */

#define CHUNK EXTFUSE_CHUNK_SIZE
#define BLOCK EXTFUSE_BLOCK_SIZE

static void blocks_decide_what_is_covered(void)
{
	struct tfs *t = tfs_start();
	char *d = daemon_bytes(10 * BLOCK), *c = cached_bytes(10 * BLOCK), *buf = malloc(10 * BLOCK);
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, d), id;
	struct extfuse_chunk chunk = {.valid = 0x0e}; /* blocks 1, 2, 3 */
	int fd;

	memset(buf, 0, 10 * BLOCK);
	tfs_attach(t, NULL);
	id = tfs_backing(t, c, 10 * BLOCK, NULL);
	chunk.backing_id = id;
	tfs_publish_inode(t, ino, 0);
	tfs_publish_chunk(t, ino, 0, &chunk);
	fd = open(tfs_path(t, "file"), O_RDONLY | O_DIRECT);
	check(fd >= 0);
	/* exactly the three blocks, and parts of them */
	check_equal(pread(fd, buf, 3 * BLOCK, BLOCK), 3 * BLOCK);
	check(is_cached(buf, 3 * BLOCK, BLOCK));
	check_equal(pread(fd, buf, 2, 2 * BLOCK - 1), 2);
	check(is_cached(buf, 2, 2 * BLOCK - 1));
	check_equal(tfs_requests(t, FUSE_READ), 0);
	check_equal(tfs_stat(t, EXTFUSE_OP_READ, EXTFUSE_HIT), 2);
	/* one byte more at either end */
	check_equal(pread(fd, buf, BLOCK + 1, BLOCK - 1), BLOCK + 1);
	check(is_daemons(buf, BLOCK + 1));
	check_equal(pread(fd, buf, BLOCK + 1, 3 * BLOCK), BLOCK + 1);
	check(is_daemons(buf, BLOCK + 1));
	check_equal(tfs_stat(t, EXTFUSE_OP_READ, EXTFUSE_UNCOVERED), 2);
	/* up to the end of the file, the last block is enough */
	chunk.valid = 1 << 9;
	tfs_publish_chunk(t, ino, 0, &chunk);
	check_equal(pread(fd, buf, 5 * BLOCK, 9 * BLOCK + 5), BLOCK - 5);
	check(is_cached(buf, BLOCK - 5, 9 * BLOCK + 5));
	/* no entry at all */
	check(bpf_map_delete_elem(t->chunk, &(struct extfuse_chunk_key){.ino = ino}) == 0);
	check_equal(pread(fd, buf, 5, 9 * BLOCK), 5);
	check(is_daemons(buf, 5));
	close(fd);
	free(d);
	free(c);
	free(buf);
	tfs_stop(t);
}

static void chunks_are_joined_only_where_they_are_contiguous(void)
{
	struct tfs *t = tfs_start();
	const size_t size = 10 * CHUNK;
	char *d = daemon_bytes(size), *c = cached_bytes(size), *buf = malloc(size);
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, d), id, id2;
	int fd;

	memset(buf, 0, size);
	tfs_attach(t, NULL);
	id = tfs_backing(t, c, size, NULL);
	id2 = tfs_backing(t, c, size, NULL);
	tfs_publish_inode(t, ino, 0);
	for (uint64_t i = 0; i < 10; i++)
		tfs_publish_chunk(
			t, ino, i,
			&(struct extfuse_chunk){.backing_id = id, .offset = i * CHUNK, .valid = ~0ull});
	fd = open(tfs_path(t, "file"), O_RDONLY | O_DIRECT);
	check(fd >= 0);
	check_equal(pread(fd, buf, 2 * CHUNK, CHUNK / 2), 2 * CHUNK);
	check(is_cached(buf, 2 * CHUNK, CHUNK / 2));
	check_equal(pread(fd, buf, 8 * CHUNK, CHUNK), 8 * CHUNK);
	check(is_cached(buf, 8 * CHUNK, CHUNK));
	check_equal(tfs_requests(t, FUSE_READ), 0);
	/* a ninth chunk is one too many */
	check_equal(pread(fd, buf, 8 * CHUNK, CHUNK + 1), 8 * CHUNK);
	check(is_daemons(buf, 8 * CHUNK));
	/* another file, another place */
	tfs_publish_chunk(t, ino, 2,
	                  &(struct extfuse_chunk){.backing_id = id2, .offset = 2 * CHUNK, .valid = ~0ull});
	check_equal(pread(fd, buf, 20, 2 * CHUNK - 10), 20);
	check(is_daemons(buf, 20));
	check_equal(pread(fd, buf, 20, 2 * CHUNK), 20);
	check(is_cached(buf, 20, 2 * CHUNK));
	tfs_publish_chunk(t, ino, 2,
	                  &(struct extfuse_chunk){.backing_id = id, .offset = 5 * CHUNK, .valid = ~0ull});
	check_equal(pread(fd, buf, 20, 2 * CHUNK - 10), 20);
	check(is_daemons(buf, 20));
	check_equal(pread(fd, buf, 20, 2 * CHUNK), 20);
	check(is_cached(buf, 20, 5 * CHUNK));
	close(fd);
	free(d);
	free(c);
	free(buf);
	tfs_stop(t);
}

/* ---- files that share a backing file ---- */

static void packed_files_are_read_at_their_places(void)
{
	static const struct {
		const char *name;
		size_t size;
		uint64_t offset;
	} files[] = {
		{"one", 1, 4096},      {"hundred", 100, 8192},     {"page", 4096, 12288},
		{"more", 4097, 16384}, {"block", BLOCK, 8 * 4096}, {"last", 2600, SIZE - 2600},
		{"odd", 5000, 150001},
	};
	struct tfs *t = tfs_start();
	char *c = cached_bytes(SIZE), buf[BLOCK + 100];
	const size_t count = sizeof(files) / sizeof(*files);
	uint64_t id;

	tfs_attach(t, NULL);
	id = tfs_backing(t, c, SIZE, NULL);
	for (size_t i = 0; i < count; i++) {
		char *d = daemon_bytes(files[i].size);
		uint64_t ino = tfs_add(t, FUSE_ROOT_ID, files[i].name, S_IFREG | 0644, d);

		tfs_publish_name(t, FUSE_ROOT_ID, files[i].name, ino);
		tfs_publish_packed(t, ino, id, files[i].offset);
		free(d);
	}
	for (size_t i = 0; i < count; i++) {
		const size_t size = files[i].size;
		int fd = open(tfs_path(t, files[i].name), O_RDONLY);

		check(fd >= 0);
		memset(buf, '#', sizeof(buf));
		/* never a byte of a neighbour */
		check_equal(pread(fd, buf, sizeof(buf), 0), size);
		check(is_cached(buf, size, files[i].offset));
		check(buf[size] == '#');
		check_equal(pread(fd, buf, 50, (off_t)size - 1), 1);
		check(is_cached(buf, 1, files[i].offset + size - 1));
		check_equal(pread(fd, buf, 50, (off_t)size), 0);
		close(fd);
	}
	check_equal(tfs_requests(t, FUSE_OPEN), 0);
	check_equal(tfs_requests(t, FUSE_READ), 0);
	check_equal(tfs_stat(t, EXTFUSE_OP_READ, EXTFUSE_HIT), 3 * count);
	free(c);
	tfs_stop(t);
}

const struct test read_tests[] = {
	TEST(every_part_of_a_cached_file_is_read_in_the_kernel),
	TEST(read_moves_the_position_until_the_end),
	TEST(vectors_and_direct_reads_are_served),
	TEST(a_buffer_that_is_not_there_yet_is_fetched_and_counted_once),
	TEST(a_buffer_in_a_file_of_the_mount_works),
	TEST(a_bad_buffer_is_efault),
	TEST(a_stale_id_passes),
	TEST(an_id_of_another_device_passes),
	TEST(a_cache_file_that_is_too_short_falls_back_whole),
	TEST(a_shared_writable_mapping_makes_reads_step_aside),
	TEST(blocks_decide_what_is_covered),
	TEST(chunks_are_joined_only_where_they_are_contiguous),
	TEST(packed_files_are_read_at_their_places),
	{},
};
