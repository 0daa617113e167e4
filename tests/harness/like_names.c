/* SPDX-License-Identifier: Apache-2.0 */
/* rename(2) and link(2) of each kind of thing to each kind, and who may do what to whose. */
#include "tests/harness/like.h"

#include <linux/fs.h>
#include <sys/xattr.h>

/* ---- each kind to each kind ---- */

enum kind { NONE, PLAIN, SAME, EMPTY, FULL, SYMLINK, DANGLING, FIFO, LONGEST, KINDS };

static const char *const kind_names[KINDS] = {"nothing", "file",     "the same file", "empty dir", "full dir",
                                              "symlink", "dangling", "fifo",          "255 bytes"};

/* What a call is given instead of the plain name. */
static const char *const endings[] = {"", "/", "/.", "/..", "/sub", "/sub/none"};

static void make(enum kind kind, const char *name, const char *other)
{
	char sub[320];

	switch (kind) {
	case PLAIN:
	case LONGEST:
		like_file(name, 0644, 0, 0);
		break;
	case SAME:
		if (link(other, name) < 0)
			like_file(name, 0644, 0, 0);
		break;
	case EMPTY:
	case FULL:
		like_dir(name, 0755, 0, 0);
		snprintf(sub, sizeof(sub), "%s/sub", name);
		if (kind == FULL)
			like_dir(sub, 0755, 0, 0);
		break;
	case SYMLINK:
		like_must(symlink("d2", name), name);
		break;
	case DANGLING:
		like_must(symlink("nowhere", name), name);
		break;
	case FIFO:
		like_must(mknod(name, S_IFIFO | 0600, 0), name);
		break;
	default:
		break;
	}
}

/* Whatever it is by now. */
static void clear(const char *name)
{
	char sub[320];

	if (!unlink(name) || !rmdir(name) || errno != ENOTEMPTY)
		return;
	snprintf(sub, sizeof(sub), "%s/sub", name);
	clear(sub);
	snprintf(sub, sizeof(sub), "%s/none", name);
	clear(sub);
	rmdir(name);
}

struct two {
	const char *name;
	long (*make)(const char *from, const char *to);
};

