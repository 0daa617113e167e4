// SPDX-License-Identifier: Apache-2.0
/* The client's side of the control protocol: whatever listens there may say anything. */
#include "daemon/ctl/client.c"

#include "tests/fuzz/fuzz.h"

#include <sys/time.h>

static void on_progress(json_t *progress, void *arg)
{
	CHECK(json_is_object(progress));
	++*(unsigned *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned lines = 0;
	json_t *answer = NULL;
	char *why = NULL;
	int fds[2], r;

	if (size > 65536) /* what a socket surely takes at once */
		return 0;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	CHECK(write(fds[1], data, size) == (ssize_t)size);
	shutdown(fds[1], SHUT_WR);
	r = read_answer(fds[0], 1, on_progress, &lines, &answer, &why);
	CHECK(r <= 0 && (r == 0) == (answer != NULL));
	if (r < 0)
		CHECK(why && *why);
	json_decref(answer);
	free(why);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
