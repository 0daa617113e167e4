/* SPDX-License-Identifier: Apache-2.0 */

/*
 * curvefs umount: upload what is not yet, unmount, wait for the daemon's end. What a daemon
 * that was killed left behind (a mount that answers ENOTCONN, its run directory, its pinned
 * maps) is removed.
 */

#include "common/cleanup.h"
#include "daemon/ctl/ctl.h"
#include "tools/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool opt_lazy, opt_force, opt_json;
static unsigned opt_timeout = 300;

static const struct arg args[] = {
	{"lazy", 'l', ARG_FLAG, &opt_lazy, NULL, "detach now, end when the last user is gone; do not wait", 0,
         0},
	{"force", 'f', ARG_FLAG, &opt_force, NULL,
         "also if data cannot be uploaded (it is lost) or files are open", 0, 0},
	{"timeout", 't', ARG_UINT, &opt_timeout, "SECONDS", "how long to wait for the daemon (default 300)",
         1, 1000000},
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print the result as JSON", 0, 0},
	{0},
};

extern char **environ;

/* For those who are not root: the set-uid helper of FUSE. */
static int run_fusermount(const char *mountpoint)
{
	char *argv[6] = {(char *)"fusermount3", (char *)"-u", (char *)"-q"};
	int n = 3, status;
	pid_t pid;

	if (opt_lazy || opt_force)
		argv[n++] = (char *)"-z";
	argv[n++] = (char *)mountpoint;
	argv[n] = NULL;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		return -EPERM;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return -EBUSY; /* it does not say why by its status; this is by far the most frequent reason */
}

static int unmount(const char *mountpoint, bool dead)
{
	int flags = UMOUNT_NOFOLLOW;

	if (opt_lazy)
		flags |= MNT_DETACH;
	else if (opt_force)
		flags |= MNT_FORCE;
	if (umount2(mountpoint, flags) == 0)
		return 0;
	/* Nobody can do anything with what is open on a dead mount any more, and --force was asked for. */
	if (errno == EBUSY && (dead || opt_force))
		return umount2(mountpoint, UMOUNT_NOFOLLOW | MNT_DETACH) == 0 ? 0 : -errno;
	if (errno == EPERM)
		return run_fusermount(mountpoint);
	return -errno;
}

/* Data that is only on this machine: better said before the mount is gone than never. */
static int sync_data(unsigned minor, char **ret_why)
{
	json_t *request = json_pack("{s:s}", "cmd", "sync"), *answer = NULL;
	int r = ctl_call(minor, request, opt_timeout, NULL, NULL, &answer, ret_why);

	json_decref(request);
	json_decref(answer);
	return r;
}

/* @return 0 when the process ended, -ETIMEDOUT. */
static int wait_for_end(int pidfd)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		struct pollfd p = {.fd = pidfd, .events = POLLIN};
		int n;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec >= (time_t)opt_timeout)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)(opt_timeout - (unsigned)(now.tv_sec - start.tv_sec)) * 1000);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int done(const char *mountpoint, const char *what)
{
	if (opt_json)
		return cmd_print_json(json_pack("{s:s,s:s}", "mountpoint", mountpoint, "result", what),
		                      JSON_INDENT(2));
	return EXIT_DONE;
}

/* A run directory whose mount is gone already. */
static int clean_unmounted(const char *path)
{
	_cleanup_free_ unsigned *minors = NULL;
	_cleanup_free_ char *real = realpath(path, NULL);
	size_t count;
	bool found = false;
	int r;

	if (!real || ctl_list_mounts(&minors, &count) < 0)
		return -ENOENT;
	for (size_t i = 0; i < count; i++) {
		json_t *mount;
		pid_t pid;

		if (ctl_read_mount_json(minors[i], &mount) < 0)
			continue;
		if (strcmp(cmd_string(mount, "mountpoint"), real) == 0 &&
		    ctl_server_pid(minors[i], &pid) == -ECONNREFUSED) {
			r = ctl_remove_leftovers(minors[i]);
			if (r < 0) {
				json_decref(mount);
				return r;
			}
			found = true;
		}
		json_decref(mount);
	}
	return found ? 0 : -ENOENT;
}

static int umount_dead(const struct ctl_place *place)
{
	int r = unmount(place->mountpoint, true);

	if (r < 0)
		return cmd_fail(r, NULL, place->mountpoint);
	r = ctl_remove_leftovers(place->minor);
	if (r < 0)
		return cmd_fail(r, NULL,
		                "cannot remove what the daemon left in " CTL_RUN_DIR " and " CTL_BPFFS_DIR);
	return done(place->mountpoint, "cleaned");
}

static int umount_live(const struct ctl_place *place, pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	char *why = NULL;
	int r;

	if (!opt_lazy) {
		r = sync_data(place->minor, &why);
		if (r < 0 && !opt_force) {
			cmd_fail(r, why, "not everything could be uploaded");
			cmd_error("%s stays mounted; --force unmounts all the same, what is not uploaded is "
			          "lost",
			          place->mountpoint);
			return EXIT_FAILED;
		}
		free(why);
	}
	r = unmount(place->mountpoint, false);
	if (r == -EBUSY) {
		cmd_error("%s is busy: it is in use (`fuser -vm %s` shows by whom); --lazy detaches it",
		          place->mountpoint, place->mountpoint);
		return EXIT_FAILED;
	}
	if (r < 0)
		return cmd_fail(r, NULL, place->mountpoint);
	if (opt_lazy)
		return done(place->mountpoint, "detached");
	if (pidfd >= 0 && wait_for_end(pidfd) < 0) {
		cmd_error("%s is unmounted, but its daemon (pid %d) has not ended after %u s",
		          place->mountpoint, (int)pid, opt_timeout);
		return EXIT_FAILED;
	}
	return done(place->mountpoint, "unmounted");
}

static int run(int count, char **operands)
{
	_cleanup_(ctl_place_free) struct ctl_place place = {0};
	char *why = NULL;
	pid_t pid;
	int r;

	(void)count;
	r = ctl_find_place(operands[0], true, &place, &why);
	if (r < 0 || *place.path) {
		if (clean_unmounted(operands[0]) == 0) {
			free(why);
			return done(operands[0], "cleaned");
		}
		if (r < 0)
			return cmd_fail(r, why, NULL);
		cmd_error("%s is not a mount point, but a part of %s", operands[0], place.mountpoint);
		return EXIT_FAILED;
	}
	r = ctl_server_pid(place.minor, &pid);
	if (r == -ECONNREFUSED || (r == -ENOENT && place.dead))
		return umount_dead(&place);
	if (r == -ENOENT) {
		cmd_error("%s: no curvefs daemon serves this mount; umount(8) it if you know what it is",
		          operands[0]);
		return EXIT_FAILED;
	}
	if (r < 0)
		return cmd_fail(r, NULL, operands[0]);
	return umount_live(&place, pid);
}

const struct command cmd_umount = {
	.name = "umount",
	.operands = "MOUNTPOINT",
	.summary = "upload what is not yet, unmount, wait until the daemon ended",
	.details = "Also clears away what a daemon that was killed left behind.\n",
	.args = args,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
