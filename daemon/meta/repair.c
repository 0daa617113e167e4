/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check and repair, in rounds.  A round walks everything in one snapshot and collects what it would change;
 * then it is changed, and the next round sees what that made of it.  First come the records themselves, then
 * what cannot be reached, then the counts: each rests on what is before it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/meta/check_internal.h"

enum {
	ROUNDS_MAX = 64,
	EDITS_MAX = 1024, /* in one transaction */
	PATHS_MAX = 32,   /* looked up for messages: each takes a walk through all names */
};

/* ---- edits ---- */

static void add_edit(struct check *c, struct meta_key key, uint64_t unless, const void *value, size_t size)
{
	struct edit *e;

	if (!c->repair || c->error)
		return;
	if (c->edit_count == c->edit_room) {
		size_t room = c->edit_room ? 2 * c->edit_room : 64;
		struct edit *bigger = reallocarray(c->edits, room, sizeof(*bigger));

		if (!bigger) {
			c->error = -ENOMEM;
			return;
		}
		c->edits = bigger;
		c->edit_room = room;
	}
	e = &c->edits[c->edit_count];
	*e = (struct edit){.key = key, .unless = unless, .size = size};
	if (value) {
		e->value = malloc(size + 1);
		if (!e->value) {
			c->error = -ENOMEM;
			return;
		}
		memcpy(e->value, value, size);
	}
	c->edit_count++;
}

void fix_delete(struct check *c, struct meta_key key)
{
	add_edit(c, key, 0, NULL, 0);
}

void fix_delete_lost(struct check *c, struct meta_key key, uint64_t ino)
{
	add_edit(c, key, ino, NULL, 0);
}

void fix_delete_slice(struct check *c, struct kv_slice key)
{
	struct meta_key copy = {.size = key.size};

	/* None of ours is longer; such a one stays, and is reported. */
	if (key.size > sizeof(copy.bytes))
		return;
	memcpy(copy.bytes, key.data, key.size);
	fix_delete(c, copy);
}

void fix_put(struct check *c, struct meta_key key, const void *value, size_t size)
{
	add_edit(c, key, 0, value, size);
}

void fix_put_inode(struct check *c, const struct inode *inode)
{
	unsigned char value[META_VALUE_MAX];

	if (c->repair)
		fix_put(c, meta_key_number('I', inode->attr.ino), value, meta_encode_inode(inode, value));
}

void fix_put_dentry(struct check *c, uint64_t parent, const char *name, const struct dentry *d)
{
	struct dentry_at at = {.ino = d->ino, .type = d->type};
	unsigned char value[META_VALUE_MAX];

	if (!c->repair)
		return;
	snprintf(at.name, sizeof(at.name), "%s", name);
	fix_put(c, meta_key_name('D', parent, name), value, meta_encode_dentry(d, value));
	fix_put(c, meta_key_pair('R', parent, d->position), value, meta_encode_dentry_at(&at, value));
}

void fix_note_lost(struct check *c, const struct lost *known)
{
	if (!c->repair || c->error)
		return;
	if (c->lost_count == c->lost_room) {
		size_t room = c->lost_room ? 2 * c->lost_room : 64;
		struct lost *bigger = reallocarray(c->lost, room, sizeof(*bigger));

		if (!bigger) {
			c->error = -ENOMEM;
			return;
		}
		c->lost = bigger;
		c->lost_room = room;
	}
	c->lost[c->lost_count++] = *known;
}

static int by_ino(const void *a, const void *b)
{
	uint64_t x = ((const struct lost *)a)->ino, y = ((const struct lost *)b)->ino;

	return x < y ? -1 : x > y;
}

/* All was noted: what is known of each, once, sorted. */
static void merge_lost(struct check *c)
{
	size_t n = 0;

	if (!c->lost_count)
		return;
	qsort(c->lost, c->lost_count, sizeof(*c->lost), by_ino);
	for (size_t i = 1; i < c->lost_count; i++) {
		const struct lost *known = &c->lost[i];
		struct lost *lost = &c->lost[n];

		if (known->ino != lost->ino) {
			c->lost[++n] = *known;
			continue;
		}
		lost->data |= known->data;
		lost->target |= known->target;
		lost->names |= known->names;
		if (known->size > lost->size)
			lost->size = known->size;
		if (known->last_position > lost->last_position)
			lost->last_position = known->last_position;
		if (known->parent)
			lost->parent = known->parent;
	}
	c->lost_count = n + 1;
}

static bool has_something(const struct lost *lost)
{
	return lost->data || lost->target || lost->names;
}

static bool made_again(const struct check *c, uint64_t ino)
{
	struct lost key = {.ino = ino}, *lost = NULL;

	if (c->lost_count)
		lost = bsearch(&key, c->lost, c->lost_count, sizeof(key), by_ino);
	return lost && has_something(lost);
}

