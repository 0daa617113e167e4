/* SPDX-License-Identifier: Apache-2.0 */
/* Readers while it changes, and while two files have one place. */
#include "vmtest/kernel/recall.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- while it changes ---- */

enum { FILES = 16, READERS = 3 };

static struct race {
	struct fixture f;
	struct extfuse_inode now;
	pthread_t readers[READERS];
	uint64_t end_ns;
	atomic_ulong begun, done; /* publications */
	atomic_ulong reads, stats, wrong;
	atomic_ulong passed; /* of reads, to the daemon: the entry was replaced twice while it was copied */
	atomic_bool stop;
} race;

static bool is_in(unsigned long n, unsigned long from, unsigned long to)
{
	for (unsigned long i = from; i <= to && i < from + FILES; i++) {
		if (i % FILES == n)
			return true;
	}
	return false;
}

static size_t size_of(unsigned long n)
{
	return 1000 + n % FILES * 16;
}

/* To the size that the inode had last, maybe of what was in the maps. */
static bool are_daemons(const char *buf, ssize_t n)
{
	static const char whole[4096] = DAEMONS;

	return n >= (ssize_t)strlen(DAEMONS) && !memcmp(buf, whole, (size_t)n);
}

/* They are of one file, which was published between @from and @to, or the daemon's. */
static void check_bytes(const char *buf, ssize_t n, unsigned long from, unsigned long to)
{
	unsigned long file = (unsigned long)(buf[0] - 'a');

	if (are_daemons(buf, n))
		race.passed++;
	else if (n <= 0 || file >= FILES || (size_t)n != size_of(file) ||
	         memcmp(buf, buf + 1, (size_t)n - 1) != 0 || !is_in(file, from, to))
		race.wrong++;
}

static void *read_on(void *arg)
{
	char buf[4096] = {}; /* and there: nothing has to be asked about again */

	while (!race.stop) {
		unsigned long from = race.done;
		ssize_t n = pread(race.f.fd, buf, sizeof(buf), 0);

		check_bytes(buf, n, from, race.begun);
		race.reads++;
	}
	return NULL;
}

static off_t size_now(void)
{
	struct stat st;

	check(stat(race.f.path, &st) == 0);
	return st.st_size;
}

/* Of a file published since @from, or the daemon's? */
static bool is_size(off_t size, unsigned long from)
{
	return size == (off_t)strlen(DAEMONS) || is_in((unsigned long)(size - 1000) / 16, from, race.begun);
}

/* By the kernel's count, which stands still while the CPU that counts is kept from it. */
static void let_ticks_pass(void)
{
	struct timespec t;
	int64_t until_ms;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	until_ms = t.tv_sec * 1000 + t.tv_nsec / 1000000 + 20;
	do {
		usleep(5000);
		clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	} while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < until_ms);
}

/*
 * An answer from before may reach the inode after that, and stays for the tick that attributes hold: so a
 * size that is too old is asked for once more, later.
 */
static void *stat_on(void *arg)
{
	while (!race.stop) {
		unsigned long from = race.done;

		if (!is_size(size_now(), from)) {
			let_ticks_pass();
			if (!is_size(size_now(), from))
				race.wrong++;
		}
		race.stats++;
	}
	return NULL;
}

/* File @n is of its own letter. */
static uint64_t make_file(unsigned long n, int *ret_fd)
{
	char buf[4096];

	memset(buf, 'a' + (int)(n % FILES), sizeof(buf));
	return tfs_backing(race.f.t, buf, size_of(n), ret_fd);
}

/* Publication @n. */
static void publish_next(unsigned long n, uint64_t id)
{
	race.now.backing_id = id;
	race.now.attr.size = size_of(n);
	race.begun = n;
	put_inode(race.f.t, &race.now);
	race.done = n;
}

/* The readers begin, every other one with @other. */
static void race_begin(void *(*other)(void *))
{
	race.f = setup();
	race.now = inode_of(race.f.t, race.f.ino);
	publish_next(0, make_file(0, NULL));
	for (int i = 0; i < READERS; i++)
		check(pthread_create(&race.readers[i], NULL, i % 2 ? other : read_on, NULL) == 0);
	race.end_ns = now_ns() + 3000000000;
}

