/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure OPERATION DIR [MS]: how long one operation takes, in nanoseconds.
 *
 * The names to work on come from standard input, one a line, relative to DIR.
 * Runs ROUNDS rounds of at least MS milliseconds each (400) and prints "median lowest highest".
 *
 *   stat    stat(2) of each name
 *   cold    the same; a round is once through the names, after the kernel dropped what it keeps of files
 *   absent  stat(2) of each name with something added that makes it absent
 *   small   open, read to the end, close of each name
 *   random  4 KiB pread(2) at random offsets of the first name
 *   direct  the same, with O_DIRECT
 *   scan    1 MiB read(2) after the other through the first name; time per MiB
 *   mmap    a byte of each page of a mapping of the first name; time per MiB
 *   write   pwrite(2) of 128 bytes, one behind the other, again and again over the 4 KiB of a file of its own
 *   sync    32 of those, then fsync(2)
 */
#include "common/clock.h"
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 5
#define ROUND_MS 400
#define BATCH 32 /* between two looks at the clock */
#define MAX_NAMES 100000
#define UNUSED __attribute__((unused))

static char *names[MAX_NAMES];
static size_t name_count;
static char buffer[1 << 20] __attribute__((aligned(4096)));

/* One after the other, round and round. */
static const char *next_name(void)
{
	static size_t at;

	return names[at++ % name_count];
}

/* A pass does it COUNT times, or as often as it thinks right, and returns how often that was. */
static uint64_t pass_stat(size_t count)
{
	struct stat st;

	for (size_t i = 0; i < count; i++) {
		const char *name = next_name();

		if (stat(name, &st) < 0)
			die(name);
	}
	return count;
}

static uint64_t pass_absent(size_t count)
{
	struct stat st;

	for (size_t i = 0; i < count; i++) {
		const char *name = next_name();

		if (stat(name, &st) == 0 || errno != ENOENT) {
			errno = EEXIST;
			die(name);
		}
	}
	return count;
}

static uint64_t pass_small(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *name = next_name();
		int fd = open(name, O_RDONLY);
		ssize_t n;

		if (fd < 0)
			die(name);
		while ((n = read(fd, buffer, sizeof(buffer))) > 0)
			;
		if (n < 0)
			die(name);
		close(fd);
	}
	return count;
}

static int data_fd = -1;
static uint64_t data_size;

static void open_data(int flags)
{
	struct stat st;

	data_fd = open(names[0], O_RDONLY | flags);
	if (data_fd < 0 || fstat(data_fd, &st) < 0)
		die(names[0]);
	data_size = (uint64_t)st.st_size;
}

static uint64_t pass_random(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		off_t offset = (off_t)(random_next() % (data_size / 4096) * 4096);

		if (pread(data_fd, buffer, 4096, offset) != 4096)
			die(names[0]);
	}
	return count;
}

static uint64_t pass_scan(size_t count UNUSED)
{
	uint64_t total = 0;
	ssize_t n;

	lseek(data_fd, 0, SEEK_SET);
	while ((n = read(data_fd, buffer, sizeof(buffer))) > 0)
		total += (uint64_t)n;
	if (n < 0 || total != data_size)
		die(names[0]);
	return total >> 20;
}

static uint64_t pass_mmap(size_t count UNUSED)
{
	volatile const char *p = mmap(NULL, data_size, PROT_READ, MAP_SHARED, data_fd, 0);

	if (p == MAP_FAILED)
		die(names[0]);
	for (uint64_t at = 0; at < data_size; at += 4096)
		(void)p[at];
	munmap((void *)p, data_size);
	return data_size >> 20;
}

static int own_fd = -1;

static const char own[] = "measure.own";

/* Written by nobody else, and removed in the end: without a name there would be nothing to store. */
static void write_some(size_t count)
{
	if (own_fd < 0) {
		own_fd = open(own, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (own_fd < 0 || pwrite(own_fd, buffer, 4096, 0) != 4096)
			die(own);
	}
	for (size_t i = 0; i < count; i++)
		if (pwrite(own_fd, buffer, 128, (off_t)(i % 32 * 128)) != 128)
			die(own);
}

static uint64_t pass_write(size_t count)
{
	write_some(count);
	return count;
}

static uint64_t pass_sync(size_t count UNUSED)
{
	write_some(32);
	if (fsync(own_fd) < 0)
		die("fsync");
	return 1;
}

/* What is being forgotten is told to a daemon as well; some time for it to be done with that. */
static void drop_caches(void)
{
	static const char file[] = "/proc/sys/vm/drop_caches";
	int fd;

	sync();
	fd = open(file, O_WRONLY);
	if (fd < 0 || write(fd, "3", 1) != 1)
		die(file);
	close(fd);
	usleep(500000);
}

static const struct operation {
	const char *name;
	uint64_t (*pass)(size_t count);
	enum { NAMES, COLD, DATA, DIRECT } kind;
} operations[] = {
	{"stat", pass_stat, NAMES},   {"cold", pass_stat, COLD},     {"absent", pass_absent, NAMES},
	{"small", pass_small, NAMES}, {"random", pass_random, DATA}, {"direct", pass_random, DIRECT},
	{"scan", pass_scan, DATA},    {"mmap", pass_mmap, DATA},     {"write", pass_write, NAMES},
	{"sync", pass_sync, NAMES},
};

static void read_names(bool absent)
{
	char line[PATH_MAX];

	while (name_count < MAX_NAMES && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (asprintf(&names[name_count++], "%s%s", line, absent ? ".absent" : "") < 0)
			die("names");
	}
	if (!name_count) {
		errno = EINVAL;
		die("no names on standard input");
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* @return the time of one operation of a round, in nanoseconds. */
static double round_of(const struct operation *op, uint64_t at_least)
{
	uint64_t start, now, count = 0;

	if (op->kind == COLD)
		drop_caches();
	start = (uint64_t)monotonic_ns();
	do {
		count += op->pass(op->kind == COLD ? name_count : BATCH);
		now = (uint64_t)monotonic_ns();
	} while (op->kind != COLD && now - start < at_least);
	return (double)(now - start) / (double)count;
}

static const struct operation *operation_named(const char *name)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		if (!strcmp(name, operations[i].name))
			return &operations[i];
	fprintf(stderr, "measure: unknown operation '%s'\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	uint64_t at_least = (argc > 3 ? strtoull(argv[3], NULL, 10) : ROUND_MS) * 1000000;
	const struct operation *op;
	double ns[ROUNDS];

	if (argc < 3 || argc > 4) {
		fprintf(stderr,
		        "usage: measure stat|cold|absent|small|random|direct|scan|mmap|write|sync DIR "
		        "[MS] <NAMES\n");
		return 2;
	}
	op = operation_named(argv[1]);
	read_names(op->pass == pass_absent);
	if (chdir(argv[2]) < 0)
		die(argv[2]);
	if (op->kind == DATA || op->kind == DIRECT) {
		open_data(op->kind == DIRECT ? O_DIRECT : 0);
		if (op->kind == DATA)
			pass_scan(0); /* so that whoever keeps pages has them all */
	}
	op->pass(name_count); /* warm */
	for (int round = 0; round < ROUNDS; round++)
		ns[round] = round_of(op, at_least);
	if (own_fd >= 0 && (close(own_fd) < 0 || unlink(own) < 0))
		die(own);
	qsort(ns, ROUNDS, sizeof(*ns), compare);
	printf("%.0f %.0f %.0f\n", ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
	return 0;
}
