// SPDX-License-Identifier: Apache-2.0
/* The server's side of the control protocol, on a volume with a few files; each line is a request. */
#include "common/log.h"
#include "daemon/ctl/command.h"
#include "daemon/ctl/line.h"
#include "daemon/kernel/kernel.h"
#include "daemon/meta/meta.h"
#include "tests/fuzz/fuzz.h"
#include "tests/harness/volume.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

static struct test_volume volume;

/* In place of daemon/kernel/load.c, which carries the BPF programs: they are off here. */
int kernel_probe(char **ret_why)
{
	(void)ret_why;
	return -ENOSYS;
}

int kernel_open(const struct kernel_options *options, int fuse_fd, struct kernel **ret, char **ret_why)
{
	(void)options;
	(void)fuse_fd;
	(void)ret;
	return kernel_probe(ret_why);
}

void kernel_close(struct kernel *k)
{
	(void)k;
}

static bool on_progress(struct ctl_session *session, json_t *progress)
{
	(void)session;
	CHECK(json_is_object(progress));
	return true;
}

static bool is_wanted(struct ctl_session *session)
{
	(void)session;
	return true;
}

static void serve(struct ctl_session *session, const char *text, size_t length)
{
	json_t *request = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL), *answer = NULL;
	char *why = NULL;
	int r;

	if (!request)
		return;
	r = ctl_command(session, request, &answer, &why);
	CHECK(r <= 0 && (r == 0) == (answer != NULL));
	json_decref(answer);
	json_decref(request);
	free(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_session session = {
		.volume = volume.v, .started = time(NULL), .progress = on_progress, .wanted = is_wanted};
	struct ctl_line line;
	size_t length;
	char *text;
	int fds[2];

	if (size > 65536)
		return 0;
	session.mount = json_object();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	CHECK(write(fds[1], data, size) == (ssize_t)size);
	shutdown(fds[1], SHUT_WR);
	ctl_line_init(&line, fds[0], 4096);
	while (ctl_line_read(&line, 1000, &text, &length) == 0) {
		CHECK(length <= 4096 && text[length] == 0);
		serve(&session, text, length);
	}
	ctl_line_done(&line);
	json_decref((json_t *)session.mount);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static void close_volume(void)
{
	test_volume_close(&volume);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint64_t dir;

	(void)argc;
	(void)argv;
	log_set_level(LOG_ERR);
	test_volume_open(&volume);
	dir = test_volume_make(&volume, META_ROOT_INO, "d", S_IFDIR | 0755, 0);
	test_volume_make(&volume, dir, "f", S_IFREG | 0644, 70000);
	test_volume_make(&volume, META_ROOT_INO, "l", S_IFLNK | 0777, 0);
	atexit(close_volume);
	return 0;
}
