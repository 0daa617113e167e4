/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exercise FILE SEED COUNT MAX_SIZE: do COUNT random operations on FILE (made if need be, emptied) and
 * compare what is read with a copy in memory.  On a difference: says which operation, which byte, and ends
 * with 1. The same SEED does the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PIECE 300000
#define PAGE 4096

static const char *path;
static unsigned char *model, *piece;
static size_t model_size, max_size;
static int fd = -1;
static uint64_t state;
static long step;

static uint64_t random_below(uint64_t n)
{
	/* splitmix64 */
	uint64_t z = (state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return n ? (z ^ (z >> 31)) % n : 0;
}

static void die(const char *what)
{
	fprintf(stderr, "exercise: %s: operation %ld: %s: %s\n", path, step, what, strerror(errno));
	exit(1);
}

static void compare(const char *what, const unsigned char *got, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (got[i] == model[at + i])
			continue;
		fprintf(stderr,
		        "exercise: %s: operation %ld: %s at %zu, %zu bytes: byte %zu is %02x, not %02x\n",
		        path, step, what, at, n, at + i, got[i], model[at + i]);
		exit(1);
	}
}

/* Often near a border of a page, a sub-block or a chunk, where mistakes live. */
static size_t random_place(size_t limit)
{
	static const size_t borders[] = {PAGE, 65536, 4 << 20};
	size_t border, at;

	if (limit == 0 || random_below(2))
		return random_below(limit + 1);
	border = borders[random_below(3)];
	at = random_below(limit / border + 1) * border + random_below(17);
	at = at > 8 ? at - 8 : at;
	return at > limit ? limit : at;
}

static void do_open(void)
{
	if (fd >= 0 && close(fd) < 0)
		die("close");
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		die("open");
}

static void do_read(void)
{
	size_t at = random_place(model_size), n = random_below(MAX_PIECE) + 1;
	size_t wanted = model_size - at < n ? model_size - at : n;
	ssize_t got = pread(fd, piece, n, (off_t)at);

	if (got < 0)
		die("read");
	if ((size_t)got != wanted) {
		fprintf(stderr, "exercise: %s: operation %ld: read at %zu gave %zd bytes, not %zu\n", path,
		        step, at, got, wanted);
		exit(1);
	}
	compare("read", piece, at, wanted);
}

static void fill_piece(size_t n)
{
	for (size_t i = 0; i < n; i++)
		piece[i] = (unsigned char)random_below(256);
}

static void do_write(void)
{
	size_t at = random_place(random_below(4) ? model_size : max_size), n = random_below(MAX_PIECE) + 1;

	if (at + n > max_size)
		n = max_size - at;
	fill_piece(n);
	if (n == 0)
		return;
	if (pwrite(fd, piece, n, (off_t)at) != (ssize_t)n)
		die("write");
	memcpy(model + at, piece, n);
	if (at + n > model_size)
		model_size = at + n;
}

static void do_truncate(void)
{
	size_t size = random_place(random_below(3) ? model_size : max_size);

	if (ftruncate(fd, (off_t)size) < 0)
		die("truncate");
	if (size < model_size)
		memset(model + size, 0, model_size - size);
	model_size = size;
}

/* Through a mapping: read, and by chance changed and written back. */
static void do_map(void)
{
	size_t at = random_place(model_size) / PAGE * PAGE, n = random_below(MAX_PIECE) + 1;
	unsigned char *map;

	if (at + n > model_size)
		n = model_size - at;
	if (n == 0 || at >= model_size)
		return;
	map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);
	if (map == MAP_FAILED)
		die("mmap");
	compare("mapping", map, at, n);
	if (random_below(2)) {
		fill_piece(n);
		memcpy(map, piece, n);
		memcpy(model + at, piece, n);
		if (msync(map, n, MS_SYNC) < 0)
			die("msync");
	}
	munmap(map, n);
}

static void do_check_size(void)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		die("fstat");
	if ((size_t)st.st_size != model_size) {
		fprintf(stderr, "exercise: %s: operation %ld: size is %lld, not %zu\n", path, step,
		        (long long)st.st_size, model_size);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	long count;

	if (argc != 5) {
		fprintf(stderr, "usage: exercise FILE SEED COUNT MAX_SIZE\n");
		return 2;
	}
	path = argv[1];
	state = strtoull(argv[2], NULL, 10);
	count = strtol(argv[3], NULL, 10);
	max_size = strtoull(argv[4], NULL, 10);
	model = calloc(1, max_size + 1);
	piece = malloc(MAX_PIECE);
	if (!model || !piece)
		die("memory");
	do_open();
	if (ftruncate(fd, 0) < 0)
		die("truncate");
	for (step = 0; step < count; step++) {
		switch (random_below(16)) {
		case 0 ... 6:
			do_read();
			break;
		case 7 ... 10:
			do_write();
			break;
		case 11:
			do_truncate();
			break;
		case 12:
			do_map();
			break;
		case 13:
			if (fsync(fd) < 0)
				die("fsync");
			break;
		case 14:
			do_open();
			break;
		default:
			do_check_size();
		}
	}
	do_open();
	for (size_t at = 0; at < model_size; at += MAX_PIECE) {
		size_t n = model_size - at < MAX_PIECE ? model_size - at : MAX_PIECE;

		if (pread(fd, piece, n, (off_t)at) != (ssize_t)n)
			die("last read");
		compare("last read", piece, at, n);
	}
	close(fd);
	free(model);
	free(piece);
	return 0;
}
