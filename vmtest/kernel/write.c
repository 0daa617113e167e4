/* SPDX-License-Identifier: Apache-2.0 */
/* Writes to a file that is lent: into the cache file, noted by pages, until it is taken back. */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096ull
#define CHUNK EXTFUSE_CHUNK_SIZE
#define NONE UINT64_MAX

struct fixture {
	struct tfs *t;
	uint64_t ino, id;
	int cache_fd, fd;
};

static const struct extfuse_written fresh = {.max_bytes = 64 << 20, .first_chunk = NONE};

static void put_written(struct fixture *f, const struct extfuse_written *value)
{
	struct extfuse_written own = *value;

	own.ino = f->ino;
	check(bpf_map_update_elem(f->t->written, &f->ino, &own, BPF_ANY) == 0);
}

static struct extfuse_written written(struct fixture *f)
{
	struct extfuse_written w;

	check(bpf_map_lookup_elem(f->t->written, &f->ino, &w) == 0);
	return w;
}

static void put_dirty(struct fixture *f, uint64_t chunk)
{
	const struct extfuse_chunk_key key = {.ino = f->ino, .chunk = chunk};
	const struct extfuse_dirty none = {};

	check(bpf_map_update_elem(f->t->dirty, &key, &none, BPF_ANY) == 0);
}

/* How many pages of the chunk were written; -1: it has no entry. */
static int dirty_pages(struct fixture *f, uint64_t chunk, int first, int last)
{
	const struct extfuse_chunk_key key = {.ino = f->ino, .chunk = chunk};
	struct extfuse_dirty d;
	int n = 0;

	if (bpf_map_lookup_elem(f->t->dirty, &key, &d) < 0)
		return -1;
	for (int i = 0; i < EXTFUSE_PAGES_PER_CHUNK; i++) {
		bool set = d.pages[i / 64] >> i % 64 & 1;

		n += set;
		check(!set || (i >= first && i <= last));
	}
	return n;
}

/* A file of "hello", open for writing, and not lent. */
static struct fixture setup(int flags)
{
	struct fixture f = {.t = tfs_start()};

	f.ino = tfs_add(f.t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	tfs_attach(f.t, NULL);
	f.id = tfs_backing(f.t, "hello", 5, &f.cache_fd);
	f.fd = open(tfs_path(f.t, "file"), flags);
	check(f.fd >= 0);
	return f;
}

static void lend(struct fixture *f, uint64_t id)
{
	tfs_publish_name(f->t, FUSE_ROOT_ID, "file", f->ino);
	tfs_publish_lent(f->t, f->ino, id);
}

/* Lent, with 5 bytes and its first chunk. */
static struct fixture setup_lent(int flags)
{
	struct fixture f = setup(flags);
	struct extfuse_written w = fresh;

	w.size = 5;
	w.fresh_chunk = 1;
	put_written(&f, &w);
	put_dirty(&f, 0);
	lend(&f, f.id);
	return f;
}

static void teardown(struct fixture *f)
{
	close(f->fd);
	close(f->cache_fd);
	tfs_stop(f->t);
}

static void check_cache(struct fixture *f, off_t at, const char *text)
{
	char buf[64];

	check_equal(pread(f->cache_fd, buf, strlen(text), at), strlen(text));
	check(!memcmp(buf, text, strlen(text)));
}

static void what_is_lent_is_written_in_the_kernel_and_seen_by_every_call(void)
{
	struct fixture f = setup_lent(O_RDWR);
	struct stat st, by_name;
	char buf[16];

	check_equal(pwrite(f.fd, "J", 1, 0), 1);
	check_equal(pwrite(f.fd, " there", 6, 5), 6);
	check_cache(&f, 0, "Jello there");
	check_equal(written(&f).size, 11);
	check_equal(written(&f).bytes, 7);
	check_equal(dirty_pages(&f, 0, 0, 0), 1);
	check(fstat(f.fd, &st) == 0);
	check_equal(st.st_size, 11);
	check_equal(st.st_blocks, 8);
	check_equal(st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec, written(&f).time_ns);
	check(stat(tfs_path(f.t, "file"), &by_name) == 0);
	check_equal(by_name.st_size, 11);
	check_equal(by_name.st_mtim.tv_nsec, st.st_mtim.tv_nsec);
	check_equal(by_name.st_ctim.tv_nsec, st.st_mtim.tv_nsec);
	check_equal(lseek(f.fd, 0, SEEK_END), 11);
	check_equal(pread(f.fd, buf, sizeof(buf), 0), 11);
	check(!memcmp(buf, "Jello there", 11));
	check_equal(tfs_requests(f.t, FUSE_WRITE), 0);
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_WRITE, EXTFUSE_HIT), 2);
	teardown(&f);
}

