/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_META_FIXTURE_H
#define CURVEFS_TESTS_META_FIXTURE_H

/* A formatted and open volume in a temporary folder, for the tests of daemon/meta/. */

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after those it needs */
#include <cmocka.h>

#include "common/cleanup.h"
#include "daemon/meta/check.h"
#include "daemon/meta/meta.h"
#include "tests/harness/tempdir.h"

#define MIB (1u << 20)
#define CHUNK (4 * MIB)

struct fixture {
	char *top; /* removed at the end */
	char dir[PATH_MAX + 8];
	struct meta *m;
};

static const struct meta_volume fixture_volume = {
	.uuid = "00000000-1111-2222-3333-444444444444", .name = "test", .chunk_size = CHUNK};
static const struct meta_cred fixture_cred = {.uid = 1000, .gid = 100};

static inline void fixture_open(struct fixture *f)
{
	char *why = NULL;
	int r = meta_open(f->dir, &f->m, &why);

	if (r)
		fail_msg("meta_open: %s", why);
}

static inline void fixture_reopen(struct fixture *f)
{
	meta_close(f->m);
	fixture_open(f);
}

/* A folder, and nothing in it. */
static inline int fixture_setup_empty(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->top = tempdir_make();
	assert_non_null(f->top);
	snprintf(f->dir, sizeof(f->dir), "%s/meta", f->top);
	*state = f;
	return 0;
}

static inline int fixture_setup(void **state)
{
	struct fixture *f;
	char *why = NULL;

	fixture_setup_empty(state);
	f = *state;
	if (meta_format(f->dir, &fixture_volume, &why))
		fail_msg("meta_format: %s", why);
	fixture_open(f);
	return 0;
}

static inline void fixture_print_problem(const char *text, void *arg)
{
	(void)arg;
	print_error("metadata check: %s\n", text);
}

static inline void assert_consistent(struct fixture *f)
{
	size_t problems = 1;

	assert_int_equal(meta_check(f->m, fixture_print_problem, NULL, &problems), 0);
	assert_int_equal(problems, 0);
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	meta_close(f->m);
	tempdir_remove(f->top);
	free(f);
	return 0;
}

/* Whatever a test did, the metadata must be consistent after it. */
static inline int fixture_teardown_checked(void **state)
{
	struct fixture *f = *state;
	size_t problems = 0;

	if (f->m && (meta_check(f->m, fixture_print_problem, NULL, &problems) || problems))
		print_error("the metadata is not consistent after the test\n");
	fixture_teardown(state);
	return problems ? -1 : 0;
}

#define META_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown_checked)

/* ---- short forms; they fail the test if the call fails ---- */

static inline uint64_t make(struct fixture *f, uint64_t parent, const char *name, uint32_t mode)
{
	struct meta_attr attr;

	assert_int_equal(meta_create(f->m, parent, name, &fixture_cred, mode, 0, NULL, &attr, NULL), 0);
	return attr.ino;
}

static inline uint64_t make_file(struct fixture *f, uint64_t parent, const char *name)
{
	return make(f, parent, name, S_IFREG | 0644);
}

static inline uint64_t make_dir(struct fixture *f, uint64_t parent, const char *name)
{
	return make(f, parent, name, S_IFDIR | 0755);
}

static inline struct meta_attr attr_of(struct fixture *f, uint64_t ino)
{
	struct meta_attr attr = {};

	assert_int_equal(meta_getattr(f->m, ino, &attr), 0);
	return attr;
}

/* The inode that a name leads to; 0: none. */
static inline uint64_t look(struct fixture *f, uint64_t parent, const char *name)
{
	struct meta_attr attr;
	int r = meta_lookup(f->m, parent, name, &attr);

	if (r == -ENOENT)
		return 0;
	assert_int_equal(r, 0);
	return attr.ino;
}

static inline int time_order(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

/* A number of file-size bytes, as one new object on top of one chunk. @return the object. */
static inline uint64_t write_slice(struct fixture *f, uint64_t ino, uint64_t chunk, uint32_t pos,
                                   uint32_t length)
{
	struct meta_write w = {.chunk = chunk, .slice = {.pos = pos, .length = length, .size = length}};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	assert_int_equal(meta_new_object(f->m, &w.slice.object), 0);
	assert_int_equal(
		meta_commit_write(f->m, ino, &w, 1, chunk * CHUNK + pos + length, now, false, false, NULL),
		0);
	return w.slice.object;
}

/* Whether @p object is in the garbage. */
static inline bool is_garbage(struct fixture *f, uint64_t object)
{
	static struct meta_garbage list[100000];
	size_t count;

	assert_int_equal(meta_list_garbage(f->m, list, ARRAY_SIZE(list), &count), 0);
	for (size_t i = 0; i < count; i++) {
		if (list[i].object == object)
			return true;
	}
	return false;
}

static inline size_t garbage_count(struct fixture *f)
{
	static struct meta_garbage list[100000];
	size_t count;

	assert_int_equal(meta_list_garbage(f->m, list, ARRAY_SIZE(list), &count), 0);
	return count;
}

#endif
