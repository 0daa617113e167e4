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
 */
#include "common/clock.h"
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
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

static const struct {
	const char *name;
	uint64_t (*pass)(void); /* returns the number of operations done */
	bool data;
} operations[] = {
	{"stat", pass_stat, false},    {"absent", pass_absent, false}, {"small", pass_small, false},
	{"random", pass_random, true}, {"scan", pass_scan, true},
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
		fprintf(stderr, "usage: measure stat|absent|small|random|scan DIR <NAMES\n");
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
	qsort(ns, ROUNDS, sizeof(*ns), compare);
	printf("%.0f %.0f %.0f\n", ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
	return 0;
}
