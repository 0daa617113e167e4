/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <stdarg.h>

static int current_level = LOG_INFO;
static bool use_syslog;
static const char *program_name = "curvefs";

static const struct {
	const char *name;
	int level;
} levels[] = {
	{"error", LOG_ERR},
	{"warning", LOG_WARNING},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
};

void log_set_level(int level)
{
	current_level = level;
}

int log_get_level(void)
{
	return current_level;
}

int log_level_from_name(const char *name)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		if (!strcmp(levels[i].name, name))
			return levels[i].level;
	}
	return -EINVAL;
}

void log_init(const char *program, bool to_syslog)
{
	program_name = program;
	use_syslog = to_syslog;
	if (to_syslog)
		openlog(program, LOG_PID, LOG_DAEMON);
}

void log_message(int level, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (use_syslog)
		syslog(level, "%s", line);
	else
		fprintf(stderr, "%s: %s%s\n", program_name, level == LOG_WARNING ? "warning: " : "", line);
}
