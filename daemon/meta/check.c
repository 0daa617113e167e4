/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/meta/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/meta/check_internal.h"
#include "daemon/meta/slices.h"

void check_problem(struct check *c, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->problems++;
	if (c->fn)
		c->fn(text, c->hooks->arg);
}

const char *check_name(const char *name)
{
	static _Thread_local char texts[2][4 * META_NAME_MAX + 1];
	static _Thread_local unsigned next;
	_cleanup_free_ char *text = text_escape(name);
	char *ret = texts[next++ % ARRAY_SIZE(texts)];

	snprintf(ret, sizeof(texts[0]), "%s", text ? text : "?");
	return ret;
}

static int by_ino(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = ((const struct seen *)b)->ino;

	return x < y ? -1 : x > y;
}

struct seen *check_find(struct check *c, uint64_t ino)
{
	return c->count ? bsearch(&ino, c->inodes, c->count, sizeof(*c->inodes), by_ino) : NULL;
}

/* ---- a function for each kind of record ---- */

static int check_inode(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	struct inode i;
	uint64_t ino;

	if (meta_key_parse_number(key, 'I', &ino) < 0) {
		check_problem(c, "an inode record is damaged: it has no number");
		fix_delete_slice(c, key);
		return 0;
	}
	if (meta_decode_inode(value, ino, &i) < 0) {
		check_problem(c, "an inode record is damaged: %" PRIu64, ino);
		fix_delete_slice(c, key);
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
	                                      .next_position = i.next_position,
	                                      .mode = i.attr.mode,
	                                      .nlink = i.attr.nlink,
	                                      .xattrs = i.attr.xattrs};
	c->bytes += inode_usage(&i);
	c->max_ino = ino;
	if (i.attr.version > c->max_version)
		c->max_version = i.attr.version;
	return 0;
}

/* Is the record by position that of @p d? 0: no. */
static int has_place(struct check *c, uint64_t parent, const char *name, const struct dentry *d)
{
	struct meta_key key = meta_key_pair('R', parent, d->position);
	_cleanup_free_ void *value = NULL;
	struct dentry_at at;
	size_t size;
	int r = kv_get(c->t->kv, meta_key_slice(&key), false, &value, &size);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return meta_decode_dentry_at((struct kv_slice){value, size}, &at) == 0 && at.ino == d->ino &&
	       at.type == d->type && !strcmp(at.name, name);
}

/* Give a name its place in readdir back; if another name has it by now, one behind all others. */
static int fix_place(struct check *c, struct seen *dir, const char *name, struct dentry *d)
{
	struct meta_key key = meta_key_pair('R', dir->ino, d->position);
	_cleanup_free_ void *value = NULL;
	struct dentry_at at;
	struct dentry other;
	size_t size;
	int r = kv_get(c->t->kv, meta_key_slice(&key), false, &value, &size);

	if (r < 0 && r != -ENOENT)
		return r;
	if (!r && meta_decode_dentry_at((struct kv_slice){value, size}, &at) == 0 && strcmp(at.name, name) &&
	    txn_get_dentry(c->t, dir->ino, at.name, &other) == 0 && other.position == d->position)
		d->position = dir->next_position++;
	fix_put_dentry(c, dir->ino, name, d);
	return 0;
}

