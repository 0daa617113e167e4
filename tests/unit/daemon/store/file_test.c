/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to file://; what every driver does is in contract_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/unit/daemon/store/file_fixture.h"

/* What was synced, in order; and what to do in the middle of the first. */
static struct {
	ino_t inodes[32];
	int n, temporary; /* so many of them of files that had no name of their own */
	struct store *put_into;
	bool fail;
} syncs;
static bool no_space_for_directories;

/* In the place of libc's. */
int fsync(int fd)
{
	struct store *other = syncs.put_into;
	char link[32], name[4096] = "";
	struct stat st;

	syncs.put_into = NULL;
	if (other)
		assert_int_equal(store_put(other, "s/a/b/other", "x", 1), 0);
	assert_int_equal(fstat(fd, &st), 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	assert_true(readlink(link, name, sizeof(name) - 1) > 0);
	syncs.temporary += strstr(name, "/.put~") != NULL;
	if (syncs.n < (int)ARRAY_SIZE(syncs.inodes))
		syncs.inodes[syncs.n++] = st.st_ino;
	if (syncs.fail) {
		syncs.fail = false;
		errno = EIO;
		return -1;
	}
	return syscall(SYS_fsync, fd);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	if (no_space_for_directories && !strcmp(name, "full")) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_mkdirat, dir, name, mode);
}

/** The path of @p name below the store's directory; valid until the next call. */
static const char *path_of(struct fixture *f, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/v/%s", f->directory, name);
	return path;
}

static int names_in(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

static void an_object_is_a_file_of_that_name(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(store_put(f->store, "data/00/1", "hello", 5), 0);
	assert_int_equal(stat(path_of(f, "data/00/1"), &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_mode & 077, 0);
}

static void no_temporary_file_stays(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(store_put(f->store, "t/1", "a", 1), 0);
	assert_int_equal(store_put(f->store, "t/1", "b", 1), 0);
	assert_int_equal(store_put_new(f->store, "t/2", "b", 1), 0);
	assert_int_equal(store_put_new(f->store, "t/2", "b", 1), -EEXIST);
	assert_int_equal(names_in(path_of(f, "t")), 2);
}

/** Which sync since the last reset was that of @p name, 0: the first. @return -1: none. */
static int sync_of(struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_of(f, name), &st), 0);
	for (int i = 0; i < syncs.n; i++)
		if (syncs.inodes[i] == st.st_ino)
			return i;
	return -1;
}

static void a_new_place_is_on_the_disk(void **state)
{
	static int (*const puts[])(struct store *, const char *, const void *,
	                           size_t) = {store_put, store_put_new, store_put_once};
	struct fixture *f = *state;
	_cleanup_free_ char *tag = malloc(STORE_TAG_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(puts); i++) {
		char dir[] = "s0/a/b", key[] = "s0/a/b/1", next[] = "s0/a/b/2", top[] = "s0", mid[] = "s0/a";

		dir[1] = key[1] = next[1] = top[1] = mid[1] = '0' + i;
		syncs.n = 0;
		assert_int_equal(puts[i](f->store, key, "x", 1), 0);
		assert_int_equal(syncs.n, 5);
		assert_int_equal(sync_of(f, key), 0);
		assert_int_equal(sync_of(f, dir), 1);
		assert_true(sync_of(f, mid) > 0 && sync_of(f, top) > 0 && sync_of(f, "") > 0);

		syncs.n = 0;
		assert_int_equal(puts[i](f->store, next, "x", 1), 0);
		assert_int_equal(syncs.n, 2);
		assert_int_equal(sync_of(f, next), 0);
		assert_int_equal(sync_of(f, dir), 1);
	}
	syncs.n = 0;
	assert_int_equal(store_put_if(f->store, "if/1", "x", 1, NULL, tag), 0);
	assert_int_equal(sync_of(f, "if/1"), 0);
	assert_true(sync_of(f, "if") > 0 && sync_of(f, "") > 0);
}

static void a_place_that_another_makes_is_on_the_disk(void **state)
{
	struct fixture *f = *state;

	syncs.n = 0;
	syncs.put_into = f->store;
	assert_int_equal(store_put(f->store, "s/a/b/1", "x", 1), 0);
	/* The five of the other, then those of the maker. */
	assert_int_equal(syncs.n, 10);
	assert_int_equal(sync_of(f, "s/a/b/other"), 0);
	assert_true(sync_of(f, "s/a") < 5 && sync_of(f, "s") < 5 && sync_of(f, "") < 5);
	assert_int_equal(sync_of(f, "s/a/b/1"), 5);
}

