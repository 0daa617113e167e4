// SPDX-License-Identifier: Apache-2.0
#include "daemon/mountinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* mountinfo writes blanks, tabs, newlines and backslashes as three octal digits. */
static bool path_is(const char *escaped, size_t length, const char *path)
{
	for (size_t i = 0; i < length; path++) {
		const char *e = escaped + i;
		char c = *e;

		if (c == '\\' && i + 3 < length && is_octal(e[1]) && is_octal(e[2]) && is_octal(e[3])) {
			c = (char)((e[1] - '0') << 6 | (e[2] - '0') << 3 | (e[3] - '0'));
			i += 4;
		} else {
			i++;
		}
		if (c != *path)
			return false;
	}
	return !*path;
}

int mountinfo_find_minor(const char *mountinfo, const char *mountpoint, unsigned *ret_minor)
{
	int r = -ENOENT;

	/* 36 35 98:0 /root /mount/point options [optional fields...] - type source options */
	for (const char *line = mountinfo; *line; line += *line == '\n') {
		size_t length = strcspn(line, "\n");
		unsigned minor;
		int at = 0, end = 0;
		const char *type;

		if (sscanf(line, "%*u %*u %*u:%u %*s %n%*s%n", &minor, &at, &end) == 1 && end &&
		    (size_t)end <= length && path_is(line + at, (size_t)(end - at), mountpoint)) {
			type = memmem(line + end, length - (size_t)end, " - fuse.curvefs ", 16);
			/* The last one lies on top. */
			if (type) {
				*ret_minor = minor;
				r = 0;
			}
		}
		line += length;
	}
	return r;
}