static void each_page_that_is_written_is_noted_and_no_other(void)
{
	struct fixture f = setup_lent(O_RDWR);
	char *big = malloc(6 * CHUNK);

	memset(big, 'x', 6 * CHUNK);
	check_equal(pwrite(f.fd, "ab", 2, 5 * PAGE - 1), 2);
	check_equal(dirty_pages(&f, 0, 4, 5), 2);
	check_equal(pwrite(f.fd, big, 100 * PAGE, 70 * PAGE), 100 * PAGE);
	check_equal(dirty_pages(&f, 0, 4, 169), 102);
	/* over the border of two chunks, the second of them made by the kernel */
	check_equal(pwrite(f.fd, "abcd", 4, CHUNK - 2), 4);
	check_equal(dirty_pages(&f, 0, 4, 1023), 103);
	check_equal(dirty_pages(&f, 1, 0, 0), 1);
	check_equal(pwrite(f.fd, big, 5 * CHUNK, CHUNK), 5 * CHUNK);
	for (int i = 1; i < 6; i++)
		check_equal(dirty_pages(&f, i, 0, 1023), 1024);
	check_equal(dirty_pages(&f, 6, 0, 0), -1);
	check_equal(written(&f).first_chunk, 0);
	check_equal(written(&f).last_chunk, 5);
	check_equal(written(&f).size, 6 * CHUNK);
	check_equal(tfs_requests(f.t, FUSE_WRITE), 0);
	free(big);
	teardown(&f);
}

static void check_read(struct fixture *f, off_t at, const char *text, size_t n)
{
	char buf[64];

	check_equal(pread(f->fd, buf, n, at), n);
	check(!memcmp(buf, text, n));
}

/* A file that is not cached as a whole: what of it is lent is read there, too, and nothing else is. */
static void of_a_part_that_is_lent_no_more_is_read(void)
{
	struct fixture f = setup_lent(O_RDWR);
	char buf[16];

	tfs_publish_lent_in_part(f.t, f.ino, f.id);
	check_equal(pwrite(f.fd, "J", 1, 0), 1);
	check_read(&f, 0, "Jello", 5);
	check_equal(pwrite(f.fd, "abc", 3, 2 * CHUNK + 1), 3); /* behind a chunk that has no entry */
	check_read(&f, 2 * CHUNK, "\0abc", 4);
	check_read(&f, CHUNK - 2, "\0", 2);
	check_equal(dirty_pages(&f, 1, 0, -1), -1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), 0);
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_UNCOVERED), 0);
	tfs_publish_lent(f.t, f.ino, f.id); /* wholly cached after all */
	check_read(&f, 2 * CHUNK - 2, "\0\0\0a", 4);
	check_read(&f, CHUNK + 2, "\0", 2);
	tfs_publish_lent_in_part(f.t, f.ino, f.id);
	check(pread(f.fd, buf, 4, 2 * CHUNK - 2) >= 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_UNCOVERED), 1);
	check(tfs_requests(f.t, FUSE_READ) > 0);
	teardown(&f);
}

static void appending_goes_to_the_end_whatever_the_offset(void)
{
	struct fixture f = setup_lent(O_WRONLY | O_APPEND);

	for (int i = 0; i < 100; i++)
		check_equal(pwrite(f.fd, "0123456789", 10, 3), 10);
	check_equal(written(&f).size, 1005);
	check_cache(&f, 995, "0123456789");
	check_equal(tfs_requests(f.t, FUSE_WRITE), 0);
	teardown(&f);
}

