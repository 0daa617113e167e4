/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMTEST_CACHED_H
#define VMTEST_CACHED_H

/*
 * A file "file" that is wholly cached. The daemon's is all 'd', the cache file a pattern: so a byte says
 * where it comes from.
 */

#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static inline char pattern(uint64_t pos)
{
	return (char)('A' + pos % 23);
}

static inline bool is_cached(const char *bytes, size_t n, uint64_t pos)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != pattern(pos + i))
			return false;
	}
	return true;
}

static inline bool is_daemons(const char *bytes, size_t n)
{
	return n > 0 && bytes[0] == 'd' && !memcmp(bytes, bytes + 1, n - 1);
}

/* Both malloc'ed; the daemon's ends with a zero more. */
static inline char *cached_bytes(size_t size)
{
	char *p = malloc(size);

	for (size_t i = 0; i < size; i++)
		p[i] = pattern(i);
	return p;
}

static inline char *daemon_bytes(size_t size)
{
	char *p = malloc(size + 1);

	memset(p, 'd', size);
	p[size] = '\0';
	return p;
}

struct fixture {
	struct tfs *t;
	uint64_t ino, id;
	int cache_fd, fd;
	char *path;
};

/* A mount with the file, of @p size bytes, which is open with @p flags. */
static inline struct fixture fixture_cached(size_t size, int flags)
{
	struct fixture f = {.t = tfs_start()};
	char *d = daemon_bytes(size), *c = cached_bytes(size);

	f.ino = tfs_add(f.t, FUSE_ROOT_ID, "file", S_IFREG | 0755, d);
	tfs_attach(f.t, NULL);
	f.id = tfs_backing(f.t, c, size, &f.cache_fd);
	tfs_publish_name(f.t, FUSE_ROOT_ID, "file", f.ino);
	tfs_publish_inode(f.t, f.ino, f.id);
	free(d);
	free(c);
	f.path = strdup(tfs_path(f.t, "file"));
	f.fd = open(f.path, flags);
	check(f.fd >= 0);
	return f;
}

static inline void teardown(struct fixture *f)
{
	close(f->fd);
	close(f->cache_fd);
	free(f->path);
	tfs_stop(f->t);
}

#endif
