/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/rundir.h"

#include "common/cleanup.h"
#include "daemon/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

const char *ctl_run_dir(void)
{
	static _Thread_local char dir[256];
	const char *set = getenv("CURVEFS_RUN_DIR"), *user = getenv("XDG_RUNTIME_DIR");
	int n;

	if (set && *set == '/')
		n = snprintf(dir, sizeof(dir), "%s", set);
	else if (geteuid() == 0)
		return CTL_RUN_DIR;
	else if (user && *user == '/')
		n = snprintf(dir, sizeof(dir), "%s/curvefs", user);
	else
		n = snprintf(dir, sizeof(dir), "/run/user/%u/curvefs", (unsigned)geteuid());
	return n < (int)sizeof(dir) ? dir : CTL_RUN_DIR;
}

int rundir_path(unsigned minor, const char *name, char ret[PATH_MAX])
{
	int n = snprintf(ret, PATH_MAX, "%s/%u%s%s", ctl_run_dir(), minor, name ? "/" : "", name ? name : "");

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int rundir_socket(unsigned minor, struct sockaddr_un *ret)
{
	char path[PATH_MAX];
	int r = rundir_path(minor, RUNDIR_SOCKET, path);

	if (r < 0)
		return r;
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	strcpy(ret->sun_path, path);
	return 0;
}

/*
 * The directory that holds them all. Nobody but us has business in it, and nobody else may write to it, or
 * could plant a socket there.
 */
static int make_top(char **ret_why)
{
	const char *top = ctl_run_dir();
	struct stat st;

	if (mkdir(top, 0700) < 0 && errno != EEXIST) {
		int r = -errno;

		if (asprintf(ret_why, "cannot make %s: %s", top, strerror(-r)) < 0)
			*ret_why = NULL;
		return r;
	}
	if (lstat(top, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022) {
		if (asprintf(ret_why,
		             "%s is not a directory that only its owner, uid %u, can write; remove it", top,
		             (unsigned)geteuid()) < 0)
			*ret_why = NULL;
		return -EPERM;
	}
	return 0;
}

int rundir_make(unsigned minor, int *ret_fd, char **ret_why)
{
	char path[PATH_MAX];
	int fd, r;

	r = rundir_path(minor, NULL, path);
	if (r == 0)
		r = make_top(ret_why);
	if (r < 0)
		return r;
	if (mkdir(path, 0700) < 0) {
		r = -errno;
		if (r == -EEXIST)
			r = rundir_remove(minor, -1);
		if (r == 0 && mkdir(path, 0700) < 0)
			r = -errno;
		if (r < 0) {
			if (asprintf(ret_why, "cannot make %s: %s", path, strerror(-r)) < 0)
				*ret_why = NULL;
			return r;
		}
	}
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int rundir_write_json(unsigned minor, const json_t *mount)
{
	_cleanup_free_ char *text = json_dumps(mount, JSON_INDENT(2));
	char path[PATH_MAX], temporary[PATH_MAX];
	_cleanup_close_ int fd = -1;
	size_t length;
	int r;

	if (!text)
		return -ENOMEM;
	r = rundir_path(minor, RUNDIR_JSON, path);
	if (r == 0)
		r = rundir_path(minor, RUNDIR_JSON ".tmp", temporary);
	if (r < 0)
		return r;
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	length = strlen(text);
	text[length++] = '\n';
	if (write(fd, text, length) != (ssize_t)length || rename(temporary, path) < 0) {
		r = errno ? -errno : -EIO;
		unlink(temporary);
		return r;
	}
	return 0;
}

int rundir_remove(unsigned minor, int fd)
{
	static const char *const names[] = {RUNDIR_SOCKET, RUNDIR_JSON, RUNDIR_JSON ".tmp"};
	_cleanup_close_ int dir = -1;
	char path[PATH_MAX];
	struct stat ours, there;
	int r = rundir_path(minor, NULL, path);

	if (r < 0)
		return r;
	dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	/* The number may have been given to another mount while this one was still closing. */
	if (fd >= 0 && (fstat(fd, &ours) < 0 || fstat(dir, &there) < 0 || ours.st_ino != there.st_ino ||
	                ours.st_dev != there.st_dev))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlinkat(dir, names[i], 0) < 0 && errno != ENOENT)
			return -errno;
	return rmdir(path) < 0 ? -errno : 0;
}
