/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts in flight while what they were based on goes away. */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 1 << 20 };

static atomic_bool stop;
static atomic_ulong served, wrong;

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads the whole file for ever; each byte must be 'd' (the daemon's) or 'c' (the cache file's), all the
 * same. */
static void *reader(void *arg)
{
	char *buf = malloc(SIZE);
	int fd = open(arg, O_RDONLY | O_DIRECT);

	check(fd >= 0 && buf);
	while (!atomic_load(&stop)) {
		check_equal(pread(fd, buf, SIZE, 0), SIZE);
		if ((buf[0] != 'c' && buf[0] != 'd') || memcmp(buf, buf + 1, SIZE - 1))
			atomic_fetch_add(&wrong, 1);
		if (buf[0] == 'c')
			atomic_fetch_add(&served, 1);
	}
	close(fd);
	free(buf);
	return NULL;
}

static struct tfs *mounted(uint64_t *ret_ino)
{
	struct tfs *t = tfs_start();
	char *d = malloc(SIZE + 1);

	memset(d, 'd', SIZE);
	d[SIZE] = '\0';
	*ret_ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, d);
	free(d);
	return t;
}

static void fill(int fd, char byte)
{
	char *buf = malloc(SIZE);

	memset(buf, byte, SIZE);
	check_equal(pwrite(fd, buf, SIZE, 0), SIZE);
	free(buf);
}

/* The order of DESIGN: drop the entry, the barrier, only then touch the cache file. */
static void eviction_behind_the_barrier_is_never_seen(void)
{
	uint64_t ino, id;
	struct tfs *t = mounted(&ino);
	pthread_t threads[3];
	char *path = tfs_path(t, "file");
	long end;
	int fd;
	char *c = malloc(SIZE);

	memset(c, 'c', SIZE);
	tfs_attach(t, NULL);
	id = tfs_backing(t, c, SIZE, &fd);
	free(c);
	for (int i = 0; i < 3; i++)
		check(pthread_create(&threads[i], NULL, reader, path) == 0);
	for (end = now_ms() + 4000; now_ms() < end;) {
		unsigned long before = atomic_load(&served);
		long patience = now_ms() + 2000;

		tfs_publish_inode(t, ino, id);
		while (atomic_load(&served) == before && now_ms() < patience)
			usleep(500);
		check(tfs_take_out(t, t->inode, &ino) == 0);
		check(ioctl(t->device_fd, EXTFUSE_IOC_BARRIER) == 0);
		check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE) == 0);
		fill(fd, 'x');
		fill(fd, 'c');
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	check_equal(atomic_load(&wrong), 0);
	check(atomic_load(&served) > 10);
	close(fd);
	tfs_stop(t);
}

static void *slow_read(void *arg)
{
	char buf[100];
	int fd = open(arg, O_RDONLY | O_DIRECT);

	check(fd >= 0);
	check_equal(pread(fd, buf, sizeof(buf), 0), 100);
	check(buf[0] == 'd');
	close(fd);
	return NULL;
}

/* A read that had to fall back waits for the daemon, which may be in the barrier: that must not wait for the
 * read. */
static void the_barrier_does_not_wait_for_the_daemon(void)
{
	uint64_t ino, id;
	struct tfs *t = mounted(&ino);
	pthread_t thread;
	long start;

	tfs_attach(t, NULL);
	id = tfs_backing(t, "short", 5, NULL);
	tfs_publish_inode(t, ino, id);
	atomic_store(&t->read_delay_ms, 3000);
	check(pthread_create(&thread, NULL, slow_read, tfs_path(t, "file")) == 0);
	while (!tfs_requests(t, FUSE_READ))
		usleep(1000);
	start = now_ms();
	check(ioctl(t->device_fd, EXTFUSE_IOC_BARRIER) == 0);
	check(now_ms() - start < 2500);
	pthread_join(thread, NULL);
	tfs_stop(t);
}

static void attaching_and_detaching_under_load(void)
{
	uint64_t ino;
	struct tfs *t = mounted(&ino);
	pthread_t threads[3];
	struct stat st;
	char *c = malloc(SIZE);

	memset(c, 'c', SIZE);
	for (int i = 0; i < 3; i++)
		check(pthread_create(&threads[i], NULL, reader, tfs_path(t, "file")) == 0);
	for (int i = 0; i < 6; i++) {
		tfs_attach(t, NULL);
		tfs_publish_name(t, FUSE_ROOT_ID, "file", ino);
		tfs_publish_inode(t, ino, tfs_backing(t, c, SIZE, NULL));
		for (int n = 0; n < 50; n++)
			check(stat(tfs_path(t, "file"), &st) == 0 && st.st_size == SIZE);
		usleep(50000);
		tfs_detach(t);
		check(stat(tfs_path(t, "file"), &st) == 0 && st.st_size == SIZE);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	check_equal(atomic_load(&wrong), 0);
	check(atomic_load(&served) > 0);
	free(c);
	tfs_stop(t);
}

/* load SECONDS: keep a mount busy, which nobody attached to, while the module comes and goes. */
int load_mount(int argc, char **argv)
{
	int seconds = argc > 2 ? atoi(argv[2]) : 5;
	pthread_t threads[3];
	struct stat st;
	uint64_t ino;
	struct tfs *t = mounted(&ino);

	for (int i = 0; i < 3; i++)
		check(pthread_create(&threads[i], NULL, reader, tfs_path(t, "file")) == 0);
	for (long end = now_ms() + seconds * 1000L; now_ms() < end;)
		check(stat(tfs_path(t, "file"), &st) == 0 && st.st_size == SIZE);
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	check_equal(atomic_load(&wrong), 0);
	tfs_stop(t);
	return 0;
}

const struct test race_tests[] = {
	TEST(eviction_behind_the_barrier_is_never_seen),
	TEST(the_barrier_does_not_wait_for_the_daemon),
	TEST(attaching_and_detaching_under_load),
	{},
};
