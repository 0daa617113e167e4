/* SPDX-License-Identifier: Apache-2.0 */
/*
 * million PHASE DIR SHAPE FILES STEP BYTES PID: do something to each of FILES files below DIR, and say after
 * each STEP of them how long one took, and what memory process PID (the daemon) has.
 *
 *   create  make them, BYTES long each
 *   list    readdir(3) all
 *   stat    readdir(3) all and lstat(2) each, as `ls -l` and `find -size` do
 *   delete  readdir(3) and unlink(2) each, then the directories, as `rm -r` does
 *
 * SHAPE flat: all in DIR/top.  tree: DIR/top/NN/NN/NN, a hundred names in each directory (and more than a
 * hundred in DIR/top if need be).
 *
 * A line of JSON for each step: "files" in the volume after it, "us" for one operation, "cpu_us" that the
 * daemon computed for one, with all its threads, "rss_kib" and "anon_kib" of the daemon.  While creating and
 * deleting also, each the mean of some tries, in microseconds: "stat_us" of a name at random, "rename_us" of
 * DIR/top, "first_us" for opening DIR/top and one getdents64(2) of 4 KiB, about a hundred names.
 */
#include "common/clock.h"
#include "tests/bench/bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAN 100
#define STATS 1000
#define RENAMES 50
#define FIRSTS 10

static const char *phase;
static bool tree, list_only, deleting;
static uint64_t files, step, bytes, done, left;
static int daemon_pid;
static uint64_t began, began_cpu; /* of this step: a time, and what the daemon had computed; ns */
static double probe_stat, probe_rename, probe_first;

static void path_of(uint64_t i, char *ret)
{
	if (tree)
		snprintf(ret, PATH_MAX, "top/%02u/%02u/%02u", (unsigned)(i / FAN / FAN),
		         (unsigned)(i / FAN % FAN), (unsigned)(i % FAN));
	else
		snprintf(ret, PATH_MAX, "top/file-%07u", (unsigned)i);
}

/* A line of /proc/PID/status, in KiB. */
static unsigned long memory_of(const char *name)
{
	char path[64], line[256];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", daemon_pid);
	f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, strlen(name)))
			kib = strtoul(line + strlen(name) + 1, NULL, 10);
	}
	fclose(f);
	return kib;
}

/* What the daemon has computed so far. */
static uint64_t cpu_ns(void)
{
	unsigned long long user, system;
	char path[64], line[1024], *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", daemon_pid);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		die(path);
	fclose(f);
	/* Fields 14 and 15; the second, in parentheses, may have spaces. */
	at = strrchr(line, ')');
	if (!at || sscanf(at + 1, "%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%llu%llu", &user, &system) != 2)
		die(path);
	return (user + system) * (1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* ---- what else is measured after a step ---- */

static void rename_top(const char *from, const char *to)
{
	if (rename(from, to) < 0)
		die(to);
}

/* Of [first, last) the names exist. */
static void probe(uint64_t first, uint64_t last)
{
	char path[PATH_MAX], page[4096];
	uint64_t start;
	struct stat st;

	sleep(2); /* what the kernel knows of these names is as old as it may get */
	start = (uint64_t)monotonic_ns();
	for (int i = 0; last > first && i < STATS; i++) {
		path_of(first + random_next() % (last - first), path);
		if (lstat(path, &st) < 0)
			die(path);
	}
	probe_stat = (double)((uint64_t)monotonic_ns() - start) / STATS / 1000;

	start = (uint64_t)monotonic_ns();
	for (int i = 0; i < RENAMES; i++) {
		rename_top("top", "moved");
		rename_top("moved", "top");
	}
	probe_rename = (double)((uint64_t)monotonic_ns() - start) / (2 * RENAMES) / 1000;

	start = (uint64_t)monotonic_ns();
	for (int i = 0; i < FIRSTS; i++) {
		int fd = open("top", O_RDONLY | O_DIRECTORY);

		if (fd < 0 || syscall(SYS_getdents64, fd, page, sizeof(page)) <= 0)
			die("top");
		close(fd);
	}
	probe_first = (double)((uint64_t)monotonic_ns() - start) / FIRSTS / 1000;
}

static void say_step(uint64_t count)
{
	double us = (double)((uint64_t)monotonic_ns() - began) / 1000 / (double)count;
	double cpu_us = (double)(cpu_ns() - began_cpu) / 1000 / (double)count;

	printf("{\"phase\":\"%s\",\"files\":%lu,\"us\":%.2f,\"cpu_us\":%.2f,", phase, list_only ? done : left,
	       us, cpu_us);
	if (!list_only) {
		/* What was created first is read, and so deleted, first. */
		probe(deleting ? done : 0, deleting ? files : done);
		printf("\"stat_us\":%.2f,\"rename_us\":%.2f,\"first_us\":%.2f,", probe_stat, probe_rename,
		       probe_first);
	}
	printf("\"rss_kib\":%lu,\"anon_kib\":%lu}\n", memory_of("VmRSS"), memory_of("RssAnon"));
	fflush(stdout);
	began = (uint64_t)monotonic_ns();
	began_cpu = cpu_ns();
}

/* One more file is done. */
static void count_one(void)
{
	done++;
	left = deleting ? files - done : done;
	if (done % step == 0)
		say_step(step);
}

/* ---- the phases ---- */

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0)
		die(path);
}

