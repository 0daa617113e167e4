/* SPDX-License-Identifier: Apache-2.0 */
/* The operations, and a look at everything, on a file system. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/harness/tree.h"

#define CONTENT 8 /* bytes of a file, all the same */

static unsigned type_of(mode_t mode)
{
	return S_ISDIR(mode) ? TREE_DIR : S_ISREG(mode) ? TREE_FILE : S_ISLNK(mode) ? TREE_LINK : TREE_FIFO;
}

static unsigned type_of_entry(unsigned char type)
{
	return type == DT_UNKNOWN ? TREE_NONE : type_of(DTTOIF(type));
}

void tree_open_top(struct tree_fds *fds, const char *path)
{
	for (unsigned i = 0; i < TREE_SLOTS; i++)
		fds->slots[i] = -1;
	fds->slots[0] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void tree_close_all(struct tree_fds *fds)
{
	for (unsigned i = 0; i < TREE_SLOTS; i++)
		cleanup_closep(&fds->slots[i]);
}

static int done(long r)
{
	return r < 0 ? errno : 0;
}

static int do_open(struct tree_fds *fds, const struct tree_op *op, int flags, struct tree_result *ret)
{
	const char *name = op->kind == TREE_tmpfile ? "." : tree_name(op->name);
	int fd = openat(fds->slots[op->dir], name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return errno;
	if (fstat(fd, &st) == 0)
		ret->ino = st.st_ino;
	cleanup_closep(&fds->slots[op->slot]);
	fds->slots[op->slot] = fd;
	return 0;
}

static void show(const struct stat *st, struct tree_result *ret)
{
	ret->ino = st->st_ino;
	ret->type = (uint8_t)type_of(st->st_mode);
	ret->links = (uint32_t)st->st_nlink;
}

static int do_look(int dir, const char *name, const struct tree_op *op, struct tree_result *ret)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno;
	if (op->kind == TREE_stat)
		show(&st, ret);
	else if (op->kind == TREE_mode)
		ret->mode = st.st_mode & 07777;
	else if (S_ISREG(st.st_mode))
		ret->value = st.st_size == CONTENT;
	ret->strange = S_ISREG(st.st_mode) && st.st_size != 0 && st.st_size != CONTENT;
	return 0;
}

/* @return the number of the target, or TREE_TARGETS */
static unsigned target_number(const char *text, ssize_t length)
{
	unsigned n = 0;

	while (n < TREE_TARGETS && (strlen(tree_target(n)) != (size_t)length ||
	                            memcmp(tree_target(n), text, (size_t)length) != 0))
		n++;
	return n;
}

static int do_readlink(int dir, const char *name, struct tree_result *ret)
{
	char text[256];
	ssize_t n = readlinkat(dir, name, text, sizeof(text));

	if (n < 0)
		return errno;
	ret->value = (uint8_t)target_number(text, n);
	ret->strange = ret->value == TREE_TARGETS;
	return 0;
}

struct dirent_raw {
	uint64_t ino;
	int64_t next;
	unsigned short length;
	unsigned char type;
	char name[];
};

/* All by one getdents64(2), which holds the directory's lock: as atomic as the rest. */
static int do_list(int dir, struct tree_result *ret)
{
	_Alignas(struct dirent_raw) char buffer[8192];
	unsigned dots = 0;
	long n;

	if (lseek(dir, 0, SEEK_SET) < 0)
		return errno;
	n = syscall(SYS_getdents64, dir, buffer, sizeof(buffer));
	if (n < 0)
		return errno;
	for (long at = 0; at < n;) {
		const struct dirent_raw *entry = (const void *)(buffer + at);
		unsigned number = tree_name_number(entry->name);

		at += entry->length;
		if (!strcmp(entry->name, ".") || !strcmp(entry->name, "..")) {
			dots++;
			continue;
		}
		if (number == TREE_NAMES || ret->names[number].type) {
			ret->strange = true;
			continue;
		}
		ret->names[number].type = (uint8_t)type_of_entry(entry->type);
		ret->names[number].ino = entry->ino;
	}
	ret->strange |= dots != 2;
	return 0;
}

static int do_write(int fd, unsigned value)
{
	char bytes[CONTENT];
	ssize_t n;

	memset(bytes, (int)value, sizeof(bytes));
	n = pwrite(fd, bytes, sizeof(bytes), 0);
	return n < 0 ? errno : n == CONTENT ? 0 : EIO;
}

static int do_read(int fd, struct tree_result *ret)
{
	unsigned char bytes[CONTENT + 1];
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);

	if (n < 0)
		return errno;
	ret->value = n ? bytes[0] : 0;
	ret->strange = n != 0 && n != CONTENT;
	for (ssize_t i = 0; i < n; i++)
		ret->strange |= bytes[i] != bytes[0] || !bytes[0];
	return 0;
}