static long do_rename(const char *from, const char *to)
{
	return rename(from, to);
}
static long rename_flags(const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}
static long noreplace(const char *from, const char *to)
{
	return rename_flags(from, to, RENAME_NOREPLACE);
}
static long exchange(const char *from, const char *to)
{
	return rename_flags(from, to, RENAME_EXCHANGE);
}
static long both_flags(const char *from, const char *to)
{
	return rename_flags(from, to, RENAME_EXCHANGE | RENAME_NOREPLACE);
}
static long unknown_flag(const char *from, const char *to)
{
	return rename_flags(from, to, 1 << 5);
}
static long do_link(const char *from, const char *to)
{
	return link(from, to);
}
static long link_follow(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

static const struct two twos[] = {
	{"rename", do_rename},           {"rename noreplace", noreplace},  {"rename exchange", exchange},
	{"rename both", both_flags},     {"rename unknown", unknown_flag}, {"link", do_link},
	{"link following", link_follow},
};

/* In one directory, or from one to another; of ours, both are below d1. */
static void try_two(const struct two *two, enum kind from, enum kind to, const char *dir)
{
	const char *a = from == LONGEST ? like_path("%L") : "a";
	char b[300];

	snprintf(b, sizeof(b), "%s%s", dir, to == LONGEST ? like_path("%L") + 1 : "b");
	make(from, a, b);
	make(to, b, a);
	like_say("%s: %s to %s in '%s'", two->name, kind_names[from], kind_names[to], dir);
	like_got(two->make(a, b));
	like_stat(a);
	like_stat(b);
	clear(a);
	clear(b);
}

static void try_endings(const struct two *two, enum kind from, enum kind to)
{
	for (size_t i = 0; i < 36; i++) {
		char a[32], b[32];

		snprintf(a, sizeof(a), "a%s", endings[i / 6]);
		snprintf(b, sizeof(b), "b%s", endings[i % 6]);
		make(from, "a", "b");
		make(to, "b", "a");
		like_say("%s: '%s' (%s) to '%s' (%s)", two->name, a, kind_names[from], b, kind_names[to]);
		if (like_got(two->make(a, b)) >= 0) {
			like_tree("a");
			like_tree("b");
		}
		clear("a");
		clear("b");
	}
}

static const char *const odd_pairs[][2] = {
	{"full", "full/in"},
	{"full", "full/sub/in"},
	{"full/sub", "full"},
	{"full/sub", "."},
	{".", "full/sub/dot"},
	{"file", "%M"},
	{"%M", "file"},
	{"%M", "none/x"},
	{"none", "%M"},
	{"none/x", "full/sub/x"},
	{"file", "none/x"},
	{"file", "file/x"},
	{"file/x", "file"},
	{"file", "loop/x"},
	{"loop/x", "file"},
	{"loop", "loop2"},
	{"loop2", "loop"},
	{"file", ""},
	{"", "file"},
	{"", ""},
	{"file", "/dev/shm/like-ext4-other"},
	{"full", "/dev/shm/like-ext4-other"},
	{"none", "/dev/shm/like-ext4-other"},
	{"/dev/shm", "file"},
	{"file", "%Qx"},
	{"full", "full"},
	{"file", "file"},
	{"full/sub", "full/sub/"},
	{"empty", "full"},
	{"full", "empty"},
	{"file", "to-file"},
};

static void try_odd(const struct two *two)
{
	like_dir("full", 0755, 0, 0);
	like_dir("full/sub", 0755, 0, 0);
	like_dir("full/sub/sub", 0755, 0, 0);
	like_dir("empty", 0755, 0, 0);
	like_file("file", 0644, 0, 0);
	like_must(symlink("loop", "loop"), "loop");
	like_must(symlink("file", "to-file"), "to-file");
	for (size_t i = 0; i < sizeof(odd_pairs) / sizeof(*odd_pairs); i++) {
		const char *const *pair = odd_pairs[i];

		like_say("%s: '%s' to '%s'", two->name, pair[0], pair[1]);
		like_got(two->make(like_path(pair[0]), like_path(pair[1])));
	}
	like_tree(".");
}

void like_renames(void)
{
	like_dir("renames", 0755, 0, 0);
	like_must(chdir("renames"), "renames");
	for (size_t i = 0; i < sizeof(twos) / sizeof(*twos); i++) {
		const struct two *two = &twos[i];

		like_dir(two->name, 0755, 0, 0);
		like_must(chdir(two->name), two->name);
		like_dir("d2", 0755, 0, 0);
		for (enum kind from = NONE; from < KINDS; from++) {
			for (enum kind to = NONE; to < KINDS; to++)
				try_two(two, from, to, (from + to) % 2 ? "" : "d2/");
		}
		if (two->make == do_rename || two->make == exchange || two->make == do_link) {
			try_two(two, EMPTY, NONE, "d2/");
			try_two(two, FULL, FULL, "");
			try_two(two, EMPTY, EMPTY, "");
			try_two(two, PLAIN, PLAIN, "");
			try_two(two, PLAIN, SAME, "d2/");
			try_endings(two, FULL, EMPTY);
			try_endings(two, PLAIN, PLAIN);
		}
		try_odd(two);
		like_must(chdir(".."), "..");
	}
	like_must(chdir(".."), "..");
}

/* ---- who may do what ---- */

struct place {
	const char *name;
	unsigned mode, uid, gid;
};

static const struct place places[] = {
	{"own", 0755, NOBODY, NOBODY},
	{"own-sticky", 01755, NOBODY, NOBODY},
	{"all", 0777, 0, 0},
	{"all-sticky", 01777, 0, 0},
	{"his", 0755, 0, 0},
	{"team", 0770, 0, TEAM},
	{"team-setgid", 02775, 0, TEAM},
	{"strange-setgid", 02777, 0, 77},
	{"own-setgid", 02755, NOBODY, NOBODY},
	{"no-write", 0555, NOBODY, NOBODY},
	{"no-search", 0666, NOBODY, NOBODY},
	{"no-read", 0333, NOBODY, NOBODY},
};

static const char *at(const char *dir, const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static long created(const char *path, unsigned mode)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, mode);

	return fd < 0 ? -1 : close(fd);
}

