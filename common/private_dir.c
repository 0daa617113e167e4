/* SPDX-License-Identifier: Apache-2.0 */
#include "common/private_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/why.h"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

/* Nothing in it but what was there from the beginning, or something of ours. Takes @p fd. @return 1, 0,
 * errno. */
static int may_be_taken(int fd, bool writable_by_others, const char *const *ours)
{
	static const char *const nothing[] = {".", "..", "lost+found", NULL};
	_cleanup_(closedirp) DIR *d = fdopendir(fd);
	bool other = false;
	struct dirent *e;

	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while (errno = 0, (e = readdir(d))) {
		if (is_one_of(e->d_name, nothing))
			continue;
		if (!writable_by_others && is_one_of(e->d_name, ours))
			return 1;
		other = true;
	}
	return errno ? -errno : !other;
}

int private_dir(const char *dir, const char *const *ours, char **ret_why)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int again, r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		return why_r(r, ret_why, "%s: %s", dir, strerror(-r));
	}
	if (st.st_uid != geteuid())
		return why_r(
			-EPERM, ret_why,
			"%s belongs to user %u, not to user %u, who uses it: give a directory of its own",
			dir, (unsigned)st.st_uid, (unsigned)geteuid());
	if (!(st.st_mode & 077))
		return 0;
	again = dup(fd);
	r = again < 0 ? -errno : may_be_taken(again, st.st_mode & 022, ours);
	if (r < 0)
		return why_r(r, ret_why, "%s: %s", dir, strerror(-r));
	if (!r)
		return why_r(-EPERM, ret_why,
		             "%s can be entered by others (mode %04o), and other things are in it: give a "
		             "directory "
		             "of its own, or chmod 700 this one",
		             dir, st.st_mode & 07777);
	if (fchmod(fd, 0700) < 0) {
		r = -errno;
		return why_r(r, ret_why, "%s: cannot set its mode to 0700: %s", dir, strerror(-r));
	}
	return 0;
}
