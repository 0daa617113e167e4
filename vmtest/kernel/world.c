/* SPDX-License-Identifier: Apache-2.0 */
#include "vmtest/kernel/world.h"
#include "vmtest/kernel/case.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHUNK EXTFUSE_CHUNK_SIZE

/* ---- chance ---- */

uint64_t chance(struct chance *c)
{
	uint64_t z = c->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t chance_below(struct chance *c, uint64_t n)
{
	return chance(c) % n;
}

bool one_in(struct chance *c, unsigned n)
{
	return chance_below(c, n) == 0;
}

uint64_t chance_odd(struct chance *c)
{
	static const uint64_t borders[] = {
		0,          1,          4096,       EXTFUSE_BLOCK_SIZE, CHUNK,      1ull << 31,
		1ull << 32, 1ull << 43, 1ull << 44, 1ull << 62,         1ull << 63, UINT64_MAX,
	};

	switch (chance_below(c, 3)) {
	case 0:
		return chance(c);
	case 1:
		return chance_below(c, 16);
	default:
		return borders[chance_below(c, sizeof(borders) / sizeof(*borders))] + chance_below(c, 5) - 2;
	}
}

int world_seconds(int otherwise)
{
	const char *text = getenv("FUZZ_SECONDS");
	int seconds = text ? atoi(text) : otherwise;

	check(seconds > 0);
	give_seconds((unsigned)seconds + 90);
	return seconds;
}

/* ---- the mount ---- */

static char letter_of(uint64_t ino)
{
	return (char)('A' + ino % 26);
}

struct world *world_start(void)
{
	static const size_t sizes[WORLD_FILES] = {5,      4096,   65536, 70001,
	                                          100000, 200000, CHUNK, CHUNK + 12345};
	struct world *w = calloc(1, sizeof(*w));
	const char *seed = getenv("FUZZ_SEED");
	char *data = malloc(2 * CHUNK);

	check(w && data);
	w->seed = seed ? strtoull(seed, NULL, 0) : 0;
	check(seed || getrandom(&w->seed, sizeof(w->seed), 0) == sizeof(w->seed));
	printf("     FUZZ_SEED=0x%llx\n", (unsigned long long)w->seed);
	fflush(stdout);
	w->t = tfs_start();
	w->t->size_limit = 64 << 20; /* of many files, in one small machine */
	for (int i = 0; i < WORLD_FILES; i++) {
		struct world_file *f = &w->files[i];
		char path[] = "/var/tmp/worldXXXXXX";

		/* some names are long, and some begin as others do */
		snprintf(f->name, sizeof(f->name),
		         i % 2 ? "f%d" : "f%d-with-a-name-that-is-longer-than-forty-bytes", i / 2);
		memset(data, letter_of(w->t->last_ino + 1), sizes[i]);
		data[sizes[i]] = '\0';
		f->ino = tfs_add(w->t, FUSE_ROOT_ID, f->name, S_IFREG | 0644, data);
		f->cache_fd = mkstemp(path);
		check(f->cache_fd >= 0);
		unlink(path);
		check_equal(write(f->cache_fd, data, sizes[i]), sizes[i]);
	}
	free(data);
	return w;
}

void world_stop(struct world *w)
{
	for (int i = 0; i < WORLD_FILES; i++)
		close(w->files[i].cache_fd);
	tfs_stop(w->t);
	free(w);
}

/* ---- the users ---- */

enum { BUFFER = 256 << 10 };

static _Thread_local sigjmp_buf on_sigbus;

static void is_sigbus(int sig)
{
	siglongjmp(on_sigbus, 1);
}

static void check_bytes(uint64_t ino, const char *bytes, size_t n, off_t at, const char *how)
{
	char wanted = letter_of(ino);

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != wanted && bytes[i])
			die("inode %llu has '%c' at %lld, not '%c' (%s)", (unsigned long long)ino, bytes[i],
			    (long long)at + (long long)i, wanted, how);
	}
}

