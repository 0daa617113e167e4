/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/meta/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/meta/internal.h"
#include "daemon/meta/slices.h"

/* What an inode says of itself, and what was found. */
struct seen {
	uint64_t ino, size, parent, entries, cut_from;
	uint64_t names_in, subdirs; /* found in the directory */
	uint64_t found_parent;      /* directory: the one that names it */
	uint32_t mode, nlink, xattrs;
	uint32_t links, found_xattrs; /* dentries that lead here */
	bool orphan, cut, target;
};

struct check {
	struct meta_txn *t;
	meta_problem_fn fn;
	void *arg;
	size_t problems;

	struct seen *inodes; /* sorted: the order of the records */
	size_t count, room;
	uint64_t *objects; /* of the slice lists; once per slice, sorted when all are there */
	size_t object_count, object_room;
	size_t shared;  /* objects with a reference count */
	uint64_t bytes; /* sum over the inodes */
	uint64_t max_ino, max_object;
};

__attribute__((format(printf, 2, 3))) static void problem(struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->problems++;
	if (c->fn)
		c->fn(text, c->arg);
}

static int by_ino(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = ((const struct seen *)b)->ino;

	return x < y ? -1 : x > y;
}

static struct seen *find(struct check *c, uint64_t ino)
{
	return c->count ? bsearch(&ino, c->inodes, c->count, sizeof(*c->inodes), by_ino) : NULL;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* ---- a function for each kind of record ---- */

static int check_inode(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	struct inode i;
	uint64_t ino;

	if (meta_key_parse_number(key, 'I', &ino) < 0 || meta_decode_inode(value, ino, &i) < 0) {
		problem(c, "an inode record is damaged");
		return 0;
	}
	if (c->count == c->room) {
		size_t room = c->room ? 2 * c->room : 1024;
		struct seen *bigger = reallocarray(c->inodes, room, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		c->inodes = bigger;
		c->room = room;
	}
	c->inodes[c->count++] = (struct seen){.ino = ino,
	                                      .size = i.attr.size,
	                                      .parent = i.attr.parent,
	                                      .entries = i.entries,
	                                      .cut_from = i.cut_from,
	                                      .mode = i.attr.mode,
	                                      .nlink = i.attr.nlink,
	                                      .xattrs = i.attr.xattrs};
	c->bytes += inode_usage(&i);
	c->max_ino = ino;
	return 0;
}

static int check_dentry(struct kv_slice key, struct kv_slice value, void *arg)
{
	char name[META_NAME_MAX + 1];
	struct check *c = arg;
	struct seen *dir, *inode;
	struct meta_key at_key;
	_cleanup_free_ void *at_value = NULL;
	struct dentry_at at;
	struct dentry d;
	uint64_t parent;
	size_t size;
	int r;

	if (meta_key_parse_name(key, 'D', &parent, name) < 0 || meta_decode_dentry(value, &d) < 0) {
		problem(c, "a name record is damaged");
		return 0;
	}
	dir = find(c, parent);
	inode = find(c, d.ino);
	if (!dir || !S_ISDIR(dir->mode) || !dir->nlink)
		problem(c, "name %s is in %" PRIu64 ", which is not a directory", name, parent);
	if (dir)
		dir->names_in++;
	if (dir && S_ISDIR(d.type))
		dir->subdirs++;
	if (!inode || (inode->mode & S_IFMT) != d.type) {
		problem(c, "name %s in %" PRIu64 " leads to %" PRIu64 ", which is not of its type", name,
		        parent, d.ino);
	} else {
		inode->links++;
		inode->found_parent = parent;
	}

	at_key = meta_key_pair('R', parent, d.position);
	r = kv_get(c->t->kv, meta_key_slice(&at_key), false, &at_value, &size);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT || meta_decode_dentry_at((struct kv_slice){at_value, size}, &at) < 0 ||
	    at.ino != d.ino || at.type != d.type || strcmp(at.name, name))
		problem(c, "name %s in %" PRIu64 " is not where readdir looks for it", name, parent);
	return 0;
}

static int check_dentry_at(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	struct dentry_at at;
	struct dentry d;
	uint64_t parent, position;
	int r;

	if (meta_key_parse_pair(key, 'R', &parent, &position) < 0 || meta_decode_dentry_at(value, &at) < 0) {
		problem(c, "a position record is damaged");
		return 0;
	}
	r = txn_get_dentry(c->t, parent, at.name, &d);
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	if (r < 0 || d.position != position)
		problem(c, "readdir of %" PRIu64 " meets %s, which lookup does not", parent, at.name);
	return 0;
}

static int check_orphan(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	struct seen *inode;
	uint64_t ino;

	(void)value;
	if (meta_key_parse_number(key, 'O', &ino) < 0 || !(inode = find(c, ino)))
		problem(c, "an orphan has no inode");
	else
		inode->orphan = true;
	return 0;
}

static int check_cut(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	struct seen *inode;
	uint64_t ino;

	(void)value;
	if (meta_key_parse_number(key, 'T', &ino) < 0 || !(inode = find(c, ino)))
		problem(c, "a truncation under way has no inode");
	else
		inode->cut = true;
	return 0;
}

static int check_target(struct kv_slice key, struct kv_slice value, void *arg)
{
	_cleanup_free_ void *target = NULL;
	struct check *c = arg;
	struct seen *inode;
	uint64_t ino;
	size_t size;

	if (meta_key_parse_number(key, 'S', &ino) < 0 || !(inode = find(c, ino)) || !S_ISLNK(inode->mode)) {
		problem(c, "a symlink's target has no symlink");
		return 0;
	}
	if (meta_decode_bytes(value, &target, &size) < 0 || size != inode->size || memchr(target, 0, size))
		problem(c, "the target of symlink %" PRIu64 " is damaged", ino);
	inode->target = true;
	return 0;
}

static int check_xattr(struct kv_slice key, struct kv_slice value, void *arg)
{
	char name[META_XATTR_NAME_MAX + 1];
	struct check *c = arg;
	struct seen *inode;
	uint64_t ino;

	(void)value;
	if (meta_key_parse_name(key, 'X', &ino, name) < 0 || !(inode = find(c, ino)))
		problem(c, "an extended attribute has no inode");
	else
		inode->found_xattrs++;
	return 0;
}

static int check_chunk(struct kv_slice key, struct kv_slice value, void *arg)
{
	_cleanup_slices_ struct meta_slices list = {};
	struct check *c = arg;
	const struct meta_slice *last;
	struct seen *inode;
	uint64_t ino, chunk, end;

	if (meta_key_parse_pair(key, 'C', &ino, &chunk) < 0 || meta_decode_slices(value, &list) < 0) {
		problem(c, "a slice list is damaged");
		return 0;
	}
	inode = find(c, ino);
	last = &list.slices[list.count - 1];
	end = chunk * c->t->m->volume.chunk_size + last->pos + last->length;
	if (!inode || !S_ISREG(inode->mode))
		problem(c, "chunk %" PRIu64 " of %" PRIu64 " belongs to no file", chunk, ino);
	else if (last->pos + last->length > c->t->m->volume.chunk_size ||
	         (end > inode->size && chunk < inode->cut_from && inode->nlink))
		problem(c, "file %" PRIu64 " has data behind its end", ino);

	for (size_t i = 0; i < list.count; i++) {
		if (c->object_count == c->object_room) {
			size_t room = c->object_room ? 2 * c->object_room : 1024;
			uint64_t *bigger = reallocarray(c->objects, room, sizeof(*bigger));

			if (!bigger)
				return -ENOMEM;
			c->objects = bigger;
			c->object_room = room;
		}
		c->objects[c->object_count++] = list.slices[i].object;
		if (list.slices[i].object > c->max_object)
			c->max_object = list.slices[i].object;
	}
	return 0;
}

/* How many slices name an object. */
static uint64_t references(const struct check *c, uint64_t object)
{
	size_t low = 0, high = c->object_count, first;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c->objects[mid] < object)
			low = mid + 1;
		else
			high = mid;
	}
	first = low;
	while (low < c->object_count && c->objects[low] == object)
		low++;
	return low - first;
}

