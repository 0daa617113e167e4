/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file://: an object is a file of the same name below one directory.
 *
 * - A put writes a temporary file beside its target, syncs it, renames it and
 *   syncs the directory: a crash leaves the old object or the new one, and after
 *   the return it is the new one.  Temporary names hold a '~', which no key can.
 *   store_put_once() renames first: there is no old one.
 * - store_put_if() is made atomic by a lock (flock) on a file beside the object,
 *   ".lock~", which stays; the tag is the SHA-256 of the object.
 * - Nothing outside the directory is ever reached: keys are checked by store.c,
 *   and openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS) holds against links that
 *   someone planted.
 * - Directories are made when needed and stay when they become empty: a put into
 *   them can then never race with their removal.  So, unlike in S3, "a" and "a/b"
 *   cannot both be objects.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/store/driver.h"
#include "daemon/store/sigv4.h"

#define TEMPORARY_PREFIX ".put~"
#define LOCK_NAME ".lock~"
#define TAGGED_MAX (1 << 20) /* what store_put_if() replaces is small */
#define TEMPORARY_STALE_S (24 * 3600)

struct file_store {
	struct store base;
	int fd; /* the directory */
	/* Puts that made directories, which may not be on the disk yet. One that could not sync them stays in
	 * here. */
	atomic_uint making;
};

static struct file_store *file_store(struct store *s)
{
	return (struct file_store *)s;
}

/** Say what failed and turn errno into one of the errors of store.h. */
static int fail(struct store *s, const char *verb, const char *key, int error)
{
	int r;

	switch (error) {
	case ENOENT:
	case ENOSPC:
	case EROFS:
	case EEXIST:
	case ENOMEM:
		r = -error;
		break;
	case EDQUOT:
		r = -ENOSPC;
		break;
	case EACCES:
	case EPERM:
		r = -EACCES;
		break;
	default:
		r = -EIO;
	}
	if (error == ELOOP || error == EXDEV)
		return store_fail(r, "%s %s/%s: there is a symbolic link in the path, which is not followed",
		                  verb, s->url, key);
	if ((error == ENOTDIR || error == EISDIR) && !strcmp(verb, "PUT"))
		return store_fail(-EIO,
		                  "%s %s/%s: one of its path and an existing object is a directory, "
		                  "the other is not",
		                  verb, s->url, key);
	return store_fail(r, "%s %s/%s: %s", verb, s->url, key, strerror(error));
}

static int open_beneath(int dir, const char *path, int flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	do
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd;
}

/** Split @p key: *ret_name points into it, @p parent gets what is before, "." if nothing. */
static void split_key(const char *key, char parent[STORE_KEY_MAX + 1], const char **ret_name)
{
	const char *slash = strrchr(key, '/');

	if (!slash) {
		strcpy(parent, ".");
		*ret_name = key;
		return;
	}
	memcpy(parent, key, slash - key);
	parent[slash - key] = 0;
	*ret_name = slash + 1;
}

static int sync_fd(int fd)
{
	int r;

	do
		r = fsync(fd);
	while (r < 0 && errno == EINTR);
	return r;
}

/* Where an object goes. To sync new directories once what is in them is there is one write of a journal. */
struct place {
	struct file_store *store;
	char path[STORE_KEY_MAX + 1]; /* of the directory, below the store's */
	const char *name;             /* points into the key */
	int dir;
	bool made;     /* it, or one above */
	bool unsynced; /* the names of it and of those above may not be on the disk */
};

/** Call @p fn with each directory above @p path, which is changed meanwhile, and the name that it has there.
 * @return 0, or -1 with errno. */
