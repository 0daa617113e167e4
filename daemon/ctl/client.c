/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/line.h"
#include "daemon/ctl/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* An answer lists at most what its request bounds; more than this is not an answer of ours. */
#define ANSWER_MAX (256u << 20)

static int fail(int r, char **ret_why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int fail(int r, char **ret_why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(ret_why, fmt, args) < 0)
		*ret_why = NULL;
	va_end(args);
	return r;
}

static int connect_to(unsigned minor, unsigned timeout_s, int *ret_fd)
{
	struct timeval patience = {.tv_sec = timeout_s};
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address;
	int r = rundir_socket(minor, &address);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* connect(2) waits when the daemon's queue is full. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int connect_failed(int r, unsigned minor, char **ret_why)
{
	switch (r) {
	case -ENOENT:
		return fail(r, ret_why, "no curvefs daemon serves this mount (there is no %s/%u)",
		            ctl_run_dir(), minor);
	case -ECONNREFUSED:
		return fail(r, ret_why, "the daemon of this mount is gone; `curvefs umount` cleans up");
	case -EACCES:
	case -EPERM:
		return fail(r, ret_why, "only the owner of the mount and root may ask its daemon");
	default:
		return fail(r, ret_why, "cannot reach the daemon through %s/%u/%s: %s", ctl_run_dir(), minor,
		            RUNDIR_SOCKET, strerror(-r));
	}
}

/* The daemon's own words about a failure. */
static int daemon_error(const json_t *error, char **ret_why)
{
	const char *message = json_string_value(json_object_get(error, "message"));
	json_int_t number = json_integer_value(json_object_get(error, "errno"));

	if (number <= 0 || number > 4095)
		number = EIO;
	return fail(-(int)number, ret_why, "%s", message && *message ? message : strerror((int)number));
}

/* Progress lines, then the answer. */
static int read_answer(int fd, unsigned timeout_s, ctl_progress_fn progress, void *arg, json_t **ret,
                       char **ret_why)
{
	_cleanup_(ctl_line_done) struct ctl_line line = {0};
	int timeout_ms = timeout_s > INT_MAX / 1000 ? INT_MAX : (int)timeout_s * 1000;

	ctl_line_init(&line, fd, ANSWER_MAX);
	for (;;) {
		json_t *answer, *part;
		size_t length;
		char *text;
		int r;

		r = ctl_line_read(&line, timeout_ms, &text, &length);
		if (r == -EPIPE)
			return fail(-ECONNRESET, ret_why, "the daemon ended before it had answered");
		if (r == -ETIMEDOUT)
			return fail(r, ret_why, "the daemon said nothing for %u s", timeout_s);
		if (r < 0)
			return fail(r, ret_why, "no answer from the daemon: %s", strerror(-r));
		answer = json_loadb(text, length, 0, NULL);
		part = json_object_get(answer, "progress");
		if (json_is_object(part)) {
			if (progress)
				progress(part, arg);
			json_decref(answer);
			continue;
		}
		part = json_object_get(answer, "result");
		if (json_is_object(part)) {
			*ret = json_incref(part);
			r = 0;
		} else if (json_is_object(part = json_object_get(answer, "error"))) {
			r = daemon_error(part, ret_why);
		} else {
			r = fail(-EPROTO, ret_why,
			         "the daemon's answer is not understood; is it of another version?");
		}
		json_decref(answer);
		return r;
	}
}

int ctl_call(unsigned minor, json_t *request, unsigned timeout_s, ctl_progress_fn progress, void *arg,
             json_t **ret, char **ret_why)
{
	_cleanup_close_ int fd = -1;
	int timeout_ms = timeout_s > INT_MAX / 1000 ? INT_MAX : (int)timeout_s * 1000;
	int r;

	r = connect_to(minor, timeout_s, &fd);
	if (r < 0)
		return connect_failed(r, minor, ret_why);
	/* An answer may be there even if not all of the request was taken. */
	r = ctl_line_write(fd, request, timeout_ms);
	if (r < 0 && r != -EPIPE)
		return fail(r, ret_why, "cannot ask the daemon: %s", strerror(-r));
	return read_answer(fd, timeout_s, progress, arg, ret, ret_why);
}

int ctl_server_pid(unsigned minor, pid_t *ret_pid)
{
	_cleanup_close_ int fd = -1;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int r = connect_to(minor, 5, &fd);

	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.pid <= 0)
		return -ESRCH; /* of another pid namespace */
	*ret_pid = peer.pid;
	return 0;
}

int ctl_read_mount_json(unsigned minor, json_t **ret)
{
	char path[PATH_MAX];
	json_t *mount;
	int r = rundir_path(minor, RUNDIR_JSON, path);

	if (r < 0)
		return r;
	if (access(path, R_OK) < 0)
		return -errno;
	mount = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(mount)) {
		json_decref(mount);
		return -EBADMSG;
	}
	*ret = mount;
	return 0;
}

static int compare_minors(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int ctl_list_mounts(unsigned **ret_minors, size_t *ret_count)
{
	_cleanup_(closedirp) DIR *d = opendir(ctl_run_dir());
	_cleanup_free_ unsigned *minors = NULL;
	size_t count = 0, size = 0;
	struct dirent *e;

	if (!d && errno != ENOENT)
		return -errno;
	while (d && (e = readdir(d))) {
		unsigned minor;
		int end = 0;

		if (sscanf(e->d_name, "%u%n", &minor, &end) != 1 || e->d_name[end])
			continue;
		if (count == size) {
			unsigned *more = realloc(minors, (size = size ? 2 * size : 16) * sizeof(*more));

			if (!more)
				return -ENOMEM;
			minors = more;
		}
		minors[count++] = minor;
	}
	if (count)
		qsort(minors, count, sizeof(*minors), compare_minors);
	*ret_minors = TAKE_PTR(minors);
	*ret_count = count;
	return 0;
}

/* Pins are files of bpffs in one flat folder; without them the kernel frees maps and programs. */
static int remove_pins(unsigned minor)
{
	_cleanup_(closedirp) DIR *d = NULL;
	char path[PATH_MAX];
	struct dirent *e;

	snprintf(path, sizeof(path), CTL_BPFFS_DIR "/%u", minor);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT)
			return -errno;
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

int ctl_remove_leftovers(unsigned minor)
{
	int r = rundir_remove(minor, -1), r2 = remove_pins(minor);

	return r < 0 ? r : r2;
}