static int check_dentry(struct kv_slice key, struct kv_slice value, void *arg)
{
	char name[META_NAME_MAX + 1];
	struct check *c = arg;
	struct seen *dir, *inode;
	struct dentry d;
	uint64_t parent;
	int r;

	if (meta_key_parse_name(key, 'D', &parent, name) < 0 || meta_decode_dentry(value, &d) < 0 ||
	    meta_name_check(name, -EINVAL) < 0) {
		check_problem(c, "a name record is damaged");
		fix_delete_slice(c, key); /* its place in readdir may know more */
		return 0;
	}
	dir = check_find(c, parent);
	inode = check_find(c, d.ino);
	if (dir && S_ISDIR(dir->mode)) {
		dir->names_in++;
		if (S_ISDIR(d.type))
			dir->subdirs++;
		if (d.position > dir->last_position)
			dir->last_position = d.position;
	}
	if (!dir || !S_ISDIR(dir->mode) || !dir->nlink)
		check_problem(c, "name %s is in %" PRIu64 ", which is not a directory", check_name(name),
		              parent);
	if (!dir) {
		fix_delete_lost(c, meta_key_name('D', parent, name), parent);
		fix_note_lost(c, &(struct lost){.ino = parent, .names = true, .last_position = d.position});
	} else if (!S_ISDIR(dir->mode)) {
		fix_delete(c, meta_key_name('D', parent, name));
		return 0;
	}
	if (!inode || (inode->mode & S_IFMT) != d.type || d.ino == META_ROOT_INO)
		check_problem(c, "name %s in %" PRIu64 " leads to %" PRIu64 ", which is not of its type",
		              check_name(name), parent, d.ino);
	if (!inode) {
		fix_delete_lost(c, meta_key_name('D', parent, name), d.ino);
		fix_delete_lost(c, meta_key_pair('R', parent, d.position), d.ino);
		fix_note_lost(c, &(struct lost){.ino = d.ino, .parent = parent});
		return 0;
	}
	if (d.ino == META_ROOT_INO || (S_ISDIR(inode->mode) && inode->links)) {
		if (d.ino != META_ROOT_INO)
			check_problem(c, "name %s in %" PRIu64 " is another one of directory %" PRIu64,
			              check_name(name), parent, d.ino);
		fix_delete(c, meta_key_name('D', parent, name));
		fix_delete(c, meta_key_pair('R', parent, d.position));
		return 0;
	}
	inode->links++;
	inode->found_parent = parent;
	if ((inode->mode & S_IFMT) != d.type) {
		d.type = inode->mode & S_IFMT;
		fix_put_dentry(c, parent, name, &d);
		return 0;
	}
	r = has_place(c, parent, name, &d);
	if (r < 0)
		return r;
	if (!r) {
		check_problem(c, "name %s in %" PRIu64 " is not where readdir looks for it", check_name(name),
		              parent);
		return dir ? fix_place(c, dir, name, &d) : 0;
	}
	return 0;
}

/* May an inode have one name more? */
static bool lacks_name(const struct seen *inode)
{
	return inode->ino != META_ROOT_INO && inode->links < (S_ISDIR(inode->mode) ? 1 : inode->nlink);
}

static int check_dentry_at(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	struct seen *dir, *inode;
	struct dentry_at at;
	struct dentry d;
	uint64_t parent, position;
	int r;

	if (meta_key_parse_pair(key, 'R', &parent, &position) < 0 || meta_decode_dentry_at(value, &at) < 0 ||
	    position < META_POSITION_FIRST || position > INT64_MAX || meta_name_check(at.name, -EINVAL) < 0) {
		check_problem(c, "a position record is damaged");
		fix_delete_slice(c, key); /* its name brings it back */
		return 0;
	}
	r = txn_get_dentry(c->t, parent, at.name, &d);
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	if (!r && d.position == position)
		return 0;
	check_problem(c, "readdir of %" PRIu64 " meets %s, which lookup does not", parent,
	              check_name(at.name));
	dir = check_find(c, parent);
	inode = check_find(c, at.ino);
	if (r < 0 && (!dir || S_ISDIR(dir->mode)) && inode && lacks_name(inode)) {
		d = (struct dentry){.ino = at.ino, .type = inode->mode & S_IFMT, .position = position};
		inode->links++; /* it has it, so to speak */
		inode->found_parent = parent;
		if (dir) {
			dir->names_in++;
			dir->subdirs += S_ISDIR(inode->mode);
			if (position > dir->last_position)
				dir->last_position = position;
		} else {
			fix_note_lost(
				c, &(struct lost){.ino = parent, .names = true, .last_position = position});
		}
		fix_put_dentry(c, parent, at.name, &d);
	} else {
		fix_delete_slice(c, key);
	}
	return 0;
}

static int check_orphan(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	struct seen *inode;
	uint64_t ino;

	(void)value;
	if (meta_key_parse_number(key, 'O', &ino) < 0 || !(inode = check_find(c, ino))) {
		check_problem(c, "an orphan has no inode");
		fix_delete_slice(c, key);
	} else {
		inode->orphan = true;
	}
	return 0;
}

static int check_cut(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct check *c = arg;
	struct seen *inode;
	uint64_t ino;

	(void)value;
	if (meta_key_parse_number(key, 'T', &ino) < 0 || !(inode = check_find(c, ino))) {
		check_problem(c, "a truncation under way has no inode");
		fix_delete_slice(c, key);
	} else {
		inode->cut = true;
	}
	return 0;
}

