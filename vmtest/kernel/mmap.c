/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings of cached files, and splicing out of them. */
#include "vmtest/kernel/cached.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 40 * PAGE + 123 };

static struct fixture setup(int flags)
{
	return fixture_cached(SIZE, flags);
}

static char *map(int fd, int prot, int flags)
{
	char *p = mmap(NULL, SIZE, prot, flags, fd, 0);

	check(p != MAP_FAILED);
	return p;
}

static int is_mapped(struct fixture *f)
{
	return ioctl(f->t->device_fd, EXTFUSE_IOC_MAPPED, &f->cache_fd);
}

static void a_cached_file_is_mapped_without_its_daemon(void)
{
	struct fixture f = setup(O_RDONLY);
	char *shared = map(f.fd, PROT_READ, MAP_SHARED), *private = map(f.fd, PROT_READ, MAP_PRIVATE);
	char *code = map(f.fd, PROT_READ | PROT_EXEC, MAP_PRIVATE), *part, byte;

	check(is_cached(shared, SIZE, 0) && is_cached(private, SIZE, 0) && is_cached(code, SIZE, 0));
	part = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_POPULATE, f.fd, 3 * PAGE);
	check(part != MAP_FAILED && is_cached(part, 2 * PAGE, 3 * PAGE));
	for (size_t i = SIZE; i < 41 * PAGE; i++)
		check(!shared[i]); /* behind the end */
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_MMAP, EXTFUSE_HIT), 4);
	/* what goes into the cache file later is seen, as a write of the daemon is */
	check(pwrite(f.cache_fd, "!", 1, 5 * PAGE) == 1);
	check(shared[5 * PAGE] == '!' && private[5 * PAGE] == '!');
	/* a copy is a copy, and the cache file cannot be written to however one asks */
	check(mprotect(private, SIZE, PROT_READ | PROT_WRITE) == 0);
	private[7] = '?';
	check(shared[7] == pattern(7));
	check(pread(f.cache_fd, &byte, 1, 7) == 1 && byte == pattern(7));
	check_errno(mprotect(shared, SIZE, PROT_READ | PROT_WRITE), EACCES);
	munmap(shared, SIZE);
	munmap(private, SIZE);
	munmap(code, SIZE);
	munmap(part, 2 * PAGE);
	private = map(f.fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(private, 'p', SIZE);
	check(pread(f.cache_fd, &byte, 1, 7) == 1 && byte == pattern(7));
	munmap(private, SIZE);
	teardown(&f);
}

static void what_may_be_written_to_is_not_mapped_from_the_cache(void)
{
	struct fixture f = setup(O_RDWR);
	int reader = open(f.path, O_RDONLY);
	char *p = map(f.fd, PROT_READ, MAP_SHARED), *q;

	check(reader >= 0);
	/* open for writing, it could be made writable later */
	check(is_daemons(p, SIZE));
	check_equal(tfs_stat(f.t, EXTFUSE_OP_MMAP, EXTFUSE_ASIDE), 1);
	check(mprotect(p, SIZE, PROT_READ | PROT_WRITE) == 0);
	p[10] = 'W';
	/* and while it is there, so are others */
	q = map(reader, PROT_READ, MAP_SHARED);
	check(q[10] == 'W' && q[11] == 'd');
	check_equal(tfs_stat(f.t, EXTFUSE_OP_MMAP, EXTFUSE_ASIDE), 2);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_MMAP, EXTFUSE_HIT), 0);
	check_equal(is_mapped(&f), 0);
	munmap(p, SIZE);
	munmap(q, SIZE);
	/* a private one of the same descriptor cannot reach the file */
	fsync(f.fd);
	tfs_publish_inode(f.t, f.ino, f.id);
	p = map(f.fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_MMAP, EXTFUSE_HIT), 1);
	check(is_cached(p, SIZE, 0));
	munmap(p, SIZE);
	close(reader);
	teardown(&f);
}

