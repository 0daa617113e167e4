/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_FULL_LOG_H
#define CURVEFS_TESTS_FULL_LOG_H

/* A disk without space, for the log of a RocksDB and nothing else. In one file of a program. */

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool log_full;

/* In the place of libc's, for RocksDB too. */
ssize_t write(int fd, const void *data, size_t size)
{
	char link[32], path[PATH_MAX] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (log_full && readlink(link, path, sizeof(path) - 1) > 4 &&
	    !strcmp(path + strlen(path) - 4, ".log")) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_write, fd, data, size);
}

#endif
