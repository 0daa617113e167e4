/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_CACHE_FIXTURE_H
#define CURVEFS_TESTS_CACHE_FIXTURE_H

/* A cache in a directory of its own, and what its owner would know: what the files hold. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"
#include "common/cleanup.h"
#include "tests/harness/tempdir.h"

#define B ((uint64_t)CACHE_BLOCK_SIZE)
#define C ((uint64_t)CACHE_CHUNK_SIZE)
#define MAX_DROPS 4096
#define FIXTURE_VOLUME "0b9f27a8-6d1c-4a2e-9d57-0f3a8f5a3a11"

struct drop {
	uint64_t ino, first, last;
};

struct fixture {
	char *dir;
	struct cache *c;
	struct cache_options options;
	pthread_mutex_t lock;
	struct drop drops[MAX_DROPS]; /* the calls of before_drop */
	unsigned n_drops;
};

static inline void fixture_before_drop(void *arg, uint64_t ino, uint64_t first, uint64_t last)
{
	struct fixture *x = arg;

	pthread_mutex_lock(&x->lock);
	x->drops[x->n_drops++ % MAX_DROPS] = (struct drop){ino, first, last};
	pthread_mutex_unlock(&x->lock);
}

static inline void fixture_open(struct fixture *x)
{
	char *why = NULL;
	int r = cache_open(&x->options, &x->c, &why);

	if (r)
		print_error("cache_open: %s\n", why ? why : strerror(-r));
	free(why);
	assert_int_equal(r, 0);
}

static inline void fixture_reopen(struct fixture *x)
{
	cache_close(x->c);
	fixture_open(x);
}

static inline int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	x->dir = tempdir_make();
	assert_non_null(x->dir);
	pthread_mutex_init(&x->lock, NULL);
	x->options = (struct cache_options){
		.dir = x->dir,
		.volume_uuid = FIXTURE_VOLUME,
		.before_drop = fixture_before_drop,
		.before_drop_arg = x,
	};
	fixture_open(x);
	*state = x;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *x = *state;

	cache_close(x->c);
	tempdir_remove(x->dir);
	free(x);
	return 0;
}

/** What byte @p offset of version @p version of @p ino is: never zero, so that a hole is always wrong. */
static inline uint8_t pattern(uint64_t ino, uint64_t version, uint64_t offset)
{
	uint64_t h = (offset / 8 + ino * 1000003 + version * 7919) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint8_t)(h >> (8 * (offset % 8))) | 1;
}

static inline void pattern_fill(uint64_t ino, uint64_t version, uint64_t offset, size_t n, void *ret)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)ret)[i] = pattern(ino, version, offset + i);
}

static inline void assert_pattern(uint64_t ino, uint64_t version, uint64_t offset, size_t n, const void *data)
{
	for (size_t i = 0; i < n; i++)
		if (((const uint8_t *)data)[i] != pattern(ino, version, offset + i))
			fail_msg("inode %lu: wrong byte at %lu", (unsigned long)ino,
			         (unsigned long)(offset + i));
}

static inline struct cache_file *get(struct fixture *x, uint64_t ino, uint64_t version, uint64_t size)
{
	struct cache_file *f = NULL;

	assert_int_equal(cache_file_get(x->c, ino, version, size, &f), 0);
	assert_non_null(f);
	return f;
}

/** Fetch [offset, offset + n) of version @p version into the cache. */
static inline int fill(struct cache_file *f, uint64_t version, uint64_t offset, size_t n)
{
	_cleanup_free_ void *data = malloc(n);

	pattern_fill(cache_file_ino(f), version, offset, n, data);
	return cache_fill(f, version, offset, n, data);
}

/** Upload what is staged of [offset, offset + length), which works or not. */
static inline void upload(struct cache_file *f, uint64_t offset, uint64_t length, bool ok)
{
	assert_int_equal(cache_begin_upload(f, offset, length), 0);
	cache_end_upload(f, offset, length, ok);
}

/** Make @p ino known with all of its @p size bytes cached, and put it. */
static inline void put_whole(struct fixture *x, uint64_t ino, uint64_t version, uint64_t size)
{
	struct cache_file *f = get(x, ino, version, size);

	assert_int_equal(fill(f, version, 0, size), 0);
	cache_file_put(f);
}

/** @return how many bytes from @p offset on are cached, each checked to be right. */
static inline size_t read_checked(struct cache_file *f, uint64_t version, uint64_t offset, size_t n)
{
	_cleanup_free_ void *data = malloc(n);
	ssize_t r = cache_read(f, offset, n, data);

	assert_in_range(r, 0, n);
	assert_pattern(cache_file_ino(f), version, offset, (size_t)r, data);
	return (size_t)r;
}

static inline struct cache_stats stats(struct fixture *x)
{
	struct cache_stats s;

	cache_get_stats(x->c, &s);
	return s;
}

/** Call @p fn for the path of each data file. @return how many there are. */
static inline unsigned for_data_files(struct fixture *x, void (*fn)(const char *path, void *arg), void *arg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++) {
		char path[4096], sub[4096];
		struct dirent *e;
		DIR *d;

		snprintf(sub, sizeof(sub), "%s/data/%02x", x->dir, i);
		d = opendir(sub);
		if (!d)
			continue;
		while ((e = readdir(d))) {
			if (e->d_name[0] == '.')
				continue;
			n++;
			if (snprintf(path, sizeof(path), "%s/%s", sub, e->d_name) >= (int)sizeof(path))
				fail();
			if (fn)
				fn(path, arg);
		}
		closedir(d);
	}
	return n;
}

/** Change one byte at *(uint64_t *)arg of the data file. */
static inline void damage(const char *path, void *arg)
{
	uint64_t offset = *(uint64_t *)arg;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

#endif
