/* SPDX-License-Identifier: Apache-2.0 */
/* Each call with each kind of path, by root and by somebody else. */
#include "tests/harness/like.h"

#include <dirent.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static const char *const paths[] = {
	"",          ".",           "..",         "/",          "none",     "none/",     "none/x",
	"file",      "file/",       "file/x",     "file/.",     "file/..",  "dir",       "dir/",
	"dir/.",     "dir/..",      "dir/none",   "dir/none/",  "full",     "full/x",    "full//x",
	"to-file",   "to-file/",    "to-dir",     "to-dir/",    "to-dir/.", "to-full/x", "dangling",
	"dangling/", "dangling/x",  "to-inside",  "loop",       "loop/",    "loop/x",    "fifo",
	"fifo/",     "sock",        "chr",        "%L",         "%M",       "dir/%L",    "dir/%M",
	"dir/%M/x",  "file/%M",     "none/%M",    "closed/%M",  "%Pfile",   "%Qfile",    "closed",
	"closed/x",  "closed/none", "sticky/his", "sticky/own", "his",      "own",       "own-dir",
	"own-dir/x", "blind/x",     "deaf/x",     "linked",
};

static void make_fixture(void)
{
	like_file("file", 0644, 0, 0);
	like_dir("dir", 0755, 0, 0);
	like_dir("full", 0755, 0, 0);
	like_file("full/x", 0644, 0, 0);
	like_must(symlink("file", "to-file"), "to-file");
	like_must(symlink("dir", "to-dir"), "to-dir");
	like_must(symlink("full", "to-full"), "to-full");
	like_must(symlink("new", "dangling"), "dangling");
	like_must(symlink("dir/new", "to-inside"), "to-inside");
	like_must(symlink("loop", "loop"), "loop");
	like_must(mknod("fifo", S_IFIFO | 0644, 0), "fifo");
	like_must(mknod("sock", S_IFSOCK | 0644, 0), "sock");
	like_must(mknod("chr", S_IFCHR | 0644, makedev(1, 3)), "chr");
	like_dir("closed", 0700, 0, 0);
	like_file("closed/x", 0644, 0, 0);
	like_dir("sticky", 01777, 0, 0);
	like_file("sticky/his", 0666, 0, 0);
	like_file("sticky/own", 0666, NOBODY, NOBODY);
	like_file("his", 0600, 0, 0);
	like_file("own", 0644, NOBODY, NOBODY);
	like_dir("own-dir", 0755, NOBODY, NOBODY);
	like_file("own-dir/x", 0644, 0, 0);
	like_dir("blind", 0333, NOBODY, NOBODY);
	like_file("blind/x", 0644, 0, 0);
	like_dir("deaf", 0666, NOBODY, NOBODY);
	like_file("deaf/x", 0644, 0, 0);
	like_must(link("file", "linked"), "linked");
}

/* ---- the calls ---- */

static long opened(const char *path, int flags)
{
	struct stat st;
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666);

	if (fd < 0)
		return -1;
	like_must(fstat(fd, &st), "fstat");
	like_say(" (%o links %lu)", st.st_mode, (unsigned long)st.st_nlink);
	close(fd);
	return 0;
}

#define OPEN(name, flags)                   \
	static long name(const char *path)  \
	{                                   \
		return opened(path, flags); \
	}
OPEN(open_read, O_RDONLY)
OPEN(open_write, O_WRONLY)
OPEN(open_both, O_RDWR)
OPEN(open_path, O_PATH)
OPEN(open_path_nofollow, O_PATH | O_NOFOLLOW)
OPEN(open_directory, O_RDONLY | O_DIRECTORY)
OPEN(open_directory_write, O_RDWR | O_DIRECTORY)
OPEN(open_nofollow, O_RDONLY | O_NOFOLLOW)
OPEN(open_noatime, O_RDONLY | O_NOATIME)
OPEN(open_create, O_RDWR | O_CREAT)
OPEN(open_create_directory, O_RDONLY | O_CREAT | O_DIRECTORY)
OPEN(open_create_nofollow, O_RDWR | O_CREAT | O_NOFOLLOW)
OPEN(open_excl, O_RDWR | O_CREAT | O_EXCL)
OPEN(open_trunc, O_WRONLY | O_TRUNC)
OPEN(open_trunc_read, O_RDONLY | O_TRUNC)
OPEN(open_append, O_WRONLY | O_APPEND)
OPEN(open_unnamed, O_RDWR | O_TMPFILE)
OPEN(open_unnamed_read, O_RDONLY | O_TMPFILE)

