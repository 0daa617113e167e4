/* SPDX-License-Identifier: Apache-2.0 */

/* What a mount and its cache need. */

#include "common/cleanup.h"
#include "tools/cmd.h"
#include "tools/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#define OPEN_FILES_GOOD 65536 /* each cached file in use is one */

static const char *cache_dir;

void check_fuse_device(struct check *c)
{
	_cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		found(c, FINDING_OK, NULL, "can be opened");
	else if (errno == ENOENT || errno == ENODEV)
		found(c, FINDING_PROBLEM, "modprobe fuse; in a container: pass the device in", "not there");
	else
		found(c, FINDING_PROBLEM, "make it readable and writable for this user", "%s",
		      strerror(errno));
}

void check_fusermount(struct check *c)
{
	const char *env = getenv("PATH");
	_cleanup_free_ char *path = strdup(env ? env : "/usr/bin:/bin");
	char *save = NULL, file[PATH_MAX];

	for (char *dir = path ? strtok_r(path, ":", &save) : NULL; dir; dir = strtok_r(NULL, ":", &save)) {
		snprintf(file, sizeof(file), "%s/fusermount3", dir);
		if (access(file, X_OK) == 0) {
			found(c, FINDING_OK, NULL, "%s", file);
			return;
		}
	}
	if (geteuid() == 0)
		found(c, FINDING_WARNING, "only other users need it: install fuse3", "not in $PATH");
	else
		found(c, FINDING_PROBLEM, "install fuse3", "not in $PATH");
}

void check_open_files(struct check *c)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		found(c, FINDING_UNKNOWN, NULL, "%s", strerror(errno));
	else if (limit.rlim_max < OPEN_FILES_GOOD)
		found(c, FINDING_WARNING, "raise it (ulimit -Hn, LimitNOFILE=) to 65536 or more",
		      "at most %" PRIu64 " for each process", (uint64_t)limit.rlim_max);
	else
		found(c, FINDING_OK, NULL, "up to %" PRIu64 " for each process", (uint64_t)limit.rlim_max);
}

void check_cache_set_dir(const char *dir)
{
	cache_dir = dir;
}

/* The directory, or the nearest one above it that is there. */
static int stat_cache(struct statfs *ret, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s", cache_dir);
	while (statfs(path, ret) < 0) {
		char *slash = strrchr(path, '/');

		if (errno != ENOENT || !slash)
			return -errno;
		slash[slash == path] = '\0';
	}
	return 0;
}

void check_cache_type(struct check *c)
{
	static const struct {
		uint32_t magic; /* linux/magic.h, statfs(2) */
		const char *name, *advice;
	} types[] = {
		{0xef53, "ext4", NULL},
		{0x58465342, "xfs", NULL},
		{0x9123683e, "btrfs",
	         "punching holes and small writes are slower there; ext4 or xfs is better"},
		{0x01021994, "tmpfs",
	         "the cache would take memory and be gone after a boot; use ext4 or xfs"},
		{0x794c7630, "overlay", "files there cannot be read from inside the kernel; use ext4 or xfs"},
		{0x6969, "NFS", "a cache must be a local disk"},
		{0x65735546, "FUSE", "a cache must be a local disk"},
	};
	struct statfs s;
	char path[PATH_MAX];
	int r = stat_cache(&s, path);

	if (r < 0) {
		found(c, FINDING_PROBLEM, NULL, "%s: %s", path, strerror(-r));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if ((uint32_t)s.f_type != types[i].magic)
			continue;
		found(c, types[i].advice ? FINDING_WARNING : FINDING_OK, types[i].advice, "%s is on %s", path,
		      types[i].name);
		return;
	}
	found(c, FINDING_WARNING, "ext4 and xfs are known to work well",
	      "%s is on a file system of type 0x%x", path, (unsigned)s.f_type);
}

void check_cache_space(struct check *c)
{
	char path[PATH_MAX], free_text[HUMAN_MAX], total_text[HUMAN_MAX];
	struct statfs s;
	uint64_t total, available;
	int r = stat_cache(&s, path);

	if (r < 0) {
		found(c, FINDING_PROBLEM, NULL, "%s: %s", path, strerror(-r));
		return;
	}
	total = (uint64_t)s.f_blocks * (uint64_t)s.f_bsize;
	available = (uint64_t)s.f_bavail * (uint64_t)s.f_bsize;
	human_bytes(available, free_text);
	human_bytes(total, total_text);
	/* A tenth is left free by default (--free-space-ratio). */
	if (available < total / 10)
		found(c, FINDING_WARNING,
		      "nothing would be cached: free some, or give a smaller --free-space-ratio",
		      "%s of %s are free in %s", free_text, total_text, path);
	else
		found(c, FINDING_OK, NULL, "%s of %s are free in %s", free_text, total_text, path);
}
