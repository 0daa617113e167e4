/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/data/data.h"
#include "daemon/fsck/internal.h"
#include "daemon/meta/check.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define PATHS_MAX 32 /* looked up for messages: each takes a walk through all names */
#define FILES_MAX 8  /* named of those that share an object */

/* ---- the store ---- */

static int add_stored(const struct store_object *object, void *arg)
{
	struct stored_list *l = arg;
	struct stored s = {.length = object->size, .mtime_s = object->mtime_s};

	/* Not ours: somebody put it there, and may want it. */
	if (data_object_of_key(object->key, &s.object, &s.size) < 0)
		return 0;
	if (l->count % 1000 == 0 && !fsck_progress(l->hooks, "listing the store", l->count, 0))
		return -ECANCELED;
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 1024;
		struct stored *list = reallocarray(l->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		l->list = list;
		l->room = room;
	}
	l->list[l->count++] = s;
	return 0;
}

static int by_object(const void *a, const void *b)
{
	uint64_t x = ((const struct stored *)a)->object, y = ((const struct stored *)b)->object;

	return x < y ? -1 : x > y;
}

int fsck_list_store(struct store *store, const struct fsck_hooks *hooks, struct stored_list *ret)
{
	struct stored_list l = {.hooks = hooks};
	int r = store_list(store, DATA_KEY_PREFIX, add_stored, &l);

	if (r < 0) {
		free(l.list);
		return r;
	}
	if (l.count)
		qsort(l.list, l.count, sizeof(*l.list), by_object);
	*ret = l;
	return 0;
}

/* ---- the check ---- */

struct fsck {
	struct meta *meta;
	struct store *store;
	const struct fsck_options *options;
	const struct fsck_hooks *hooks;
	struct fsck_result result;
	uint64_t lost; /* problems that nothing can repair */
	unsigned paths_left;
};

static void meta_problem(const char *problem, void *arg)
{
	struct fsck *f = arg;

	if (f->hooks->problem)
		f->hooks->problem(problem, false, f->hooks->arg);
}

static void meta_left(const char *problem, void *arg)
{
	struct fsck *f = arg;

	if (f->hooks->problem)
		f->hooks->problem(problem, true, f->hooks->arg);
}

static bool meta_progress(uint64_t records, void *arg)
{
	struct fsck *f = arg;

	return fsck_progress(f->hooks, "checking the metadata", records, 0);
}

static void print_file(struct fsck *f, uint64_t ino, FILE *out)
{
	_cleanup_free_ char *path = NULL, *text = NULL;

	if (f->paths_left && f->paths_left-- && meta_find_path(f->meta, ino, &path) == 0)
		text = text_escape(path);
	fprintf(out, " of file %" PRIu64, ino);
	if (text)
		fprintf(out, " (%s)", text);
}

/* The files that have @o: the one that is known, and those that share it. */
static void print_files(struct fsck *f, const struct meta_object *o, FILE *out)
{
	uint64_t inos[FILES_MAX];
	size_t count = 0;

	print_file(f, o->ino, out);
	if (o->refs > 1 && f->paths_left)
		meta_find_files(f->meta, o->object, inos, ARRAY_SIZE(inos), &count);
	for (size_t i = 0; i < count; i++) {
		if (inos[i] == o->ino)
			continue;
		fputs(" and", out);
		print_file(f, inos[i], out);
	}
	if (count == ARRAY_SIZE(inos))
		fputs(" and perhaps more", out);
}

/* What an object held is lost, and no repair brings it back. */
__attribute__((format(printf, 3, 4))) static void object_problem(struct fsck *f, const struct meta_object *o,
                                                                 const char *fmt, ...)
{
	_cleanup_free_ char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);
	va_list ap;

	f->lost++;
	if (!out)
		return;
	fprintf(out, "object %" PRIu64, o->object);
	print_files(f, o, out);
	fputc(' ', out);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	if (fclose(out) != 0)
		return;
	meta_problem(line, f);
	if (f->options->repair)
		meta_left(line, f);
}

static struct stored *find_stored(const struct stored_list *stored, uint64_t object)
{
	struct stored key = {.object = object};

	return stored->count ? bsearch(&key, stored->list, stored->count, sizeof(key), by_object) : NULL;
}

/* The list is older than the metadata that was looked at: ask again for what it has not. */
static int check_missing(struct fsck *f, struct meta_object *o)
{
	char key[DATA_KEY_MAX];
	uint64_t length;
	int r;

	data_object_key(o->object, o->size, key);
	r = store_head(f->store, key, &length);
	if (r < 0 && r != -ENOENT)
		return r;
	o->seen = r < 0 || length != data_object_bytes(o->size);
	if (r == 0 && o->seen)
		object_problem(f, o, "has %" PRIu64 " bytes instead of %" PRIu64, length,
		               data_object_bytes(o->size));
	return r == -ENOENT ? 1 : 0;
}