/* Everything that is not as it must be goes to the daemon, and changes nothing in the cache file. */
static void what_is_not_lent_so_far_passes(void)
{
	struct fixture f = setup(O_RDWR);
	struct extfuse_written w = fresh;
	struct iovec iov = {.iov_base = "d", .iov_len = 1};
	unsigned long n = 0;
	uint64_t read_only;
	int fd;

	check_equal(pwrite(f.fd, "d", 1, 0), 1); /* not published at all */
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	tfs_publish_inode(f.t, f.ino, f.id); /* cached, not lent */
	check_equal(pwrite(f.fd, "d", 1, 0), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	lend(&f, f.id); /* lent, without a place to note it */
	check_equal(pwrite(f.fd, "d", 1, 0), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	w.size = 5;
	w.fresh_chunk = 1;
	put_written(&f, &w);
	lend(&f, f.id); /* a chunk that has no entry */
	check_equal(pwrite(f.fd, "d", 1, 0), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	put_dirty(&f, 0);
	lend(&f, f.id); /* too far behind the end */
	check_equal(pwrite(f.fd, "d", 1, (1 + EXTFUSE_FRESH_CHUNKS) * CHUNK), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	check(ftruncate(f.fd, 5) == 0);
	w.max_bytes = 10;
	put_written(&f, &w);
	lend(&f, f.id); /* more than there is room for */
	check_equal(pwrite(f.fd, "dddddddddddd", 11, 0), 11);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	check(ftruncate(f.fd, 5) == 0);
	w.max_bytes = 1000;
	w.size = 4;
	put_written(&f, &w);
	lend(&f, f.id); /* another size than the VFS has */
	check_equal(pwrite(f.fd, "d", 1, 0), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	w.size = 5;
	put_written(&f, &w);
	check_equal(dirty_pages(&f, 0, 0, -1), 0);
	lend(&f, f.id + 1000); /* an id that is none: noted as if it was written */
	check_equal(pwrite(f.fd, "d", 1, 0), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	read_only = tfs_backing_of(f.t, open("/proc/self/exe", O_RDONLY));
	lend(&f, read_only); /* a cache file that was not opened for it */
	check_equal(pwrite(f.fd, "d", 1, 0), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	lend(&f, f.id); /* to be durable at once */
	check_equal(pwritev2(f.fd, &iov, 1, 0, RWF_DSYNC), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	lend(&f, f.id);
	fd = open(tfs_path(f.t, "file"), O_WRONLY | O_SYNC);
	check_equal(pwrite(fd, "d", 1, 0), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), ++n);
	close(fd);
	check_equal(dirty_pages(&f, 0, 0, 0), 1);
	check_equal(written(&f).time_ns, 0);
	check_cache(&f, 0, "hello");
	teardown(&f);
}

/* Each write(2) takes capabilities away, and to look for them is a request. */
static void capabilities_are_looked_for_where_there_may_be_some(void)
{
	struct fixture f = setup_lent(O_RDWR);

	check_equal(pwrite(f.fd, "1", 1, 0), 1); /* nothing is said of its attributes */
	check_equal(tfs_requests(f.t, FUSE_GETXATTR), 1);
	tfs_publish_lent_bare(f.t, f.ino, f.id);
	check_equal(pwrite(f.fd, "23", 2, 1), 2);
	check_equal(pwrite(f.fd, "3", 1, 3), 1);
	check_equal(tfs_requests(f.t, FUSE_GETXATTR), 1);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_GETXATTR, EXTFUSE_NEGATIVE), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_WRITE, EXTFUSE_HIT), 3);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_WRITE, EXTFUSE_MISS), 0);
	check_equal(tfs_requests(f.t, FUSE_WRITE), 0);
	check_cache(&f, 0, "1233o");
	teardown(&f);
}

static void a_request_that_changes_the_inode_ends_it(void)
{
	struct fixture f = setup_lent(O_RDWR);

	check_equal(pwrite(f.fd, "1", 1, 0), 1);
	check(fchmod(f.fd, 0600) == 0);
	check(!tfs_has_inode(f.t, f.ino));
	check_equal(pwrite(f.fd, "2", 1, 1), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), 1);
	check_cache(&f, 0, "1ello");
	/* what was written before is still there to be asked */
	check_equal(dirty_pages(&f, 0, 0, 0), 1);
	check(written(&f).time_ns > 0);
	teardown(&f);
}

/* The caller's buffer need not be in memory, nor be there to its end. */
static void a_buffer_is_fetched_and_ends_where_it_ends(void)
{
	struct fixture f = setup_lent(O_RDWR);
	char *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[] = "/var/tmp/bufferXXXXXX", back[8];
	int fd = mkstemp(path);

	check(p != MAP_FAILED && fd >= 0);
	unlink(path);
	memset(p, 'q', 64 * PAGE);
	check_equal(write(fd, p, 64 * PAGE), 64 * PAGE);
	check(mmap(p, 64 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == p); /* no page is mapped yet */
	check_equal(pwrite(f.fd, p, 64 * PAGE, 100), 64 * PAGE);
	check_equal(pread(f.cache_fd, back, 8, 100 + 63 * PAGE), 8);
	check(!memcmp(back, "qqqqqqqq", 8));
	check_equal(tfs_requests(f.t, FUSE_WRITE), 0);
	check(munmap(p + 4 * PAGE, 60 * PAGE) == 0);
	check_equal(pwrite(f.fd, p, 10 * PAGE, 0), 4 * PAGE);
	check_errno(pwrite(f.fd, p + 4 * PAGE, PAGE, 0), EFAULT);
	close(fd);
	teardown(&f);
}

/* Dirty pages of a shared mapping are fs/fuse's: it writes them, and this steps aside. */
static void a_file_with_a_writable_mapping_is_written_by_the_daemon(void)
{
	struct fixture f = setup_lent(O_RDWR);
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);

	check(p != MAP_FAILED);
	check_equal(pwrite(f.fd, "d", 1, 0), 1);
	check_equal(tfs_requests(f.t, FUSE_WRITE), 1);
	check_cache(&f, 0, "hello");
	munmap(p, PAGE);
	teardown(&f);
}

struct race {
	struct fixture f;
	atomic_bool stop;
	atomic_ulong done;
};

static void *write_on(void *arg)
{
	struct race *r = arg;
	uint64_t stamp = 0;

	while (!r->stop) {
		stamp++;
		if (pwrite(r->f.fd, &stamp, sizeof(stamp), 0) == sizeof(stamp))
			r->done++;
	}
	return NULL;
}

/* Who has dropped the inode entry and then waited for the writes under way has the file to himself; and every
 * byte that was written till then is noted. Every other time the module may repeat what the program said. */
static void what_is_taken_back_changes_no_more(void)
{
	struct race r = {.f = setup_lent(O_RDWR)};
	unsigned long hits = 0;
	pthread_t thread;

	check(pthread_create(&thread, NULL, write_on, &r) == 0);
	for (int i = 0; i < 300; i++) {
		struct extfuse_written w = fresh;
		uint64_t a, b;

		for (int j = 0; j < 100 && !written(&r.f).time_ns; j++)
			usleep(200);
		check(tfs_take_out(r.f.t, r.f.t->inode, &r.f.ino) == 0 || errno == ENOENT);
		check(ioctl(r.f.t->device_fd, EXTFUSE_IOC_SETTLE) == 0);
		check_equal(pread(r.f.cache_fd, &a, sizeof(a), 0), sizeof(a));
		hits += written(&r.f).time_ns != 0;
		check_equal(dirty_pages(&r.f, 0, 0, 0), written(&r.f).time_ns != 0);
		usleep(i % 3 * 300);
		check_equal(pread(r.f.cache_fd, &b, sizeof(b), 0), sizeof(b));
		check_equal(a, b);
		w.size = 8;
		w.fresh_chunk = 1;
		put_dirty(&r.f, 0);
		put_written(&r.f, &w);
		if (i % 2)
			tfs_publish_lent(r.f.t, r.f.ino, r.f.id);
		else
			tfs_publish_lent_bare(r.f.t, r.f.ino, r.f.id);
	}
	r.stop = true;
	pthread_join(thread, NULL);
	printf("     taken back %lu times from a writer\n", hits);
	check(hits > 10);
	teardown(&r.f);
}

const struct test write_tests[] = {
	TEST(what_is_lent_is_written_in_the_kernel_and_seen_by_every_call),
	TEST(each_page_that_is_written_is_noted_and_no_other),
	TEST(of_a_part_that_is_lent_no_more_is_read),
	TEST(appending_goes_to_the_end_whatever_the_offset),
	TEST(what_is_not_lent_so_far_passes),
	TEST(capabilities_are_looked_for_where_there_may_be_some),
	TEST(a_request_that_changes_the_inode_ends_it),
	TEST(a_buffer_is_fetched_and_ends_where_it_ends),
	TEST(a_file_with_a_writable_mapping_is_written_by_the_daemon),
	TEST(what_is_taken_back_changes_no_more),
	{NULL, NULL},
};