#define TRY(path, call)                             \
	do {                                        \
		const char *tried = (path);         \
		like_say("%s at %s", #call, tried); \
		if (like_got(call) >= 0)            \
			like_stat(tried);           \
	} while (0)

static void try_place(const struct place *p)
{
	const char *d = p->name;

	like_dir(d, 0700, 0, 0);
	like_file(at(d, "his"), 0666, 0, 0);
	like_file(at(d, "mine"), 0644, NOBODY, NOBODY);
	like_file(at(d, "his2"), 0666, 0, 0);
	like_file(at(d, "mine2"), 0644, NOBODY, NOBODY);
	like_dir(at(d, "his-dir"), 0777, 0, 0);
	like_dir(at(d, "my-dir"), 0755, NOBODY, NOBODY);
	like_dir(at(d, "my-dir2"), 0755, NOBODY, NOBODY);
	like_file(at(d, "team-file"), 0660, 0, TEAM);
	like_must(chown(d, p->uid, p->gid), d);
	like_must(chmod(d, p->mode), d);

	like_become(NOBODY);
	TRY(at(d, "new"), created(at(d, "new"), 0666));
	TRY(at(d, "new-special"), created(at(d, "new-special"), 06777));
	TRY(at(d, "new-dir"), mkdir(at(d, "new-dir"), 0777));
	TRY(at(d, "new-dir-special"), mkdir(at(d, "new-dir-special"), 07777));
	TRY(at(d, "new-fifo"), mknod(at(d, "new-fifo"), S_IFIFO | 06666, 0));
	TRY(at(d, "new-file"), mknod(at(d, "new-file"), S_IFREG | 06777, 0));
	TRY(at(d, "new-device"), mknod(at(d, "new-device"), S_IFCHR | 0666, 0x0103));
	TRY(at(d, "new-zero"), mknod(at(d, "new-zero"), S_IFCHR | 0666, 0));
	TRY(at(d, "new-link"), symlink("x", at(d, "new-link")));
	TRY(at(d, "new-name"), link(at(d, "mine"), at(d, "new-name")));
	TRY(at(d, "new-name2"), link(at(d, "his"), at(d, "new-name2")));
	TRY(at(d, "team-file"), open(at(d, "team-file"), O_RDWR) < 0 ? -1 : 0);
	TRY(at(d, "moved"), rename(at(d, "his"), at(d, "moved")));
	TRY(at(d, "moved2"), rename(at(d, "mine"), at(d, "moved2")));
	TRY(at(d, "his2"), rename(at(d, "moved2"), at(d, "his2")));
	TRY(at(d, "mine2"), rename(at(d, "his2"), at(d, "mine2")));
	TRY("home/x", rename(at(d, "my-dir"), "home/x"));
	TRY("home/y", rename(at(d, "his-dir"), "home/y"));
	TRY(at(d, "back"), rename("home/x", at(d, "back")));
	TRY(at(d, "my-dir2"), renameat2(AT_FDCWD, at(d, "my-dir2"), AT_FDCWD, "home/z", RENAME_EXCHANGE));
	TRY(at(d, "his-dir"), rmdir(at(d, "his-dir")));
	TRY(at(d, "my-dir2"), rmdir(at(d, "my-dir2")));
	TRY(at(d, "his2"), unlink(at(d, "his2")));
	TRY(at(d, "mine2"), unlink(at(d, "mine2")));
	TRY(at(d, "none"), unlink(at(d, "none")));
	TRY(at(d, "none"), rmdir(at(d, "none")));
	TRY(at(d, "his"), mkdir(at(d, "his"), 0777));
	TRY(at(d, "his"), truncate(at(d, "his"), 3));
	TRY(at(d, "his"), setxattr(at(d, "his"), "user.x", "1", 1, 0));
	TRY(d, setxattr(d, "user.x", "1", 1, 0));
	TRY(d, chmod(d, 02775));
	TRY(d, chown(d, (uid_t)-1, TEAM));
	TRY(d, chown(d, 0, (gid_t)-1));
	like_become(0);
	like_tree(d);
}

/* ---- set-uid and set-gid bits ---- */

static long do_write(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, "x", 1) != 1)
		return -1;
	return close(fd);
}
static long write_nothing(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, "x", 0) != 0)
		return -1;
	return close(fd);
}
static long do_truncate(const char *path)
{
	return truncate(path, 3);
}
static long truncate_to_same(const char *path)
{
	return truncate(path, 10);
}
static long do_ftruncate(const char *path)
{
	int fd = open(path, O_WRONLY);

	return fd < 0 || ftruncate(fd, 20) < 0 ? -1 : close(fd);
}
static long trunc_on_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	return fd < 0 ? -1 : close(fd);
}
static long allocate(const char *path)
{
	int fd = open(path, O_WRONLY);

	return fd < 0 || fallocate(fd, 0, 0, 5000) < 0 ? -1 : close(fd);
}
static long chown_other(const char *path)
{
	return chown(path, 1, 1);
}
static long chown_same(const char *path)
{
	return chown(path, NOBODY, NOBODY);
}
static long chgrp_team(const char *path)
{
	return chown(path, (uid_t)-1, TEAM);
}
static long chown_none(const char *path)
{
	return chown(path, (uid_t)-1, (gid_t)-1);
}
static long chmod_same(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : chmod(path, st.st_mode & 07777);
}
static long chmod_all(const char *path)
{
	return chmod(path, 07777);
}
static long touch(const char *path)
{
	return utimensat(AT_FDCWD, path, NULL, 0);
}
static long rename_away(const char *path)
{
	return rename(path, "away") < 0 ? -1 : rename("away", path);
}
static long with_capability(const char *path)
{
	static const unsigned char caps[20] = {1, 0, 0, 2, 0, 4};
	int fd;

	like_become(0);
	like_must(setxattr(path, "security.capability", caps, sizeof(caps), 0), "capability");
	fd = open(path, O_WRONLY | O_TRUNC);
	like_must(close(fd), "close");
	return getxattr(path, "security.capability", NULL, 0);
}

