// SPDX-License-Identifier: Apache-2.0
/* The command line of curvefs-fuse; a NUL, or a newline, ends an argument. First byte 'o': one -o list. */
#include "daemon/options.h"
#include "tests/fuzz/fuzz.h"

#include <getopt.h>
#include <math.h>

#define ARGUMENTS_MAX 64

static void check_range(double seconds)
{
	CHECK(isnan(seconds) || (seconds >= 0 && seconds <= 366.0 * 24 * 3600));
}

static void parse(int argc, char **argv)
{
	struct options o;
	char *why = NULL;
	int r;

	optind = 0; /* glibc: begin anew */
	r = options_parse(argc, argv, &o, &why);
	CHECK(r <= 1);
	if (r < 0)
		CHECK(why && *why);
	if (r == 0) {
		CHECK(o.source && o.mountpoint && *o.mountpoint == '/');
		CHECK(o.cache_size >= 1 << 20 && o.buffer_size >= 16 << 20);
		CHECK(o.free_space_ratio >= 0 && o.free_space_ratio <= 1);
		CHECK(o.max_uploads && o.max_downloads && o.max_idle_threads && o.retries && o.get_timeout_s);
		check_range(o.attr_cache);
		check_range(o.entry_cache);
		check_range(o.negative_entry_cache);
		options_free(&o);
	}
	free(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[ARGUMENTS_MAX + 5] = {(char *)"curvefs-fuse"}, *text, *rest, *item;
	int argc = 1;
	uint64_t number;

	if (!size)
		return 0;
	text = rest = fuzz_string(data + 1, size - 1);
	options_parse_size(text, &number);
	if (data[0] == 'o') {
		argv[argc++] = (char *)"-o";
		argv[argc++] = text;
	} else {
		for (size_t i = 0; i < size - 1; i++)
			if (!text[i])
				text[i] = '\n';
		while (argc < ARGUMENTS_MAX && (item = strsep(&rest, "\n")))
			argv[argc++] = item;
	}
	if (data[0] != 'a') {
		argv[argc++] = (char *)"file:///v";
		argv[argc++] = (char *)"/usr";
	}
	parse(argc, argv);
	free(text);
	return 0;
}

/* --help and --version are printed. */
FUZZ_WITHOUT_OUTPUT