void tree_look_slot(const struct tree_fds *fds, unsigned slot, struct tree_result *ret)
{
	struct tree_result result = {};
	struct stat st;

	if (fstat(fds->slots[slot], &st) < 0)
		result.error = errno;
	else
		show(&st, &result);
	*ret = result;
}

static int do_op(struct tree_fds *fds, const struct tree_op *op, struct tree_result *ret)
{
	int dir = fds->slots[op->dir], dir2 = fds->slots[op->dir2], fd = fds->slots[op->slot];
	const char *name = tree_name(op->name), *name2 = tree_name(op->name2);
	char by_fd[32];

	switch ((enum tree_kind)op->kind) {
	case TREE_mkdir:
		return done(mkdirat(dir, name, 0700));
	case TREE_rmdir:
		return done(unlinkat(dir, name, AT_REMOVEDIR));
	case TREE_create:
		return do_open(fds, op, O_RDWR | O_CREAT | O_EXCL, ret);
	case TREE_open:
		return do_open(fds, op, O_RDWR | O_CREAT | O_NONBLOCK, ret);
	case TREE_reopen:
		return do_open(fds, op, O_RDWR | O_NONBLOCK, ret);
	case TREE_path:
		return do_open(fds, op, O_PATH, ret);
	case TREE_tmpfile:
		return do_open(fds, op, O_RDWR | O_TMPFILE, ret);
	case TREE_enter:
		return do_open(fds, op, O_RDONLY | O_DIRECTORY, ret);
	case TREE_mkfifo:
		return done(mkfifoat(dir, name, 0600));
	case TREE_symlink:
		return done(symlinkat(tree_target(op->value), dir, name));
	case TREE_readlink:
		return do_readlink(dir, name, ret);
	case TREE_unlink:
		return done(unlinkat(dir, name, 0));
	case TREE_link:
		return done(linkat(dir, name, dir2, name2, 0));
	case TREE_fdlink:
		snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
		return done(linkat(AT_FDCWD, by_fd, dir2, name2, AT_SYMLINK_FOLLOW));
	case TREE_rename:
		return done(renameat(dir, name, dir2, name2));
	case TREE_noreplace:
		return done(renameat2(dir, name, dir2, name2, RENAME_NOREPLACE));
	case TREE_exchange:
		return done(renameat2(dir, name, dir2, name2, RENAME_EXCHANGE));
	case TREE_stat:
	case TREE_mode:
	case TREE_size:
		return do_look(dir, name, op, ret);
	case TREE_chmod:
		return done(fchmodat(dir, name, tree_mode(op->value), 0));
	case TREE_list:
		return do_list(dir, ret);
	case TREE_fstat:
		tree_look_slot(fds, op->slot, ret);
		return ret->error;
	case TREE_write:
		return do_write(fd, op->value);
	case TREE_read:
		return do_read(fd, ret);
	case TREE_KIND_COUNT:
		break;
	}
	return ENOSYS;
}

void tree_do(struct tree_fds *fds, const struct tree_op *op, struct tree_result *ret)
{
	struct tree_result result = {};
	int error = do_op(fds, op, &result);

	if (error)
		result = (struct tree_result){.error = error};
	*ret = result;
}

/* ---- everything ---- */

static bool fails(char why[SCRIPT_WHY], const char *what, const char *name)
{
	snprintf(why, SCRIPT_WHY, "%s '%s': %s", what, name, strerror(errno));
	return false;
}

