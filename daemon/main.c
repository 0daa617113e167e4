// SPDX-License-Identifier: Apache-2.0
/*
 * curvefs-fuse: mount a volume.
 *
 * Without -f the process forks at once, before anything has a thread or a
 * lock. The child does everything; the parent waits at a pipe until the mount is
 * usable, or prints the reason why it is not.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/options.h"
#include "daemon/session.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PROGRAM "curvefs-fuse"
#define READY '\n' /* what the child writes when the mount is usable; no reason begins with it */

enum { EXIT_USAGE = 2 };

/* ---- the child's end ---- */

static void to_background(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* Standard error is the user's until now, for warnings; from now on there is syslog. */
static void tell_ready(void *arg)
{
	int *pipe_fd = arg;
	const char ready = READY;

	if (*pipe_fd < 0)
		return;
	log_init(PROGRAM, true);
	to_background();
	if (write(*pipe_fd, &ready, 1) != 1)
		log_warning("the process that started this one is gone");
	close(TAKE_FD(*pipe_fd));
}

static void tell_why(int fd, const char *why)
{
	size_t length = strlen(why);

	while (length) {
		ssize_t n = write(fd, why, length);

		if (n <= 0)
			return;
		why += n;
		length -= (size_t)n;
	}
}

/* Each file open or cached takes a descriptor; the usual soft limit is for programs that use select(2). */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_debug("setrlimit: %s", strerror(errno));
}

/* @pipe_fd: where to tell the parent, or -1: there is none. */
static int serve(const struct options *options, int pipe_fd)
{
	_cleanup_free_ char *why = NULL;
	int r;

	umask(077); /* what the parts make for themselves; the files of the volume have the mode asked for */
	raise_descriptor_limit();
	if (chdir("/") < 0)
		log_warning("chdir /: %s", strerror(errno));
	r = session_run(options, tell_ready, &pipe_fd, &why);
	if (r < 0 && pipe_fd >= 0)
		tell_why(pipe_fd, why ? why : strerror(-r));
	else if (r < 0 && why)
		log_error("%s", why);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the parent's end ---- */

static int wait_for_child(int fd, pid_t child)
{
	char said[4096];
	size_t length = 0;
	ssize_t n;
	int status;

	while (length < sizeof(said) - 1) {
		n = read(fd, said + length, sizeof(said) - 1 - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		length += (size_t)n;
		if (said[0] == READY)
			return EXIT_SUCCESS;
	}
	said[length] = '\0';
	if (length) {
		log_error("%s", said);
	} else if (waitpid(child, &status, 0) == child && WIFSIGNALED(status)) {
		log_error("the daemon died of signal %d (%s) before the mount was usable", WTERMSIG(status),
		          strsignal(WTERMSIG(status)));
	} else {
		log_error("the daemon ended before the mount was usable");
	}
	return EXIT_FAILURE;
}

static int daemonize(const struct options *options)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		log_error("pipe: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	child = fork();
	if (child < 0) {
		log_error("fork: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (!child) {
		close(fds[0]);
		setsid();
		return serve(options, fds[1]);
	}
	close(fds[1]);
	return wait_for_child(fds[0], child);
}

/* A descriptor closed by the caller would be the next one opened here, and be written to as standard error.
 */
static void open_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	struct options options;
	char *why = NULL;
	int r, status;

	open_standard_descriptors();
	/* Each arena keeps its own free memory, and RocksDB's threads would make one apiece. */
	mallopt(M_ARENA_MAX, 2);
	log_init(PROGRAM, false);
	r = options_parse(argc, argv, &options, &why);
	if (r < 0) {
		log_error("%s", why ? why : strerror(-r));
		free(why);
		return EXIT_USAGE;
	}
	if (r > 0)
		return EXIT_SUCCESS;
	log_set_level(options.log_level);
	status = options.foreground ? serve(&options, -1) : daemonize(&options);
	options_free(&options);
	return status;
}
