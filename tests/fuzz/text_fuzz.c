// SPDX-License-Identifier: Apache-2.0
/* File names as text, as they go through the control socket and back. */
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *input = fuzz_string(data, size), *text, *bytes;

	text = text_escape(input);
	CHECK(text);
	CHECK(text_unescape(text, &bytes) == 0);
	CHECK(strcmp(bytes, input) == 0);
	free(bytes);
	free(text);
	if (text_unescape(input, &bytes) == 0) {
		CHECK(strlen(bytes) <= strlen(input));
		free(bytes);
	}
	free(input);
	return 0;
}
