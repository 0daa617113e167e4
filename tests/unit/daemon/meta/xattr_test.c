/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <sys/xattr.h>

static int set(struct fixture *f, uint64_t ino, const char *name, const char *value, int flags)
{
	return meta_setxattr(f->m, ino, name, value, strlen(value), flags, NULL);
}

static void assert_value(struct fixture *f, uint64_t ino, const char *name, const char *want)
{
	_cleanup_free_ void *value = NULL;
	size_t size;

	assert_int_equal(meta_getxattr(f->m, ino, name, &value, &size), 0);
	assert_int_equal(size, strlen(want));
	assert_memory_equal(value, want, size);
}

static void values_are_kept_and_counted(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_attr before = attr_of(f, ino), attr;

	assert_int_equal(before.xattrs, 0);
	assert_int_equal(meta_setxattr(f->m, ino, "user.a", "one", 3, 0, &attr), 0);
	assert_int_equal(attr.xattrs, 1);
	assert_true(time_order(&attr.ctime, &before.ctime) > 0);
	assert_int_equal(set(f, ino, "user.ab", "", 0), 0);
	assert_int_equal(set(f, ino, "user.a", "two", 0), 0);
	assert_int_equal(attr_of(f, ino).xattrs, 2);
	fixture_reopen(f);
	assert_value(f, ino, "user.a", "two");
	assert_value(f, ino, "user.ab", "");
	assert_int_equal(meta_removexattr(f->m, ino, "user.a", &attr), 0);
	assert_int_equal(attr.xattrs, 1);
	assert_int_equal(meta_removexattr(f->m, ino, "user.a", NULL), -ENODATA);
}

static void flags_are_obeyed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set(f, 1, "user.a", "x", XATTR_REPLACE), -ENODATA);
	assert_int_equal(set(f, 1, "user.a", "x", XATTR_CREATE), 0);
	assert_int_equal(set(f, 1, "user.a", "y", XATTR_CREATE), -EEXIST);
	assert_value(f, 1, "user.a", "x");
	assert_int_equal(set(f, 1, "user.a", "y", XATTR_REPLACE), 0);
	assert_int_equal(set(f, 1, "user.a", "y", 64), -EINVAL);
}

static void names_are_listed(void **state)
{
	struct fixture *f = *state;
	static const char want[] = "security.b\0user.a";
	_cleanup_free_ char *names = NULL, *none = NULL;
	uint64_t ino = make_file(f, 1, "a"), other = make_file(f, 1, "b");
	size_t size;

	assert_int_equal(meta_listxattr(f->m, ino, &none, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(set(f, ino, "user.a", "1", 0), 0);
	assert_int_equal(set(f, ino, "security.b", "2", 0), 0);
	assert_int_equal(set(f, other, "user.other", "3", 0), 0);
	assert_int_equal(meta_listxattr(f->m, ino, &names, &size), 0);
	assert_int_equal(size, sizeof(want));
	assert_memory_equal(names, want, size);
}

static void limits_are_kept(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *big = calloc(1, META_XATTR_SIZE_MAX + 1);
	_cleanup_free_ void *value = NULL;
	char name[META_XATTR_NAME_MAX + 2];
	size_t size;
	int r = 0, n = 0;

	memset(name, 'n', sizeof(name));
	name[META_XATTR_NAME_MAX + 1] = 0;
	assert_int_equal(set(f, 1, name, "x", 0), -ERANGE);
	assert_int_equal(set(f, 1, "", "x", 0), -ERANGE);
	assert_int_equal(meta_getxattr(f->m, 1, name, &value, &size), -ERANGE);
	name[META_XATTR_NAME_MAX] = 0;
	assert_int_equal(set(f, 1, name, "x", 0), 0);
	assert_int_equal(meta_setxattr(f->m, 1, "user.big", big, META_XATTR_SIZE_MAX + 1, 0, NULL), -E2BIG);
	assert_int_equal(meta_setxattr(f->m, 1, "user.big", big, META_XATTR_SIZE_MAX, 0, NULL), 0);
	assert_int_equal(meta_getxattr(f->m, 1, "user.big", &value, &size), 0);
	assert_int_equal(size, META_XATTR_SIZE_MAX);
	/* The names together must fit into what listxattr can give back. */
	for (; !r && n < 1000; n++) {
		snprintf(name, 5, "%04d", n);
		name[4] = 'n';
		r = set(f, 1, name, "x", 0);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(n, 255); /* one long name and "user.big" were there */
}

static void what_is_absent_is_said_to_be(void **state)
{
	struct fixture *f = *state;
	void *value = NULL;
	char *names = NULL;
	size_t size = 7;

	assert_int_equal(meta_getxattr(f->m, 1, "user.none", &value, &size), -ENODATA);
	assert_int_equal(set(f, 1, "user.some", "x", 0), 0);
	assert_int_equal(meta_getxattr(f->m, 1, "user.none", &value, &size), -ENODATA);
	assert_int_equal(meta_getxattr(f->m, 999, "user.none", &value, &size), -ENOENT);
	assert_int_equal(meta_listxattr(f->m, 999, &names, &size), -ENOENT);
	assert_int_equal(set(f, 999, "user.a", "x", 0), -ENOENT);
	assert_int_equal(meta_removexattr(f->m, 999, "user.a", NULL), -ENOENT);
	assert_null(value);
	assert_null(names);
	assert_int_equal(size, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(values_are_kept_and_counted),
		META_TEST(flags_are_obeyed),
		META_TEST(names_are_listed),
		META_TEST(limits_are_kept),
		META_TEST(what_is_absent_is_said_to_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
