/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mistakes for exercise-tree to find (LD_PRELOAD), one of which is chosen by $BREAK:
 *   gap    rename(2) removes what it replaces a moment before it takes its place
 *   same   rename(2) of one name of a file to another one removes the first, as mv(1) would
 *   stale  fstatat(2) now and then says again what it said of that name before
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_broken(const char *how)
{
	const char *chosen = getenv("BREAK");

	return chosen && !strcmp(chosen, how);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to);
int fstatat(int dir, const char *name, struct stat *st, int flags);

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	static int (*real)(int, const char *, int, const char *);
	struct stat one, two;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "renameat");
	if (fstatat(from_dir, from, &one, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(to_dir, to, &two, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(one.st_mode) ||
	    S_ISDIR(two.st_mode))
		return real(from_dir, from, to_dir, to);
	if (is_broken("same") && one.st_ino == two.st_ino && strcmp(from, to) != 0)
		return unlinkat(from_dir, from, 0);
	if (is_broken("gap") && one.st_ino != two.st_ino) {
		unlinkat(to_dir, to, 0);
		usleep(30);
	}
	return real(from_dir, from, to_dir, to);
}

int fstatat(int dir, const char *name, struct stat *st, int flags)
{
	static int (*real)(int, const char *, struct stat *, int);
	static struct {
		int dir;
		char name[8];
		struct stat st;
	} last;
	static unsigned calls;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fstatat");
	if (is_broken("stale") && last.dir == dir && !strncmp(last.name, name, sizeof(last.name) - 1) &&
	    calls++ % 16 == 0) {
		*st = last.st;
		return 0;
	}
	if (real(dir, name, st, flags) < 0)
		return -1;
	last.dir = dir;
	snprintf(last.name, sizeof(last.name), "%s", name);
	last.st = *st;
	return 0;
}
