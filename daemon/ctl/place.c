/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From a path of this machine to a path in a volume.
 *
 * The mount is found in /proc/self/mountinfo, which also works when its daemon
 * is dead (stat(2) then fails with ENOTCONN), and knows which
 * part of the volume a bind mount shows.
 */

#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct mount {
	unsigned major, minor;
	char *root; /* which part of the file system it shows; "/": all */
	char *mountpoint;
	char *type;
};

static void mount_free(struct mount *m)
{
	free(m->root);
	free(m->mountpoint);
	free(m->type);
	*m = (struct mount){0};
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void decode_octal(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* @return 0, or -EINVAL if @p line is not of mountinfo's form. */
static int parse_line(char *line, struct mount *ret)
{
	char *save = NULL, *field, *fields[5], *type = NULL;
	unsigned major, minor;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strtok_r(i ? NULL : line, " \n", &save);
		if (!fields[i])
			return -EINVAL;
	}
	while ((field = strtok_r(NULL, " \n", &save))) {
		if (strcmp(field, "-") == 0) {
			type = strtok_r(NULL, " \n", &save);
			break;
		}
	}
	if (!type || sscanf(fields[2], "%u:%u", &major, &minor) != 2)
		return -EINVAL;
	decode_octal(fields[3]);
	decode_octal(fields[4]);
	*ret = (struct mount){major, minor, strdup(fields[3]), strdup(fields[4]), strdup(type)};
	if (!ret->root || !ret->mountpoint || !ret->type) {
		mount_free(ret);
		return -ENOMEM;
	}
	return 0;
}

/* Is @p path the directory @p dir or below it? */
static bool is_below(const char *path, const char *dir)
{
	size_t length = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return path[0] == '/';
	return strncmp(path, dir, length) == 0 && (path[length] == '/' || !path[length]);
}

/*
 * The mount that shows @p path: of those of device @p dev (NULL: of any device), the deepest, and of several
 * on one directory the last.
 */
static int find_mount(const char *path, const dev_t *dev, struct mount *ret)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	struct mount best = {0};
	size_t size = 0;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) >= 0) {
		struct mount m;

		if (parse_line(line, &m) < 0)
			continue;
		if (is_below(path, m.mountpoint) &&
		    (!dev || (major(*dev) == m.major && minor(*dev) == m.minor)) &&
		    (!best.mountpoint || strlen(m.mountpoint) >= strlen(best.mountpoint))) {
			mount_free(&best);
			best = m;
		} else {
			mount_free(&m);
		}
	}
	if (!best.mountpoint)
		return -ENOENT;
	*ret = best;
	return 0;
}

/* Absolute, without ".", ".." and double slashes, by text alone: no file system is asked. */
static char *absolute(const char *path)
{
	_cleanup_free_ char *whole = NULL, *cwd = NULL;
	char *result, *save = NULL;
	size_t length = 0;

	if (path[0] != '/') {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return NULL;
	}
	if (asprintf(&whole, "%s/%s", cwd ? cwd : "", path) < 0) {
		whole = NULL;
		return NULL;
	}
	result = malloc(strlen(whole) + 2);
	if (!result)
		return NULL;
	for (char *part = strtok_r(whole, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			while (length && result[--length] != '/')
				;
			continue;
		}
		result[length++] = '/';
		strcpy(result + length, part);
		length += strlen(part);
	}
	if (!length)
		result[length++] = '/';
	result[length] = '\0';
	return result;
}

/* The kernel's own name of an open file. */
static char *name_of_fd(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || path[0] != '/')
		return NULL;
	path[n] = '\0';
	return strdup(path);
}

static void why(char **ret_why, const char *path, const char *what)
{
	_cleanup_free_ char *text = text_escape(path);

	if (asprintf(ret_why, "%s: %s", text ? text : "?", what) < 0)
		*ret_why = NULL;
}

static int set_path(const struct mount *m, const char *path, struct ctl_place *place)
{
	const char *below = strcmp(m->mountpoint, "/") == 0 ? path : path + strlen(m->mountpoint);
	const char *root = strcmp(m->root, "/") == 0 ? "" : m->root;
	_cleanup_free_ char *whole = NULL;
	size_t skip;

	if (asprintf(&whole, "%s%s", root, below) < 0) {
		whole = NULL;
		return -ENOMEM;
	}
	skip = strspn(whole, "/");
	place->path = strdup(whole + skip);
	place->mountpoint = strdup(m->mountpoint);
	return place->path && place->mountpoint ? 0 : -ENOMEM;
}

void ctl_place_free(struct ctl_place *place)
{
	free(place->path);
	free(place->mountpoint);
	*place = (struct ctl_place){0};
}

static bool is_dead(int error)
{
	return error == ENOTCONN || error == ECONNABORTED;
}

int ctl_find_place(const char *path, bool follow, struct ctl_place *ret, char **ret_why)
{
	_cleanup_(ctl_place_free) struct ctl_place place = {0};
	_cleanup_(mount_free) struct mount m = {0};
	_cleanup_free_ char *real = NULL;
	_cleanup_close_ int fd = -1;
	struct statx st;
	dev_t dev;
	int r;

	/* DONT_SYNC: neither number changes, so the daemon is not asked (nor counted as asked). */
	fd = open(path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
	if (fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0) {
		real = name_of_fd(fd);
		if (!real)
			return -ENOMEM;
		dev = makedev(st.stx_dev_major, st.stx_dev_minor);
		r = find_mount(real, &dev, &m);
	} else if (is_dead(errno)) {
		place.dead = true;
		if (fd >= 0)
			real = name_of_fd(fd);
		if (!real)
			real = absolute(path);
		if (!real)
			return -ENOMEM;
		r = find_mount(real, NULL, &m);
	} else {
		r = -errno;
		why(ret_why, path, strerror(-r));
		return r;
	}
	if (r < 0 || !m.type) {
		why(ret_why, path, "its mount is not in /proc/self/mountinfo");
		return r;
	}
	if (strcmp(m.type, "fuse.curvefs") != 0 || m.major != 0) {
		_cleanup_free_ char *text = NULL;

		if (asprintf(&text, "not on a curvefs mount (%s is %s)", m.mountpoint, m.type) < 0)
			text = NULL;
		else
			why(ret_why, path, text);
		return -ENOENT;
	}
	place.minor = m.minor;
	place.ino = place.dead ? 0 : st.stx_ino;
	r = set_path(&m, real, &place);
	if (r < 0)
		return r;
	*ret = place;
	place = (struct ctl_place){0};
	return 0;
}

int ctl_find_mount(const char *path, unsigned *ret_minor, uint64_t *ret_ino, char **ret_why)
{
	_cleanup_(ctl_place_free) struct ctl_place place = {0};
	int r = ctl_find_place(path, true, &place, ret_why);

	if (r < 0)
		return r;
	*ret_minor = place.minor;
	if (place.dead) {
		why(ret_why, path, "the daemon of this mount is gone; `curvefs umount` cleans up");
		return -ENOTCONN;
	}
	*ret_ino = place.ino;
	return 0;
}