static int check_target(struct kv_slice key, struct kv_slice value, void *arg)
{
	_cleanup_free_ void *target = NULL;
	struct check *c = arg;
	struct seen *inode;
	struct inode i;
	uint64_t ino;
	size_t size = 0;
	bool sound;
	int r;

	if (meta_key_parse_number(key, 'S', &ino) < 0) {
		check_problem(c, "a symlink's target has no symlink");
		fix_delete_slice(c, key);
		return 0;
	}
	r = meta_decode_bytes(value, &target, &size);
	if (r == -ENOMEM)
		return r;
	sound = !r && size && size <= META_SYMLINK_MAX && !memchr(target, 0, size);
	inode = check_find(c, ino);
	if (!inode || !S_ISLNK(inode->mode)) {
		check_problem(c, "a symlink's target has no symlink: %" PRIu64, ino);
		fix_delete_lost(c, meta_key_number('S', ino), ino);
		if (!inode && sound)
			fix_note_lost(c, &(struct lost){.ino = ino, .target = true, .size = size});
		return 0;
	}
	inode->target = true;
	if (!sound || size != inode->size) {
		check_problem(c, "the target of symlink %" PRIu64 " is damaged", ino);
		if (sound && txn_get_inode(c->t, ino, false, &i) == 0) {
			i.attr.size = size;
			fix_put_inode(c, &i);
		}
	}
	return 0;
}

static int check_xattr(struct kv_slice key, struct kv_slice value, void *arg)
{
	char name[META_XATTR_NAME_MAX + 1];
	_cleanup_free_ void *bytes = NULL;
	struct check *c = arg;
	struct seen *inode;
	uint64_t ino;
	size_t size;
	int r;

	if (meta_key_parse_name(key, 'X', &ino, name) < 0) {
		check_problem(c, "an extended attribute has no inode");
		fix_delete_slice(c, key);
		return 0;
	}
	inode = check_find(c, ino);
	if (!inode) {
		check_problem(c, "an extended attribute has no inode: %s of %" PRIu64, check_name(name), ino);
		fix_delete_lost(c, meta_key_name('X', ino, name), ino);
		return 0;
	}
	inode->found_xattrs++;
	r = meta_decode_bytes(value, &bytes, &size);
	if (r == -ENOMEM)
		return r;
	/* Not taken away: without it more might be allowed. Whoever reads it gets an error. */
	if (r < 0)
		check_problem(c, "the extended attribute %s of %" PRIu64 " is damaged", check_name(name),
		              ino);
	return 0;
}

static int by_object(const void *a, const void *b)
{
	uint64_t x = ((const struct meta_slice *)a)->object, y = ((const struct meta_slice *)b)->object;

	return x < y ? -1 : x > y;
}

/* " (dir/name)", or nothing if too many were asked for. */
static char *path_text(struct check *c, uint64_t ino)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	char *ret = NULL;

	if (c->paths_left && c->paths_left-- && meta_find_path(c->t->m, ino, &path) == 0)
		text = text_escape(path);
	if (text && asprintf(&ret, " (%s)", text) < 0)
		ret = NULL;
	return ret;
}

static int add_objects(struct check *c, uint64_t ino, struct meta_slices *list)
{
	if (list->count)
		qsort(list->slices, list->count, sizeof(*list->slices), by_object);
	for (size_t i = 0; i < list->count; i++) {
		const struct meta_slice *s = &list->slices[i];

		if (i && s->object == s[-1].object) {
			c->objects[c->object_count - 1].refs++;
			if (s->size != s[-1].size)
				check_problem(c, "object %" PRIu64 " is said to be of two sizes", s->object);
			continue;
		}
		if (c->object_count == c->object_room) {
			size_t room = c->object_room ? 2 * c->object_room : 1024;
			struct meta_object *bigger = reallocarray(c->objects, room, sizeof(*bigger));

			if (!bigger)
				return -ENOMEM;
			c->objects = bigger;
			c->object_room = room;
		}
		c->objects[c->object_count++] =
			(struct meta_object){.object = s->object, .ino = ino, .size = s->size, .refs = 1};
		if (s->object > c->max_object)
			c->max_object = s->object;
	}
	return 0;
}

