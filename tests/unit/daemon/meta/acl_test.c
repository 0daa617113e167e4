/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/meta/acl.h"
#include "tests/unit/daemon/meta/fixture.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[8];
};
#define SIZE(n) (sizeof(struct posix_acl_xattr_header) + (n) * sizeof(struct posix_acl_xattr_entry))
#define ACL(...) ((struct acl){{POSIX_ACL_XATTR_VERSION}, {__VA_ARGS__}})

static const struct acl plain = {{2}, {{ACL_USER_OBJ, 6, -1}, {ACL_GROUP_OBJ, 4, -1}, {ACL_OTHER, 0, -1}}};
static const struct acl named = {{2},
                                 {{ACL_USER_OBJ, 7, -1},
                                  {ACL_USER, 7, 1000},
                                  {ACL_USER, 4, 1001},
                                  {ACL_GROUP_OBJ, 5, -1},
                                  {ACL_GROUP, 1, 77},
                                  {ACL_MASK, 6, -1},
                                  {ACL_OTHER, 4, -1}}};

static void only_a_whole_sorted_acl_is_one(void **state)
{
	struct acl a;

	(void)state;
	assert_int_equal(meta_acl_check(&plain, SIZE(3)), 0);
	assert_int_equal(meta_acl_check(&named, SIZE(7)), 0);
	assert_int_equal(meta_acl_check(&plain, SIZE(0)), 0);
	assert_true(meta_acl_empty(SIZE(0)) && !meta_acl_empty(SIZE(3)));
	for (size_t size = 0; size < SIZE(3); size++)
		assert_int_equal(meta_acl_check(&plain, size), size == SIZE(0) ? 0 : -EINVAL);
	assert_int_equal(meta_acl_check(&named, SIZE(6)), -EINVAL);
	a = plain;
	a.header.a_version = 1;
	assert_int_equal(meta_acl_check(&a, SIZE(3)), -EINVAL);
	a = plain;
	a.entries[1].e_perm = 8;
	assert_int_equal(meta_acl_check(&a, SIZE(3)), -EINVAL);
	a = plain;
	a.entries[1].e_tag = 3;
	assert_int_equal(meta_acl_check(&a, SIZE(3)), -EINVAL);
	a = ACL({ACL_USER_OBJ, 6, -1}, {ACL_OTHER, 0, -1}, {ACL_GROUP_OBJ, 4, -1});
	assert_int_equal(meta_acl_check(&a, SIZE(3)), -EINVAL);
	a = ACL({ACL_USER_OBJ, 6, -1}, {ACL_USER_OBJ, 6, -1}, {ACL_GROUP_OBJ, 4, -1}, {ACL_OTHER, 0, -1});
	assert_int_equal(meta_acl_check(&a, SIZE(4)), -EINVAL);
	/* Names want a mask. */
	a = ACL({ACL_USER_OBJ, 6, -1}, {ACL_USER, 6, 5}, {ACL_GROUP_OBJ, 4, -1}, {ACL_OTHER, 0, -1});
	assert_int_equal(meta_acl_check(&a, SIZE(4)), -EINVAL);
}

static void the_mode_and_the_acl_agree(void **state)
{
	struct acl a = named;
	uint32_t mode = S_IFREG | 04111;

	(void)state;
	assert_true(meta_acl_to_mode(&plain, SIZE(3), &mode));
	assert_int_equal(mode, S_IFREG | 04640);
	assert_false(meta_acl_to_mode(&named, SIZE(7), &mode)); /* the mask is the group's */
	assert_int_equal(mode, S_IFREG | 04764);
	meta_acl_set_mode(&a, SIZE(7), 0640);
	assert_int_equal(a.entries[0].e_perm, 6);
	assert_int_equal(a.entries[3].e_perm, 5);
	assert_int_equal(a.entries[5].e_perm, 4);
	assert_int_equal(a.entries[6].e_perm, 0);
	a = named;
	mode = S_IFREG | 0622;
	assert_false(meta_acl_create(&a, SIZE(7), &mode));
	assert_int_equal(mode, S_IFREG | 0620);
	assert_int_equal(a.entries[1].e_perm, 7);
	assert_int_equal(a.entries[5].e_perm, 2);
}

static uint32_t create(struct fixture *f, uint64_t parent, const char *name, uint32_t mode, bool acl)
{
	const struct meta_cred cred = {.uid = 5, .gid = 6, .acl = acl, .umask = 027};
	struct meta_attr attr;

	assert_int_equal(meta_create(f->m, parent, name, &cred, mode, 0, NULL, &attr, NULL), 0);
	return attr.mode & 07777;
}

static void a_directory_hands_its_default_acl_down(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = make_dir(f, 1, "dir"), sub;
	struct meta_attr attr;
	void *value;
	size_t size;

	assert_int_equal(create(f, dir, "before", S_IFREG | 0666, true), 0640);
	assert_int_equal(create(f, dir, "masked", S_IFREG | 0666, false), 0666);
	assert_int_equal(meta_setxattr(f->m, dir, META_ACL_DEFAULT, &named, SIZE(7), 0, &attr), 0);
	assert_int_equal(attr.xattrs, 1);
	assert_int_equal(create(f, dir, "file", S_IFREG | 0666, true), 0664);
	assert_int_equal(create(f, dir, "sub", S_IFDIR | 0777, true), 0764);
	assert_int_equal(create(f, dir, "not", S_IFDIR | 0777, false), 0777);
	sub = look(f, dir, "sub");
	assert_int_equal(attr_of(f, sub).xattrs, 2);
	assert_int_equal(attr_of(f, look(f, dir, "file")).xattrs, 1);
	assert_int_equal(attr_of(f, look(f, dir, "not")).xattrs, 0);
	assert_int_equal(meta_getxattr(f->m, sub, META_ACL_DEFAULT, &value, &size), 0);
	assert_int_equal(size, SIZE(7));
	assert_memory_equal(value, &named, size);
	free(value);
}

static void an_acl_of_three_entries_is_a_chmod(void **state)
{
	struct fixture *f = *state;
	uint64_t file = make_file(f, 1, "file");
	const struct meta_attr mode = {.mode = 0700};
	struct meta_attr attr;

	assert_int_equal(meta_setxattr(f->m, file, META_ACL_DEFAULT, &named, SIZE(7), 0, NULL), -EACCES);
	assert_int_equal(meta_setxattr(f->m, file, META_ACL_ACCESS, &named, 9, 0, NULL), -EINVAL);
	assert_int_equal(meta_setxattr(f->m, file, META_ACL_ACCESS, &named, SIZE(7), 0, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0764);
	assert_int_equal(attr.xattrs, 1);
	assert_int_equal(meta_setattr(f->m, file, META_SET_MODE, &mode, &attr), 0);
	assert_int_equal(meta_setxattr(f->m, file, META_ACL_ACCESS, &plain, SIZE(3), 0, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(attr.xattrs, 0);
	assert_int_equal(meta_removexattr(f->m, file, META_ACL_ACCESS, &attr), 0);
	assert_int_equal(attr.xattrs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_whole_sorted_acl_is_one),
		cmocka_unit_test(the_mode_and_the_acl_agree),
		META_TEST(a_directory_hands_its_default_acl_down),
		META_TEST(an_acl_of_three_entries_is_a_chmod),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
