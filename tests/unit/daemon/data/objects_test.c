/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/daemon/data/fixture.h"

static void keys_are_spread_by_the_low_digits(void **state)
{
	char key[DATA_KEY_MAX];

	(void)state;
	data_object_key(0x1234, 4194304, key);
	assert_string_equal(key, "data/34/12/0000000000001234_4194304");
	data_object_key(UINT64_MAX, UINT32_MAX, key);
	assert_string_equal(key, "data/ff/ff/ffffffffffffffff_4294967295");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(keys_are_spread_by_the_low_digits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