static const struct {
	const char *name;
	long (*make)(const char *path);
} changes[] = {
	{"write", do_write},
	{"write of nothing", write_nothing},
	{"truncate", do_truncate},
	{"truncate to the same", truncate_to_same},
	{"ftruncate", do_ftruncate},
	{"open(O_TRUNC)", trunc_on_open},
	{"fallocate", allocate},
	{"chown", chown_other},
	{"chown to same", chown_same},
	{"chgrp", chgrp_team},
	{"chown of nothing", chown_none},
	{"chmod to same", chmod_same},
	{"chmod", chmod_all},
	{"touch", touch},
	{"rename", rename_away},
	{"capability", with_capability},
};

static void try_special(void)
{
	static const unsigned modes[] = {06777, 04755, 02755, 02744, 06666, 07777, 0644};
	static const unsigned owners[][3] = {
		/* who does it, owner, group */
		{0, NOBODY, NOBODY}, {NOBODY, NOBODY, NOBODY}, {NOBODY, NOBODY, 77},
		{NOBODY, 0, 0},      {NOBODY, 0, TEAM},
	};

	like_dir("special", 0777, 0, 0);
	like_must(chdir("special"), "special");
	for (size_t c = 0; c < sizeof(changes) / sizeof(*changes); c++) {
		for (size_t i = 0; i < 5 * 7; i++) {
			const unsigned *o = owners[i / 7], mode = modes[i % 7];

			/* The kernel asks FUSE to clear set-gid only of a file that the group may run. */
			if (o[0] && o[2] != NOBODY && o[2] != TEAM && (mode & 02010) == 02000)
				continue;

			like_file("f", mode, o[1], o[2]);
			like_say("%s of %o %u:%u by %u", changes[c].name, mode, o[1], o[2], o[0]);
			like_become(o[0]);
			like_got(changes[c].make("f"));
			like_become(0);
			like_stat("f");
			like_must(unlink("f"), "unlink");
		}
	}
	like_must(chdir(".."), "..");
}

void like_users(void)
{
	like_dir("users", 0755, 0, 0);
	like_must(chdir("users"), "users");
	like_dir("home", 0755, NOBODY, NOBODY);
	like_dir("home/z", 0755, NOBODY, NOBODY);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		try_place(&places[i]);
	try_special();
	like_must(chdir(".."), "..");
}
