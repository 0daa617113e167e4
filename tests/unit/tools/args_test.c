/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "tools/args.h"

static bool flag, other;
static const char *string;
static unsigned number;
static uint64_t size;
static double seconds;

static const struct arg table[] = {
	{"flag", 'f', ARG_FLAG, &flag, NULL, "a flag", 0, 0},
	{"other", 'o', ARG_FLAG, &other, NULL, "another", 0, 0},
	{"string", 's', ARG_STRING, &string, "TEXT", "a string", 0, 0},
	{"number", 'n', ARG_UINT, &number, "N", "a number", 1, 100},
	{"chunk-size", 0, ARG_SIZE, &size, "SIZE", "a size", 1024, 1 << 20},
	{"interval", 'i', ARG_SECONDS, &seconds, "S", "a time", 0, 0},
	{0},
};

static char *argv[16], *why;
static int argc;

/* Parse words; why is what is said about them. */
#define parse(...) parse_words(__VA_ARGS__, (char *)NULL)

static int parse_words(const char *word, ...)
{
	va_list ap;

	free(why);
	why = NULL;
	flag = other = false;
	string = NULL;
	number = 0;
	size = 0;
	seconds = 0;
	argc = 0;
	argv[argc++] = (char *)"test";
	va_start(ap, word);
	for (; word; word = va_arg(ap, const char *))
		argv[argc++] = (char *)word;
	va_end(ap);
	return args_parse(table, argc, argv, &why);
}

static void assert_refused(int r, const char *says)
{
	assert_int_equal(r, -EINVAL);
	assert_non_null(why);
	if (!strstr(why, says))
		fail_msg("\"%s\" does not say \"%s\"", why, says);
}

static void operands_and_options_may_be_mixed(void **state)
{
	(void)state;
	assert_int_equal(parse("one", "--flag", "two", "-n", "7", "three"), 3);
	assert_string_equal(argv[0], "one");
	assert_string_equal(argv[1], "two");
	assert_string_equal(argv[2], "three");
	assert_true(flag);
	assert_false(other);
	assert_int_equal(number, 7);
}

static void values_may_be_attached_or_follow(void **state)
{
	(void)state;
	assert_int_equal(parse("--string=a=b", "-n9", "-i", "0.5", "--chunk-size", "4K"), 0);
	assert_string_equal(string, "a=b");
	assert_int_equal(number, 9);
	assert_int_equal(size, 4096);
	assert_true(seconds == 0.5);
	assert_int_equal(parse("-fos", "text"), 0);
	assert_true(flag && other);
	assert_string_equal(string, "text");
}

static void two_dashes_end_the_options(void **state)
{
	(void)state;
	assert_int_equal(parse("--flag", "--", "--other", "-x"), 2);
	assert_string_equal(argv[0], "--other");
	assert_string_equal(argv[1], "-x");
	assert_false(other);
	assert_int_equal(parse("-"), 1);
}

static void an_unknown_option_is_refused_with_a_suggestion(void **state)
{
	(void)state;
	assert_refused(parse("--chunksize=4M"), "'--chunksize'; did you mean --chunk-size?");
	assert_refused(parse("--numbr", "3"), "did you mean --number?");
	assert_refused(parse("--hepl"), "did you mean --help?");
	assert_refused(parse("-chunk-size"), "did you mean --chunk-size?");
}

static void values_are_checked(void **state)
{
	(void)state;
	assert_refused(parse("--number", "0"), "from 1 to 100");
	assert_refused(parse("--number", "101"), "from 1 to 100");
	assert_refused(parse("--number", "1x"), "'1x'");
	assert_refused(parse("--number", "-1"), "'-1'");
	assert_refused(parse("--number", "99999999999999999999"), "a number");
	assert_refused(parse("--number"), "needs a value");
	assert_refused(parse("-n"), "needs a value");
	assert_refused(parse("--chunk-size", "5Q"), "'5Q'");
	assert_refused(parse("--chunk-size", "2M"), "to 1048576 bytes");
	assert_refused(parse("--interval", "0"), "above 0");
	assert_refused(parse("--interval", "nan"), "'nan'");
	assert_refused(parse("--string="), "empty");
	assert_refused(parse("--flag=yes"), "takes no value");
	assert_refused(parse("-z"), "'-z'");
}

static void a_suggestion_is_near_or_none(void **state)
{
	static const char *const words[] = {"format", "warmup", "status", "stats", "umount"};

	(void)state;
	assert_string_equal(args_suggest("unmount", words, ARRAY_SIZE(words)), "umount");
	assert_string_equal(args_suggest("warm", words, ARRAY_SIZE(words)), "warmup");
	assert_string_equal(args_suggest("stat", words, ARRAY_SIZE(words)), "stats");
	assert_string_equal(args_suggest("fromat", words, ARRAY_SIZE(words)), "format");
	assert_null(args_suggest("xyzzy", words, ARRAY_SIZE(words)));
	assert_null(
		args_suggest("a-word-that-is-far-longer-than-any-option-could-be", words, ARRAY_SIZE(words)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operands_and_options_may_be_mixed),
		cmocka_unit_test(values_may_be_attached_or_follow),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(an_unknown_option_is_refused_with_a_suggestion),
		cmocka_unit_test(values_are_checked),
		cmocka_unit_test(a_suggestion_is_near_or_none),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(why);
	return failed;
}