static long call_stat(const char *path)
{
	struct stat st;

	return stat(path, &st);
}
static long call_lstat(const char *path)
{
	struct stat st;

	return lstat(path, &st);
}
static long call_statvfs(const char *path)
{
	struct statvfs st;

	return statvfs(path, &st) < 0 ? -1 : (long)st.f_namemax;
}
static long call_readlink(const char *path)
{
	char target[64];

	return readlink(path, target, sizeof(target));
}
static long call_list(const char *path)
{
	DIR *d = opendir(path);
	long n = 0;

	if (!d)
		return -1;
	/* What is above the whole is not the same. */
	if (strchr(path, '.') || !strcmp(path, "/"))
		n = -3;
	while (n > -3 && readdir(d))
		n++;
	closedir(d);
	return n < 0 ? 0 : n;
}
static long access_read(const char *path)
{
	return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS);
}
static long access_write(const char *path)
{
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS);
}
static long access_exec(const char *path)
{
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS);
}
static long get_xattr(const char *path)
{
	return getxattr(path, "user.none", NULL, 0);
}
static long call_chdir(const char *path)
{
	int here = open(".", O_PATH | O_CLOEXEC);
	long r = chdir(path);
	int error = errno;

	like_must(fchdir(here), "fchdir");
	close(here);
	errno = error;
	return r;
}
static long call_mkdir(const char *path)
{
	return mkdir(path, 0777);
}
static long mkdir_special(const char *path)
{
	return mkdir(path, 07777);
}
static long mkfifo_call(const char *path)
{
	return mknod(path, S_IFIFO | 0666, 0);
}
static long mknod_file(const char *path)
{
	return mknod(path, S_IFREG | 0640, 0);
}
static long mknod_device(const char *path)
{
	return mknod(path, S_IFBLK | 0660, makedev(260, 70000));
}
static long mknod_directory(const char *path)
{
	return mknod(path, S_IFDIR | 0755, 0);
}
static long mknod_nonsense(const char *path)
{
	return mknod(path, 0130000 | 0755, 0);
}
static long rmdir_call(const char *path)
{
	return rmdir(path);
}
static long unlink_call(const char *path)
{
	return unlink(path);
}
static long call_symlink(const char *path)
{
	return symlink("anywhere", path);
}
static long symlink_empty(const char *path)
{
	return symlink("", path);
}
static long symlink_long(const char *path)
{
	return symlink(like_path("%P"), path);
}
static long symlink_too_long(const char *path)
{
	return symlink(like_path("%Q"), path);
}
static long call_truncate(const char *path)
{
	return truncate(path, 5);
}
static long truncate_negative(const char *path)
{
	return truncate(path, -1);
}
static long call_chmod(const char *path)
{
	return chmod(path, 07751);
}
static long call_chown(const char *path)
{
	return chown(path, 1000, 1001);
}
static long call_lchown(const char *path)
{
	return lchown(path, 1002, 1003);
}
static long chown_nothing(const char *path)
{
	return chown(path, (uid_t)-1, (gid_t)-1);
}
static long chgrp_team(const char *path)
{
	return lchown(path, (uid_t)-1, TEAM);
}
static long times_now(const char *path)
{
	return utimensat(AT_FDCWD, path, NULL, 0);
}
static long set_times(const char *path, long a, long m)
{
	const struct timespec times[2] = {{.tv_sec = 5, .tv_nsec = a}, {.tv_sec = -7, .tv_nsec = m}};
	struct stat st;

	if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (lstat(path, &st) < 0)
		return 0; /* with nothing to do the kernel does not even look */
	if (a < 1000000000)
		like_say(" (atime %ld.%ld)", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec);
	if (m < 1000000000)
		like_say(" (mtime %ld.%ld)", (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return 0;
}
static long times_set(const char *path)
{
	return set_times(path, 123456789, 987654321);
}
static long times_omit(const char *path)
{
	return set_times(path, UTIME_OMIT, UTIME_OMIT);
}
static long times_mixed(const char *path)
{
	return set_times(path, UTIME_NOW, 999999999);
}
static long times_one(const char *path)
{
	return set_times(path, 1, UTIME_OMIT);
}
static long times_both_now(const char *path)
{
	return set_times(path, UTIME_NOW, UTIME_NOW);
}
static long times_wrong(const char *path)
{
	return set_times(path, 1, 1000000000);
}
static long set_xattr(const char *path)
{
	return setxattr(path, "user.a", "value", 5, 0);
}
static long set_xattr_nofollow(const char *path)
{
	return lsetxattr(path, "user.a", "value", 5, 0);
}
static long set_trusted(const char *path)
{
	return lsetxattr(path, "trusted.a", "value", 5, 0);
}
static long set_security(const char *path)
{
	return lsetxattr(path, "security.test", "value", 5, 0);
}
static long remove_xattr(const char *path)
{
	return lremovexattr(path, "user.a");
}
static long remove_trusted(const char *path)
{
	return lremovexattr(path, "trusted.a");
}
static long list_xattrs(const char *path)
{
	char names[1024];
	ssize_t n = llistxattr(path, names, sizeof(names));
	unsigned ours = 0;

	if (n < 0)
		return -1;
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
		ours += strncmp(names + at, "security.s", 10) != 0; /* the host's own label */
	return ours;
}

struct call {
	const char *name;
	long (*make)(const char *path);
	bool fresh; /* on files that nobody has touched yet */
};
#define C(name)                    \
	{                          \
#name, name, false \
	}
#define FRESH(name)               \
	{                         \
#name, name, true \
	}

/* These change nothing. */
static const struct call asking[] = {
	C(call_stat),         C(call_lstat),     C(call_statvfs),      C(call_readlink),
	C(call_list),         C(access_read),    C(access_write),      C(access_exec),
	C(get_xattr),         C(list_xattrs),    C(call_chdir),        C(open_read),
	C(open_write),        C(open_both),      C(open_path),         C(open_path_nofollow),
	C(open_noatime),      C(open_directory), C(open_nofollow),     C(open_directory_write),
	C(open_append),       C(open_unnamed),   C(open_unnamed_read), C(open_create_directory),
	C(mknod_directory),   C(mknod_nonsense), C(symlink_empty),     C(symlink_too_long),
	C(truncate_negative), C(times_omit),     C(times_wrong),
};
static const struct call changing[] = {
	FRESH(open_create),   FRESH(open_create_nofollow),
	FRESH(open_excl),     FRESH(call_mkdir),
	FRESH(mkdir_special), FRESH(rmdir_call),
	FRESH(unlink_call),   FRESH(mkfifo_call),
	FRESH(mknod_file),    FRESH(mknod_device),
	FRESH(call_symlink),  FRESH(symlink_long),
	FRESH(open_trunc),    C(call_truncate),
	C(open_trunc_read),   FRESH(times_now),
	C(times_set),         C(times_mixed),
	C(times_one),         C(times_both_now),
	C(set_xattr),         C(set_xattr_nofollow),
	C(set_trusted),       C(set_security),
	C(list_xattrs),       C(remove_xattr),
	C(remove_trusted),    C(chown_nothing),
	C(chgrp_team),        C(call_chmod),
	C(call_lchown),       C(call_chown),
};

/* "/", and what is above, is not this program's to change. */
static bool is_outside(const char *pattern)
{
	return !strcmp(pattern, "/") || !strcmp(pattern, "..");
}

static void each_path(const struct call *call, unsigned uid, bool changes)
{
	like_become(uid);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		const char *path = like_path(paths[i]);

		if (is_outside(paths[i]) && (changes || strstr(call->name, "_unnamed")))
			continue;
		like_say("%s as %u: '%s'", call->name, uid, paths[i]);
		if (like_got(call->make(path)) >= 0 && changes)
			like_stat(path);
	}
	like_become(0);
}

/* Those who may less come first: they leave more for the others. */
static void each_call(const struct call *calls, size_t count, bool changes)
{
	for (size_t i = 0; i < count; i++) {
		if (calls[i].fresh) {
			if (i)
				like_must(chdir(".."), "..");
			like_dir(calls[i].name, 0777, 0, 0);
			like_must(chdir(calls[i].name), calls[i].name);
			make_fixture();
		}
		each_path(&calls[i], NOBODY, changes);
		each_path(&calls[i], 0, changes);
	}
}

void like_paths(void)
{
	like_must(chmod(".", 0755), ".");
	like_dir("asking", 0755, 0, 0);
	like_must(chdir("asking"), "asking");
	make_fixture();
	each_call(asking, sizeof(asking) / sizeof(*asking), false);
	like_must(chdir(".."), "..");
	like_dir("changing", 0755, 0, 0);
	like_must(chdir("changing"), "changing");
	each_call(changing, sizeof(changing) / sizeof(*changing), true);
	like_must(chdir("../.."), "..");
}

/* By root only: REFERENCE is a read-only mount of a file system that is not, so it says EACCES first. */
void like_read_only(void)
{
	like_must(chdir("asking"), "asking");
	for (size_t i = 0; i < sizeof(asking) / sizeof(*asking); i++)
		each_path(&asking[i], 0, false);
	for (size_t i = 0; i < sizeof(changing) / sizeof(*changing); i++)
		each_path(&changing[i], 0, true);
}
