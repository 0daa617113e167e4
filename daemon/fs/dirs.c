// SPDX-License-Identifier: Apache-2.0
/* Directories: OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR. There is no handle: a position says it
 * all. */
#include "common/cleanup.h"
#include "daemon/fs/fs.h"
#include "daemon/kernel/publish.h"

#include <errno.h>
#include <string.h>

/* Positions of "." and ".."; those of meta_readdir() are larger. */
#define AT_DOT 1
#define AT_DOTDOT 2

/* A reply under way. */
struct reply {
	fuse_req_t req;
	struct volume *v;
	uint64_t dir;
	char *buffer;
	size_t used, size;
};

/*
 * There is nothing to open, and with BPF the kernel may keep what it read: a directory changes through this
 * kernel only, which drops the listing when it does. Told once that there is no such operation, it does the
 * same and never asks again, nor sends RELEASEDIR. Without BPF a listing is best read again, by READDIRPLUS:
 * it brings the attributes that would else be asked for one by one.
 *
 * Valid replies:
 *   fuse_reply_open
 *   fuse_reply_err
 */
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct volume *v = fs_begin(req, DAEMON_OP_opendir);

	(void)ino;
	if (v->kernel && v->no_opendir) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->fh = 0;
	fi->cache_readdir = fi->keep_cache = v->kernel != NULL;
	fuse_reply_open(req, fi);
}

/*
 * Valid replies:
 *   fuse_reply_err
 */
void fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fs_begin(req, DAEMON_OP_releasedir);
	fs_reply_result(req, 0);
}

/*
 * Valid replies:
 *   fuse_reply_err
 */
void fs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_fsyncdir);

	(void)ino;
	(void)datasync;
	(void)fi;
	fs_reply_result(req, meta_sync_to(v->meta, meta_moment(v->meta)));
}

/* ---- READDIR ---- */

/* @return 1 when the buffer has no room for it. */
static int add(struct reply *reply, const char *name, uint64_t ino, uint32_t type, uint64_t next)
{
	const struct stat st = {.st_ino = ino, .st_mode = type};
	size_t room = reply->size - reply->used;
	size_t need =
		fuse_add_direntry(reply->req, reply->buffer + reply->used, room, name, &st, (off_t)next);

	if (need > room)
		return 1;
	reply->used += need;
	return 0;
}

static int add_dirent(const struct meta_dirent *entry, void *arg)
{
	return add(arg, entry->name, entry->ino, entry->type, entry->next);
}

/* The directory above; the root's is itself, and what is above the mount is the kernel's. */
static int parent_of(struct volume *v, uint64_t ino, uint64_t *ret)
{
	struct meta_attr attr;
	int r;

	r = publish_getattr(v->publish, ino, &attr);
	if (!r)
		*ret = ino == META_ROOT_INO ? ino : attr.parent;
	return r;
}

/*
 * Valid replies:
 *   fuse_reply_buf (empty: the end)
 *   fuse_reply_err
 */
void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_readdir);
	_cleanup_free_ char *buffer = malloc(size);
	struct reply reply = {.req = req, .v = v, .dir = ino, .buffer = buffer, .size = size};
	uint64_t parent;
	int r = 0;

	(void)fi;
	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (offset < AT_DOT)
		r = add(&reply, ".", ino, S_IFDIR, AT_DOT);
	if (!r && offset < AT_DOTDOT) {
		r = parent_of(v, ino, &parent);
		if (!r)
			r = add(&reply, "..", parent, S_IFDIR, AT_DOTDOT);
	}
	if (!r)
		r = meta_readdir(v->meta, ino, offset <= AT_DOTDOT ? 0 : (uint64_t)offset, false, add_dirent,
		                 &reply);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, buffer, reply.used);
}

/* ---- READDIRPLUS ----
 *
 * The names are collected first and then looked up one by one, as LOOKUP would:
 * the attributes that a scan of the metadata sees may lack what was written
 * meanwhile, and the kernel would take an old size for the newest.
 */

struct names {
	fuse_req_t req;
	size_t room;      /* bytes left in the reply */
	char *list;       /* of struct name, each followed by its text */
	size_t used, max; /* bytes of list */
};

struct name {
	uint64_t next;
	uint64_t ino;
	uint32_t type;
	uint32_t size; /* of the text, with NUL and padding */
	char text[];
};

