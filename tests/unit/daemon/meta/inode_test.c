/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static int set_mode(struct fixture *f, uint64_t ino, uint32_t mode)
{
	return meta_setattr(f->m, ino, META_SET_MODE, &(struct meta_attr){.mode = mode}, NULL);
}

static int set_size(struct fixture *f, uint64_t ino, uint64_t size)
{
	return meta_setattr(f->m, ino, META_SET_SIZE, &(struct meta_attr){.size = size}, NULL);
}

static void only_what_is_named_changes(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_attr before = attr_of(f, ino), after,
			 want = {.mode = 0600, .uid = 5, .gid = 6, .size = 7};

	want.atime = (struct timespec){1, 2};
	want.mtime = (struct timespec){-3, 999999999};
	assert_int_equal(meta_setattr(f->m, ino, META_SET_MODE, &want, &after), 0);
	assert_int_equal(after.mode, S_IFREG | 0600);
	assert_int_equal(after.uid, before.uid);
	assert_int_equal(after.size, 0);
	assert_int_equal(after.version, before.version);
	assert_int_equal(time_order(&after.mtime, &before.mtime), 0);
	assert_true(time_order(&after.ctime, &before.ctime) > 0);
	assert_int_equal(meta_setattr(f->m, ino, META_SET_ATIME | META_SET_MTIME, &want, &after), 0);
	assert_int_equal(time_order(&after.atime, &want.atime), 0);
	assert_int_equal(time_order(&after.mtime, &want.mtime), 0);
	want.ctime = (struct timespec){5, 5};
	assert_int_equal(meta_setattr(f->m, ino, META_SET_UID | META_SET_CTIME, &want, &after), 0);
	assert_int_equal(after.uid, 5);
	assert_int_equal(after.gid, 100);
	assert_int_equal(time_order(&after.ctime, &want.ctime), 0);
	fixture_reopen(f);
	before = attr_of(f, ino);
	assert_memory_equal(&before, &after, sizeof(after));
}

static void the_type_never_changes(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");

	assert_int_equal(set_mode(f, ino, S_IFDIR | 07777), 0);
	assert_int_equal(attr_of(f, ino).mode, S_IFREG | 07777);
}

static void chown_clears_suid_and_sgid(void **state)
{
	struct fixture *f = *state;
	uint64_t file = make_file(f, 1, "a"), dir = make_dir(f, 1, "d");
	struct meta_attr owner = {.uid = 1, .gid = 1, .mode = 06755};

	assert_int_equal(set_mode(f, file, 06755), 0);
	assert_int_equal(meta_setattr(f->m, file, META_SET_UID, &owner, NULL), 0);
	assert_int_equal(attr_of(f, file).mode, S_IFREG | 0755);
	/* sgid without group execution is mandatory locking, not a privilege */
	assert_int_equal(set_mode(f, file, 06745), 0);
	assert_int_equal(meta_setattr(f->m, file, META_SET_GID, &owner, NULL), 0);
	assert_int_equal(attr_of(f, file).mode, S_IFREG | 02745);
	assert_int_equal(set_mode(f, dir, 06755), 0);
	assert_int_equal(meta_setattr(f->m, dir, META_SET_GID, &owner, NULL), 0);
	assert_int_equal(attr_of(f, dir).mode, S_IFDIR | 06755);
	/* who gives a mode with it means it */
	assert_int_equal(meta_setattr(f->m, file, META_SET_GID | META_SET_MODE, &owner, NULL), 0);
	assert_int_equal(attr_of(f, file).mode, S_IFREG | 06755);
}

static void kill_suidgid_clears_them(void **state)
{
	struct fixture *f = *state;
	uint64_t file = make_file(f, 1, "a");
	struct meta_attr attr = {.size = 10};

	assert_int_equal(set_mode(f, file, 06755), 0);
	assert_int_equal(meta_setattr(f->m, file, META_SET_SIZE | META_SET_KILL_SUIDGID, &attr, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0755);
	assert_int_equal(attr.size, 10);
}

static void a_new_size_is_a_new_version(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a");
	struct meta_attr before = attr_of(f, ino), after;

	assert_int_equal(set_size(f, ino, 5000), 0);
	after = attr_of(f, ino);
	assert_int_equal(after.size, 5000);
	assert_true(after.version > before.version);
	assert_true(time_order(&after.mtime, &before.mtime) > 0);
	before = after;
	assert_int_equal(set_size(f, ino, 5000), 0);
	after = attr_of(f, ino);
	assert_int_equal(after.version, before.version);
	assert_true(time_order(&after.mtime, &before.mtime) > 0);
}

static void versions_are_never_given_again_after_a_reopen(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), version;

	assert_int_equal(set_size(f, ino, 1), 0);
	/* Were the last changes lost now, another open would not give their versions to others. */
	version = attr_of(f, ino).version + 1000;
	fixture_reopen(f);
	assert_int_equal(set_size(f, ino, 2), 0);
	assert_true(attr_of(f, ino).version > version);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, 1, "a"), fifo = make(f, 1, "p", S_IFIFO | 0600);

	assert_int_equal(set_size(f, 1, 0), -EISDIR);
	assert_int_equal(set_size(f, fifo, 0), -EINVAL);
	assert_int_equal(set_size(f, ino, (uint64_t)META_SIZE_MAX + 1), -EFBIG);
	assert_int_equal(set_size(f, 999, 0), -ENOENT);
	assert_int_equal(set_size(f, ino, META_SIZE_MAX), 0);
	assert_int_equal(attr_of(f, ino).size, META_SIZE_MAX);
	assert_int_equal(set_size(f, ino, 0), 0);
}

static void times_that_cannot_be_are_refused(void **state)
{
	struct fixture *f = *state;
	struct meta_attr bad = {.atime = {.tv_nsec = 1000000000}, .mtime = {.tv_nsec = -1}};

	assert_int_equal(meta_setattr(f->m, 1, META_SET_ATIME, &bad, NULL), -EINVAL);
	assert_int_equal(meta_setattr(f->m, 1, META_SET_MTIME, &bad, NULL), -EINVAL);
}

static void an_absent_inode_leaves_the_result_alone(void **state)
{
	struct fixture *f = *state;
	struct meta_attr attr = {.ino = 7};

	assert_int_equal(meta_getattr(f->m, 999, &attr), -ENOENT);
	assert_int_equal(meta_getattr(f->m, 0, &attr), -ENOENT);
	assert_int_equal(meta_setattr(f->m, 999, META_SET_MODE, &attr, &attr), -ENOENT);
	assert_int_equal(attr.ino, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(only_what_is_named_changes),
		META_TEST(the_type_never_changes),
		META_TEST(chown_clears_suid_and_sgid),
		META_TEST(kill_suidgid_clears_them),
		META_TEST(a_new_size_is_a_new_version),
		META_TEST(versions_are_never_given_again_after_a_reopen),
		META_TEST(sizes_that_cannot_be_are_refused),
		META_TEST(times_that_cannot_be_are_refused),
		META_TEST(an_absent_inode_leaves_the_result_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
