/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/datadir.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/private_dir.h"
#include "common/why.h"

#define SUBDIRS 256
#define PACKS "packs"

struct datadir {
	int lock_fd;
	int data_fd;
};

struct path {
	char s[80]; /* "xx/" and three numbers of at most 20 characters, or PACKS, "/" and one */
};

static struct path path_of(const struct data_name *name)
{
	struct path p;

	snprintf(p.s, sizeof(p.s), "%02x/%" PRIu64 ".%" PRIu64 ".%" PRIx64, (unsigned)(name->ino % SUBDIRS),
	         name->ino, name->version, name->id);
	return p;
}

static struct path path_of_pack(uint64_t id)
{
	struct path p;

	snprintf(p.s, sizeof(p.s), PACKS "/%" PRIx64, id);
	return p;
}

/* No symbolic link is followed, not even one that somebody puts in the place of a directory. */
static int open_beneath(struct datadir *d, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	do
		fd = (int)syscall(SYS_openat2, d->data_fd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd;
}

/*
 * To read and write. Without access times, which nobody asks for here: noting them is a part of each read,
 * also of those that the kernel does. (Another user's file, EPERM, does not get into a cache but by hand.)
 */
static int open_data(struct datadir *d, const struct path *p, int flags, mode_t mode)
{
	int fd = open_beneath(d, p->s, O_RDWR | O_NOATIME | flags, mode);

	return fd < 0 && errno == EPERM ? open_beneath(d, p->s, O_RDWR | flags, mode) : fd;
}

/* The directory of a data file, for calls that know no such rules; *ret_name points into @p p. */
static int open_parent(struct datadir *d, struct path *p, const char **ret_name)
{
	char *slash = strchr(p->s, '/');

	*slash = '\0';
	*ret_name = slash + 1;
	return open_beneath(d, p->s, O_PATH | O_DIRECTORY, 0);
}

static int why(char **ret_why, int r, const char *dir, const char *what)
{
	return why_r(r, ret_why, "cache directory %s: %s: %s", dir, what, strerror(-r));
}

static int make_parents(const char *dir)
{
	_cleanup_free_ char *path = strdup(dir);

	if (!path)
		return -ENOMEM;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_subdir(int data_fd, const char *name)
{
	struct stat st;

	if (mkdirat(data_fd, name, 0700) == 0)
		return 0;
	if (errno != EEXIST || fstatat(data_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int make_subdirs(int data_fd)
{
	int r = make_subdir(data_fd, PACKS);

	for (unsigned i = 0; i < SUBDIRS && !r; i++) {
		char name[4];

		snprintf(name, sizeof(name), "%02x", i);
		r = make_subdir(data_fd, name);
	}
	return r;
}

int datadir_open(const char *dir, struct datadir **ret, char **ret_why)
{
	_cleanup_close_ int dir_fd = -1, lock_fd = -1, data_fd = -1;
	_cleanup_free_ char *reason = NULL;
	struct datadir *d;
	int r;

	r = make_parents(dir);
	if (r)
		return why(ret_why, r, dir, "cannot make it");
	r = private_dir(dir, (const char *const[]){"lock", "data", "index", NULL}, &reason);
	if (r < 0)
		return why_r(r, ret_why, "cache directory %s", reason ? reason : dir);
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return why(ret_why, -errno, dir, "cannot open it");
	lock_fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock_fd < 0)
		return why(ret_why, -errno, dir, "cannot open the file \"lock\"");
	if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return why(ret_why, -errno, dir, "cannot lock the file \"lock\"");
		return why(ret_why, -EBUSY, dir, "another process uses it; give each mount its own");
	}
	if (mkdirat(dir_fd, "data", 0700) < 0 && errno != EEXIST)
		return why(ret_why, -errno, dir, "cannot make \"data\"");
	data_fd = openat(dir_fd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (data_fd < 0)
		return why(ret_why, -errno, dir, "cannot open \"data\"");
	r = make_subdirs(data_fd);
	if (r)
		return why(ret_why, r, dir, "cannot make the directories in \"data\"");
	d = malloc(sizeof(*d));
	if (!d)
		return why(ret_why, -ENOMEM, dir, "open");
	*d = (struct datadir){.lock_fd = TAKE_FD(lock_fd), .data_fd = TAKE_FD(data_fd)};
	*ret = d;
	return 0;
}

void datadir_close(struct datadir *d)
{
	if (!d)
		return;
	close(d->data_fd);
	close(d->lock_fd);
	free(d);
}

/*
 * Each data file keeps its descriptor.  A part of those that the process may have is left for others, who
 * need them for a moment to get anywhere: without one, what is dirty could not be uploaded, and the files
 * would stay open for ever.
 */
static bool is_scarce(int fd)
{
	struct rlimit limit;
	rlim_t reserve;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return false;
	reserve = limit.rlim_cur / 4 < 256 ? limit.rlim_cur / 4 : 256;
	return (rlim_t)fd >= limit.rlim_cur - reserve;
}

static int unlink_path(struct datadir *d, struct path p)
{
	const char *file;
	_cleanup_close_ int dir = open_parent(d, &p, &file);

	return dir < 0 || unlinkat(dir, file, 0) < 0 ? -errno : 0;
}

static int create_path(struct datadir *d, const struct path *p)
{
	int fd, r;

	for (int attempt = 0; attempt < 2; attempt++) {
		fd = open_data(d, p, O_CREAT | O_EXCL, 0600);
		if (fd >= 0 && is_scarce(fd)) {
			close(fd);
			unlink_path(d, *p);
			return -EMFILE;
		}
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
		r = unlink_path(d, *p);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return -EEXIST;
}

static int open_path(struct datadir *d, const struct path *p)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	/* O_NONBLOCK: somebody may have put a FIFO there; it means nothing for a regular file. */
	fd = open_data(d, p, O_NONBLOCK, 0);
	if (fd < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO ? -ENOENT : -errno;
	if (is_scarce(fd))
		return -EMFILE;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? TAKE_FD(fd) : -ENOENT;
}

int datadir_create(struct datadir *d, const struct data_name *name)
{
	struct path p = path_of(name);

	return create_path(d, &p);
}

int datadir_open_file(struct datadir *d, const struct data_name *name)
{
	struct path p = path_of(name);

	return open_path(d, &p);
}

int datadir_stat(struct datadir *d, const struct data_name *name, uint64_t *ret_bytes)
{
	struct path p = path_of(name);
	const char *file;
	_cleanup_close_ int dir = open_parent(d, &p, &file);
	struct stat st;

	if (dir < 0 || fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	*ret_bytes = 512 * (uint64_t)st.st_blocks;
	return 0;
}

int datadir_unlink(struct datadir *d, const struct data_name *name)
{
	return unlink_path(d, path_of(name));
}

int datadir_create_pack(struct datadir *d, uint64_t id)
{
	struct path p = path_of_pack(id);

	return create_path(d, &p);
}

int datadir_open_pack(struct datadir *d, uint64_t id)
{
	struct path p = path_of_pack(id);

	return open_path(d, &p);
}

int datadir_unlink_pack(struct datadir *d, uint64_t id)
{
	return unlink_path(d, path_of_pack(id));
}

/** @return true if @p s is just what path_of() makes, in directory number @p subdir. */
static bool parse_name(const char *s, unsigned subdir, struct data_name *ret)
{
	struct data_name name;
	struct path p;

	if (sscanf(s, "%" SCNu64 ".%" SCNu64 ".%" SCNx64, &name.ino, &name.version, &name.id) != 3)
		return false;
	p = path_of(&name);
	if (name.ino % SUBDIRS != subdir || strcmp(p.s + 3, s) != 0)
		return false;
	*ret = name;
	return true;
}

/** @return true if @p s is just what path_of_pack() makes. */
static bool parse_pack(const char *s, uint64_t *ret)
{
	struct path p;
	uint64_t id;

	if (sscanf(s, "%" SCNx64, &id) != 1)
		return false;
	p = path_of_pack(id);
	if (strcmp(p.s + strlen(PACKS "/"), s) != 0)
		return false;
	*ret = id;
	return true;
}

struct sweep {
	unsigned subdir;
	datadir_keep_fn keep;           /* of a directory of data files */
	datadir_keep_pack_fn keep_pack; /* of that of pack files */
	void *arg;
};

/* What nobody here has made stays. */
static bool is_unwanted(const char *file, const struct sweep *s)
{
	struct data_name name;
	uint64_t id;

	if (s->keep)
		return parse_name(file, s->subdir, &name) && !s->keep(&name, s->arg);
	return parse_pack(file, &id) && !s->keep_pack(id, s->arg);
}

static int sweep_dir(struct datadir *d, const char *path, const struct sweep *s)
{
	struct dirent *e;
	DIR *dir;
	int fd;

	fd = openat(d->data_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(dir)))
		if (is_unwanted(e->d_name, s) && unlinkat(fd, e->d_name, 0) < 0)
			log_debug("cache: cannot remove %s/%s: %s", path, e->d_name, strerror(errno));
	closedir(dir);
	return 0;
}

int datadir_sweep(struct datadir *d, datadir_keep_fn keep, void *arg)
{
	struct sweep s = {.keep = keep, .arg = arg};
	int r = 0;

	for (; s.subdir < SUBDIRS && !r; s.subdir++) {
		char path[4];

		snprintf(path, sizeof(path), "%02x", s.subdir % SUBDIRS);
		r = sweep_dir(d, path, &s);
	}
	return r;
}

int datadir_sweep_packs(struct datadir *d, datadir_keep_pack_fn keep, void *arg)
{
	return sweep_dir(d, PACKS, &(struct sweep){.keep_pack = keep, .arg = arg});
}

int datadir_space(struct datadir *d, uint64_t *ret_free, uint64_t *ret_total)
{
	struct statvfs s;

	if (fstatvfs(d->data_fd, &s) < 0)
		return -errno;
	*ret_free = (uint64_t)s.f_frsize * s.f_bavail;
	*ret_total = (uint64_t)s.f_frsize * s.f_blocks;
	return 0;
}
