/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/options.h"
#include "tests/harness/tempdir.h"

#define ARGUMENTS_MAX 32

static char *mountpoint; /* of all tests */

static int make_mountpoint(void **state)
{
	(void)state;
	mountpoint = tempdir_make();
	return mountpoint ? 0 : -1;
}

static int remove_mountpoint(void **state)
{
	(void)state;
	tempdir_remove(mountpoint);
	return 0;
}

/* Parse the arguments given (up to NULL), with a program name before them. */
static int parse(struct options *ret, char **ret_why, va_list ap)
{
	char *argv[ARGUMENTS_MAX + 2];
	const char *argument;
	int argc = 0, r;

	argv[argc++] = strdup("curvefs-fuse");
	while ((argument = va_arg(ap, const char *))) {
		assert_true(argc < ARGUMENTS_MAX);
		argv[argc++] = strdup(argument);
	}
	argv[argc] = NULL;
	r = options_parse(argc, argv, ret, ret_why);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return r;
}

/* These options, with a good SOURCE and MOUNTPOINT, are accepted. */
static struct options accept_options(const char *unused, ...)
{
	struct options o = {};
	char *why = NULL;
	va_list ap;

	(void)unused;
	va_start(ap, unused);
	assert_int_equal(parse(&o, &why, ap), 0);
	va_end(ap);
	assert_null(why);
	return o;
}
#define ACCEPT(...) accept_options(NULL, ##__VA_ARGS__, "file:///v", mountpoint, NULL)

/* These arguments are refused, with @says in the reason. */
static void refuse_arguments(const char *says, ...)
{
	struct options o = {.source = "untouched"};
	_cleanup_free_ char *why = NULL;
	va_list ap;

	va_start(ap, says);
	assert_int_equal(parse(&o, &why, ap), -EINVAL);
	va_end(ap);
	assert_string_equal(o.source, "untouched");
	assert_non_null(why);
	if (!strstr(why, says))
		fail_msg("\"%s\" does not say \"%s\"", why, says);
}
#define REFUSE_ONLY(says, ...) refuse_arguments(says, ##__VA_ARGS__, NULL)
#define REFUSE(says, ...) refuse_arguments(says, ##__VA_ARGS__, "file:///v", mountpoint, NULL)

static void defaults_are_those_of_the_manual(void **state)
{
	struct options o = ACCEPT();

	(void)state;
	assert_string_equal(o.source, "file:///v");
	assert_string_equal(o.mountpoint, mountpoint);
	assert_false(o.foreground || o.debug || o.read_only || o.allow_other || o.acl || o.clone_fd);
	assert_int_equal(o.bpf_cache, BPF_CACHE_AUTO);
	assert_int_equal(o.bpf_max_entries, 1 << 20);
	assert_int_equal(o.bpf_ring_pages, 16);
	assert_int_equal(o.dirty_expire_s, 30);
	assert_null(o.cache_dir);
	assert_null(o.meta_dir);
	assert_null(o.fuse_opts);
	assert_true(o.cache_size == 100ull << 30);
	assert_true(o.free_space_ratio == 0.1);
	assert_true(isnan(o.attr_cache) && isnan(o.entry_cache) && isnan(o.negative_entry_cache));
	assert_int_equal(o.get_timeout_s, 30);
	assert_int_equal(o.retries, 5);
	assert_int_equal(o.max_uploads, 8);
	assert_int_equal(o.max_downloads, 16);
	assert_int_equal(o.buffer_size, 64 << 20);
	assert_int_equal(o.read_ahead, 8 << 20);
	assert_int_equal(o.max_idle_threads, 16);
	assert_int_equal(o.log_level, LOG_INFO);
	options_free(&o);
}

