/* SPDX-License-Identifier: Apache-2.0 */
/*
 * like-ext4 REFERENCE DIRECTORY: make the same system calls in both, and compare what they answer, errors
 * included. REFERENCE is an empty directory of a file system that is known to be right. Exit status 1: there
 * are differences, printed as it is in REFERENCE (--) and in DIRECTORY (++).
 *
 * like-ext4 --read-only REFERENCE DIRECTORY: the same two again, when nothing can be written to them.
 */
#include "tests/harness/like.h"

#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define SHOWN 60 /* differences */

static FILE *report;

void like_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(report, format, args);
	va_end(args);
}

long like_got(long r)
{
	int error = errno;

	if (r < 0)
		like_say(" = %s\n", strerrorname_np(error));
	else
		like_say(" = %ld\n", r);
	errno = error;
	return r;
}

void like_must(long r, const char *what)
{
	char where[PATH_MAX] = "?";

	if (r >= 0)
		return;
	fprintf(stderr, "like-ext4: %s in %s: %s\n", what, getcwd(where, sizeof(where)), strerror(errno));
	_exit(2);
}

void like_stat(const char *path)
{
	struct stat st;
	char target[32] = "";
	ssize_t n;

	like_say("  %.40s:", path);
	if (lstat(path, &st) < 0) {
		like_got(-1);
		return;
	}
	n = S_ISLNK(st.st_mode) ? readlink(path, target, sizeof(target) - 1) : 0;
	target[n > 0 ? n : 0] = '\0';
	like_say(" %o links %lu owner %u:%u size %lld device %x:%x %s\n", st.st_mode,
	         (unsigned long)st.st_nlink, st.st_uid, st.st_gid,
	         S_ISDIR(st.st_mode) ? 0ll : (long long)st.st_size, major(st.st_rdev), minor(st.st_rdev),
	         target);
}

static int not_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* Bytes, not letters of some language. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void like_tree(const char *path)
{
	struct dirent **list;
	int n = scandir(path, &list, not_dots, by_name);

	like_stat(path);
	for (int i = 0; i < n; i++) {
		char *below = NULL;

		like_must(asprintf(&below, "%s/%s", path, list[i]->d_name), "memory");
		if (list[i]->d_type == DT_DIR)
			like_tree(below);
		else
			like_stat(below);
		free(below);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

void like_become(unsigned uid)
{
	static const gid_t groups[] = {NOBODY, TEAM};

	like_must(seteuid(0), "seteuid");
	like_must(setegid(uid), "setegid");
	like_must(setgroups(uid ? 2 : 0, groups), "setgroups");
	like_must(seteuid(uid), "seteuid");
}

void like_dir(const char *path, unsigned mode, unsigned uid, unsigned gid)
{
	like_must(mkdir(path, 0755), path);
	if (uid || gid)
		like_must(chown(path, uid, gid), path);
	if (mode != 0755)
		like_must(chmod(path, mode), path);
}

void like_file(const char *path, unsigned mode, unsigned uid, unsigned gid)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);

	like_must(fd, path);
	like_must(ftruncate(fd, 10), path); /* not written: that would be stored first */
	if (uid || gid)
		like_must(fchown(fd, uid, gid), path);
	if (mode != 0644)
		like_must(fchmod(fd, mode), path);
	like_must(close(fd), path);
}

static char *append(char *to, char c, size_t count)
{
	memset(to, c, count);
	return to + count;
}

const char *like_path(const char *pattern)
{
	static char paths[2][3 * PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 2], *p = path;

	for (const char *c = pattern; *c; c++) {
		if (*c != '%') {
			*p++ = *c;
			continue;
		}
		switch (*++c) {
		case 'L':
		case 'M':
			p = append(p, 'n', *c == 'L' ? 255 : 256);
			break;
		default: /* as many "./" as it takes, then the rest of the pattern */
			while (p - path + strlen(c + 1) + 2 <= PATH_MAX - 1u + (*c == 'Q'))
				p = stpcpy(p, "./");
			if (p - path + strlen(c + 1) < PATH_MAX - 1u + (*c == 'Q'))
				p = append(p, '/', 1);
		}
	}
	*p = '\0';
	return path;
}

/* ---- two runs, compared ---- */

static void run(const char *top, bool read_only)
{
	like_must(chdir(top), top);
	umask(022);
	setvbuf(report, NULL, _IOFBF, 1 << 16);
	if (read_only) {
		like_read_only();
	} else {
		like_paths();
		like_renames();
		like_users();
		like_times();
		like_unnamed();
		like_xattrs();
		like_say("all:\n");
		like_tree(".");
	}
	like_must(fflush(report), "report");
	_exit(0);
}

static FILE *start(const char *top, bool read_only, pid_t *ret)
{
	FILE *f = tmpfile();

	like_must(f ? 0 : -1, "tmpfile");
	*ret = fork();
	like_must(*ret, "fork");
	if (!*ret) {
		report = f;
		run(top, read_only);
	}
	return f;
}

static bool finish(FILE *f, pid_t child)
{
	int status;

	like_must(waitpid(child, &status, 0), "waitpid");
	rewind(f);
	if (status)
		fprintf(stderr, "like-ext4: a run ended with status %#x\n", status);
	return !status;
}

/* A call, and what of it changed: a line that does not begin with a blank, and those that do behind it. */
static bool next_record(FILE *f, char *record, size_t size)
{
	char line[1024];
	size_t used = 0;
	int c;

	while (fgets(line, sizeof(line), f)) {
		size_t length = strlen(line);

		if (used + length < size)
			memcpy(record + used, line, length + 1);
		used += length;
		c = getc(f);
		if (c == EOF)
			break;
		ungetc(c, f);
		if (c != ' ')
			break;
	}
	return used;
}

/* The call, and the first line that differs. */
static void show(const char *x, const char *y)
{
	size_t line = 0;

	for (size_t i = 0; x[i] == y[i]; i++) {
		if (x[i] == '\n')
			line = i + 1;
	}
	if (line)
		printf("%.*s\n", (int)strcspn(x, "\n"), x);
	printf("-- %.*s\n++ %.*s\n", (int)strcspn(x + line, "\n"), x + line, (int)strcspn(y + line, "\n"),
	       y + line);
}

static unsigned compare(FILE *a, FILE *b, unsigned *ret_calls)
{
	static char x[1 << 20], y[1 << 20];
	unsigned different = 0, calls = 0;

	for (;; calls++) {
		bool more = next_record(a, x, sizeof(x));

		if (next_record(b, y, sizeof(y)) != more) {
			printf("one run was shorter, after %s", more ? y : x);
			different++;
			break;
		}
		if (!more)
			break;
		if (strcmp(x, y) != 0 && different++ < SHOWN)
			show(x, y);
	}
	*ret_calls = calls;
	return different;
}

int main(int argc, char **argv)
{
	bool read_only = argc > 1 && !strcmp(argv[1], "--read-only");
	unsigned different, calls;
	pid_t children[2];
	FILE *reports[2];
	bool good;

	if (argc != 3 + read_only) {
		fprintf(stderr, "usage: like-ext4 [--read-only] REFERENCE DIRECTORY\n");
		return 2;
	}
	for (int i = 0; i < 2; i++)
		reports[i] = start(argv[1 + read_only + i], read_only, &children[i]);
	good = finish(reports[0], children[0]);
	good = finish(reports[1], children[1]) && good;
	different = compare(reports[0], reports[1], &calls);
	printf("%u calls, %u answered differently\n", calls, different);
	return different || !good || !calls ? 1 : 0;
}
