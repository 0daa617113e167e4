/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cmd.h"

#include "common/cleanup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *name = "";

void cmd_set_name(const char *subcommand)
{
	name = subcommand;
}

void cmd_error(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "curvefs %s: ", name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

int cmd_fail(int r, char *why, const char *what)
{
	cmd_error("%s%s%s", what ? what : "", what ? ": " : "", why ? why : strerror(-r));
	free(why);
	return EXIT_FAILED;
}

int cmd_print_json(json_t *j, size_t flags)
{
	int r = j ? json_dumpf(j, stdout, flags) : -1;

	json_decref(j);
	if (r == 0 && putchar('\n') != EOF)
		return EXIT_DONE;
	cmd_error("cannot write the output");
	return EXIT_FAILED;
}

static const json_t *member(const json_t *j, const char *path)
{
	while (j && *path) {
		size_t length = strcspn(path, ".");
		char key[64];

		if (length >= sizeof(key))
			return NULL;
		memcpy(key, path, length);
		key[length] = '\0';
		j = json_object_get(j, key);
		path += length + (path[length] == '.');
	}
	return j;
}

uint64_t cmd_number(const json_t *j, const char *path)
{
	json_int_t n = json_integer_value(member(j, path));

	return n > 0 ? (uint64_t)n : 0;
}

const char *cmd_string(const json_t *j, const char *path)
{
	const char *s = json_string_value(member(j, path));

	return s ? s : "";
}

const char *human_bytes(uint64_t bytes, char buffer[HUMAN_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	/* 1023.95 would be shown as 1024.0 */
	while (value >= 1023.95 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(buffer, HUMAN_MAX, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buffer;
}

const char *human_duration(uint64_t s, char buffer[HUMAN_MAX])
{
	if (s >= 86400)
		snprintf(buffer, HUMAN_MAX, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(buffer, HUMAN_MAX, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(buffer, HUMAN_MAX, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else
		snprintf(buffer, HUMAN_MAX, "%" PRIu64 " s", s);
	return buffer;
}
