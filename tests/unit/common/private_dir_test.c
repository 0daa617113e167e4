/* SPDX-License-Identifier: Apache-2.0 */
#include "common/private_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after those it needs */
#include <cmocka.h>

#include "tests/harness/tempdir.h"

static const char *const ours[] = {"lock", NULL};

static void put(const char *dir, const char *name)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

/* With @p mode and @p name in it (NULL: nothing). */
static void check(mode_t mode, const char *name, int wanted, mode_t mode_after)
{
	char *dir = tempdir_make(), *why = NULL;
	struct stat st;

	assert_non_null(dir);
	if (name)
		put(dir, name);
	assert_int_equal(chmod(dir, mode), 0);
	assert_int_equal(private_dir(dir, ours, &why), wanted);
	assert_int_equal(wanted != 0, why != NULL);
	if (why)
		assert_non_null(strstr(why, dir));
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode_after);
	free(why);
	chmod(dir, 0700);
	tempdir_remove(dir);
}

static void a_closed_one_is_left_alone_whatever_is_in_it(void **state)
{
	(void)state;
	check(0700, NULL, 0, 0700);
	check(0700, "photo", 0, 0700);
}

static void an_open_one_is_closed_if_it_is_empty_or_ours(void **state)
{
	(void)state;
	check(0755, NULL, 0, 0700);
	check(01777, NULL, 0, 0700);
	check(0755, "lost+found", 0, 0700);
	check(0750, "lock", 0, 0700);
}

static void an_open_one_with_other_things_is_refused(void **state)
{
	(void)state;
	check(0755, "photo", -EPERM, 0755);
	/* Anybody may have put that there. */
	check(01777, "lock", -EPERM, 01777);
	check(0775, "lock", -EPERM, 0775);
}

static void one_that_is_not_there_is_named(void **state)
{
	char *why = NULL;

	(void)state;
	assert_int_equal(private_dir("/nowhere/at/all", ours, &why), -ENOENT);
	assert_non_null(strstr(why, "/nowhere/at/all"));
	free(why);
}

static void another_users_one_is_refused(void **state)
{
	char *dir = tempdir_make(), *why = NULL;

	(void)state;
	assert_non_null(dir);
	if (chown(dir, 12345, (gid_t)-1) < 0) {
		tempdir_remove(dir);
		skip();
	}
	assert_int_equal(private_dir(dir, ours, &why), -EPERM);
	assert_non_null(strstr(why, "belongs to user 12345"));
	free(why);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_closed_one_is_left_alone_whatever_is_in_it),
		cmocka_unit_test(an_open_one_is_closed_if_it_is_empty_or_ours),
		cmocka_unit_test(an_open_one_with_other_things_is_refused),
		cmocka_unit_test(one_that_is_not_there_is_named),
		cmocka_unit_test(another_users_one_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
