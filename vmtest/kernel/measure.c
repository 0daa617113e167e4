/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure DIR [TIMES [WHAT SECONDS]]: nanoseconds of a stat of a name in the current folder (as `ls -l` does
 * it) and of a 4 KiB pread, on DIR and on a trivialfs whose kernel side answers.  With WHAT ("native" or
 * "kernel"): only stat there, for so many seconds, for a profiler to watch.
 */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const char *watched; /* NULL: measure all */
static double watch_seconds;

/* Until the time is over; opens stay the same. */
static void be_watched(int fd)
{
	double start = now();
	static char buf[4096];
	struct stat st;

	printf("watch\n");
	fflush(stdout);
	while (now() - start < watch_seconds * 1e9) {
		for (int i = 0; i < 1000; i++) {
			check(stat("file", &st) == 0);
			check(pread(fd, buf, sizeof(buf), (off_t)(i % 16) * 4096) == 4096);
		}
	}
}

/* The best of many short rounds: what it takes when nothing else gets in between. */
static void measure_path(const char *what, const char *dir, int rounds, int times)
{
	double best_stat = 1e18, best_read = 1e18;
	static char buf[4096];
	struct stat st;
	int fd;

	if (watched && strcmp(what, watched) != 0)
		return;
	check(chdir(dir) == 0);
	fd = open("file", O_RDONLY);
	check(fd >= 0);
	if (watched)
		be_watched(fd);
	for (int r = 0; r < rounds && !watched; r++) {
		double start = now(), middle;

		for (int i = 0; i < times; i++)
			check(stat("file", &st) == 0);
		middle = now();
		for (int i = 0; i < times; i++)
			check(pread(fd, buf, sizeof(buf), (off_t)(i % 16) * 4096) == 4096);
		if (middle - start < best_stat)
			best_stat = middle - start;
		if (now() - middle < best_read)
			best_read = now() - middle;
	}
	close(fd);
	check(chdir("/") == 0);
	if (!watched)
		printf("%-24s stat %8.0f ns   4 KiB pread %8.0f ns\n", what, best_stat / times,
		       best_read / times);
}

static struct tfs *start(uint64_t *ret_ino, uint64_t *ret_dir)
{
	struct tfs *t = tfs_start();
	char *data = malloc(65537);

	memset(data, 'x', 65536);
	data[65536] = '\0';
	*ret_dir = tfs_add(t, FUSE_ROOT_ID, "directory", S_IFDIR | 0755, NULL);
	*ret_ino = tfs_add(t, *ret_dir, "file", S_IFREG | 0644, data);
	free(data);
	return t;
}

int measure(int argc, char **argv)
{
	const char *dir = argc > 2 ? argv[2] : "/tmp";
	int times = argc > 3 ? atoi(argv[3]) : 20000;
	uint64_t ino, parent, id;
	static char data[65536];
	char path[512];
	struct tfs *t;
	int fd;

	if (argc > 5) {
		watched = argv[4];
		watch_seconds = atof(argv[5]);
	}
	snprintf(path, sizeof(path), "%s/measure.d", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/measure.d/file", dir);
	fd = open(path, O_CREAT | O_RDWR, 0644);
	check(fd >= 0 && write(fd, data, sizeof(data)) == sizeof(data));
	close(fd);
	*strrchr(path, '/') = '\0';
	measure_path("native", path, 100, times / 20);

	t = start(&ino, &parent);
	measure_path("daemon", tfs_path(t, "directory"), 20, times / 200);
	tfs_stop(t);
	for (int valid = 0; valid < 2; valid++) {
		struct extfuse_config config = {.attr_valid_ns = valid ? 1 : 0};

		t = start(&ino, &parent);
		tfs_attach(t, &config);
		id = tfs_backing(t, t->nodes[ino].data, 65536, NULL);
		tfs_publish_inode(t, parent, 0);
		tfs_publish_inode(t, ino, id);
		tfs_publish_name(t, FUSE_ROOT_ID, "directory", parent);
		tfs_publish_name(t, parent, "file", ino);
		measure_path(valid ? "kernel, attr_valid 1 ns" : "kernel", tfs_path(t, "directory"), 100,
		             times / 20);
		for (unsigned op = 0; op < TFS_OPCODES; op++) {
			if (tfs_requests(t, op))
				printf("  opcode %u came to the daemon %lu times\n", op, tfs_requests(t, op));
		}
		tfs_stop(t);
	}
	return 0;
}