static void race_end(void)
{
	race.stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(race.readers[i], NULL);
	printf("     %lu publications, %lu reads, %lu of the daemon, %lu stats\n", race.done, race.reads,
	       race.passed, race.stats);
	check_equal(race.wrong, 0);
	check_equal(race.passed, tfs_stat(race.f.t, EXTFUSE_OP_READ, EXTFUSE_STALE));
	check(race.reads > 1000);
	teardown(&race.f);
}

/* Which begins after it: no need for a barrier. */
static void what_is_published_is_what_the_next_read_sees(void)
{
	uint64_t ids[FILES];

	race_begin(read_on);
	for (unsigned long i = 0; i < FILES; i++)
		ids[i] = make_file(i, NULL);
	for (unsigned long n = 1; now_ns() < race.end_ns; n++) {
		publish_next(n, ids[n % FILES]);
		for (volatile int i = 0; i < (int)(n % 64) * 100; i++)
			; /* so long that it is remembered, or not */
	}
	race_end();
}

/* What was published before is overwritten then, as after an eviction. */
static void nobody_sees_the_old_file_behind_the_barrier(void)
{
	int fd, old = -1;

	race_begin(stat_on);
	for (unsigned long n = 1; now_ns() < race.end_ns; n++) {
		publish_next(n, make_file(n, &fd));
		check(ioctl(race.f.t->device_fd, EXTFUSE_IOC_BARRIER) == 0);
		if (old >= 0) {
			check(pwrite(old, "overwritten", 11, 0) == 11);
			close(old);
		}
		old = fd;
		usleep(2000 * (n % 3));
	}
	close(old);
	race_end();
	check(race.stats > 1000);
}

/* ---- two files of one place ---- */

/* As the module has it: the same place for every so many counters. */
enum { PLACES = 1 << 14 };

/* Another node id, with the same place for what is remembered of it; one that only the maps know. */
static uint64_t same_place(uint64_t as)
{
	uint64_t ino = TFS_NODES;

	while (extfuse_epoch_slot(ino) % PLACES != extfuse_epoch_slot(as) % PLACES)
		ino++;
	return ino;
}

/* It is "another", and of the same place as the file. */
static int open_another(struct fixture *f)
{
	struct extfuse_inode v = inode_of(f->t, f->ino);

	v.attr.ino = same_place(f->ino);
	v.attr.size = strlen("another");
	v.backing_id = tfs_backing(f->t, "another", strlen("another"), NULL);
	put_inode(f->t, &v);
	tfs_publish_name(f->t, FUSE_ROOT_ID, "another", v.attr.ino);
	return open_direct(tfs_path(f->t, "another"));
}

static void two_files_of_one_place_are_told_apart(void)
{
	struct fixture f = setup();
	const uint64_t ino = same_place(f.ino);
	int fd = open_another(&f);
	char buf[8];

	for (int i = 0; i < 20; i++) {
		check(reads(f.fd, CACHED) && reads(f.fd, CACHED));
		check(reads(fd, "another") && reads(fd, "another"));
	}
	check_equal(asked(f.t), 0);
	check(tfs_take_out(f.t, f.t->inode, &ino) == 0);
	check(reads(f.fd, CACHED));
	check_errno(pread(fd, buf, sizeof(buf), 0), ESTALE);
	close(fd);
	teardown(&f);
}

struct half {
	int fd;
	const char *text;
	atomic_ulong wrong;
};

static void *read_half(void *arg)
{
	struct half *h = arg;
	const uint64_t end = now_ns() + 2000000000;

	while (now_ns() < end) {
		for (int i = 0; i < 100; i++)
			h->wrong += !reads(h->fd, h->text);
	}
	return NULL;
}

/* Each read may find the place while it is filled for the other one. */
static void a_place_is_never_half_of_two_files(void)
{
	struct fixture f = setup();
	struct half halves[] = {{.fd = f.fd, .text = CACHED}, {.text = "another"}};
	pthread_t threads[2];

	halves[1].fd = open_another(&f);
	for (int i = 0; i < 2; i++)
		check(pthread_create(&threads[i], NULL, read_half, &halves[i]) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	check_equal(halves[0].wrong + halves[1].wrong, 0);
	close(halves[1].fd);
	teardown(&f);
}

const struct test recall_race_tests[] = {
	TEST(what_is_published_is_what_the_next_read_sees),
	TEST(nobody_sees_the_old_file_behind_the_barrier),
	TEST(two_files_of_one_place_are_told_apart),
	TEST(a_place_is_never_half_of_two_files),
	{},
};
