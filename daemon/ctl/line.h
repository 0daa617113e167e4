/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CTL_LINE_H
#define CURVEFS_CTL_LINE_H

/* Lines of JSON over a stream socket, with a limit on length and on time. */

#include <jansson.h>
#include <stddef.h>

struct ctl_line {
	int fd; /* not owned */
	size_t max;
	char *buffer;
	size_t used, size;
	size_t taken; /* bytes of the line that was handed out last */
};

void ctl_line_init(struct ctl_line *l, int fd, size_t max);
void ctl_line_done(struct ctl_line *l);

/**
 * Wait at most @p timeout_ms for a whole line. *ret_text, without its newline and NUL-terminated, is
 * valid until the next call.
 * @return 0, -ETIMEDOUT, -EPIPE (the other end closed), -EMSGSIZE (longer than max), or another errno.
 */
int ctl_line_read(struct ctl_line *l, int timeout_ms, char **ret_text, size_t *ret_length);

/** Send @p object and a newline, each piece within @p timeout_ms. @return 0, -EPIPE, -ETIMEDOUT, ... */
int ctl_line_write(int fd, const json_t *object, int timeout_ms);

#endif