/* Take away what lies behind the end: it would come to light when the file grows. */
static int fix_end(struct check *c, uint64_t ino, uint64_t chunk, struct meta_slices *list, uint64_t size)
{
	uint64_t start = chunk * c->t->m->volume.chunk_size;
	_cleanup_free_ void *value = NULL;
	size_t length;
	int r;

	meta_slices_truncate(list, size > start ? size - start : 0);
	if (!list->count) {
		fix_delete(c, meta_key_pair('C', ino, chunk));
		return 0;
	}
	r = meta_encode_slices(list, &value, &length);
	if (!r)
		fix_put(c, meta_key_pair('C', ino, chunk), value, length);
	return r;
}

static int check_chunk(struct kv_slice key, struct kv_slice value, void *arg)
{
	_cleanup_slices_ struct meta_slices list = {};
	struct check *c = arg;
	const struct meta_slice *last;
	struct seen *inode;
	uint64_t ino, chunk, in_chunk, end;
	int r;

	if (meta_key_parse_pair(key, 'C', &ino, &chunk) < 0) {
		check_problem(c, "a slice list is damaged: it is of no file");
		fix_delete_slice(c, key);
		return 0;
	}
	inode = check_find(c, ino);
	r = meta_decode_slices(value, &list);
	if (r == -ENOMEM)
		return r;
	last = r < 0 ? NULL : &list.slices[list.count - 1];
	in_chunk = last ? (uint64_t)last->pos + last->length : 0;
	if (!last || in_chunk > c->t->m->volume.chunk_size ||
	    chunk > META_SIZE_MAX / c->t->m->volume.chunk_size) {
		_cleanup_free_ char *path = path_text(c, ino);

		check_problem(c,
		              "a slice list is damaged: what chunk %" PRIu64 " of file %" PRIu64
		              "%s held is lost",
		              chunk, ino, path ? path : "");
		if (!inode || !S_ISREG(inode->mode))
			fix_delete_slice(c, key);
		return 0;
	}
	end = chunk * c->t->m->volume.chunk_size + in_chunk;
	if (!inode || !S_ISREG(inode->mode)) {
		check_problem(c, "chunk %" PRIu64 " of %" PRIu64 " belongs to no file", chunk, ino);
		fix_delete_lost(c, meta_key_pair('C', ino, chunk), ino);
		if (!inode)
			fix_note_lost(c, &(struct lost){.ino = ino, .data = true, .size = end});
	} else if (end > inode->size && chunk < inode->cut_from && inode->nlink) {
		check_problem(c, "file %" PRIu64 " has data behind its end", ino);
		if (c->repair)
			r = fix_end(c, ino, chunk, &list, inode->size);
		if (r < 0)
			return r;
	}
	return add_objects(c, ino, &list);
}

/* ---- objects ---- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct meta_object *)a)->object, y = ((const struct meta_object *)b)->object;

	return x < y ? -1 : x > y;
}

/* All slice lists have been seen: one entry for each object. */
static void merge_objects(struct check *c)
{
	size_t n = 0;

	if (!c->object_count)
		return;
	qsort(c->objects, c->object_count, sizeof(*c->objects), by_number);
	for (size_t i = 1; i < c->object_count; i++) {
		if (c->objects[i].object != c->objects[n].object) {
			c->objects[++n] = c->objects[i];
			continue;
		}
		if (c->objects[i].size != c->objects[n].size)
			check_problem(c, "object %" PRIu64 " is said to be of two sizes",
			              c->objects[i].object);
		c->objects[n].refs += c->objects[i].refs;
	}
	c->object_count = n + 1;
}

struct meta_object *meta_find_object(const struct meta_objects *objects, uint64_t object)
{
	struct meta_object key = {.object = object};

	return objects->count ? bsearch(&key, objects->list, objects->count, sizeof(key), by_number) : NULL;
}

struct object_scan {
	struct check *c;
	struct meta_objects in_use;
};

static void fix_references(struct check *c, const struct meta_object *o)
{
	unsigned char value[META_VALUE_MAX];

	if (o->refs > 1)
		fix_put(c, meta_key_number('K', o->object), value,
		        meta_encode_references(o->refs - 1, value));
	else
		fix_delete(c, meta_key_number('K', o->object));
}

static int check_references(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct object_scan *scan = arg;
	struct check *c = scan->c;
	struct meta_object *o;
	uint64_t object, more;

	if (meta_key_parse_number(key, 'K', &object) < 0 || meta_decode_references(value, &more) < 0) {
		check_problem(c, "a reference count is damaged");
		fix_delete_slice(c, key);
		return 0;
	}
	o = meta_find_object(&scan->in_use, object);
	if (o)
		o->seen = true;
	if (!o || o->refs != more + 1) {
		check_problem(c, "object %" PRIu64 " has %u references and counts %" PRIu64, object,
		              o ? o->refs : 0, more + 1);
		if (o)
			fix_references(c, o);
		else
			fix_delete_slice(c, key);
	}
	return 0;
}