/* Those that are not there. On a mounted volume they may have been deleted since: the metadata says. */
static int report_missing(struct fsck *f, const struct meta_objects *missing)
{
	struct meta_objects now = {};
	int r = 0;

	if (f->options->mounted && missing->count)
		r = meta_list_objects(f->meta, &now);
	for (size_t i = 0; r == 0 && i < missing->count; i++) {
		const struct meta_object *o = &missing->list[i];

		if (f->options->mounted) {
			const struct meta_object *still = meta_find_object(&now, o->object);

			if (!still || !still->refs)
				continue;
		}
		object_problem(f, o, "is not in the store: the %" PRIu32 " bytes it held are lost", o->size);
	}
	free(now.list);
	return r;
}

/* Those that were read. */
struct read_call {
	struct fsck *f;
	struct meta_objects *missing;
};

static void read_bad(const struct meta_object *o, int error, uint64_t at, const char *why, void *arg)
{
	struct read_call *call = arg;
	char key[DATA_KEY_MAX];

	data_object_key(o->object, o->size, key);
	if (error == -ENOENT)
		call->missing->list[call->missing->count++] = *o;
	else if (error == -EBADMSG)
		object_problem(call->f, o,
		               "is damaged: %s does not fit its checksum from byte %" PRIu64 " on", key, at);
	else if (error == -ENODATA)
		object_problem(call->f, o, "is damaged: %s ends early", key);
	else
		object_problem(call->f, o, "cannot be read: %s", why);
}

static bool read_progress(uint64_t done, uint64_t total, void *arg)
{
	struct read_call *call = arg;

	return fsck_progress(call->f->hooks, "reading the data", done, total);
}

static int read_objects(struct fsck *f, const struct meta_objects *objects, struct meta_objects *missing)
{
	struct read_call call = {.f = f, .missing = missing};
	const struct fsck_read_hooks hooks = {.bad = read_bad, .progress = read_progress, .arg = &call};

	return fsck_read(f->store, objects, &hooks, &f->result.read_objects, &f->result.read_bytes);
}

/* Is it there, with all its bytes? Else it is marked as seen. @return 1: it is not there. */
static int check_object(struct fsck *f, struct meta_object *o, const struct stored_list *stored)
{
	const struct stored *s = find_stored(stored, o->object);

	if (!s || s->size != o->size)
		return check_missing(f, o);
	if (s->length != data_object_bytes(o->size)) {
		o->seen = true;
		object_problem(f, o, "has %" PRIu64 " bytes instead of %" PRIu64, s->length,
		               data_object_bytes(o->size));
	}
	return 0;
}

static int check_objects(struct fsck *f, struct meta_objects *objects, const struct stored_list *stored)
{
	struct meta_objects missing = {};
	int r = 0;

	missing.list = calloc(objects->count + 1, sizeof(*missing.list));
	if (!missing.list)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < objects->count; i++) {
		struct meta_object *o = &objects->list[i];

		o->seen = false;
		if (!o->refs)
			continue;
		f->result.objects++;
		f->result.bytes += o->size;
		if (i % 4096 == 0 && !fsck_progress(f->hooks, "checking the store", i, objects->count))
			r = -ECANCELED;
		else
			r = check_object(f, o, stored);
		if (r > 0)
			missing.list[missing.count++] = *o;
	}
	if (r >= 0 && f->options->read_data)
		r = read_objects(f, objects, &missing);
	if (r >= 0)
		r = report_missing(f, &missing);
	free(missing.list);
	for (size_t i = 0; i < stored->count; i++) {
		if (meta_find_object(objects, stored->list[i].object))
			continue;
		f->result.unused_objects++;
		f->result.unused_bytes += stored->list[i].length;
	}
	return r;
}

int fsck_run(struct meta *meta, struct store *store, const struct fsck_options *options,
             const struct fsck_hooks *hooks, struct fsck_result *ret)
{
	struct fsck f = {
		.meta = meta, .store = store, .options = options, .hooks = hooks, .paths_left = PATHS_MAX};
	const struct meta_check_hooks check = {
		.problem = meta_problem, .left = meta_left, .progress = meta_progress, .arg = &f};
	struct meta_objects objects = {};
	struct stored_list stored = {};
	size_t problems = 0, left = 0;
	int r;

	r = fsck_list_store(store, hooks, &stored);
	if (r < 0)
		return r;
	if (options->repair) {
		uint64_t next = stored.count ? stored.list[stored.count - 1].object + 1 : 0;

		r = meta_repair(meta, next, &check, &problems, &left, &objects);
	} else {
		r = meta_check_objects(meta, &check, &problems, &objects);
		left = problems;
	}
	if (r == 0)
		r = check_objects(&f, &objects, &stored);
	free(objects.list);
	free(stored.list);
	if (r < 0)
		return r;
	*ret = f.result;
	ret->problems = problems + f.lost;
	ret->left = left + f.lost;
	return 0;
}