static void every_long_option_sets_its_value(void **state)
{
	struct options o =
		ACCEPT("--bpf-cache=off", "--bpf-max-entries=4K", "--cache-dir", "/c", "--cache-size=1.5G",
	               "--free-space-ratio=0.25", "--meta-dir=/m", "--attr-cache=2", "--entry-cache=0.5",
	               "--negative-entry-cache=0", "--endpoint-url=http://h:1", "--region=r",
	               "--get-timeout=7", "--retries=3", "--max-uploads=2", "--max-downloads=4",
	               "--buffer-size=32M", "--read-ahead=0", "--clone-fd", "--max-idle-threads=9",
	               "--log-level=debug", "--bpf-ring-pages=4", "--dirty-expire=3", "-f");

	(void)state;
	assert_int_equal(o.bpf_cache, BPF_CACHE_OFF);
	assert_int_equal(o.bpf_max_entries, 4096);
	assert_int_equal(o.bpf_ring_pages, 4);
	assert_int_equal(o.dirty_expire_s, 3);
	assert_string_equal(o.cache_dir, "/c");
	assert_true(o.cache_size == 3ull << 29);
	assert_true(o.free_space_ratio == 0.25);
	assert_string_equal(o.meta_dir, "/m");
	assert_true(o.attr_cache == 2 && o.entry_cache == 0.5 && o.negative_entry_cache == 0);
	assert_string_equal(o.endpoint_url, "http://h:1");
	assert_string_equal(o.region, "r");
	assert_int_equal(o.get_timeout_s, 7);
	assert_int_equal(o.retries, 3);
	assert_int_equal(o.max_uploads, 2);
	assert_int_equal(o.max_downloads, 4);
	assert_int_equal(o.buffer_size, 32 << 20);
	assert_int_equal(o.read_ahead, 0);
	assert_true(o.clone_fd && o.foreground);
	assert_int_equal(o.max_idle_threads, 9);
	assert_int_equal(o.log_level, LOG_DEBUG);
	options_free(&o);
}

static void plain_bpf_cache_means_require(void **state)
{
	struct options o = ACCEPT("--bpf-cache");

	(void)state;
	assert_int_equal(o.bpf_cache, BPF_CACHE_REQUIRE);
	options_free(&o);
	o = ACCEPT("-obpf-cache");
	assert_int_equal(o.bpf_cache, BPF_CACHE_REQUIRE);
	options_free(&o);
	REFUSE("--bpf-cache: \"maybe\" is not one of", "--bpf-cache=maybe");
}

static void io_retries_is_another_name_of_retries(void **state)
{
	struct options o = ACCEPT("--io-retries=9");

	(void)state;
	assert_int_equal(o.retries, 9);
	options_free(&o);
}

static void long_options_may_be_given_with_o(void **state)
{
	struct options o = ACCEPT("-o", "cache-dir=/x,bpf-cache=require,clone-fd", "-o",
	                          "ro,allow_other,acl,noatime,nosuid");

	(void)state;
	assert_string_equal(o.cache_dir, "/x");
	assert_int_equal(o.bpf_cache, BPF_CACHE_REQUIRE);
	assert_true(o.clone_fd && o.read_only && o.allow_other && o.acl);
	assert_string_equal(o.fuse_opts, "noatime,nosuid");
	options_free(&o);
}

static void the_last_of_ro_and_rw_wins(void **state)
{
	struct options o = ACCEPT("-oro,rw");

	(void)state;
	assert_false(o.read_only);
	options_free(&o);
}

static void what_mount_and_systemd_mean_is_ignored(void **state)
{
	struct options o = ACCEPT(
		"-o", "_netdev,noauto,defaults,nofail,x-systemd.automount,x-systemd.idle-timeout=3,user");

	(void)state;
	assert_null(o.fuse_opts);
	options_free(&o);
}

static void unknown_options_are_named(void **state)
{
	(void)state;
	REFUSE("unknown option --cach-dir (did you mean --cache-dir?)", "--cach-dir=/x");
	REFUSE("unknown option --frobnicate (see --help)", "--frobnicate");
	REFUSE("unknown option -o allow_othr (did you mean -o allow_other?)", "-oallow_othr");
	REFUSE("unknown option -o fsname (see --help)", "-o", "fsname=x");
	REFUSE("unknown option -z", "-z");
}

static void wrong_values_are_named(void **state)
{
	(void)state;
	REFUSE("--cache-size: 1 is not between 1M and 1E", "--cache-size=1");
	REFUSE("--cache-size: \"many\" is not a number", "--cache-size=many");
	REFUSE("--cache-size: 99999999999999999999 is not between", "--cache-size=99999999999999999999");
	REFUSE("--free-space-ratio: 1.5 is not between 0 and 1", "--free-space-ratio=1.5");
	REFUSE("--free-space-ratio: \"-0.1\" is not a number", "--free-space-ratio=-0.1");
	REFUSE("--attr-cache: \"nan\" is not a number", "--attr-cache=nan");
	REFUSE("--attr-cache: \"1.2.3\" is not a number", "--attr-cache=1.2.3");
	REFUSE("--bpf-ring-pages: 3 is not a power of two", "--bpf-ring-pages=3");
	REFUSE("--bpf-ring-pages: 0 is not between 1 and 1K", "--bpf-ring-pages=0");
	REFUSE("--retries: 0 is not between 1 and 100", "--retries=0");
	REFUSE("--max-idle-threads: 2000 is not between", "--max-idle-threads=2000");
	REFUSE("--log-level: \"loud\" is not one of", "--log-level=loud");
	REFUSE("--meta-dir: the path is empty", "--meta-dir=");
	REFUSE("--region: the value is empty", "-oregion=");
	REFUSE("option --clone-fd takes no value", "--clone-fd=1");
	REFUSE("-o clone-fd takes no value", "-oclone-fd=1");
	REFUSE("-o meta-dir needs a value", "-o", "meta-dir");
	REFUSE_ONLY("option --meta-dir needs a value", "file:///v", mountpoint, "--meta-dir");
}

