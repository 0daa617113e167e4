/* SPDX-License-Identifier: Apache-2.0 */
/* Times, files without a name, extended attributes. */
#include "tests/harness/like.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

/* ---- which times change ---- */

#define WATCHED 6
static const char *const watched[WATCHED] = {"d", "e", "d/f", "d/sub", "e/g", "d/link"};

struct times {
	bool there;
	struct timespec m, c;
};

static void look(struct times *ret)
{
	for (size_t i = 0; i < WATCHED; i++) {
		struct stat st;

		ret[i].there = !lstat(watched[i], &st);
		ret[i].m = st.st_mtim;
		ret[i].c = st.st_ctim;
	}
}

static bool same(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* ext4's clock goes in steps of up to 10 ms; in longer ones, if the CPU that moves it on does not run. */
static void wait_a_step(void)
{
	struct timespec from, now;
	int tries = 1000;

	clock_gettime(CLOCK_REALTIME_COARSE, &from);
	do {
		nanosleep(&(struct timespec){.tv_nsec = 11 * 1000000}, NULL);
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} while (same(&from, &now) && --tries);
}

static void say_changes(const struct times *before)
{
	struct times after[WATCHED];

	look(after);
	for (size_t i = 0; i < WATCHED; i++) {
		const struct times *x = &before[i], *y = &after[i];

		if (!x->there || !y->there)
			like_say("  %s %s\n", watched[i],
			         x->there   ? "went"
			         : y->there ? same(&y->m, &y->c) ? "came" : "came, mtime is not ctime"
			                    : "not there");
		else if (!same(&x->m, &y->m) || !same(&x->c, &y->c))
			like_say("  %s%s%s%s\n", watched[i], same(&x->m, &y->m) ? "" : " mtime",
			         same(&x->c, &y->c) ? "" : " ctime", same(&y->m, &y->c) ? ", equal" : "");
	}
}

static int timed_fd; /* of d/f */

#define TIMED(call)                           \
	do {                                  \
		struct times before[WATCHED]; \
		wait_a_step();                \
		look(before);                 \
		like_say("times: %s", #call); \
		like_got(call);               \
		say_changes(before);          \
	} while (0)

static long opened(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	return fd < 0 ? -1 : close(fd);
}

void like_times(void)
{
	const struct timespec set[2] = {{.tv_sec = 1, .tv_nsec = 5}, {.tv_sec = 2, .tv_nsec = 999999999}};
	const struct timespec omit[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	const struct timespec only_a[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	struct stat st;

	like_dir("times", 0755, 0, 0);
	like_must(chdir("times"), "times");
	like_dir("d", 0755, 0, 0);
	like_dir("e", 0755, 0, 0);
	TIMED(opened("d/f", O_CREAT | O_WRONLY));
	TIMED(opened("d/f", O_CREAT | O_WRONLY));
	TIMED(opened("d/f", O_CREAT | O_EXCL));
	timed_fd = open("d/f", O_RDWR);
	TIMED(write(timed_fd, "0123456789", 10));
	TIMED(fsync(timed_fd));
	TIMED(write(timed_fd, "x", 0));
	TIMED(pwrite(timed_fd, "x", 1, 3));
	TIMED(fsync(timed_fd));
	TIMED(opened("d/f", O_RDWR));
	TIMED(truncate("d/f", 10));
	TIMED(truncate("d/f", 20));
	TIMED(truncate("d/f", 20));
	TIMED(ftruncate(timed_fd, 20));
	TIMED(ftruncate(timed_fd, 5));
	TIMED(opened("d/f", O_WRONLY | O_TRUNC));
	TIMED(opened("d/f", O_WRONLY | O_TRUNC));
	TIMED(fallocate(timed_fd, 0, 0, 100));
	TIMED(chmod("d/f", 0600));
	TIMED(chmod("d/f", 0600));
	TIMED(chown("d/f", 5, -1));
	TIMED(chown("d/f", 5, -1));
	TIMED(chown("d/f", -1, -1));
	TIMED(utimensat(AT_FDCWD, "d/f", set, 0));
	like_must(stat("d/f", &st), "stat");
	like_say("  set: %ld.%ld %ld.%ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
	         (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	TIMED(utimensat(AT_FDCWD, "d/f", omit, 0));
	TIMED(utimensat(AT_FDCWD, "d/f", only_a, 0));
	TIMED(utimensat(AT_FDCWD, "d/f", NULL, 0));
	TIMED(setxattr("d/f", "user.a", "1", 1, 0));
	TIMED(setxattr("d/f", "user.a", "2", 1, 0));
	TIMED(setxattr("d/f", "user.a", "2", 1, XATTR_CREATE));
	TIMED(removexattr("d/f", "user.a"));
	TIMED(removexattr("d/f", "user.a"));
	TIMED(link("d/f", "e/g"));
	TIMED(link("d/f", "e/g"));
	TIMED(rename("d/f", "e/g"));
	TIMED(unlink("e/g"));
	TIMED(symlink("x", "d/link"));
	TIMED(lchown("d/link", 3, 3));
	TIMED(mkdir("d/sub", 0755));
	TIMED(mkdir("d/sub", 0755));
	TIMED(rename("d/sub", "e/g"));
	TIMED(rename("e/g", "d/sub"));
	TIMED(mknod("e/g", S_IFIFO, 0));
	TIMED(rename("e/g", "e/h"));
	TIMED(rename("e/h", "e/g"));
	TIMED(renameat2(AT_FDCWD, "e/g", AT_FDCWD, "d/sub", 2));
	TIMED(renameat2(AT_FDCWD, "e/g", AT_FDCWD, "d/sub", 2));
	TIMED(rename("d/f", "e/g"));
	TIMED(rename("d/link", "d/sub"));
	TIMED(rmdir("d/sub"));
	TIMED(rmdir("d/sub"));
	TIMED(opened("d", O_TMPFILE | O_RDWR));
	TIMED(write(timed_fd, "x", 1)); /* overwritten by e/g long ago */
	TIMED(unlink("d/link"));
	TIMED(unlink("e/g"));
	TIMED(setxattr("d", "user.a", "1", 1, 0));
	TIMED(chmod("d", 0700));
	close(timed_fd);
	like_must(chdir(".."), "..");
}

/* ---- open, and without a name ---- */

#define SAY(call)                      \
	do {                           \
		like_say("%s", #call); \
		like_got(call);        \
	} while (0)

static long link_fd(int fd, const char *to)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

static long links(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? -1 : (long)(st.st_nlink * 1000000 + (unsigned)st.st_size);
}

static long count_names(DIR *d)
{
	long n = 0;

	rewinddir(d);
	while (readdir(d))
		n++;
	return n;
}

static void removed_file(void)
{
	char byte[8];
	int fd, other;

	like_file("f", 0644, 0, 0);
	fd = open("f", O_RDWR);
	other = open("f", O_RDONLY);
	SAY(unlink("f"));
	SAY(links(fd));
	SAY(pwrite(fd, "abc", 3, 100));
	SAY(pread(other, byte, 8, 99));
	SAY(fchmod(fd, 0600));
	SAY(fchown(fd, 1, 1));
	SAY(ftruncate(fd, 50));
	SAY(links(other));
	SAY(fsetxattr(fd, "user.x", "1", 1, 0));
	SAY(fgetxattr(other, "user.x", byte, 8));
	SAY(flistxattr(fd, NULL, 0) > 0 ? 0 : -1);
	SAY(futimens(fd, NULL));
	SAY(link_fd(fd, "again"));
	SAY(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
	SAY(fsync(fd));
	SAY(opened("f", O_CREAT | O_EXCL | O_RDWR)); /* another one */
	SAY(links(fd));
	SAY(rename("f", "again"));
	close(fd);
	SAY(pread(other, byte, 8, 0));
	close(other);
	fd = open("again", O_RDONLY);
	like_file("over", 0644, 0, 0);
	SAY(rename("over", "again"));
	SAY(links(fd));
	SAY(pread(fd, byte, 8, 0));
	close(fd);
}

/* Opened without asking the file system, or not opened at all. */
static void removed_others(void)
{
	static const char *const names[] = {"r-fifo", "r-socket", "r-device", "r-link", "r-file"};
	struct stat st;
	char byte[2];
	int fd;

	like_must(mknod(names[0], S_IFIFO | 0644, 0), names[0]);
	like_must(mknod(names[1], S_IFSOCK | 0644, 0), names[1]);
	like_must(mknod(names[2], S_IFCHR | 0644, 0x0103), names[2]);
	like_must(symlink("x", names[3]), names[3]);
	like_file(names[4], 0644, 0, 0);
	for (size_t i = 0; i < 5; i++) {
		like_say("removed: %s\n", names[i]);
		fd = open(names[i], i == 0 || i == 2 ? O_RDWR | O_NONBLOCK : O_PATH | O_NOFOLLOW);
		SAY(unlink(names[i]));
		SAY(fstat(fd, &st) < 0 ? -1 : (long)st.st_nlink);
		SAY(fchmod(fd, 0600));
		SAY(fchownat(fd, "", 3, 3, AT_EMPTY_PATH));
		SAY(readlinkat(fd, "", byte, 2));
		SAY(write(fd, "x", 1));
		SAY(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
		SAY(fstat(fd, &st) < 0 ? -1 : (long)st.st_uid);
		if (i == 4) {
			char path[32];

			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			SAY(truncate(path, 7));
			SAY(opened(path, O_RDWR));
			SAY(fstat(fd, &st) < 0 ? -1 : (long)st.st_size);
		}
		close(fd);
	}
}

static void removed_directory(void)
{
	int here = open(".", O_PATH), fd;
	struct stat st;
	char path[64];
	DIR *d;

	like_dir("gone", 0755, 0, 0);
	like_dir("gone-open", 0755, 0, 0);
	d = opendir("gone-open");
	fd = dirfd(d);
	like_must(chdir("gone"), "gone");
	SAY(count_names(d));
	SAY(rmdir("../gone"));
	SAY(rmdir("../gone-open"));
	SAY(stat(".", &st));
	SAY(fstat(fd, &st) < 0 ? -1 : (long)st.st_nlink);
	SAY(opened("x", O_CREAT | O_RDWR));
	SAY(opened("x", O_RDONLY));
	SAY(opened(".", O_RDONLY));
	SAY(opened(".", O_TMPFILE | O_RDWR));
	SAY(mkdir("x", 0755));
	SAY(mknod("x", S_IFIFO, 0));
	SAY(symlink("x", "x"));
	SAY(link("../again", "x"));
	SAY(rename("../again", "x"));
	SAY(stat("..", &st) < 0 ? -1 : 0);
	SAY(stat("../again", &st) < 0 ? -1 : 0);
	SAY(unlink("x"));
	SAY(rmdir("."));
	SAY(getcwd(path, sizeof(path)) ? 0 : -1);
	SAY(mkdirat(fd, "x", 0755));
	SAY(unlinkat(fd, "x", 0));
	SAY(fchmod(fd, 0700));
	SAY(fsetxattr(fd, "user.x", "1", 1, 0));
	SAY(fsync(fd));
	SAY(count_names(d));
	SAY(openat(fd, ".", O_RDONLY) < 0 ? -1 : 0);
	closedir(d);
	like_must(fchdir(here), "fchdir");
	close(here);
}

static void unnamed_file(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0666), path_fd;
	char bytes[16];

	like_say("O_TMPFILE");
	like_got(fd < 0 ? -1 : 0);
	SAY(links(fd));
	SAY(write(fd, "some bytes", 10));
	SAY(links(fd));
	SAY(fsetxattr(fd, "user.x", "1", 1, 0));
	SAY(fchmod(fd, 0640));
	SAY(link_fd(fd, "again"));
	SAY(link_fd(fd, "none/x"));
	SAY(link_fd(fd, like_path("%M")));
	SAY(link_fd(fd, "named"));
	SAY(links(fd));
	like_stat("named");
	SAY(link_fd(fd, "named2"));
	SAY(unlink("named"));
	SAY(unlink("named2"));
	SAY(link_fd(fd, "named"));
	SAY(pread(fd, bytes, 16, 0));
	SAY(fgetxattr(fd, "user.x", bytes, 16));
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0666);
	SAY(write(fd, "x", 1));
	SAY(link_fd(fd, "named"));
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR, 0666);
	SAY(write(fd, "later", 5));
	snprintf(bytes, sizeof(bytes), "%d", fd);
	path_fd = openat(open("/proc/self/fd", O_PATH | O_CLOEXEC), bytes, O_PATH);
	close(fd);
	SAY(linkat(path_fd, "", AT_FDCWD, "later", AT_EMPTY_PATH));
	close(path_fd);
	like_stat("later");
	SAY(opened(".", O_TMPFILE | O_RDONLY));
	SAY(opened("again", O_TMPFILE | O_RDWR));
	SAY(opened("none", O_TMPFILE | O_RDWR));
	SAY(opened(".", O_TMPFILE | O_RDWR | O_CREAT));
	like_dir("setgid", 02777, 0, 77);
	like_become(NOBODY);
	fd = open("setgid", O_TMPFILE | O_RDWR, 02777);
	SAY(link_fd(fd, "setgid/named"));
	like_become(0);
	like_stat("setgid/named");
	close(fd);
	like_become(NOBODY);
	SAY(opened("..", O_TMPFILE | O_RDWR));
	like_become(0);
}

static void excl(void)
{
	like_must(symlink("nowhere", "dangling"), "dangling");
	like_must(symlink("again", "good"), "good");
	SAY(opened("dangling", O_CREAT | O_EXCL | O_RDWR));
	SAY(opened("good", O_CREAT | O_EXCL | O_RDWR));
	SAY(opened("good", O_CREAT | O_EXCL | O_RDWR | O_TRUNC));
	like_stat("good");
	SAY(opened("dangling", O_CREAT | O_RDWR));
	like_stat("nowhere");
}

/* ---- what is no file system's own business, and still has to work on one ---- */

static long run(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0755), status;
	pid_t child;

	like_must(write(fd, text, strlen(text)), path);
	like_must(close(fd), path);
	child = fork();
	like_must(child, "fork");
	if (!child) {
		execl(path, path, (char *)NULL);
		_exit(errno);
	}
	return waitpid(child, &status, 0) < 0 ? -1 : status;
}

static long bind_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	long r;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	if (!r)
		r = listen(fd, 1);
	if (!r) {
		int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		r = connect(other, (struct sockaddr *)&address, sizeof(address));
		close(other);
	}
	close(fd);
	return r;
}

static long through_fifo(const char *path)
{
	int fd = mkfifo(path, 0600) < 0 ? -1 : open(path, O_RDWR | O_NONBLOCK);
	char byte = 0;

	if (fd < 0 || write(fd, "x", 1) != 1 || read(fd, &byte, 1) != 1)
		return -1;
	close(fd);
	return byte;
}

static void using(void)
{
	int fd, dir;
	char byte;

	SAY(run("script", "#!/bin/sh\nexit 7\n"));
	SAY(run("text", "no program"));
	SAY(bind_socket("socket"));
	SAY(bind_socket("socket"));
	SAY(opened("socket", O_RDONLY));
	SAY(through_fifo("pipe"));
	fd = open("script", O_RDONLY);
	dir = open(".", O_RDONLY);
	SAY(write(fd, "x", 1));
	SAY(ftruncate(fd, 1));
	SAY(pread(fd, &byte, 1, -1));
	SAY(pread(fd, &byte, 1, 1ll << 40));
	SAY(read(dir, &byte, 1));
	SAY(lseek(fd, -1, SEEK_SET));
	SAY(lseek(fd, 0, 77));
	SAY(ftruncate(dir, 0));
	SAY(fsync(dir));
	SAY(fdatasync(dir));
	SAY(syncfs(dir));
	SAY(ioctl(fd, 0x1234, NULL));
	SAY(ioctl(fd, TCGETS, NULL));
	SAY(opened("script", O_RDONLY | O_DIRECT));
	SAY(flock(fd, LOCK_EX | LOCK_NB));
	SAY(fcntl(fd, F_SETLEASE, F_RDLCK));
	SAY(fcntl(fd, F_SETLEASE, F_UNLCK));
	SAY(fchdir(fd));
	SAY(openat(fd, "x", O_RDONLY));
	SAY(mkdirat(fd, "x", 0755));
	close(fd);
	close(dir);
}

/* Names are bytes. */
static void odd_names(void)
{
	char name[3] = "", whole[256];

	like_dir("bytes", 0755, 0, 0);
	like_must(chdir("bytes"), "bytes");
	for (int c = 1; c < 256; c++) {
		name[0] = (char)c;
		name[1] = c == '.' ? 'x' : '\0';
		if (c != '/' && (opened(name, O_CREAT | O_EXCL | O_RDWR) < 0 || access(name, F_OK) < 0))
			like_say("name %d: %s\n", c, strerrorname_np(errno));
	}
	for (int i = 0; i < 255; i++)
		whole[i] = (char)(i + 1 == '/' ? 'x' : i + 1);
	whole[255] = '\0';
	SAY(opened(whole, O_CREAT | O_EXCL | O_RDWR));
	SAY(unlink(whole));
	like_tree(".");
	like_must(chdir(".."), "..");
}

/* Names that are there all the time are read once, whatever comes and goes; telldir(3) leads back. */
static void reading(void)
{
	unsigned seen[200] = {}, wrong = 0;
	struct dirent *e;
	char name[16], next[256];
	DIR *d;

	like_dir("reading", 0755, 0, 0);
	like_must(chdir("reading"), "reading");
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "%d", i);
		like_must(mknod(name, S_IFREG | 0600, 0), name);
	}
	d = opendir(".");
	for (unsigned n = 0; (e = readdir(d)); n++) {
		long here = telldir(d);
		const char *again;

		if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
			seen[atoi(e->d_name)]++;
		snprintf(name, sizeof(name), "new%u", n);
		if (n < 300)
			like_must(mknod(name, S_IFREG | 0600, 0), name);
		if (n % 16)
			continue;
		e = readdir(d);
		snprintf(next, sizeof(next), "%s", e ? e->d_name : "end");
		seekdir(d, here);
		e = readdir(d);
		again = e ? e->d_name : "end";
		wrong += strcmp(next, again) != 0;
		seekdir(d, here);
	}
	closedir(d);
	for (int i = 0; i < 200; i++)
		wrong += seen[i] != 1;
	like_say("reading a directory that changes: %u wrong\n", wrong);
	like_must(chdir(".."), "..");
}

void like_unnamed(void)
{
	like_dir("unnamed", 0755, 0, 0);
	like_must(chdir("unnamed"), "unnamed");
	removed_file();
	removed_others();
	removed_directory();
	unnamed_file();
	excl();
	using();
	odd_names();
	reading();
	like_must(chdir(".."), "..");
}

/* ---- extended attributes ---- */

static const char *const xattr_names[] = {
	"user.a", "user.",           "user",       "",           "a",        ".a",
	"User.a", "trusted.a",       "trusted.",   "security.a", "system.a", "system.",
	"none.a", "user.\xff\n\t x", "user.a.b.c",
};

static void try_xattrs(const char *path, unsigned uid)
{
	char value[64];

	like_become(uid);
	for (size_t i = 0; i < sizeof(xattr_names) / sizeof(*xattr_names); i++) {
		const char *name = xattr_names[i];

		like_say("%s by %u, '%s': get", path, uid, name);
		like_got(lgetxattr(path, name, value, sizeof(value)));
		like_say("%s by %u, '%s': replace", path, uid, name);
		like_got(lsetxattr(path, name, "x", 1, XATTR_REPLACE));
		like_say("%s by %u, '%s': set", path, uid, name);
		like_got(lsetxattr(path, name, "12", 2, 0));
		like_say("%s by %u, '%s': create", path, uid, name);
		like_got(lsetxattr(path, name, "123", 3, XATTR_CREATE));
		like_say("%s by %u, '%s': get again", path, uid, name);
		like_got(lgetxattr(path, name, value, sizeof(value)));
		like_say("%s by %u, '%s': remove", path, uid, name);
		if (i % 2)
			like_got(lremovexattr(path, name));
		else
			like_got(0);
	}
	like_become(0);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void say_list(const char *path, unsigned uid)
{
	char names[4096];
	const char *sorted[64];
	size_t count = 0;
	ssize_t n;

	like_become(uid);
	n = llistxattr(path, names, sizeof(names));
	like_say("list %s by %u", path, uid);
	like_got(n < 0 ? -1 : 0);
	for (ssize_t at = 0; at < n && count < 64; at += (ssize_t)strlen(names + at) + 1) {
		if (strncmp(names + at, "security.s", 10) != 0) /* the host's own label */
			sorted[count++] = names + at;
	}
	qsort(sorted, count, sizeof(*sorted), by_text);
	for (size_t i = 0; i < count; i++)
		like_say("  %s\n", sorted[i]);
	like_become(0);
}

static void xattr_sizes(void)
{
	static char value[65537];
	char name[300] = "user.", small[4];

	memset(value, 'v', sizeof(value));
	like_file("sizes", 0644, 0, 0);
	for (size_t n = 0; n <= 1024; n = n ? 4 * n : 1) {
		like_say("value of %zu bytes", n);
		like_got(setxattr("sizes", "user.value", value, n, 0));
		SAY(getxattr("sizes", "user.value", NULL, 0));
		SAY(getxattr("sizes", "user.value", small, sizeof(small)));
		SAY(getxattr("sizes", "user.value", value, sizeof(value)));
	}
	SAY(setxattr("sizes", "user.value", value, 65537, 0));
	SAY(setxattr("sizes", "user.value", "x", 1, 4));
	SAY(setxattr("sizes", "user.value", "x", 1, XATTR_CREATE | XATTR_REPLACE));
	SAY(setxattr("sizes", "user.other", "x", 1, XATTR_CREATE | XATTR_REPLACE));
	for (size_t length = 253; length <= 257; length++) {
		memset(name + 5, 'n', length - 5);
		name[length] = '\0';
		like_say("name of %zu bytes", length);
		like_got(setxattr("sizes", name, "x", 1, 0));
		SAY(getxattr("sizes", name, small, sizeof(small)));
		SAY(removexattr("sizes", name));
	}
	SAY(listxattr("sizes", small, sizeof(small)));
	SAY(listxattr("none", NULL, 0));
}

void like_xattrs(void)
{
	static const char *const things[] = {"file", "dir", "link", "fifo", "none", "own", "sticky"};

	like_dir("xattrs", 0755, 0, 0);
	like_must(chdir("xattrs"), "xattrs");
	like_file("file", 0644, 0, 0);
	like_dir("dir", 0755, 0, 0);
	like_must(symlink("file", "link"), "link");
	like_must(mknod("fifo", S_IFIFO | 0666, 0), "fifo");
	like_file("own", 0644, NOBODY, NOBODY);
	like_dir("sticky", 01777, 0, 0);
	for (size_t i = 0; i < sizeof(things) / sizeof(*things); i++) {
		try_xattrs(things[i], NOBODY);
		try_xattrs(things[i], 0);
		say_list(things[i], NOBODY);
		say_list(things[i], 0);
	}
	xattr_sizes();
	like_must(chdir(".."), "..");
}
