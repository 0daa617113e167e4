// SPDX-License-Identifier: Apache-2.0
/* /proc/self/mountinfo: who else may mount decides what is in it. */
#include "daemon/ctl/place.c"
#include "daemon/mountinfo.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), *rest = text, *line;
	unsigned minor;

	mountinfo_find_minor(text, "/mnt", &minor);
	mountinfo_find_minor(text, "/a b\\c", &minor);
	while ((line = strsep(&rest, "\n"))) {
		struct mount m = {0};

		if (parse_line(line, &m) < 0)
			continue;
		CHECK(m.root && m.mountpoint && m.type);
		is_below("/mnt/a", m.mountpoint);
		mount_free(&m);
	}
	free(text);
	return 0;
}