static int collect(const struct meta_dirent *entry, void *arg)
{
	struct names *names = arg;
	size_t length = strlen(entry->name) + 1;
	size_t need = fuse_add_direntry_plus(names->req, NULL, 0, entry->name, NULL, 0);
	size_t size = (length + 7) & ~(size_t)7;
	struct name *name;

	/* A reply's entry is larger than struct name is, so the list has room if the reply has. */
	if (need > names->room || names->used + sizeof(*name) + size > names->max)
		return 1;
	names->room -= need;
	name = (struct name *)(names->list + names->used);
	*name = (struct name){
		.next = entry->next, .ino = entry->ino, .type = entry->type, .size = (uint32_t)size};
	memcpy(name->text, entry->name, length);
	names->used += sizeof(*name) + size;
	return 0;
}

/* With node id 0 the kernel takes the name only, as it must for "." and "..". */
static int add_plus_bare(struct reply *reply, const char *name, uint64_t ino, uint32_t type, uint64_t next)
{
	const struct fuse_entry_param entry = {.attr = {.st_ino = ino, .st_mode = type}};
	size_t room = reply->size - reply->used;
	size_t need = fuse_add_direntry_plus(reply->req, reply->buffer + reply->used, room, name, &entry,
	                                     (off_t)next);

	if (need > room)
		return 1;
	reply->used += need;
	return 0;
}

static int add_plus(struct reply *reply, const struct name *name)
{
	struct fuse_entry_param entry;
	struct meta_attr attr;
	size_t room = reply->size - reply->used;
	size_t need;
	int r;

	r = publish_lookup(reply->v->publish, reply->dir, name->text, &attr);
	if (r == -ENOENT) /* removed since: not there is as good an answer */
		return 0;
	if (r < 0) /* the name is there all the same; whoever asks for more learns why not */
		return add_plus_bare(reply, name->text, name->ino, name->type, name->next);
	fs_fill_entry(reply->v, &attr, &entry);
	need = fuse_add_direntry_plus(reply->req, reply->buffer + reply->used, room, name->text, &entry,
	                              (off_t)name->next);
	if (need > room)
		return 1;
	reply->used += need;
	return 0;
}

static int add_dots_plus(struct reply *reply, off_t offset)
{
	uint64_t parent;
	int r = 0;

	if (offset < AT_DOT)
		r = add_plus_bare(reply, ".", reply->dir, S_IFDIR, AT_DOT);
	if (!r && offset < AT_DOTDOT) {
		r = parent_of(reply->v, reply->dir, &parent);
		if (!r)
			r = add_plus_bare(reply, "..", parent, S_IFDIR, AT_DOTDOT);
	}
	return r;
}

/* Add what fits behind *from, and move it on. @return 1: full, or the end of the directory. */
static int add_some_plus(struct reply *reply, char *list, uint64_t *from)
{
	struct names names = {
		.req = reply->req,
		.room = reply->size - reply->used,
		.list = list,
		.max = reply->size,
	};
	int r;

	r = meta_readdir(reply->v->meta, reply->dir, *from, false, collect, &names);
	if (r < 0)
		return r;
	for (size_t at = 0; at < names.used;) {
		const struct name *name = (const struct name *)(list + at);

		r = add_plus(reply, name);
		if (r)
			return r;
		*from = name->next;
		at += sizeof(*name) + name->size;
	}
	return names.used ? 0 : 1;
}

static int read_plus(struct reply *reply, off_t offset)
{
	_cleanup_free_ char *list = malloc(reply->size);
	uint64_t from = offset <= AT_DOTDOT ? 0 : (uint64_t)offset;
	int r;

	if (!list)
		return -ENOMEM;
	r = add_dots_plus(reply, offset);
	/* An empty reply means the end, so go on if all that was found is gone again. */
	do {
		if (!r)
			r = add_some_plus(reply, list, &from);
	} while (!r && !reply->used);
	return r;
}

/*
 * Valid replies:
 *   fuse_reply_buf (empty: the end)
 *   fuse_reply_err
 */
void fs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct volume *v = fs_begin(req, DAEMON_OP_readdirplus);
	_cleanup_free_ char *buffer = malloc(size);
	struct reply reply = {.req = req, .v = v, .dir = ino, .buffer = buffer, .size = size};
	int r;

	(void)fi;
	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	r = read_plus(&reply, offset);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, buffer, reply.used);
}
