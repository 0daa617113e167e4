/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure OPERATION DIR [FILE]: how long one operation takes, in nanoseconds.
 *
 * The names to work on come from standard input, one a line, relative to DIR.
 * Runs ROUNDS rounds of at least ROUND_NS each and prints "median lowest highest".
 *
 *   stat    stat(2) of each name
 *   absent  stat(2) of each name with something added that makes it absent
 *   small   open, read to the end, close of each name
 *   random  4 KiB pread(2) at random offsets of the first name
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
#define ROUND_NS 400000000ull
#define MAX_NAMES 100000

static char *names[MAX_NAMES];
static size_t name_count;
static char buffer[1 << 20];

static uint64_t pass_stat(void)
{
	struct stat st;

	for (size_t i = 0; i < name_count; i++) {
		if (stat(names[i], &st) < 0)
			die(names[i]);
	}
	return name_count;
}

static uint64_t pass_absent(void)
{
	struct stat st;

	for (size_t i = 0; i < name_count; i++) {
		if (stat(names[i], &st) == 0 || errno != ENOENT) {
			errno = EEXIST;
			die(names[i]);
		}
	}
	return name_count;
}

static uint64_t pass_small(void)
{
	for (size_t i = 0; i < name_count; i++) {
		int fd = open(names[i], O_RDONLY);
		ssize_t n;

		if (fd < 0)
			die(names[i]);
		while ((n = read(fd, buffer, sizeof(buffer))) > 0)
			;
		if (n < 0)
			die(names[i]);
		close(fd);
	}
	return name_count;
}

static int data_fd = -1;
static uint64_t data_size;

static void open_data(void)
{
	struct stat st;

	data_fd = open(names[0], O_RDONLY);
	if (data_fd < 0 || fstat(data_fd, &st) < 0)
		die(names[0]);
	data_size = (uint64_t)st.st_size;
}

static uint64_t pass_random(void)
{
	for (int i = 0; i < 1000; i++) {
		off_t offset = (off_t)(random_next() % (data_size / 4096) * 4096);

		if (pread(data_fd, buffer, 4096, offset) != 4096)
			die(names[0]);
	}
	return 1000;
}

static uint64_t pass_scan(void)
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

static uint64_t pass_mmap(void)
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
static void write_some(int count)
{
	if (own_fd < 0) {
		own_fd = open(own, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (own_fd < 0 || pwrite(own_fd, buffer, 4096, 0) != 4096)
			die(own);
	}
	for (int i = 0; i < count; i++)
		if (pwrite(own_fd, buffer, 128, i % 32 * 128) != 128)
			die(own);
}

static uint64_t pass_write(void)
{
	write_some(1024);
	return 1024;
}

static uint64_t pass_sync(void)
{
	write_some(32);
	if (fsync(own_fd) < 0)
		die("fsync");
	return 1;
}

static const struct {
	const char *name;
	uint64_t (*pass)(void); /* returns the number of operations done */
	bool data;
} operations[] = {
	{"stat", pass_stat, false},    {"absent", pass_absent, false}, {"small", pass_small, false},
	{"random", pass_random, true}, {"scan", pass_scan, true},      {"mmap", pass_mmap, true},
	{"write", pass_write, false},  {"sync", pass_sync, false},
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

int main(int argc, char **argv)
{
	double ns[ROUNDS];
	size_t op;

	if (argc != 3) {
		fprintf(stderr, "usage: measure stat|absent|small|random|scan|mmap|write|sync DIR <NAMES\n");
		return 2;
	}
	for (op = 0; op < sizeof(operations) / sizeof(*operations); op++) {
		if (!strcmp(argv[1], operations[op].name))
			break;
	}
	if (op == sizeof(operations) / sizeof(*operations)) {
		fprintf(stderr, "measure: unknown operation '%s'\n", argv[1]);
		return 2;
	}
	read_names(!strcmp(argv[1], "absent"));
	if (chdir(argv[2]) < 0)
		die(argv[2]);
	if (operations[op].data) {
		open_data();
		pass_scan(); /* so that whoever keeps pages has them all */
	}
	operations[op].pass(); /* warm */
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = (uint64_t)monotonic_ns(), count = 0;

		do
			count += operations[op].pass();
		while ((uint64_t)monotonic_ns() - start < ROUND_NS);
		ns[round] = (double)((uint64_t)monotonic_ns() - start) / (double)count;
	}
	if (own_fd >= 0 && (close(own_fd) < 0 || unlink(own) < 0))
		die(own);
	qsort(ns, ROUNDS, sizeof(*ns), compare);
	printf("%.0f %.0f %.0f\n", ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
	return 0;
}
