/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_COMMON_LOG_H
#define CURVEFS_COMMON_LOG_H

/*
 * The one log call.  Messages go to standard error while the process has a
 * terminal or runs with -f, and to syslog after it became a daemon.
 *
 * Libraries (cache/, daemon/meta/, daemon/store/) log at LOG_DEBUG only and
 * return a negative errno; whoever can act on an error says it, once, with the
 * thing, the value and what to do.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

/** Set what is shown: LOG_ERR, LOG_WARNING, LOG_INFO (default) or LOG_DEBUG. */
void log_set_level(int level);

/** @return the level named @p name ("error", "warning", "info", "debug"), or -EINVAL. */
int log_level_from_name(const char *name);

/** Name the program in each message; @p to_syslog sends later ones to syslog. */
void log_init(const char *program, bool to_syslog);

int log_get_level(void);
void log_message(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...)                               \
	do {                                             \
		if ((level) <= log_get_level())          \
			log_message(level, __VA_ARGS__); \
	} while (0)

#define log_error(...) log_at(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/** Log "<message>: <strerror(-r)>" and return @p r (0 or negative errno): `return log_error_r(-ENOMEM,
 * "...")`. */
#define log_error_r(r, fmt, ...)                                     \
	({                                                           \
		int _r = (r);                                        \
		log_error(fmt ": %s", ##__VA_ARGS__, strerror(-_r)); \
		_r;                                                  \
	})
#define log_debug_r(r, fmt, ...)                                     \
	({                                                           \
		int _r = (r);                                        \
		log_debug(fmt ": %s", ##__VA_ARGS__, strerror(-_r)); \
		_r;                                                  \
	})

#endif