static void what_is_not_wholly_in_a_file_of_its_own_is_the_daemons(void)
{
	struct fixture f = setup(O_RDONLY);
	uint64_t ino = f.ino;
	char *p;

	tfs_publish_inode(f.t, ino, 0);
	p = map(f.fd, PROT_READ, MAP_SHARED);
	check(is_daemons(p, SIZE));
	munmap(p, SIZE);
	tfs_publish_packed(f.t, ino, f.id, PAGE);
	p = map(f.fd, PROT_READ, MAP_SHARED);
	check(is_daemons(p, SIZE));
	munmap(p, SIZE);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_MMAP, EXTFUSE_UNCOVERED), 2);
	check(tfs_take_out(f.t, f.t->inode, &ino) == 0);
	p = map(f.fd, PROT_READ, MAP_SHARED);
	check(is_daemons(p, SIZE));
	munmap(p, SIZE);
	check_equal(tfs_stat(f.t, EXTFUSE_OP_MMAP, EXTFUSE_MISS), 1);
	/* a stale id; a cache file of another length */
	tfs_publish_inode(f.t, ino, f.id + 1000);
	p = map(f.fd, PROT_READ, MAP_SHARED);
	check(is_daemons(p, SIZE));
	munmap(p, SIZE);
	tfs_publish_inode(f.t, ino, f.id);
	check(ftruncate(f.cache_fd, SIZE - 1) == 0);
	p = map(f.fd, PROT_READ, MAP_SHARED);
	check(is_daemons(p, SIZE));
	munmap(p, SIZE);
	check_equal(is_mapped(&f), 0);
	teardown(&f);
}

static bool maps_say(const char *path)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[1024];
	bool found = false;

	check(maps);
	while (fgets(line, sizeof(line), maps))
		found |= strstr(line, path) != NULL;
	fclose(maps);
	return found;
}

static void a_mapping_is_one_of_the_mount_and_outlives_the_cache_entry(void)
{
	struct fixture f = setup(O_RDONLY);
	uint64_t ino = f.ino;
	char *p;

	check_equal(is_mapped(&f), 0);
	p = map(f.fd, PROT_READ, MAP_SHARED);
	close(f.fd);
	check_equal(is_mapped(&f), 1);
	check(maps_say(f.path));
	check_errno(umount2(f.t->dir, 0), EBUSY);
	/* the entry is dropped, its file given back, and somebody else's from then on */
	check(tfs_take_out(f.t, f.t->inode, &ino) == 0);
	check(ioctl(f.t->device_fd, EXTFUSE_IOC_BACKING_DEL, &f.id) == 0);
	check(ioctl(f.t->device_fd, EXTFUSE_IOC_BARRIER) == 0);
	check_equal(is_mapped(&f), 1);
	check(madvise(p, SIZE, MADV_DONTNEED) == 0);
	check(is_cached(p, SIZE, 0));
	munmap(p, SIZE);
	check_equal(is_mapped(&f), 0);
	f.fd = open(f.path, O_RDONLY);
	teardown(&f);
}

struct mapper {
	const char *path;
	atomic_bool stop;
	atomic_ulong hits, zeros;
};

static void *map_and_look(void *arg)
{
	struct mapper *m = arg;
	int fd = open(m->path, O_RDONLY);

	check(fd >= 0);
	while (!atomic_load(&m->stop)) {
		volatile char *p = map(fd, PROT_READ, MAP_SHARED);

		for (int i = 0; i < 8; i++) {
			size_t at = (size_t)i * 5 * PAGE;
			char c = p[at];

			if (!c)
				atomic_fetch_add(&m->zeros, 1);
			else if (c == pattern(at))
				atomic_fetch_add(&m->hits, 1);
		}
		munmap((char *)p, SIZE);
	}
	close(fd);
	return NULL;
}