static void a_place_that_cannot_be_made_is_forgotten(void **state)
{
	struct fixture *f = *state;

	no_space_for_directories = true;
	assert_int_equal(store_put(f->store, "some/full/place/1", "x", 1), -ENOSPC);
	no_space_for_directories = false;
	syncs.n = 0;
	assert_int_equal(store_put(f->store, "some/1", "x", 1), 0);
	assert_int_equal(syncs.n, 2);

	syncs.fail = true;
	assert_int_equal(store_put(f->store, "some/full/1", "x", 1), -EIO);
	syncs.n = 0;
	assert_int_equal(store_put(f->store, "some/full/1", "x", 1), 0);
	assert_int_equal(syncs.n, 2);
}

/* With its name, so that one write of a journal has both; but not in the place of what is there. */
static void an_object_that_is_put_once_has_its_name_when_it_is_synced(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, old;
	_cleanup_free_ char *big = calloc(1, 100000);
	char text[4] = "";

	syncs.temporary = 0;
	assert_int_equal(store_put_once(f->store, "n/1", "old", 3), 0);
	assert_int_equal(syncs.temporary, 0);
	assert_int_equal(store_put_once(f->store, "n/1", "new", 3), 0);
	assert_int_equal(syncs.temporary, 1);
	assert_int_equal(store_put(f->store, "n/1", "new", 3), 0);
	assert_int_equal(store_put_new(f->store, "n/3", "new", 3), 0);
	assert_int_equal(syncs.temporary, 3);
	syncs.fail = true;
	assert_int_equal(store_put_once(f->store, "n/2", "bad", 3), -EIO);
	assert_int_equal(names_in(path_of(f, "n")), 2);
	assert_int_equal(store_get(f->store, "n/1", 0, 3, text), 0);
	assert_string_equal(text, "new");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 50000;
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(store_put_once(f->store, "n/2", big, 100000), -EIO);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(names_in(path_of(f, "n")), 2);
}