static int for_each_above(int root, char *path, int (*fn)(int dir, const char *name))
{
	int fd = dup(root);

	for (char *p = path; fd >= 0;) {
		char *slash = strchrnul(p, '/');
		char kept = *slash;
		int next;

		*slash = 0;
		next = fn(fd, p) < 0 ? -1 : open_beneath(fd, p, O_RDONLY | O_DIRECTORY);
		*slash = kept;
		close(fd);
		fd = next;
		if (!kept)
			break;
		p = slash + 1;
	}
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int make_name(int dir, const char *name)
{
	return mkdirat(dir, name, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

static int sync_name(int dir, const char *name)
{
	(void)name;
	return sync_fd(dir);
}

/** Find the directory of @p key, making what is missing. Then place_leave(). @return 0, or -1 with errno. */
static int place_enter(struct place *p, struct file_store *store, const char *key)
{
	*p = (struct place){.store = store};
	split_key(key, p->path, &p->name);
	p->dir = open_beneath(store->fd, p->path, O_RDONLY | O_DIRECTORY);
	if (p->dir < 0 && errno == ENOENT) {
		p->made = true;
		atomic_fetch_add(&store->making, 1);
		if (!for_each_above(store->fd, p->path, make_name))
			p->dir = open_beneath(store->fd, p->path, O_RDONLY | O_DIRECTORY);
	}
	/* Behind the look for it: who made it was counted before. */
	p->unsynced = atomic_load(&store->making) > 0;
	return p->dir < 0 ? -1 : 0;
}

/** What is in the place is on the disk; see that the place is. @return 0, or -1 with errno. */
static int place_leave(struct place *p)
{
	int r = p->unsynced ? for_each_above(p->store->fd, p->path, sync_name) : 0;

	/* All that there are. */
	if (p->made && (!r || errno == ENOENT || errno == ENOTDIR))
		atomic_fetch_sub(&p->store->making, 1);
	if (p->dir >= 0)
		close(p->dir);
	return r;
}

static void place_leavep(struct place *p)
{
	place_leave(p);
}

static int write_all(int fd, const void *data, size_t length)
{
	const char *p = data;

	while (length) {
		ssize_t n = write(fd, p, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		length -= n;
	}
	return 0;
}

/** Give the temporary file its name; with @p only_new EEXIST if that is taken. */
static int put_in_place(int dir, const char *temporary, const char *name, bool only_new)
{
	if (!only_new)
		return renameat(dir, temporary, dir, name);
	if (!renameat2(dir, temporary, dir, name, RENAME_NOREPLACE))
		return 0;
	/* NFS for one knows no flags; a hard link does not replace either. */
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(dir, temporary, dir, name, 0) < 0)
		return -1;
	unlinkat(dir, temporary, 0);
	return 0;
}

/** @return 0 or negative errno. */
static int put_into(const struct place *p, const void *data, size_t length, enum store_put how)
{
	char temporary[sizeof(TEMPORARY_PREFIX) + 16];
	_cleanup_close_ int fd = -1;
	bool named = false;
	uint64_t nonce;
	int error;

	if (how == STORE_ONLY_NEW && !faccessat(p->dir, p->name, F_OK, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	do {
		if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
			return -errno;
		snprintf(temporary, sizeof(temporary), TEMPORARY_PREFIX "%016llx", (unsigned long long)nonce);
		fd = openat(p->dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	} while (fd < 0 && (errno == EEXIST || errno == EINTR));
	if (fd < 0)
		return -errno;
	if (write_all(fd, data, length) < 0)
		goto fail;
	/* With its name already a file system that has a journal writes it once, for both; with a name that
	 * is taken there is something to lose. */
	named = how == STORE_ONCE && !renameat2(p->dir, temporary, p->dir, p->name, RENAME_NOREPLACE);
	if (sync_fd(fd) < 0)
		goto fail;
	if (!named && put_in_place(p->dir, temporary, p->name, how == STORE_ONLY_NEW) < 0)
		goto fail;
	return sync_fd(p->dir) < 0 ? -errno : 0;

fail:
	error = errno;
	unlinkat(p->dir, named ? p->name : temporary, 0);
	return -error;
}

static int file_put(struct store *s, const char *key, const void *data, size_t length, enum store_put how)
{
	struct place place;
	int r;

	store_count_request(s, STORE_PUT);
	r = place_enter(&place, file_store(s), key) < 0 ? -errno : put_into(&place, data, length, how);
	if (place_leave(&place) < 0 && !r)
		r = -errno;
	return r ? fail(s, "PUT", key, -r) : 0;
}

/** Open the object and stat it; what is not a regular file is no object. @return descriptor, or negative
 * errno. */
static int open_object(struct store *s, const char *verb, const char *key, struct stat *ret_st)
{
	/* O_NONBLOCK: a FIFO that someone left there must not hang us. */
	_cleanup_close_ int fd = open_beneath(file_store(s)->fd, key, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return fail(s, verb, key, errno == ENOTDIR || errno == ENXIO ? ENOENT : errno);
	if (fstat(fd, ret_st) < 0)
		return fail(s, verb, key, errno);
	if (!S_ISREG(ret_st->st_mode))
		return fail(s, verb, key, ENOENT);
	return TAKE_FD(fd);
}

/** Read until @p length or the end. @return bytes read, or -1 with errno. */
static ssize_t read_all(int fd, void *buffer, size_t length, uint64_t offset)
{
	size_t have = 0;

	while (have < length) {
		ssize_t n = pread(fd, (char *)buffer + have, length - have, offset + have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		have += n;
	}
	return have;
}

/** The same into @p parts. */
static ssize_t read_parts(int fd, const struct iovec *parts, size_t count, uint64_t offset)
{
	size_t have = 0, done = 0, i = 0; /* `done` bytes of parts[i] */

	while (i < count) {
		struct iovec some[64];
		size_t n = count - i < ARRAY_SIZE(some) ? count - i : ARRAY_SIZE(some);
		ssize_t got;

		memcpy(some, parts + i, n * sizeof(*some));
		some[0].iov_base = (char *)some[0].iov_base + done;
		some[0].iov_len -= done;
		got = preadv(fd, some, (int)n, offset + have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (!got)
			break;
		have += got;
		for (done += got; i < count && done >= parts[i].iov_len; i++)
			done -= parts[i].iov_len;
	}
	return have;
}

static int file_get(struct store *s, const char *key, uint64_t offset, const struct iovec *parts,
                    size_t count, size_t length)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	ssize_t n;

	store_count_request(s, STORE_GET);
	fd = open_object(s, "GET", key, &st);
	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size < offset + length)
		return store_fail(-ENODATA, "GET %s/%s: the object has %lld bytes, wanted are %zu at %llu",
		                  s->url, key, (long long)st.st_size, length, (unsigned long long)offset);
	n = read_parts(fd, parts, count, offset);
	if (n < 0)
		return fail(s, "GET", key, errno);
	if ((size_t)n < length)
		return store_fail(-ENODATA, "GET %s/%s: the object became shorter while it was read", s->url,
		                  key);
	return 0;
}

static int file_get_all(struct store *s, const char *key, size_t max, void **ret_data, size_t *ret_length,
                        char *ret_tag)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ void *data = NULL;
	struct stat st;
	ssize_t n;

	store_count_request(s, STORE_GET);
	fd = open_object(s, "GET", key, &st);
	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size > max)
		return store_fail(-EFBIG, "GET %s/%s: the object has %lld bytes, more than the %zu expected",
		                  s->url, key, (long long)st.st_size, max);
	data = malloc(st.st_size ? st.st_size : 1);
	if (!data)
		return fail(s, "GET", key, ENOMEM);
	n = read_all(fd, data, st.st_size, 0);
	if (n < 0)
		return fail(s, "GET", key, errno);
	if (ret_tag)
		sigv4_sha256_hex(data, n, ret_tag);
	*ret_data = TAKE_PTR(data);
	*ret_length = n;
	return 0;
}

/** Compare and swap, under the lock. */
static int put_if_locked(struct store *s, const char *key, const void *data, size_t length, const char *tag)
{
	_cleanup_free_ void *now = NULL;
	char now_tag[STORE_TAG_MAX];
	size_t now_length;
	int r;

	if (!tag)
		return file_put(s, key, data, length, STORE_ONLY_NEW);
	r = file_get_all(s, key, TAGGED_MAX, &now, &now_length, now_tag);
	if (r < 0 && r != -ENOENT && r != -EFBIG)
		return r;
	if (r < 0 || strcmp(now_tag, tag))
		return store_fail(-ESTALE, "PUT %s/%s: the object is another one by now", s->url, key);
	return file_put(s, key, data, length, STORE_REPLACE);
}

static int file_put_if(struct store *s, const char *key, const void *data, size_t length, const char *tag,
                       char *ret_tag)
{
	_cleanup_(place_leavep) struct place place;
	_cleanup_close_ int lock = -1;
	int r;

	if (place_enter(&place, file_store(s), key) < 0)
		return fail(s, "PUT", key, errno);
	lock = openat(place.dir, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lock < 0)
		return fail(s, "PUT", key, errno);
	do
		r = flock(lock, LOCK_EX);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return fail(s, "PUT", key, errno);
	r = put_if_locked(s, key, data, length, tag);
	if (!r)
		sigv4_sha256_hex(data, length, ret_tag);
	return r;
}

static int file_remove(struct store *s, const char *key)
{
	char parent[STORE_KEY_MAX + 1];
	_cleanup_close_ int dir = -1;
	const char *name;

	store_count_request(s, STORE_DELETE);
	split_key(key, parent, &name);
	dir = open_beneath(file_store(s)->fd, parent, O_RDONLY | O_DIRECTORY);
	/* Not synced: a deletion that a crash takes back leaves an object that nothing refers to. */
	if (dir >= 0 && !unlinkat(dir, name, 0))
		return 0;
	if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR)
		return 0;
	return fail(s, "DELETE", key, errno);
}

static int file_head(struct store *s, const char *key, uint64_t *ret_size)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	store_count_request(s, STORE_HEAD);
	fd = open_object(s, "HEAD", key, &st);
	if (fd < 0)
		return fd;
	*ret_size = st.st_size;
	return 0;
}

/* ---- list ---- */

struct names {
	char **v;
	size_t n, room;
};

static void names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

/** Keep @p name, with a slash behind if it is a directory: that is how keys sort. */
static int names_add(struct names *l, const char *name, bool directory)
{
	char *copy;

	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		char **v = reallocarray(l->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->room = room;
	}
	if (asprintf(&copy, "%s%s", name, directory ? "/" : "") < 0)
		return -ENOMEM;
	l->v[l->n++] = copy;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void remove_stale_temporary(int dir, const char *name)
{
	struct stat st;

	if (strncmp(name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)))
		return;
	if (!fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) &&
	    st.st_mtime + TEMPORARY_STALE_S < time(NULL) && !unlinkat(dir, name, 0))
		log_debug("removed %s, left behind by an interrupted put", name);
}

static void cleanup_closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/** The names of @p dir that start with @p start, sorted. */
static int read_names(int dir, const char *start, struct names *l)
{
	_cleanup_(cleanup_closedirp) DIR *d = NULL;
	int fd = open_beneath(dir, ".", O_RDONLY | O_DIRECTORY);
	struct dirent *e;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while (errno = 0, (e = readdir(d))) {
		struct stat st;
		bool directory = e->d_type == DT_DIR;

		if (!store_component_valid(e->d_name)) {
			remove_stale_temporary(dir, e->d_name);
			continue;
		}
		if (strncmp(e->d_name, start, strlen(start)))
			continue;
		if (e->d_type == DT_UNKNOWN) {
			if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			directory = S_ISDIR(st.st_mode);
		}
		if (names_add(l, e->d_name, directory) < 0)
			return -ENOMEM;
	}
	if (errno)
		return -errno;
	if (l->n > 0) /* else v is NULL, which qsort() may not be given */
		qsort(l->v, l->n, sizeof(*l->v), compare_names);
	return 0;
}

/** List the directory @p dir, whose keys start with @p base (empty, or ending in '/'). */
static int list_directory(struct store *s, int dir, const char *base, const char *start, store_list_fn fn,
                          void *arg)
{
	_cleanup_(names_free) struct names l = {0};
	char key[STORE_KEY_MAX + 2];
	int r = read_names(dir, start, &l);

	if (r < 0)
		return fail(s, "LIST", base, -r);
	for (size_t i = 0; i < l.n; i++) {
		_cleanup_close_ int sub = -1;
		struct stat st;
		int n = snprintf(key, sizeof(key), "%s%s", base, l.v[i]);

		/* Longer than any key of ours can be: not ours. */
		if (n > STORE_KEY_MAX)
			continue;
		if (key[n - 1] != '/') {
			struct store_object object = {.key = key};

			if (fstatat(dir, l.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
				continue;
			object.size = st.st_size;
			object.mtime_s = st.st_mtime;
			r = fn(&object, arg);
			if (r)
				return r;
			continue;
		}
		sub = openat(dir, l.v[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
			continue;
		if (sub < 0)
			return fail(s, "LIST", key, errno);
		r = list_directory(s, sub, key, "", fn, arg);
		if (r)
			return r;
	}
	return 0;
}

static int file_list(struct store *s, const char *prefix, store_list_fn fn, void *arg)
{
	char parent[STORE_KEY_MAX + 1], base[STORE_KEY_MAX + 2];
	_cleanup_close_ int dir = -1;
	const char *start;

	store_count_request(s, STORE_LIST);
	split_key(prefix, parent, &start);
	dir = open_beneath(file_store(s)->fd, parent, O_RDONLY | O_DIRECTORY);
	if (dir < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (dir < 0)
		return fail(s, "LIST", prefix, errno);
	snprintf(base, sizeof(base), "%.*s", (int)(start - prefix), prefix);
	return list_directory(s, dir, base, start, fn, arg);
}

static void file_close(struct store *s)
{
	close(file_store(s)->fd);
	free(s);
}

static const struct store_driver file_driver = {
	.put = file_put,
	.get = file_get,
	.get_all = file_get_all,
	.put_if = file_put_if,
	.remove = file_remove,
	.head = file_head,
	.list = file_list,
	.close = file_close,
};

int file_store_open(const char *path, const struct store_options *options, struct store **ret, char **ret_why)
{
	_cleanup_close_ int fd = -1, probe = -1;
	struct file_store *f;
	bool made = false;

	if (path[0] != '/')
		return store_open_fail(
			-EINVAL, ret_why,
			"file://%s: the directory must be an absolute path, as in file:///srv/volume", path);
	if (options->create && !mkdir(path, 0700)) {
		made = true;
	} else if (options->create && errno != EEXIST) {
		int error = errno;

		return store_open_fail(error == ENOENT ? -ENOENT : -EINVAL, ret_why,
		                       "file://%s: cannot make the directory: %s", path, strerror(error));
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return store_open_fail(-ENOENT, ret_why,
		                       "file://%s: there is no such directory; 'curvefs format' makes it",
		                       path);
	if (fd < 0)
		return store_open_fail(-EINVAL, ret_why, "file://%s: %s", path, strerror(errno));
	probe = open_beneath(fd, ".", O_RDONLY | O_DIRECTORY);
	if (probe < 0)
		return store_open_fail(-EINVAL, ret_why,
		                       "file://%s: openat2: %s (Linux 5.6 or newer is needed)", path,
		                       strerror(errno));
	if (made) {
		_cleanup_close_ int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (parent < 0 || sync_fd(parent) < 0)
			return store_open_fail(-EINVAL, ret_why,
			                       "file://%s: cannot sync the directory above: %s", path,
			                       strerror(errno));
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return store_open_fail(-ENOMEM, ret_why, "out of memory");
	f->base.driver = &file_driver;
	f->fd = TAKE_FD(fd);
	*ret = &f->base;
	return 0;
}