/* Some file, open; its inode is what it says it is. -1: not to be had just now. */
static int open_some(struct world *w, struct chance *c, int flags, struct stat *ret)
{
	int fd = open(tfs_path(w->t, w->files[chance_below(c, WORLD_FILES)].name), flags);

	if (fd >= 0 && fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_ino > FUSE_ROOT_ID &&
	    ret->st_ino <= w->t->last_ino)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static off_t some_place(struct chance *c)
{
	if (one_in(c, 16))
		return (off_t)(chance_odd(c) & INT64_MAX);
	if (one_in(c, 8))
		return (off_t)(CHUNK - 8192 + chance_below(c, CHUNK));
	return (off_t)chance_below(c, one_in(c, 2) ? 8192 : 200000);
}

static void read_some(struct world *w, struct chance *c, char *buf)
{
	size_t length = chance_below(c, one_in(c, 16) ? BUFFER : 5000) + 1;
	off_t at = some_place(c);
	struct stat st;
	int fd = open_some(w, c, O_RDONLY | (one_in(c, 4) ? O_DIRECT : 0), &st);
	int pipes[2];
	ssize_t n;

	if (fd < 0)
		return;
	if (one_in(c, 4) && pipe2(pipes, O_NONBLOCK) == 0) {
		if (sendfile(pipes[1], fd, &at, length) > 0) {
			n = read(pipes[0], buf, BUFFER);
			if (n > 0)
				check_bytes(st.st_ino, buf, (size_t)n, at, "sendfile");
		}
		close(pipes[0]);
		close(pipes[1]);
	}
	for (int i = 0; i < 4; i++) {
		n = pread(fd, buf, length, at);
		if (n > 0)
			check_bytes(st.st_ino, buf, (size_t)n, at, "pread");
		at = some_place(c);
	}
	close(fd);
}

static void ask_some(struct world *w, struct chance *c, char *buf)
{
	char *path = tfs_path(w->t, w->files[chance_below(c, WORLD_FILES)].name);
	struct statvfs fs;
	struct stat st;

	stat(path, &st);
	access(tfs_path(w->t, "absent"), F_OK);
	statvfs(path, &fs);
	getxattr(path, "user.none", buf, 100);
	listxattr(path, buf, 100);
}

static void map_some(struct world *w, struct chance *c)
{
	bool shared = one_in(c, 3);
	struct stat st;
	int fd = open_some(w, c, shared ? O_RDWR : O_RDONLY, &st);
	size_t length;
	char *p;

	if (fd < 0)
		return;
	length = (size_t)(st.st_size > 0 && st.st_size < (off_t)CHUNK ? st.st_size : 100000);
	p = mmap(NULL, length, shared ? PROT_READ | PROT_WRITE : PROT_READ, shared ? MAP_SHARED : MAP_PRIVATE,
	         fd, 0);
	if (p != MAP_FAILED) {
		if (sigsetjmp(on_sigbus, 1) == 0) {
			for (int i = 0; i < 4; i++) {
				size_t at = chance_below(c, length),
				       n = length - at < 3000 ? length - at : 3000;

				check_bytes(st.st_ino, p + at, n, (off_t)at, "mmap");
				if (shared)
					p[at] = letter_of(st.st_ino);
			}
		}
		munmap(p, length);
	}
	close(fd);
}

static void write_some(struct world *w, struct chance *c, char *buf)
{
	static const int modes[] = {0, 0, 0, 0, O_APPEND, O_DIRECT, O_TRUNC, O_DSYNC};
	struct stat st;
	int fd = open_some(w, c, O_RDWR | modes[chance_below(c, 8)], &st);

	if (fd < 0)
		return;
	memset(buf, letter_of(st.st_ino), BUFFER);
	for (int i = 0; i < 8; i++) {
		off_t at = some_place(c) % (off_t)(2 * CHUNK);
		size_t n = chance_below(c, one_in(c, 16) ? BUFFER : 3000) + 1;

		if (pwrite(fd, buf, n, at) < 0 && errno == EBADF)
			die("a descriptor is none any more");
		if (one_in(c, 32))
			(void)!ftruncate(fd, at);
	}
	fsync(fd);
	close(fd);
}

static _Noreturn void be_user(struct world *w, int number)
{
	struct chance c = {.state = w->seed + 1000 + (unsigned)number};
	char *buf = aligned_alloc(4096, BUFFER);

	/* who keeps the daemon's end would keep it going */
	close(w->t->fuse_fd);
	signal(SIGBUS, is_sigbus);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	check(buf);
	while (getppid() > 1) {
		switch (chance_below(&c, number == 0 ? 2 : 4)) {
		case 0:
			read_some(w, &c, buf);
			break;
		case 1:
			ask_some(w, &c, buf);
			break;
		case 2:
			map_some(w, &c);
			break;
		default:
			write_some(w, &c, buf);
		}
	}
	_exit(1);
}

static void user_is_to_end(int sig)
{
	_exit(0);
}

void world_use(struct world *w)
{
	fflush(NULL);
	for (int i = 0; i < WORLD_USERS; i++) {
		w->users[i] = fork();
		check(w->users[i] >= 0);
		if (!w->users[i]) {
			signal(SIGTERM, user_is_to_end);
			signal(SIGALRM, SIG_DFL);
			be_user(w, i);
		}
	}
}

void world_rest(struct world *w)
{
	int status;

	for (int i = 0; i < WORLD_USERS; i++) {
		check(kill(w->users[i], SIGTERM) == 0);
		check(waitpid(w->users[i], &status, 0) == w->users[i]);
		check_equal(status, 0);
	}
}

void world_check(struct world *w)
{
	char *buf = aligned_alloc(4096, BUFFER);

	check(buf);
	for (int i = 0; i < WORLD_FILES; i++) {
		/* (Directly, for the daemon asks for no read-ahead, and gets a page at a time.) */
		int fd = open(tfs_path(w->t, w->files[i].name), O_RDONLY | O_DIRECT);
		off_t at = 0;
		ssize_t n;

		check(fd >= 0);
		while ((n = pread(fd, buf, BUFFER, at)) > 0) {
			check_bytes(w->files[i].ino, buf, (size_t)n, at, "in the end");
			at += n;
		}
		check_equal(n, 0);
		close(fd);
	}
	free(buf);
}