static void operands_are_checked(void **state)
{
	(void)state;
	REFUSE_ONLY("SOURCE and MOUNTPOINT are missing");
	REFUSE_ONLY("MOUNTPOINT is missing", "file:///v");
	REFUSE_ONLY("\"more\" is one argument too many", "file:///v", mountpoint, "more");
	REFUSE_ONLY("\"/v\" is no SOURCE", "/v", mountpoint);
	REFUSE_ONLY("No such file or directory", "file:///v", "/nonexistent/mnt");
	REFUSE_ONLY("Not a directory", "file:///v", "/dev/null");
}

static void relative_paths_become_absolute(void **state)
{
	_cleanup_free_ char *before = getcwd(NULL, 0), *expected = NULL, *beside = strdup(mountpoint);
	struct options o;

	(void)state;
	*strrchr(beside, '/') = '\0';
	assert_true(asprintf(&expected, "%s/sub/cache", beside) > 0);
	assert_int_equal(chdir(beside), 0);
	o = ACCEPT("--cache-dir", "sub/cache");
	assert_string_equal(o.cache_dir, expected);
	options_free(&o);
	assert_int_equal(chdir(mountpoint), 0);
	o = accept_options(NULL, "--meta-dir=../nowhere/x", "file:///v", ".", NULL);
	assert_string_equal(o.mountpoint, mountpoint);
	options_free(&o);
	assert_int_equal(chdir(before), 0);
}

static void what_the_daemon_needs_may_not_lie_in_the_mount(void **state)
{
	_cleanup_free_ char *below = NULL, *url = NULL, *beside = NULL;
	struct options o;

	(void)state;
	assert_true(asprintf(&below, "%s/cache", mountpoint) > 0);
	assert_true(asprintf(&beside, "%s-cache", mountpoint) > 0);
	assert_true(asprintf(&url, "file://%s", mountpoint) > 0);
	REFUSE("--cache-dir lies below the mount point", "--cache-dir", below);
	REFUSE("--meta-dir lies below the mount point", "--meta-dir", below);
	REFUSE_ONLY("the volume lies below the mount point", url, mountpoint);
	o = ACCEPT("--cache-dir", beside);
	options_free(&o);
}

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"65536", 65536},
		{"4k", 4096},
		{"4M", 4 << 20},
		{"4MiB", 4 << 20},
		{"4MB", 4 << 20},
		{"1.5T", 3ull << 39},
		{"0.5K", 512},
		{"15E", 15ull << 60},
		{"18446744073709551615", UINT64_MAX},
	};
	static const char *const bad[] = {"",    " 1",  "1 ",  "-1",  "+1",    "M",  "1.5", "1.",  ".5M",
	                                  "1MM", "1Mi", "0x1", "1e3", "1.5.M", "1B", "inf", "4Mx", "1iB"};
	static const char *const huge[] = {"18446744073709551616", "16E",
	                                   "99999999999999999999999999999999999999999999"};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(options_parse_size(good[i].text, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
	bytes = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (options_parse_size(bad[i], &bytes) != -EINVAL)
			fail_msg("\"%s\" was taken for a size", bad[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(huge); i++)
		assert_int_equal(options_parse_size(huge[i], &bytes), -ERANGE);
	assert_int_equal(bytes, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(every_long_option_sets_its_value),
		cmocka_unit_test(plain_bpf_cache_means_require),
		cmocka_unit_test(io_retries_is_another_name_of_retries),
		cmocka_unit_test(long_options_may_be_given_with_o),
		cmocka_unit_test(the_last_of_ro_and_rw_wins),
		cmocka_unit_test(what_mount_and_systemd_mean_is_ignored),
		cmocka_unit_test(unknown_options_are_named),
		cmocka_unit_test(wrong_values_are_named),
		cmocka_unit_test(operands_are_checked),
		cmocka_unit_test(relative_paths_become_absolute),
		cmocka_unit_test(what_the_daemon_needs_may_not_lie_in_the_mount),
		cmocka_unit_test(sizes_are_powers_of_1024),
	};

	return cmocka_run_group_tests(tests, make_mountpoint, remove_mountpoint);
}