static int check_garbage(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct object_scan *scan = arg;
	struct check *c = scan->c;
	struct meta_slice slice = {};
	struct meta_slices one = {&slice, 1};
	uint64_t object;
	uint32_t size;
	int r;

	if (meta_key_parse_number(key, 'G', &object) < 0 || meta_decode_garbage(value, &size) < 0) {
		check_problem(c, "a garbage record is damaged");
		fix_delete_slice(c, key); /* the object is found by `curvefs gc` */
		return 0;
	}
	scan->in_use.list = c->objects; /* may have moved */
	if (meta_find_object(&scan->in_use, object)) {
		check_problem(c, "object %" PRIu64 " is in use and in the garbage", object);
		fix_delete_slice(c, key);
		return 0;
	}
	slice.object = object;
	slice.size = size;
	r = add_objects(c, 0, &one);
	if (!r)
		c->objects[c->object_count - 1].refs = 0;
	return r;
}

static int check_objects(struct check *c)
{
	struct kv_slice counts = {"K", 1}, garbage = {"G", 1};
	struct object_scan scan = {.c = c};
	int r;

	merge_objects(c);
	scan.in_use = (struct meta_objects){c->objects, c->object_count};
	r = kv_scan(c->t->kv, counts, counts, check_references, &scan);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->object_count; i++) {
		if (c->objects[i].refs > 1 && !c->objects[i].seen) {
			check_problem(c, "object %" PRIu64 " has %u references, which are not counted",
			              c->objects[i].object, c->objects[i].refs);
			fix_references(c, &c->objects[i]);
		}
		c->objects[i].seen = false;
	}
	r = kv_scan(c->t->kv, garbage, garbage, check_garbage, &scan);
	if (!r && c->object_count)
		qsort(c->objects, c->object_count, sizeof(*c->objects), by_number);
	return r;
}

struct walk {
	struct check *c;
	kv_scan_fn fn;
};

static int check_one(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct walk *w = arg;
	const struct meta_check_hooks *hooks = w->c->hooks;

	if (++w->c->records % 4096 == 0 && hooks->progress && !hooks->progress(w->c->records, hooks->arg))
		return -ECANCELED;
	return w->fn(key, value, w->c);
}

int check_records(struct check *c)
{
	static const struct {
		char kind;
		kv_scan_fn fn;
	} records[] = {
		{'I', check_inode}, {'D', check_dentry}, {'R', check_dentry_at}, {'O', check_orphan},
		{'T', check_cut},   {'S', check_target}, {'X', check_xattr},     {'C', check_chunk},
	};

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		struct kv_slice kind = {&records[i].kind, 1};
		struct walk walk = {c, records[i].fn};
		int r = kv_scan(c->t->kv, kind, kind, check_one, &walk);

		if (r < 0)
			return r;
	}
	if (!check_find(c, META_ROOT_INO)) {
		check_problem(c, "there is no root directory");
		fix_note_lost(c,
		              &(struct lost){.ino = META_ROOT_INO, .names = true, .parent = META_ROOT_INO});
	}
	return check_objects(c);
}

/* ---- objects alone ---- */

static int list_chunk(struct kv_slice key, struct kv_slice value, void *arg)
{
	_cleanup_slices_ struct meta_slices list = {};
	uint64_t ino, chunk;
	int r = meta_key_parse_pair(key, 'C', &ino, &chunk);

	if (!r)
		r = meta_decode_slices(value, &list);
	return r < 0 ? r : add_objects(arg, ino, &list);
}

static int list_objects(struct meta_txn *t, void *arg)
{
	struct kv_slice chunks = {"C", 1};
	struct check *c = arg;
	int r;

	c->t = t;
	r = kv_scan(t->kv, chunks, chunks, list_chunk, c);
	return r < 0 ? r : check_objects(c);
}

int meta_list_objects(struct meta *m, struct meta_objects *ret)
{
	struct meta_check_hooks hooks = {};
	struct check c = {.hooks = &hooks};
	int r = meta_run_read(m, list_objects, &c);

	if (!r)
		*ret = (struct meta_objects){TAKE_PTR(c.objects), c.object_count};
	check_free(&c);
	return r;
}
