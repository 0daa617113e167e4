/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"

static void assert_escaped(const char *bytes, const char *wanted)
{
	_cleanup_free_ char *text = text_escape(bytes), *back = NULL;

	assert_string_equal(text, wanted);
	assert_int_equal(text_unescape(text, &back), 0);
	assert_string_equal(back, bytes);
}

static void utf8_stays_as_it_is(void **state)
{
	(void)state;
	assert_escaped("", "");
	assert_escaped("plain name.txt", "plain name.txt");
	assert_escaped("Stra\xc3\x9f"
	               "e \xe6\x97\xa5 \xf0\x9f\x98\x80",
	               "Stra\xc3\x9f"
	               "e \xe6\x97\xa5 \xf0\x9f\x98\x80");
}

static void what_is_no_text_is_escaped(void **state)
{
	(void)state;
	assert_escaped("a\\b", "a\\\\b");
	assert_escaped("a\nb\x1b[31m\x7f", "a\\x0Ab\\x1B[31m\\x7F");
	assert_escaped("\xff", "\\xFF");
	assert_escaped("\xc3", "\\xC3");                            /* cut off */
	assert_escaped("\xc0\xaf", "\\xC0\\xAF");                   /* an overlong '/' */
	assert_escaped("\xe0\x80\xaf", "\\xE0\\x80\\xAF");          /* ditto */
	assert_escaped("\xed\xa0\x80", "\\xED\\xA0\\x80");          /* a surrogate */
	assert_escaped("\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80"); /* beyond Unicode */
	assert_escaped("\xc2\x9b", "\\xC2\\x9B");                   /* a C1 control: terminals act on it */
}

static void every_byte_string_survives_json(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		_cleanup_free_ char *text = NULL, *back = NULL;
		char bytes[9] = "";
		json_t *j;

		for (size_t i = 0; i < sizeof(bytes) - 1; i++)
			bytes[i] = (char)(rand() % 255 + 1);
		text = text_escape(bytes);
		j = json_string(text);
		assert_non_null(j);
		assert_int_equal(text_unescape(json_string_value(j), &back), 0);
		assert_string_equal(back, bytes);
		json_decref(j);
	}
}

static void a_bad_escape_is_refused(void **state)
{
	static const char *const bad[] = {"\\", "a\\n", "\\x", "\\x4", "\\x4g", "\\x00", "\\X41"};
	char *back = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_unescape(bad[i], &back), -EINVAL);
	assert_null(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_stays_as_it_is),
		cmocka_unit_test(what_is_no_text_is_escaped),
		cmocka_unit_test(every_byte_string_survives_json),
		cmocka_unit_test(a_bad_escape_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