/* What a file or a link holds. */
static bool see_value(int dir, const char *name, struct tree_inode *inode, char why[SCRIPT_WHY])
{
	_cleanup_close_ int fd = -1;
	struct tree_result result = {};
	int error;

	if (inode->type == TREE_LINK) {
		error = do_readlink(dir, name, &result);
	} else {
		fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		error = fd < 0 ? errno : do_read(fd, &result);
	}
	errno = error ?: EUCLEAN;
	if (error || result.strange)
		return fails(why, "reading", name);
	inode->value = result.value;
	return true;
}

struct seeing {
	struct tree *tree;
	unsigned count;
	char *why;
};

static bool see_dir(struct seeing *s, int dir, unsigned number); /* as deep as directories are */

static bool see_name(struct seeing *s, int dir, unsigned parent, unsigned name, uint64_t listed,
                     unsigned type)
{
	struct tree_inode *inode = &s->tree->inodes[s->count + 1];
	_cleanup_close_ int below = -1;
	struct stat st;

	if (fstatat(dir, tree_name(name), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fails(s->why, "listed, but", tree_name(name));
	errno = EUCLEAN;
	if (st.st_ino != listed || type_of(st.st_mode) != type)
		return fails(s->why, "listed as what it is not:", tree_name(name));
	if (S_ISREG(st.st_mode) && st.st_size != 0 && st.st_size != CONTENT)
		return fails(s->why, "of a strange size:", tree_name(name));
	for (unsigned i = 1; i <= s->count; i++) {
		if (s->tree->inodes[i].ino == st.st_ino && type != TREE_DIR) {
			s->tree->inodes[parent].names[name] = (uint8_t)i; /* once more */
			return true;
		}
	}
	errno = EOVERFLOW;
	if (s->count + 2 == TREE_INODES)
		return fails(s->why, "one too many:", tree_name(name));
	s->tree->inodes[parent].names[name] = (uint8_t)++s->count;
	*inode = (struct tree_inode){
		.ino = st.st_ino,
		.mode = st.st_mode & 07777,
		.type = (uint8_t)type,
		.links = (uint8_t)(st.st_nlink < UINT8_MAX ? st.st_nlink : UINT8_MAX),
	};
	if (type == TREE_LINK || (type == TREE_FILE && (st.st_size || tree_options.late_attributes)))
		return see_value(dir, tree_name(name), inode, s->why);
	if (type != TREE_DIR)
		return true;
	inode->parent = (uint8_t)parent;
	below = openat(dir, tree_name(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return below < 0 ? fails(s->why, "opening", tree_name(name)) : see_dir(s, below, s->count);
}

static bool see_dir(struct seeing *s, int dir, unsigned number) // NOLINT(misc-no-recursion)
{
	struct tree_result list = {};
	int error = do_list(dir, &list);

	errno = error ?: EUCLEAN;
	if (error || list.strange)
		return fails(s->why, "listing", "a directory");
	for (unsigned i = 0; i < TREE_NAMES; i++)
		if (list.names[i].type && !see_name(s, dir, number, i, list.names[i].ino, list.names[i].type))
			return false;
	return true;
}

bool tree_see(const char *path, struct tree *ret_tree, char ret_why[SCRIPT_WHY])
{
	struct seeing s = {.tree = ret_tree, .count = TREE_TOP, .why = ret_why};
	_cleanup_close_ int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (top < 0 || fstat(top, &st) < 0)
		return fails(ret_why, "opening", path);
	memset(ret_tree, 0, sizeof(*ret_tree));
	ret_tree->inodes[TREE_TOP] = (struct tree_inode){.ino = st.st_ino,
	                                                 .mode = st.st_mode & 07777,
	                                                 .type = TREE_DIR,
	                                                 .links = (uint8_t)st.st_nlink,
	                                                 .parent = TREE_TOP};
	return see_dir(&s, top, TREE_TOP);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	return at->level == 0 ? 0 : remove(path);
}

uint64_t tree_wipe(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return 0;
	if (nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS) != 0 || stat(path, &st) < 0)
		return 0;
	return st.st_ino;
}
