/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/table.h"

static void assert_printed(struct table *t, const char *wanted)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	table_print(t, f);
	fclose(f);
	assert_string_equal(text, wanted);
	free(text);
}

static void columns_are_aligned_and_numbers_right(void **state)
{
	struct table *t = table_new((const char *[]){"name", ">n", "end", NULL});

	(void)state;
	table_add(t, (const char *[]){"a", "1", "x"});
	table_add(t, (const char *[]){"longer", "1000", "y"});
	assert_printed(t, "name       n  end\n"
	                  "a          1  x\n"
	                  "longer  1000  y\n");
}

static void no_line_ends_with_blanks(void **state)
{
	struct table *t = table_new((const char *[]){"", "", "", NULL});

	(void)state;
	table_add(t, (const char *[]){"a", NULL, NULL});
	table_add(t, (const char *[]){"", "", "c"});
	table_add(t, (const char *[]){"aaa", "b", ""});
	assert_printed(t, "a\n"
	                  "        c\n"
	                  "aaa  b\n");
}

static void a_table_without_rows_is_nothing(void **state)
{
	(void)state;
	assert_printed(table_new((const char *[]){"name", NULL}), "");
}

static void wide_characters_count_their_columns(void **state)
{
	struct table *t = table_new((const char *[]){"", "", NULL});

	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	assert_int_equal(table_width("Stra\xc3\x9f"
	                             "e"),
	                 6);
	table_add(t, (const char *[]){"\xe6\x97\xa5", "x"}); /* two columns wide */
	table_add(t, (const char *[]){"abc", "y"});
	assert_printed(t, "\xe6\x97\xa5   x\n"
	                  "abc  y\n");
}

static void sizes_and_times_are_for_people(void **state)
{
	char b[HUMAN_MAX];

	(void)state;
	assert_string_equal(human_bytes(0, b), "0 B");
	assert_string_equal(human_bytes(1023, b), "1023 B");
	assert_string_equal(human_bytes(1536, b), "1.5 KiB");
	assert_string_equal(human_bytes((1 << 20) - 1, b), "1.0 MiB");
	assert_string_equal(human_bytes(UINT64_MAX, b), "16.0 EiB");
	assert_string_equal(human_duration(59, b), "59 s");
	assert_string_equal(human_duration(3700, b), "1 h 1 min");
	assert_string_equal(human_duration(90000, b), "1 d 1 h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_aligned_and_numbers_right),
		cmocka_unit_test(no_line_ends_with_blanks),
		cmocka_unit_test(a_table_without_rows_is_nothing),
		cmocka_unit_test(wide_characters_count_their_columns),
		cmocka_unit_test(sizes_and_times_are_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
