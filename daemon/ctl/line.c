/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/line.h"

#include "common/cleanup.h"
#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void ctl_line_init(struct ctl_line *l, int fd, size_t max)
{
	*l = (struct ctl_line){.fd = fd, .max = max};
}

void ctl_line_done(struct ctl_line *l)
{
	free(l->buffer);
	l->buffer = NULL;
}

static int64_t now_ms(void)
{
	return monotonic_ns() / 1000000;
}

static int wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		int64_t left = deadline_ms - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

/* Room for at least one more byte and the NUL. */
static int make_room(struct ctl_line *l)
{
	size_t size = l->size ? 2 * l->size : 4096;
	char *buffer;

	if (l->used + 1 < l->size)
		return 0;
	if (l->used > l->max)
		return -EMSGSIZE;
	buffer = realloc(l->buffer, size);
	if (!buffer)
		return -ENOMEM;
	l->buffer = buffer;
	l->size = size;
	return 0;
}

int ctl_line_read(struct ctl_line *l, int timeout_ms, char **ret_text, size_t *ret_length)
{
	int64_t deadline = now_ms() + timeout_ms;
	size_t searched = 0;

	l->used -= l->taken;
	if (l->used)
		memmove(l->buffer, l->buffer + l->taken, l->used);
	l->taken = 0;

	for (;;) {
		char *newline =
			l->used > searched ? memchr(l->buffer + searched, '\n', l->used - searched) : NULL;
		ssize_t n;
		int r;

		if (newline) {
			*newline = '\0';
			l->taken = (size_t)(newline - l->buffer) + 1;
			if (l->taken - 1 > l->max)
				return -EMSGSIZE;
			*ret_text = l->buffer;
			*ret_length = l->taken - 1;
			return 0;
		}
		searched = l->used;
		r = make_room(l);
		if (r == 0)
			r = wait_for(l->fd, POLLIN, deadline);
		if (r < 0)
			return r;
		n = recv(l->fd, l->buffer + l->used, l->size - 1 - l->used, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (n > 0)
			l->used += (size_t)n;
	}
}

int ctl_line_write(int fd, const json_t *object, int timeout_ms)
{
	_cleanup_free_ char *text = json_dumps(object, JSON_COMPACT);
	size_t length, sent = 0;

	if (!text)
		return -ENOMEM;
	length = strlen(text);
	text[length++] = '\n'; /* in place of the NUL */
	while (sent < length) {
		ssize_t n = send(fd, text + sent, length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r;

		if (n > 0) {
			sent += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			r = wait_for(fd, POLLOUT, now_ms() + timeout_ms);
			if (r < 0)
				return r;
		} else if (n < 0 && errno != EINTR) {
			return errno == ECONNRESET ? -EPIPE : -errno;
		}
	}
	return 0;
}