static int check_references(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	uint64_t object, more, found;

	if (meta_key_parse_number(key, 'K', &object) < 0 || meta_decode_references(value, &more) < 0) {
		problem(c, "a reference count is damaged");
		return 0;
	}
	c->shared++;
	found = references(c, object);
	if (found != more + 1)
		problem(c, "object %" PRIu64 " has %" PRIu64 " references and counts %" PRIu64, object, found,
		        more + 1);
	return 0;
}

static int check_garbage(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	uint64_t object;
	uint32_t size;

	if (meta_key_parse_number(key, 'G', &object) < 0 || meta_decode_garbage(value, &size) < 0) {
		problem(c, "a garbage record is damaged");
		return 0;
	}
	if (c->object_count && bsearch(&object, c->objects, c->object_count, sizeof(*c->objects), by_number))
		problem(c, "object %" PRIu64 " is in use and in the garbage", object);
	if (object > c->max_object)
		c->max_object = object;
	return 0;
}

/* ---- what the records add up to ---- */

static void check_sums_of(struct check *c, const struct seen *i)
{
	bool root = i->ino == META_ROOT_INO;

	if (S_ISDIR(i->mode)) {
		if (i->nlink && i->nlink != 2 + i->subdirs)
			problem(c, "directory %" PRIu64 " has nlink %u and %" PRIu64 " subdirectories",
			        i->ino, i->nlink, i->subdirs);
		if (i->links != (i->nlink && !root))
			problem(c, "directory %" PRIu64 " has %u names", i->ino, i->links);
		if (i->nlink && !root && i->parent != i->found_parent)
			problem(c, "directory %" PRIu64 " is in %" PRIu64 " and believes in %" PRIu64, i->ino,
			        i->found_parent, i->parent);
		if (i->entries != i->names_in)
			problem(c, "directory %" PRIu64 " has %" PRIu64 " names and counts %" PRIu64, i->ino,
			        i->names_in, i->entries);
	} else if (i->links != i->nlink) {
		problem(c, "inode %" PRIu64 " has nlink %u and %u names", i->ino, i->nlink, i->links);
	}
	if (i->orphan != !i->nlink)
		problem(c, "inode %" PRIu64 " has nlink %u and is %san orphan", i->ino, i->nlink,
		        i->orphan ? "" : "not ");
	if (i->cut != (i->cut_from != META_CUT_NONE))
		problem(c, "inode %" PRIu64 " disagrees on a truncation under way", i->ino);
	if (S_ISLNK(i->mode) && !i->target)
		problem(c, "symlink %" PRIu64 " has no target", i->ino);
	if (i->xattrs != i->found_xattrs)
		problem(c, "inode %" PRIu64 " has %u extended attributes and counts %u", i->ino,
		        i->found_xattrs, i->xattrs);
}