static void a_failed_write_leaves_the_old_object(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, old;
	_cleanup_free_ char *big = calloc(1, 100000);
	char text[4];
	int r;

	assert_int_equal(store_put(f->store, "w/1", "old", 3), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 50000;
	setrlimit(RLIMIT_FSIZE, &limit);
	r = store_put(f->store, "w/1", big, 100000);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(r, -EIO);
	assert_non_null(strstr(store_last_error(), "w/1"));
	assert_int_equal(store_get(f->store, "w/1", 0, 3, text), 0);
	assert_memory_equal(text, "old", 3);
	assert_int_equal(names_in(path_of(f, "w")), 1);
}

static void a_link_out_of_the_store_is_not_followed(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *outside = NULL;
	uint64_t size;
	char c;

	assert_true(asprintf(&outside, "%s/outside", f->directory) > 0);
	assert_int_equal(mkdir(outside, 0700), 0);
	assert_int_equal(symlink(outside, path_of(f, "link")), 0);
	assert_int_equal(symlink("/etc/passwd", path_of(f, "file")), 0);
	assert_int_equal(store_put(f->store, "link/x", "x", 1), -EIO);
	assert_non_null(strstr(store_last_error(), "symbolic link"));
	assert_int_equal(store_get(f->store, "file", 0, 1, &c), -EIO);
	assert_int_equal(store_head(f->store, "link/x", &size), -EIO);
	assert_int_equal(names_in(outside), 0);
}

static int count_object(const struct store_object *o, void *arg)
{
	(void)o;
	++*(int *)arg;
	return 0;
}

static void a_listing_has_objects_only(void **state)
{
	struct fixture *f = *state;
	int n = 0;

	assert_int_equal(store_put(f->store, "l/1", "x", 1), 0);
	assert_int_equal(symlink("1", path_of(f, "l/link")), 0);
	assert_int_equal(mkfifo(path_of(f, "l/fifo"), 0600), 0);
	assert_int_equal(mkdir(path_of(f, "l/lost+found"), 0700), 0);
	assert_int_equal(mkdir(path_of(f, "l/emptydir"), 0700), 0);
	assert_int_equal(store_list(f->store, "", count_object, &n), 0);
	assert_int_equal(n, 1);
}

static void a_fifo_does_not_hang_a_get(void **state)
{
	struct fixture *f = *state;
	char c;

	assert_int_equal(mkfifo(path_of(f, "fifo"), 0600), 0);
	assert_int_equal(store_get(f->store, "fifo", 0, 1, &c), -ENOENT);
}

static void only_old_temporaries_are_swept(void **state)
{
	struct fixture *f = *state;
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	int n = 0;

	close(open(path_of(f, ".put~fresh"), O_CREAT | O_WRONLY, 0600));
	close(open(path_of(f, ".put~stale"), O_CREAT | O_WRONLY, 0600));
	close(open(path_of(f, "other~stale"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(utimensat(AT_FDCWD, path_of(f, ".put~stale"), old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, path_of(f, "other~stale"), old, 0), 0);
	assert_int_equal(store_list(f->store, "", count_object, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(access(path_of(f, ".put~stale"), F_OK), -1);
	assert_int_equal(access(path_of(f, ".put~fresh"), F_OK), 0);
	assert_int_equal(access(path_of(f, "other~stale"), F_OK), 0);
}

static void a_killed_put_leaves_old_or_new(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *got = malloc(300000), *bytes = malloc(300000);
	/* How often the child has put; the parent waits until it is under way. */
	volatile int *puts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int round = 0; round < 5; round++) {
		pid_t pid;

		*puts = 0;
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			for (char c = 'a';; c = c == 'z' ? 'a' : c + 1) {
				memset(bytes, c, 300000);
				if (store_put(f->store, "k/1", bytes, 300000))
					_exit(1);
				++*puts;
			}
		}
		while (*puts < 2 && !waitpid(pid, NULL, WNOHANG))
			usleep(100);
		usleep(300 * round);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_true(*puts >= 2);
		assert_int_equal(store_get(f->store, "k/1", 0, 300000, got), 0);
		memset(bytes, got[0], 300000);
		assert_memory_equal(got, bytes, 300000);
	}
	munmap((void *)puts, 4096);
}

static void a_key_below_an_object_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(store_put(f->store, "o", "x", 1), 0);
	assert_int_equal(store_put(f->store, "o/1", "x", 1), -EIO);
	assert_int_equal(store_put(f->store, "d/1", "x", 1), 0);
	assert_int_equal(store_put(f->store, "d", "x", 1), -EIO);
	assert_non_null(strstr(store_last_error(), "directory"));
	assert_int_equal(names_in(path_of(f, "")), 2);
}

static void a_directory_that_goes_away_is_enoent(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rmdir(path_of(f, "")), 0);
	assert_int_equal(store_put(f->store, "x", "x", 1), -ENOENT);
	assert_int_equal(store_put(f->store, "x/y", "x", 1), -ENOENT);
}

static void open_says_what_is_wrong(void **state)
{
	static const struct {
		const char *url;
		int r;
		const char *says;
	} cases[] = {
		{"file://relative/dir", -EINVAL, "absolute path"},
		{"file:///nonexistent/curvefs/dir", -ENOENT, "no such directory"},
		{"file:///etc/passwd", -EINVAL, "Not a directory"},
		{"ftp://x/y", -EINVAL, "file:///directory"},
		{"/plain/path", -EINVAL, "file:///directory"},
		{"", -EINVAL, "file:///directory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *why = NULL;
		struct store *s = NULL;

		assert_int_equal(store_open(cases[i].url, NULL, &s, &why), cases[i].r);
		assert_null(s);
		assert_non_null(strstr(why, cases[i].says));
	}
}

static void create_makes_one_directory_only(void **state)
{
	struct fixture *f = *state;
	struct store_options options = {.create = true};
	_cleanup_free_ char *url = NULL, *why = NULL;
	struct store *s = NULL;

	assert_true(asprintf(&url, "file://%s/no/such", f->directory) > 0);
	assert_int_equal(store_open(url, &options, &s, &why), -ENOENT);
	assert_null(s);
}

static void the_url_has_no_trailing_slash(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *url = NULL;
	struct store *s;

	assert_true(asprintf(&url, "%s/", f->url) > 0);
	assert_int_equal(store_open(url, NULL, &s, NULL), 0);
	assert_string_equal(store_url(s), f->url);
	store_close(s);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, open_store, close_store)
	const struct CMUnitTest cases[] = {
		CASE(an_object_is_a_file_of_that_name),
		CASE(no_temporary_file_stays),
		CASE(a_failed_write_leaves_the_old_object),
		CASE(a_link_out_of_the_store_is_not_followed),
		CASE(a_listing_has_objects_only),
		CASE(a_fifo_does_not_hang_a_get),
		CASE(only_old_temporaries_are_swept),
		CASE(a_killed_put_leaves_old_or_new),
		CASE(a_key_below_an_object_is_refused),
		CASE(a_directory_that_goes_away_is_enoent),
		CASE(a_new_place_is_on_the_disk),
		CASE(a_place_that_another_makes_is_on_the_disk),
		CASE(a_place_that_cannot_be_made_is_forgotten),
		CASE(an_object_that_is_put_once_has_its_name_when_it_is_synced),
		CASE(create_makes_one_directory_only),
		CASE(the_url_has_no_trailing_slash),
		cmocka_unit_test(open_says_what_is_wrong),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