/* What an eviction does, over and over, against somebody who maps: no hole is ever seen. */
static void nothing_is_punched_below_a_mapping(void)
{
	struct fixture f = setup(O_RDONLY);
	struct mapper m = {.path = f.path};
	unsigned long punched = 0, mapped = 0;
	uint64_t ino = f.ino;
	pthread_t threads[2];
	char *c = malloc(SIZE);

	check_equal(pread(f.cache_fd, c, SIZE, 0), SIZE);
	for (int i = 0; i < 2; i++)
		check(pthread_create(&threads[i], NULL, map_and_look, &m) == 0);
	for (int i = 0; i < 100000 && (punched < 300 || mapped < 300 || m.hits < 10000); i++) {
		tfs_publish_inode(f.t, ino, f.id);
		usleep(i % 3 * 50);
		tfs_take_out(f.t, f.t->inode, &ino);
		check(ioctl(f.t->device_fd, EXTFUSE_IOC_BARRIER) == 0);
		if (is_mapped(&f)) {
			mapped++;
			continue;
		}
		check(fallocate(f.cache_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE) == 0);
		check_equal(pwrite(f.cache_fd, c, SIZE, 0), SIZE);
		punched++;
	}
	atomic_store(&m.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	check_equal(m.zeros, 0);
	check(punched >= 300 && mapped >= 300 && m.hits >= 10000);
	free(c);
	teardown(&f);
}

/* ---- splice ---- */

static void receive(int from, char *to)
{
	size_t n = 0;

	while (n < SIZE) {
		ssize_t r = read(from, to + n, SIZE - n);

		check(r > 0);
		n += (size_t)r;
	}
}

static void send_all(int fd, char *to)
{
	int out[2];
	off_t at = 0;
	pid_t pid;
	int status;

	check(pipe(out) == 0);
	pid = fork();
	check(pid >= 0);
	if (!pid) {
		while (at < SIZE)
			if (sendfile(out[1], fd, &at, SIZE) <= 0)
				_exit(1);
		_exit(0);
	}
	receive(out[0], to);
	check(waitpid(pid, &status, 0) == pid && status == 0 && at == 0);
	close(out[0]);
	close(out[1]);
}

static void sendfile_of_a_cached_file_asks_nobody(void)
{
	struct fixture f = setup(O_RDONLY);
	char *got = calloc(1, SIZE);
	int ends[2];
	off_t at = 1000;

	send_all(f.fd, got);
	check(is_cached(got, SIZE, 0));
	check(pipe(ends) == 0);
	check_equal(splice(f.fd, &at, ends[1], NULL, 3 * PAGE, 0), 3 * PAGE);
	check_equal(at, 1000 + 3 * PAGE);
	check_equal(read(ends[0], got, SIZE), 3 * PAGE);
	check(is_cached(got, 3 * PAGE, 1000));
	at = SIZE - 5;
	check_equal(splice(f.fd, &at, ends[1], NULL, PAGE, 0), 5);
	check_equal(splice(f.fd, &at, ends[1], NULL, PAGE, 0), 0); /* the end */
	check_equal(read(ends[0], got, SIZE), 5);
	check(is_cached(got, 5, SIZE - 5));
	check_equal(tfs_requests(f.t, FUSE_READ), 0);
	check(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT) > 0);
	/* what is in a pipe stays what it was */
	at = 0;
	check_equal(splice(f.fd, &at, ends[1], NULL, PAGE, 0), PAGE);
	check(fallocate(f.cache_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE) == 0);
	check_equal(read(ends[0], got, SIZE), PAGE);
	check(is_cached(got, PAGE, 0));
	close(ends[0]);
	close(ends[1]);
	free(got);
	teardown(&f);
}

static void sendfile_of_any_other_is_the_daemons(void)
{
	struct fixture f = setup(O_RDWR);
	char *got = calloc(1, SIZE), *p = map(f.fd, PROT_READ | PROT_WRITE, MAP_SHARED);

	p[10] = 'W';
	send_all(f.fd, got);
	check(got[10] == 'W');
	got[10] = 'd';
	check(is_daemons(got, SIZE));
	munmap(p, SIZE);
	fsync(f.fd);
	tfs_publish_inode(f.t, f.ino, 0); /* of which nothing is cached */
	send_all(f.fd, got);
	check(got[10] == 'W');
	got[10] = 'd';
	check(is_daemons(got, SIZE));
	check_equal(tfs_stat(f.t, EXTFUSE_OP_READ, EXTFUSE_HIT), 0);
	free(got);
	teardown(&f);
}

/* ---- the last one: it unloads the module ---- */

static void a_mapping_outlives_the_module(void)
{
	struct fixture f = setup(O_RDONLY);
	char *p = map(f.fd, PROT_READ, MAP_SHARED);
	int tries = 0;

	tfs_detach(f.t);
	while (system("rmmod extfuse 2>/dev/null") && tries++ < 50)
		usleep(200000);
	check(access("/sys/module/extfuse", F_OK) < 0);
	check(madvise(p, SIZE, MADV_DONTNEED) == 0);
	check(is_cached(p, SIZE, 0));
	check_errno(umount2(f.t->dir, 0), EBUSY);
	if (!fork()) /* which copies the mapping */
		_exit(is_cached(p, SIZE, 0) ? 0 : 1);
	check(wait(&tries) > 0 && tries == 0);
	check(munmap(p, SIZE) == 0);
	teardown(&f);
}

const struct test mmap_tests[] = {
	TEST(a_cached_file_is_mapped_without_its_daemon),
	TEST(what_may_be_written_to_is_not_mapped_from_the_cache),
	TEST(what_is_not_wholly_in_a_file_of_its_own_is_the_daemons),
	TEST(a_mapping_is_one_of_the_mount_and_outlives_the_cache_entry),
	TEST(nothing_is_punched_below_a_mapping),
	TEST(sendfile_of_a_cached_file_asks_nobody),
	TEST(sendfile_of_any_other_is_the_daemons),
	TEST(a_mapping_outlives_the_module),
	{},
};