/* A directory that is not below the root is in a loop: each has one parent, and is named there. */
static void check_ways_to_root(struct check *c)
{
	for (size_t n = 0; n < c->count; n++) {
		const struct seen *dir = &c->inodes[n];
		size_t steps = 0;

		if (!S_ISDIR(dir->mode) || !dir->nlink)
			continue;
		while (dir && dir->ino != META_ROOT_INO && steps++ < c->count)
			dir = find(c, dir->parent);
		if (!dir || dir->ino != META_ROOT_INO)
			problem(c, "directory %" PRIu64 " is not below the root", c->inodes[n].ino);
	}
}

static int read_counter(struct check *c, char which, bool encoded, uint64_t *ret)
{
	struct meta_key key = meta_key_counter(which);
	_cleanup_free_ void *value = NULL;
	struct kv_slice slice;
	size_t size;
	int r;

	r = kv_get(c->t->kv, meta_key_slice(&key), false, &value, &size);
	if (r == -ENOENT && !encoded) {
		*ret = 0;
		return 0;
	}
	slice = (struct kv_slice){value, size};
	if (r == -ENOENT ||
	    (!r && (encoded ? meta_decode_number(slice, ret) : meta_decode_counter(slice, ret)))) {
		problem(c, "counter %c is damaged", which);
		*ret = UINT64_MAX;
		return 0;
	}
	return r;
}

static int check_counters(struct check *c)
{
	uint64_t bytes, inodes, next_ino, next_object;
	int r;

	r = read_counter(c, 'b', false, &bytes);
	if (!r)
		r = read_counter(c, 'n', false, &inodes);
	if (!r)
		r = read_counter(c, 'i', true, &next_ino);
	if (!r)
		r = read_counter(c, 'o', true, &next_object);
	if (r < 0)
		return r;
	if (bytes != c->bytes)
		problem(c, "%" PRIu64 " bytes are used and %" PRIu64 " counted", c->bytes, bytes);
	if (inodes != c->count)
		problem(c, "%zu inodes are there and %" PRIu64 " counted", c->count, inodes);
	if (c->max_ino >= next_ino)
		problem(c, "inode number %" PRIu64 " is in use and not reserved", c->max_ino);
	if (c->max_object >= next_object)
		problem(c, "object %" PRIu64 " is in use and not reserved", c->max_object);
	return 0;
}

static int check_all(struct meta_txn *t, void *arg)
{
	static const struct {
		char kind;
		kv_scan_fn fn;
	} records[] = {
		{'I', check_inode}, {'D', check_dentry}, {'R', check_dentry_at}, {'O', check_orphan},
		{'T', check_cut},   {'S', check_target}, {'X', check_xattr},     {'C', check_chunk},
	};
	struct check *c = arg;
	struct kv_slice counts = {"K", 1}, prefix = {"G", 1};
	size_t shared = 0;
	int r;

	c->t = t;
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		struct kv_slice kind = {&records[i].kind, 1};

		r = kv_scan(t->kv, kind, kind, records[i].fn, c);
		if (r < 0)
			return r;
	}
	if (c->object_count)
		qsort(c->objects, c->object_count, sizeof(*c->objects), by_number);
	for (size_t i = 1; i < c->object_count; i++)
		shared +=
			c->objects[i] == c->objects[i - 1] && (i == 1 || c->objects[i] != c->objects[i - 2]);
	r = kv_scan(t->kv, counts, counts, check_references, c);
	if (r < 0)
		return r;
	if (shared > c->shared)
		problem(c, "%zu objects with several references are not counted", shared - c->shared);
	r = kv_scan(t->kv, prefix, prefix, check_garbage, c);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->count; i++)
		check_sums_of(c, &c->inodes[i]);
	check_ways_to_root(c);
	return check_counters(c);
}

int meta_check(struct meta *m, meta_problem_fn fn, void *arg, size_t *ret_problems)
{
	struct check c = {.fn = fn, .arg = arg};
	int r = meta_run_read(m, check_all, &c);

	free(c.inodes);
	free(c.objects);
	if (!r)
		*ret_problems = c.problems;
	return r;
}
