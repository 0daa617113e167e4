/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static void a_created_file_is_found_and_has_its_attributes(void **state)
{
	struct fixture *f = *state;
	struct meta_attr before = attr_of(f, 1), attr, parent, found;

	assert_int_equal(meta_create(f->m, 1, "a", &fixture_cred, S_IFREG | 0640, 77, NULL, &attr, &parent),
	                 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(attr.uid, 1000);
	assert_int_equal(attr.gid, 100);
	assert_int_equal(attr.rdev, 0);
	assert_int_equal(attr.size, 0);
	assert_int_equal(attr.generation, 1);
	assert_int_equal(attr.parent, 0);
	assert_int_equal(time_order(&attr.btime, &attr.mtime), 0);
	assert_int_equal(parent.ino, 1);
	assert_int_equal(parent.nlink, 2);
	assert_true(time_order(&parent.mtime, &before.mtime) > 0);
	assert_true(time_order(&parent.ctime, &before.ctime) > 0);
	assert_int_equal(meta_lookup(f->m, 1, "a", &found), 0);
	assert_memory_equal(&found, &attr, sizeof(attr));
	found = attr_of(f, attr.ino);
	assert_memory_equal(&found, &attr, sizeof(attr));
	found = attr_of(f, 1);
	assert_memory_equal(&found, &parent, sizeof(parent));
}

static void names_of_which_one_begins_the_other_are_two_names(void **state)
{
	struct fixture *f = *state;
	uint64_t f1 = make_file(f, 1, "f1"), f12 = make_file(f, 1, "f12");

	assert_int_equal(look(f, 1, "f1"), f1);
	assert_int_equal(look(f, 1, "f12"), f12);
	assert_int_equal(look(f, 1, "f"), 0);
	assert_int_equal(look(f, 1, "f123"), 0);
}

static void a_name_that_is_there_is_not_made_again(void **state)
{
	struct fixture *f = *state;
	struct meta_attr attr = {.ino = 99};

	make_file(f, 1, "a");
	assert_int_equal(meta_create(f->m, 1, "a", &fixture_cred, S_IFDIR | 0755, 0, NULL, &attr, NULL),
	                 -EEXIST);
	assert_int_equal(attr.ino, 99);
	assert_int_equal(attr_of(f, 1).nlink, 2);
}

static void names_that_cannot_be_are_refused(void **state)
{
	struct fixture *f = *state;
	struct meta_attr attr;
	char name[258];

	memset(name, 'x', sizeof(name));
	name[256] = 0;
	assert_int_equal(meta_lookup(f->m, 1, name, &attr), -ENAMETOOLONG);
	assert_int_equal(meta_create(f->m, 1, name, &fixture_cred, S_IFREG, 0, NULL, NULL, NULL),
	                 -ENAMETOOLONG);
	assert_int_equal(meta_unlink(f->m, 1, name, NULL, NULL), -ENAMETOOLONG);
	assert_int_equal(meta_rename(f->m, 1, "a", 1, name, 0, NULL), -ENAMETOOLONG);
	name[255] = 0;
	assert_int_equal(look(f, 1, name), 0);
	assert_int_equal(look(f, 1, name), 0);
	make_file(f, 1, name);
	assert_int_not_equal(look(f, 1, name), 0);
	assert_int_equal(meta_create(f->m, 1, "", &fixture_cred, S_IFREG, 0, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(meta_create(f->m, 1, ".", &fixture_cred, S_IFREG, 0, NULL, NULL, NULL), -EEXIST);
	assert_int_equal(meta_create(f->m, 1, "..", &fixture_cred, S_IFDIR, 0, NULL, NULL, NULL), -EEXIST);
	assert_int_equal(meta_create(f->m, 1, "a/b", &fixture_cred, S_IFREG, 0, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(meta_rmdir(f->m, 1, ".", NULL, NULL), -EINVAL);
	assert_int_equal(meta_rmdir(f->m, 1, "..", NULL, NULL), -ENOTEMPTY);
}

static void dot_and_dot_dot_lead_where_they_should(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = make_dir(f, 1, "dir"), sub = make_dir(f, dir, "sub");

	assert_int_equal(look(f, sub, "."), sub);
	assert_int_equal(look(f, sub, ".."), dir);
	assert_int_equal(look(f, 1, ".."), 1);
}

static void only_directories_have_names_in_them(void **state)
{
	struct fixture *f = *state;
	struct meta_attr attr;
	uint64_t file = make_file(f, 1, "file");

	assert_int_equal(meta_lookup(f->m, file, "a", &attr), -ENOTDIR);
	assert_int_equal(meta_create(f->m, file, "a", &fixture_cred, S_IFREG, 0, NULL, NULL, NULL), -ENOTDIR);
	assert_int_equal(meta_unlink(f->m, file, "a", NULL, NULL), -ENOTDIR);
	assert_int_equal(meta_rmdir(f->m, file, "a", NULL, NULL), -ENOTDIR);
	assert_int_equal(meta_link(f->m, file, file, "a", NULL, NULL), -ENOTDIR);
	assert_int_equal(meta_rename(f->m, file, "a", 1, "b", 0, NULL), -ENOTDIR);
	assert_int_equal(meta_rename(f->m, 1, "file", file, "b", 0, NULL), -ENOTDIR);
	assert_int_equal(meta_lookup(f->m, 12345, "a", &attr), -ENOENT);
	assert_int_equal(meta_create(f->m, 12345, "a", &fixture_cred, S_IFREG, 0, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(meta_unlink(f->m, 12345, "a", NULL, NULL), -ENOENT);
	assert_int_equal(meta_rename(f->m, 1, "file", 12345, "b", 0, NULL), -ENOENT);
	assert_int_equal(meta_link(f->m, 12345, 1, "b", NULL, NULL), -ENOENT);
}

static void a_setgid_directory_gives_its_group_on(void **state)
{
	struct fixture *f = *state;
	struct meta_attr attr = {.gid = 4242, .mode = 02775};
	uint64_t dir = make_dir(f, 1, "dir");

	assert_int_equal(meta_setattr(f->m, dir, META_SET_GID | META_SET_MODE, &attr, NULL), 0);
	attr = attr_of(f, make_file(f, dir, "file"));
	assert_int_equal(attr.gid, 4242);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	attr = attr_of(f, make_dir(f, dir, "sub"));
	assert_int_equal(attr.gid, 4242);
	assert_int_equal(attr.mode, S_IFDIR | S_ISGID | 0755);
}

static void nodes_of_each_type_can_be_made(void **state)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};
	struct fixture *f = *state;
	struct meta_attr attr;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%zu", i);
		assert_int_equal(
			meta_create(f->m, 1, name, &fixture_cred, types[i] | 0600, 0x103, NULL, &attr, NULL),
			0);
		assert_int_equal(attr.mode, types[i] | 0600);
		assert_int_equal(attr.rdev, S_ISCHR(types[i]) || S_ISBLK(types[i]) ? 0x103 : 0);
	}
	assert_int_equal(meta_create(f->m, 1, "z", &fixture_cred, 0600, 0, NULL, &attr, NULL), 0);
	assert_int_equal(attr.mode, S_IFREG | 0600);
	assert_int_equal(meta_create(f->m, 1, "y", &fixture_cred, S_IFMT | 0600, 0, NULL, &attr, NULL),
	                 -EINVAL);
}

static void a_symlink_keeps_its_target(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *target = NULL;
	char longest[META_SYMLINK_MAX + 2];
	struct meta_attr attr;
	char *none = NULL;

	assert_int_equal(meta_create(f->m, 1, "l", &fixture_cred, S_IFLNK | 0600, 0, "to/where", &attr, NULL),
	                 0);
	assert_int_equal(attr.mode, S_IFLNK | 0777);
	assert_int_equal(attr.size, 8);
	assert_int_equal(meta_readlink(f->m, attr.ino, &target), 0);
	assert_string_equal(target, "to/where");

	memset(longest, 'x', sizeof(longest));
	longest[META_SYMLINK_MAX + 1] = 0;
	assert_int_equal(meta_create(f->m, 1, "m", &fixture_cred, S_IFLNK, 0, longest, &attr, NULL),
	                 -ENAMETOOLONG);
	longest[META_SYMLINK_MAX] = 0;
	assert_int_equal(meta_create(f->m, 1, "m", &fixture_cred, S_IFLNK, 0, longest, &attr, NULL), 0);
	assert_int_equal(meta_create(f->m, 1, "n", &fixture_cred, S_IFLNK, 0, "", &attr, NULL), -ENOENT);
	assert_int_equal(meta_create(f->m, 1, "n", &fixture_cred, S_IFLNK, 0, NULL, &attr, NULL), -ENOENT);
	assert_int_equal(meta_readlink(f->m, 1, &none), -EINVAL);
	assert_null(none);
}

static void a_directory_counts_its_subdirectories(void **state)
{
	struct fixture *f = *state;
	struct meta_attr parent, attr;
	uint64_t dir = make_dir(f, 1, "dir");

	assert_int_equal(attr_of(f, dir).nlink, 2);
	assert_int_equal(attr_of(f, dir).size, 4096);
	assert_int_equal(attr_of(f, dir).parent, 1);
	assert_int_equal(attr_of(f, 1).nlink, 3);
	make_dir(f, dir, "a");
	make_dir(f, dir, "b");
	make_file(f, dir, "c");
	assert_int_equal(attr_of(f, dir).nlink, 4);
	assert_int_equal(meta_rmdir(f->m, dir, "a", &attr, &parent), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(parent.nlink, 3);
	assert_int_equal(attr_of(f, dir).nlink, 3);
}

static void rmdir_wants_an_empty_directory(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = make_dir(f, 1, "dir");

	make_file(f, 1, "file");
	make_file(f, dir, "a");
	assert_int_equal(meta_rmdir(f->m, 1, "dir", NULL, NULL), -ENOTEMPTY);
	assert_int_equal(meta_rmdir(f->m, 1, "file", NULL, NULL), -ENOTDIR);
	assert_int_equal(meta_rmdir(f->m, 1, "none", NULL, NULL), -ENOENT);
	assert_int_equal(meta_unlink(f->m, 1, "dir", NULL, NULL), -EISDIR);
	assert_int_equal(meta_unlink(f->m, dir, "a", NULL, NULL), 0);
	assert_int_equal(meta_rmdir(f->m, 1, "dir", NULL, NULL), 0);
	assert_int_equal(look(f, 1, "dir"), 0);
}

static void nothing_is_made_in_a_removed_directory(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = make_dir(f, 1, "dir"), file = make_file(f, 1, "file");

	assert_int_equal(meta_rmdir(f->m, 1, "dir", NULL, NULL), 0);
	assert_int_equal(meta_create(f->m, dir, "a", &fixture_cred, S_IFREG, 0, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(meta_link(f->m, file, dir, "a", NULL, NULL), -ENOENT);
	assert_int_equal(meta_rename(f->m, 1, "file", dir, "a", 0, NULL), -ENOENT);
}

static void a_link_is_the_same_inode(void **state)
{
	struct fixture *f = *state;
	struct meta_attr attr, parent, before;
	uint64_t file = make_file(f, 1, "a"), dir = make_dir(f, 1, "dir");

	before = attr_of(f, file);
	assert_int_equal(meta_link(f->m, file, dir, "b", &attr, &parent), 0);
	assert_int_equal(attr.ino, file);
	assert_int_equal(attr.nlink, 2);
	assert_true(time_order(&attr.ctime, &before.ctime) > 0);
	assert_int_equal(time_order(&attr.mtime, &before.mtime), 0);
	assert_int_equal(parent.ino, dir);
	assert_int_equal(look(f, dir, "b"), file);
	assert_int_equal(meta_link(f->m, file, dir, "b", NULL, NULL), -EEXIST);
	assert_int_equal(meta_link(f->m, dir, 1, "c", NULL, NULL), -EPERM);
	assert_int_equal(meta_unlink(f->m, 1, "a", &attr, NULL), 0);
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(look(f, dir, "b"), file);
	assert_int_equal(meta_unlink(f->m, dir, "b", &attr, NULL), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(meta_link(f->m, file, 1, "d", NULL, NULL), -ENOENT);
}

static void links_are_limited(void **state)
{
	struct fixture *f = *state;
	uint64_t file = make_file(f, 1, "a");
	char name[16];

	for (int i = 1; i < META_LINK_MAX; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		assert_int_equal(meta_link(f->m, file, 1, name, NULL, NULL), 0);
	}
	assert_int_equal(attr_of(f, file).nlink, META_LINK_MAX);
	assert_int_equal(meta_link(f->m, file, 1, "more", NULL, NULL), -EMLINK);
}

static void an_unlinked_file_lives_on_as_an_orphan(void **state)
{
	struct fixture *f = *state;
	struct meta_attr attr, parent, before;
	uint64_t file = make_file(f, 1, "a");

	before = attr_of(f, file);
	assert_int_equal(meta_unlink(f->m, 1, "a", &attr, &parent), 0);
	assert_int_equal(attr.nlink, 0);
	assert_true(time_order(&attr.ctime, &before.ctime) > 0);
	assert_true(time_order(&parent.mtime, &before.mtime) > 0);
	assert_int_equal(look(f, 1, "a"), 0);
	write_slice(f, file, 0, 0, 100);
	assert_int_equal(attr_of(f, file).size, 100);
	assert_int_equal(meta_unlink(f->m, 1, "a", NULL, NULL), -ENOENT);
}

static void a_file_made_without_a_name_can_get_one(void **state)
{
	struct fixture *f = *state;
	struct meta_attr attr, parent, before = attr_of(f, 1);
	uint64_t dir = make_dir(f, 1, "dir"), *orphans;
	size_t count;

	assert_int_equal(meta_create_orphan(f->m, 1, &fixture_cred, 0640, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(attr.uid, fixture_cred.uid);
	assert_int_equal(meta_link(f->m, attr.ino, 1, "a", NULL, NULL), -ENOENT);
	assert_int_equal(meta_link_orphan(f->m, attr.ino, 1, "dir", NULL, NULL), -EEXIST);
	assert_int_equal(meta_link_orphan(f->m, attr.ino, 1, "a", &attr, &parent), 0);
	assert_int_equal(attr.nlink, 1);
	assert_true(time_order(&parent.mtime, &before.mtime) > 0);
	assert_int_equal(look(f, 1, "a"), attr.ino);
	assert_int_equal(meta_list_orphans(f->m, &orphans, &count), 0);
	assert_int_equal(count, 0);
	free(orphans);
	assert_int_equal(meta_reap(f->m, attr.ino), -EINVAL);

	assert_int_equal(meta_rmdir(f->m, 1, "dir", NULL, NULL), 0);
	assert_int_equal(meta_create_orphan(f->m, dir, &fixture_cred, 0640, &attr), -EPERM);
	assert_int_equal(meta_create_orphan(f->m, attr.ino, &fixture_cred, 0640, &attr), -ENOTDIR);
	/* One that nobody names is reaped as others. */
	assert_int_equal(meta_create_orphan(f->m, 1, &fixture_cred, 0640, &attr), 0);
	assert_int_equal(meta_reap(f->m, attr.ino), 0);
	assert_int_equal(meta_getattr(f->m, attr.ino, &attr), -ENOENT);
}

static void names_are_there_after_a_reopen(void **state)
{
	struct fixture *f = *state;
	struct meta_attr before, after;
	uint64_t dir = make_dir(f, 1, "dir"), file = make_file(f, dir, "file"), next;

	before = attr_of(f, file);
	fixture_reopen(f);
	assert_int_equal(look(f, 1, "dir"), dir);
	assert_int_equal(look(f, dir, "file"), file);
	after = attr_of(f, file);
	assert_memory_equal(&before, &after, sizeof(after));
	next = make_file(f, dir, "next");
	assert_true(next > file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(a_created_file_is_found_and_has_its_attributes),
		META_TEST(names_of_which_one_begins_the_other_are_two_names),
		META_TEST(a_name_that_is_there_is_not_made_again),
		META_TEST(names_that_cannot_be_are_refused),
		META_TEST(dot_and_dot_dot_lead_where_they_should),
		META_TEST(only_directories_have_names_in_them),
		META_TEST(a_setgid_directory_gives_its_group_on),
		META_TEST(nodes_of_each_type_can_be_made),
		META_TEST(a_symlink_keeps_its_target),
		META_TEST(a_directory_counts_its_subdirectories),
		META_TEST(rmdir_wants_an_empty_directory),
		META_TEST(nothing_is_made_in_a_removed_directory),
		META_TEST(a_link_is_the_same_inode),
		META_TEST(links_are_limited),
		META_TEST(an_unlinked_file_lives_on_as_an_orphan),
		META_TEST(a_file_made_without_a_name_can_get_one),
		META_TEST(names_are_there_after_a_reopen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