/* A lost inode with something in it: closed to all but root, until somebody says whose it was. */
static void make_again(struct check *c, const struct lost *lost)
{
	struct inode inode = {.cut_from = META_CUT_NONE};
	struct meta_attr *a = &inode.attr;

	*a = (struct meta_attr){.ino = lost->ino, .generation = META_GENERATION, .nlink = 1};
	a->version = c->t->m->version_floor + 1;
	a->atime = a->mtime = a->ctime = a->btime = c->t->now;
	if (lost->data) {
		a->mode = S_IFREG | 0600;
		a->size = lost->size;
	} else if (lost->target) {
		a->mode = S_IFLNK | 0777;
		a->size = lost->size;
	} else {
		a->mode = S_IFDIR | 0700;
		a->size = 4096;
		a->nlink = 2;
		a->parent = lost->parent ? lost->parent : META_ROOT_INO;
		inode.next_position = lost->last_position < META_POSITION_FIRST ? META_POSITION_FIRST
		                                                                : lost->last_position + 1;
	}
	fix_put_inode(c, &inode);
}

void check_free(struct check *c)
{
	for (size_t i = 0; i < c->edit_count; i++)
		free(c->edits[i].value);
	free(c->edits);
	free(c->lost);
	free(c->inodes);
	free(c->objects);
}

/* ---- a round ---- */

static int check_all(struct meta_txn *t, void *arg)
{
	struct check *c = arg;
	int r;

	c->t = t;
	clock_gettime(CLOCK_REALTIME, &t->now);
	r = check_records(c);
	merge_lost(c);
	for (size_t i = 0; !r && i < c->lost_count; i++)
		if (has_something(&c->lost[i]))
			make_again(c, &c->lost[i]);
	/* With records to be changed, what they add up to is still looked at, but not repaired. */
	if (!r && c->edit_count) {
		c->repair = false;
		r = check_reach(c);
		if (!r)
			r = check_sums(c);
		return r ? r : c->error;
	}
	if (!r)
		r = check_reach(c);
	if (!r && c->edit_count)
		c->repair = false;
	if (!r)
		r = check_sums(c);
	return r ? r : c->error;
}

int meta_check_objects(struct meta *m, const struct meta_check_hooks *hooks, size_t *ret_problems,
                       struct meta_objects *ret_objects)
{
	struct check c = {.fn = hooks->problem, .hooks = hooks, .paths_left = PATHS_MAX};
	int r = meta_run_read(m, check_all, &c);

	if (!r) {
		*ret_problems = c.problems;
		*ret_objects = (struct meta_objects){TAKE_PTR(c.objects), c.object_count};
	}
	check_free(&c);
	return r;
}

int meta_check(struct meta *m, meta_problem_fn fn, void *arg, size_t *ret_problems)
{
	struct meta_objects objects = {};
	struct meta_check_hooks hooks = {.problem = fn, .arg = arg};
	int r = meta_check_objects(m, &hooks, ret_problems, &objects);

	free(objects.list);
	return r;
}

struct apply {
	const struct check *c;
	size_t from, to;
};

static int apply_some(struct meta_txn *t, void *arg)
{
	struct apply *a = arg;
	int r = 0;

	for (size_t i = a->from; !r && i < a->to; i++) {
		const struct edit *e = &a->c->edits[i];

		if (e->unless && made_again(a->c, e->unless))
			continue;
		r = e->value ? txn_put(t, e->key, e->value, e->size) : txn_delete(t, e->key);
	}
	return r;
}

static int apply(struct meta *m, const struct check *c)
{
	for (size_t done = 0; done < c->edit_count; done += EDITS_MAX) {
		struct apply a = {c, done, done + EDITS_MAX};
		int r;

		if (a.to > c->edit_count)
			a.to = c->edit_count;
		r = meta_run(m, false, apply_some, &a);
		if (r < 0)
			return r;
	}
	return meta_sync(m);
}

/* Where inodes without a name go. Only with records that are sound. */
static int make_lost_and_found(struct meta *m)
{
	struct meta_attr attr;
	int r = meta_lookup(m, META_ROOT_INO, "lost+found", &attr);

	if (r == -ENOENT)
		r = meta_create(m, META_ROOT_INO, "lost+found", &(struct meta_cred){}, S_IFDIR | 0700, 0,
		                NULL, NULL, NULL);
	return r;
}

int meta_repair(struct meta *m, uint64_t next_object, const struct meta_check_hooks *hooks,
                size_t *ret_problems, size_t *ret_left, struct meta_objects *ret_objects)
{
	size_t problems = 0;

	for (int round = 0;; round++) {
		struct check c = {.fn = round ? NULL : hooks->problem,
		                  .hooks = hooks,
		                  .repair = round < ROUNDS_MAX,
		                  .next_object = next_object,
		                  .paths_left = PATHS_MAX};
		bool wanted, last;
		int r;

		r = meta_run_read(m, check_all, &c);
		if (!r && !round)
			problems = c.problems;
		wanted = c.wants_lost_and_found;
		last = !c.edit_count && !wanted;
		if (!r)
			r = apply(m, &c);
		if (!r && wanted)
			r = make_lost_and_found(m);
		if (r < 0 || !last) {
			check_free(&c);
			if (r < 0)
				return r;
			continue;
		}
		*ret_problems = problems;
		*ret_left = c.problems;
		if (c.problems && hooks->left) {
			check_free(&c);
			c = (struct check){.fn = hooks->left,
			                   .hooks = hooks,
			                   .next_object = next_object,
			                   .paths_left = PATHS_MAX};
			r = meta_run_read(m, check_all, &c);
		}
		if (!r)
			*ret_objects = (struct meta_objects){TAKE_PTR(c.objects), c.object_count};
		check_free(&c);
		return r;
	}
}
