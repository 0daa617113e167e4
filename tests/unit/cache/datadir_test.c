/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cache/fixture.h"

#include "cache/datadir.h"

struct place {
	char *dir;
	struct datadir *d;
};

static int open_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char *why = NULL;

	p->dir = tempdir_make();
	assert_int_equal(datadir_open(p->dir, &p->d, &why), 0);
	*state = p;
	return 0;
}

static int close_place(void **state)
{
	struct place *p = *state;

	datadir_close(p->d);
	tempdir_remove(p->dir);
	free(p);
	return 0;
}

static void a_second_user_is_told_that_the_directory_is_busy(void **state)
{
	struct place *p = *state;
	struct datadir *second = NULL;
	char *why = NULL;

	assert_int_equal(datadir_open(p->dir, &second, &why), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(why, p->dir));
	assert_non_null(strstr(why, "another process"));
	free(why);
}

static void missing_directories_are_made_private(void **state)
{
	struct place *p = *state;
	struct datadir *deep = NULL;
	char path[4096], sub[4200], *why = NULL;
	struct stat st;

	snprintf(path, sizeof(path), "%s/a/b/c", p->dir);
	assert_int_equal(datadir_open(path, &deep, &why), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	snprintf(sub, sizeof(sub), "%s/data/ff", path);
	assert_int_equal(stat(sub, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	datadir_close(deep);
}

static void a_directory_that_cannot_be_made_is_explained(void **state)
{
	struct place *p = *state;
	struct datadir *d = NULL;
	char path[4096], *why = NULL;

	snprintf(path, sizeof(path), "%s/lock/below-a-file", p->dir);
	assert_int_equal(datadir_open(path, &d, &why), -ENOTDIR);
	assert_non_null(strstr(why, path));
	free(why);
}

static void a_data_file_is_made_found_and_removed(void **state)
{
	struct place *p = *state;
	const struct data_name name = {UINT64_MAX, UINT64_MAX, UINT64_MAX}, other = {UINT64_MAX, 1, 2};
	uint64_t bytes = 99;
	struct stat st;
	char path[4096];
	int fd;

	assert_int_equal(datadir_open_file(p->d, &name), -ENOENT);
	assert_int_equal(datadir_stat(p->d, &name, &bytes), -ENOENT);
	fd = datadir_create(p->d, &name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	snprintf(path, sizeof(path), "%s/data/ff/18446744073709551615.18446744073709551615.ffffffffffffffff",
	         p->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(datadir_stat(p->d, &name, &bytes), 0);
	assert_int_equal(bytes, st.st_blocks * 512);
	fd = datadir_open_file(p->d, &name);
	assert_true(fd >= 0);
	close(fd);
	fd = datadir_create(p->d, &name); /* one left by a crash: emptied */
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	close(fd);
	assert_int_equal(datadir_open_file(p->d, &other), -ENOENT);
	assert_int_equal(datadir_unlink(p->d, &name), 0);
	assert_int_equal(datadir_open_file(p->d, &name), -ENOENT);
}

static void what_is_no_regular_file_is_not_opened(void **state)
{
	struct place *p = *state;
	const struct data_name name = {1, 2, 3};
	uint64_t bytes;
	char path[4096];

	snprintf(path, sizeof(path), "%s/data/01/1.2.3", p->dir);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(datadir_open_file(p->d, &name), -ENOENT);
	assert_int_equal(datadir_stat(p->d, &name, &bytes), -ENOENT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(datadir_open_file(p->d, &name), -ENOENT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(datadir_open_file(p->d, &name), -ENOENT);
}

static bool keep_even(const struct data_name *name, void *arg)
{
	++*(unsigned *)arg;
	return name->id % 2 == 0;
}

static void a_sweep_removes_data_files_and_nothing_else(void **state)
{
	static const char *const foreign[] = {"README",  "1.2",    "1.2.3.4", "01.2.3",
	                                      "1.2.0x3", "1.2.3~", "2.2.3"};
	struct place *p = *state;
	unsigned asked = 0;
	uint64_t bytes;
	char path[4096];

	for (uint64_t id = 1; id <= 4; id++)
		close(datadir_create(p->d, &(struct data_name){1, 2, id}));
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
		snprintf(path, sizeof(path), "%s/data/01/%s", p->dir, foreign[i]);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	assert_int_equal(datadir_sweep(p->d, keep_even, &asked), 0);
	assert_int_equal(asked, 4);
	for (uint64_t id = 1; id <= 4; id++)
		assert_int_equal(datadir_stat(p->d, &(struct data_name){1, 2, id}, &bytes),
		                 id % 2 ? -ENOENT : 0);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
		snprintf(path, sizeof(path), "%s/data/01/%s", p->dir, foreign[i]);
		assert_int_equal(access(path, F_OK), 0);
	}
}

static void the_space_of_the_file_system_is_known(void **state)
{
	struct place *p = *state;
	uint64_t space = 0, total = 0;

	assert_int_equal(datadir_space(p->d, &space, &total), 0);
	assert_true(total > 0 && space <= total);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)
	const struct CMUnitTest tests[] = {
		TEST(a_second_user_is_told_that_the_directory_is_busy),
		TEST(missing_directories_are_made_private),
		TEST(a_directory_that_cannot_be_made_is_explained),
		TEST(a_data_file_is_made_found_and_removed),
		TEST(what_is_no_regular_file_is_not_opened),
		TEST(a_sweep_removes_data_files_and_nothing_else),
		TEST(the_space_of_the_file_system_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
