/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "daemon/mountinfo.h"

static const char mountinfo[] =
	"22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
	"28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	"90 28 0:44 / /mnt/a rw shared:3 master:4 - fuse.curvefs file:///v rw,user_id=0\n"
	"91 28 0:45 / /mnt/a\\040b rw - fuse.curvefs file:///v rw\n"
	"92 28 0:46 / /mnt/other rw - fuse.sshfs host: rw\n"
	"93 28 0:47 / /mnt/over rw - fuse.curvefs file:///v rw\n"
	"94 93 0:48 / /mnt/over rw - fuse.curvefs file:///w rw\n"
	"95 28 0:49 / /mnt/a/b rw - fuse.curvefs s3://b rw\n"
	"96 28 0:50 / /mnt/tricky rw - tmpfs x\\040-\\040fuse.curvefs rw\n"
	"97 28 0:51 / /mnt/last rw - fuse.curvefs file:///v rw";

static void assert_minor(const char *mountpoint, unsigned expected)
{
	unsigned minor = 0;

	assert_int_equal(mountinfo_find_minor(mountinfo, mountpoint, &minor), 0);
	assert_int_equal(minor, expected);
}

static void mount_is_found_by_its_path(void **state)
{
	(void)state;
	assert_minor("/mnt/a", 44);
	assert_minor("/mnt/a/b", 49);
	assert_minor("/mnt/last", 51);
}

static void escaped_blank_is_a_blank(void **state)
{
	(void)state;
	assert_minor("/mnt/a b", 45);
}

static void of_two_at_one_place_the_upper_counts(void **state)
{
	(void)state;
	assert_minor("/mnt/over", 48);
}

static void other_file_systems_do_not_count(void **state)
{
	unsigned minor = 7;

	(void)state;
	assert_int_equal(mountinfo_find_minor(mountinfo, "/mnt/other", &minor), -ENOENT);
	assert_int_equal(mountinfo_find_minor(mountinfo, "/mnt/tricky", &minor), -ENOENT);
	assert_int_equal(mountinfo_find_minor(mountinfo, "/mnt", &minor), -ENOENT);
	assert_int_equal(mountinfo_find_minor(mountinfo, "/mnt/a b c", &minor), -ENOENT);
	assert_int_equal(mountinfo_find_minor("", "/mnt/a", &minor), -ENOENT);
	assert_int_equal(mountinfo_find_minor("garbage\n\n0:\n", "/mnt/a", &minor), -ENOENT);
	assert_int_equal(minor, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mount_is_found_by_its_path),
		cmocka_unit_test(escaped_blank_is_a_blank),
		cmocka_unit_test(of_two_at_one_place_the_upper_counts),
		cmocka_unit_test(other_file_systems_do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