static void create_all(void)
{
	char path[PATH_MAX], *slash, *text = calloc(1, bytes + 1);

	if (!text)
		die("memory");
	memset(text, 'x', bytes);
	make_dir("top");
	for (uint64_t i = 0; i < files; i++) {
		int fd;

		path_of(i, path);
		slash = strrchr(path, '/');
		if (tree && i % FAN == 0) {
			*slash = '\0';
			if (i % (FAN * FAN) == 0) {
				char *above = strrchr(path, '/');

				*above = '\0';
				make_dir(path);
				*above = '/';
			}
			make_dir(path);
			*slash = '/';
		}
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0 || (bytes && write(fd, text, bytes) != (ssize_t)bytes) || close(fd) < 0)
			die(path);
		count_one();
	}
	free(text);
}

static void walk(int at, const char *name, bool want_stat)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (!d)
		die(name);
	while (errno = 0, (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (e->d_type == DT_DIR) {
			walk(fd, e->d_name, want_stat);
			continue;
		}
		if (want_stat && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			die(e->d_name);
		if (deleting && unlinkat(fd, e->d_name, 0) < 0)
			die(e->d_name);
		count_one();
	}
	if (errno)
		die(name);
	closedir(d);
	if (deleting && unlinkat(at, name, AT_REMOVEDIR) < 0)
		die(name);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (!*text || *end) {
		fprintf(stderr, "million: '%s' is not a number\n", text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	if (argc != 8) {
		fprintf(stderr,
		        "usage: million create|list|stat|delete DIR flat|tree FILES STEP BYTES PID\n");
		return 2;
	}
	phase = argv[1];
	tree = !strcmp(argv[3], "tree");
	files = number(argv[4]);
	step = number(argv[5]);
	bytes = number(argv[6]);
	daemon_pid = (int)number(argv[7]);
	list_only = !strcmp(phase, "list") || !strcmp(phase, "stat");
	deleting = !strcmp(phase, "delete");
	if (!step || chdir(argv[2]) < 0)
		die(argv[2]);

	began = (uint64_t)monotonic_ns();
	began_cpu = cpu_ns();
	if (!strcmp(phase, "create"))
		create_all();
	else
		walk(AT_FDCWD, "top", !strcmp(phase, "stat"));
	if (done != files) {
		fprintf(stderr, "million: %s: %lu files instead of %lu\n", phase, done, files);
		return 1;
	}
	return 0;
}
