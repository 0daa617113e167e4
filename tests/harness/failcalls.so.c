/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD: makes the n-th system call that changes something below some folders fail.
 *
 *	FAIL_BELOW   folders, by ':'
 *	FAIL_COUNT   a file of 8 bytes, mapped: how many such calls there were, by all threads
 *	FAIL_AT      which one fails, from 1; 0: none
 *	FAIL_ERRNO   with what (a number; default EIO)
 *	FAIL_FOR     so many calls, one after the other, fail (default 1)
 *
 * Counted are open of what is to be written, write, fsync, truncate, fallocate, rename, unlink, mkdir in all
 * their forms.
 */
#undef _FILE_OFFSET_BITS /* both forms of each call are here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic uint64_t *count;
static uint64_t fail_at, fail_for = 1;
static int fail_errno = EIO;
static char below[4 * PATH_MAX];

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void)
{
	const char *file = getenv("FAIL_COUNT"), *at = getenv("FAIL_AT"), *number = getenv("FAIL_ERRNO");
	const char *many = getenv("FAIL_FOR"), *folders = getenv("FAIL_BELOW");
	void *map;
	int fd;

	if (!file || !folders)
		return;
	snprintf(below, sizeof(below), "%s", folders);
	fail_at = at ? strtoull(at, NULL, 10) : 0;
	fail_for = many ? strtoull(many, NULL, 10) : 1;
	fail_errno = number ? atoi(number) : EIO;
	fd = REAL(open)(file, O_RDWR | O_CLOEXEC);
	map = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		fprintf(stderr, "failcalls: cannot map FAIL_COUNT\n");
		_exit(127);
	}
	close(fd);
	count = map;
}

static bool is_below(const char *path)
{
	for (const char *folder = below; *folder;) {
		size_t length = strcspn(folder, ":");

		if (length && strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]))
			return true;
		folder += length + (folder[length] == ':');
	}
	return false;
}

/* One more call on @p path. @return whether it fails; errno is set then. */
static bool fails(const char *path)
{
	uint64_t n;

	if (!count || !is_below(path))
		return false;
	n = atomic_fetch_add(count, 1) + 1;
	if (!fail_at || n < fail_at || n - fail_at >= fail_for)
		return false;
	errno = fail_errno;
	return true;
}

static bool fails_fd(int fd)
{
	char link[64], path[PATH_MAX];
	int saved = errno;
	ssize_t n;

	if (!count)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	errno = saved;
	if (n < 0)
		return false;
	path[n] = 0;
	return fails(path);
}

static bool fails_at(int dir, const char *name)
{
	char link[64], path[2 * PATH_MAX];
	ssize_t n;

	if (!count)
		return false;
	if (name[0] == '/' || dir == AT_FDCWD)
		return fails(name);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = readlink(link, path, PATH_MAX - 1);
	if (n < 0)
		return false;
	snprintf(path + n, sizeof(path) - n, "/%s", name);
	return fails(path);
}

#define WRITES (O_CREAT | O_WRONLY | O_RDWR)

#define OPEN(name)                                                               \
	int name(const char *path, int flags, ...)                               \
	{                                                                        \
		va_list ap;                                                      \
		mode_t mode;                                                     \
		va_start(ap, flags);                                             \
		mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0; \
		va_end(ap);                                                      \
		if ((flags & WRITES) && fails(path))                             \
			return -1;                                               \
		return REAL(name)(path, flags, mode);                            \
	}
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                             \
	int name(int dir, const char *path, int flags, ...)                      \
	{                                                                        \
		va_list ap;                                                      \
		mode_t mode;                                                     \
		va_start(ap, flags);                                             \
		mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0; \
		va_end(ap);                                                      \
		if ((flags & WRITES) && fails_at(dir, path))                     \
			return -1;                                               \
		return REAL(name)(dir, path, flags, mode);                       \
	}
OPENAT(openat)
OPENAT(openat64)

/* Calls on a descriptor: result, name, parameters behind it, arguments. */
#define ON_FD(type, name, parameters, ...)      \
	type name parameters                    \
	{                                       \
		if (fails_fd(fd))               \
			return -1;              \
		return REAL(name)(__VA_ARGS__); \
	}
ON_FD(ssize_t, write, (int fd, const void *data, size_t size), fd, data, size)
ON_FD(ssize_t, writev, (int fd, const struct iovec *v, int n), fd, v, n)
ON_FD(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), fd, data, size, at)
ON_FD(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), fd, data, size, at)
ON_FD(int, fsync, (int fd), fd)
ON_FD(int, fdatasync, (int fd), fd)
ON_FD(int, ftruncate, (int fd, off_t size), fd, size)
ON_FD(int, ftruncate64, (int fd, off64_t size), fd, size)
ON_FD(int, fallocate, (int fd, int mode, off_t at, off_t size), fd, mode, at, size)
ON_FD(int, fallocate64, (int fd, int mode, off64_t at, off64_t size), fd, mode, at, size)

/* Calls on a name. */
#define ON_NAME(name, parameters, failing, ...) \
	int name parameters                     \
	{                                       \
		if (failing)                    \
			return -1;              \
		return REAL(name)(__VA_ARGS__); \
	}
ON_NAME(rename, (const char *a, const char *b), fails(a), a, b)
ON_NAME(renameat, (int a, const char *from, int b, const char *to), fails_at(a, from), a, from, b, to)
ON_NAME(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), fails_at(a, from), a,
        from, b, to, flags)
ON_NAME(link, (const char *a, const char *b), fails(a), a, b)
ON_NAME(linkat, (int a, const char *from, int b, const char *to, int flags), fails_at(b, to), a, from, b, to,
        flags)
ON_NAME(unlink, (const char *path), fails(path), path)
ON_NAME(unlinkat, (int dir, const char *path, int flags), fails_at(dir, path), dir, path, flags)
ON_NAME(mkdir, (const char *path, mode_t mode), fails(path), path, mode)
ON_NAME(mkdirat, (int dir, const char *path, mode_t mode), fails_at(dir, path), dir, path, mode)
