/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From inode numbers to paths.  The metadata has no names by inode (a file can have
 * several), so the tree is walked breadth-first until all that was asked for is found;
 * nothing is kept, and the walk is bounded: this serves people who look.
 */

#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/ctl/command.h"
#include "daemon/meta/meta.h"
#include "daemon/volume.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALK_MAX 1000000 /* entries looked at */

struct dir {
	uint64_t ino;
	size_t parent; /* index of dirs; the root is its own */
	char *name;
};

struct walk {
	struct ctl_session *session;
	json_t *wanted; /* "ino" -> null, until it is found */
	json_t *found;  /* "ino" -> path */
	struct dir *dirs;
	size_t count, size;
	size_t current;
	size_t entries;
};

static int add_dir(struct walk *w, uint64_t ino, size_t parent, const char *name)
{
	char *copy;

	if (w->count == w->size) {
		size_t size = w->size ? 2 * w->size : 64;
		struct dir *dirs = realloc(w->dirs, size * sizeof(*dirs));

		if (!dirs)
			return -ENOMEM;
		w->dirs = dirs;
		w->size = size;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	w->dirs[w->count++] = (struct dir){ino, parent, copy};
	return 0;
}

static char *path_of(const struct walk *w, size_t dir, const char *name)
{
	size_t length = strlen(name) + 1, at;
	char *path;

	for (size_t d = dir; d != 0; d = w->dirs[d].parent)
		length += strlen(w->dirs[d].name) + 1;
	path = malloc(length);
	if (!path)
		return NULL;
	at = length - strlen(name) - 1;
	strcpy(path + at, name);
	for (size_t d = dir; d != 0; d = w->dirs[d].parent) {
		size_t l = strlen(w->dirs[d].name);

		path[--at] = '/';
		at -= l;
		memcpy(path + at, w->dirs[d].name, l);
	}
	return path;
}

static int visit(const struct meta_dirent *e, void *arg)
{
	struct walk *w = arg;
	char key[24];

	if (w->entries++ >= WALK_MAX || (w->entries % 1024 == 0 && !w->session->wanted(w->session)))
		return 1;
	snprintf(key, sizeof(key), "%" PRIu64, e->ino);
	if (json_object_get(w->wanted, key)) {
		_cleanup_free_ char *path = path_of(w, w->current, e->name);
		_cleanup_free_ char *text = path ? text_escape(path) : NULL;

		if (!text)
			return -ENOMEM;
		json_object_set_new(w->found, key, json_string(text));
		json_object_del(w->wanted, key);
		if (json_object_size(w->wanted) == 0)
			return 1;
	}
	return (e->type & S_IFMT) == S_IFDIR ? add_dir(w, e->ino, w->current, e->name) : 0;
}

static int walk(struct walk *w)
{
	int r = add_dir(w, META_ROOT_INO, 0, "");

	while (r == 0 && w->current < w->count && json_object_size(w->wanted) && w->entries <= WALK_MAX &&
	       w->session->wanted(w->session)) {
		r = meta_readdir(w->session->volume->meta, w->dirs[w->current].ino, 0, false, visit, w);
		/* One that was removed meanwhile is no failure, and one that ended early neither. */
		if (r == -ENOENT || r > 0)
			r = 0;
		w->current++;
	}
	for (size_t i = 0; i < w->count; i++)
		free(w->dirs[i].name);
	free(w->dirs);
	return r;
}

int ctl_paths(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	struct walk w = {.session = session, .wanted = json_object(), .found = json_object()};
	json_t *inos = json_object_get(request, "inos"), *j;
	size_t i;
	int r = 0;

	if (!json_is_array(inos))
		r = ctl_bad_request(ret_why, "\"inos\" is an array of inode numbers");
	json_array_foreach(inos, i, j)
	{
		char key[24];

		if (!json_is_integer(j)) {
			r = ctl_bad_request(ret_why, "\"inos\" has something in it that is no number");
			break;
		}
		snprintf(key, sizeof(key), "%" JSON_INTEGER_FORMAT, json_integer_value(j));
		if (json_integer_value(j) == META_ROOT_INO)
			json_object_set_new(w.found, key, json_string(""));
		else
			json_object_set_new(w.wanted, key, json_null());
	}
	if (r == 0)
		r = walk(&w);
	if (r == 0) {
		*ret = json_pack("{s:O}", "paths", w.found);
		r = *ret ? 0 : -ENOMEM;
	}
	json_decref(w.wanted);
	json_decref(w.found);
	return r;
}
