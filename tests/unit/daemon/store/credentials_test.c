/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "daemon/store/credentials.h"
#include "tests/harness/tempdir.h"

static char *home;

/** A home directory of its own and nothing of the caller's environment. */
static int clean_environment(void **state)
{
	static const char *const names[] = {"AWS_ACCESS_KEY_ID",           "AWS_SECRET_ACCESS_KEY",
	                                    "AWS_SESSION_TOKEN",           "AWS_PROFILE",
	                                    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"};
	_cleanup_free_ char *aws = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	home = tempdir_make();
	setenv("HOME", home, 1);
	return asprintf(&aws, "%s/.aws", home) < 0 || mkdir(aws, 0700) < 0;
}

static int remove_home(void **state)
{
	(void)state;
	tempdir_remove(home);
	return 0;
}

static void write_file(const char *name, const char *text)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;

	assert_true(asprintf(&path, "%s/%s", home, name) > 0);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
}

static void assert_loads(const char *access_key, const char *secret_key, const char *token)
{
	_cleanup_free_ char *why = NULL;
	struct credentials c;

	assert_int_equal(credentials_load(&c, &why), 0);
	assert_string_equal(c.access_key, access_key);
	assert_string_equal(c.secret_key, secret_key);
	if (token)
		assert_string_equal(c.session_token, token);
	else
		assert_null(c.session_token);
	credentials_clear(&c);
	assert_null(c.secret_key);
}

static void assert_refused(const char *says)
{
	_cleanup_free_ char *why = NULL;
	struct credentials c;

	assert_int_equal(credentials_load(&c, &why), -EINVAL);
	if (!strstr(why, says))
		fail_msg("%s", why);
}

static const char two_profiles[] = "# keys\n"
				   "[default]\n"
				   "aws_access_key_id = AKDEFAULT\n"
				   "aws_secret_access_key=sec/ret+1=\n"
				   "\n"
				   "[ other ]\n"
				   "aws_access_key_id = AKOTHER\n"
				   "aws_secret_access_key = secret2\n"
				   "aws_session_token = token2\n";

static void the_environment_comes_first(void **state)
{
	(void)state;
	write_file(".aws/credentials", two_profiles);
	setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	assert_loads("AKENV", "secret", NULL);
	setenv("AWS_SESSION_TOKEN", "token", 1);
	assert_loads("AKENV", "secret", "token");
}

static void the_default_profile_is_read(void **state)
{
	(void)state;
	write_file(".aws/credentials", two_profiles);
	assert_loads("AKDEFAULT", "sec/ret+1=", NULL);
}

static void aws_profile_names_another(void **state)
{
	(void)state;
	write_file(".aws/credentials", two_profiles);
	setenv("AWS_PROFILE", "other", 1);
	assert_loads("AKOTHER", "secret2", "token2");
	setenv("AWS_PROFILE", "absent", 1);
	assert_refused("'absent'");
}

static void the_config_file_comes_last(void **state)
{
	_cleanup_free_ char *region = NULL;

	(void)state;
	write_file(".aws/config", "[profile p]\r\n"
	                          "region = eu-central-1\r\n"
	                          "s3 =\r\n"
	                          "  region = nested\r\n"
	                          "aws_access_key_id = AKCONFIG\r\n"
	                          "aws_secret_access_key = secret\r\n");
	setenv("AWS_PROFILE", "p", 1);
	assert_loads("AKCONFIG", "secret", NULL);
	region = credentials_setting("region");
	assert_string_equal(region, "eu-central-1");
	write_file(".aws/credentials", "[p]\naws_access_key_id=A\naws_secret_access_key=B\n");
	assert_loads("A", "B", NULL);
}

static void files_may_be_elsewhere(void **state)
{
	_cleanup_free_ char *path = NULL;

	(void)state;
	write_file("keys", two_profiles);
	assert_true(asprintf(&path, "%s/keys", home) > 0);
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	assert_loads("AKDEFAULT", "sec/ret+1=", NULL);
}

static void none_at_all_says_what_to_do(void **state)
{
	(void)state;
	assert_refused("set AWS_ACCESS_KEY_ID");
	unsetenv("HOME");
	assert_refused("set AWS_ACCESS_KEY_ID");
}

static void half_of_them_is_refused(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AK", 1);
	assert_refused("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_ACCESS_KEY_ID");
	setenv("AWS_SECRET_ACCESS_KEY", "very-secret", 1);
	assert_refused("AWS_ACCESS_KEY_ID");
	assert_refused("half");
}

static void a_key_that_would_break_a_header_is_refused(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AK\r\nX-Evil: 1", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	assert_refused("characters");
	setenv("AWS_ACCESS_KEY_ID", "AK", 1);
	setenv("AWS_SESSION_TOKEN", "a\nb", 1);
	assert_refused("characters");
}

static void a_file_of_nonsense_is_no_credentials(void **state)
{
	char text[20000];

	(void)state;
	write_file(".aws/credentials", "[default\naws_access_key_id\n=\n[]\n[default]\naws_access_key_id=\n");
	assert_refused("no S3 credentials");
	/* The rest of an over-long line is not taken for a line. */
	memset(text, 'x', sizeof(text));
	text[stpcpy(text, "[default]\nlong=") - text] = 'x';
	strcpy(text + 8201, "aws_access_key_id=EVIL\naws_secret_access_key=x\n");
	write_file(".aws/credentials", text);
	assert_refused("access key id");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, clean_environment, remove_home)
	const struct CMUnitTest cases[] = {
		CASE(the_environment_comes_first),
		CASE(the_default_profile_is_read),
		CASE(aws_profile_names_another),
		CASE(the_config_file_comes_last),
		CASE(files_may_be_elsewhere),
		CASE(none_at_all_says_what_to_do),
		CASE(half_of_them_is_refused),
		CASE(a_key_that_would_break_a_header_is_refused),
		CASE(a_file_of_nonsense_is_no_credentials),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
