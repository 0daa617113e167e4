// SPDX-License-Identifier: Apache-2.0
/* The options of a subcommand of curvefs; a NUL, or a newline, ends an argument. */
#include "tests/fuzz/fuzz.h"
#include "tools/args.h"

#define ARGUMENTS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *string = NULL;
	bool flag = false;
	unsigned number = 3;
	uint64_t bytes = 8;
	double seconds = 1;
	const struct arg table[] = {
		{"flag", 'f', ARG_FLAG, &flag, NULL, "a flag", 0, 0},
		{"string", 's', ARG_STRING, &string, "S", "a string", 0, 0},
		{"number", 'n', ARG_UINT, &number, "N", "a number", 1, 256},
		{"bytes", 'b', ARG_SIZE, &bytes, "N", "bytes", 4, 1 << 30},
		{"seconds", 't', ARG_SECONDS, &seconds, "N", "seconds", 0, 0},
		{0},
	};
	char *argv[ARGUMENTS_MAX + 1] = {(char *)"command"}, *text, *rest, *item, *why = NULL;
	int argc = 1, r;

	text = rest = fuzz_string(data, size);
	for (size_t i = 0; i < size; i++)
		if (!text[i])
			text[i] = '\n';
	while (argc < ARGUMENTS_MAX && (item = strsep(&rest, "\n")))
		argv[argc++] = item;
	r = args_parse(table, argc, argv, &why);
	CHECK(r < argc);
	if (r < 0)
		CHECK(why);
	else
		CHECK(number >= 1 && number <= 256 && bytes >= 4 && bytes <= 1 << 30 && seconds > 0);
	for (int i = 0; i < r; i++)
		CHECK(strlen(argv[i]) <= size);
	free(why);
	free(text);
	return 0;
}
