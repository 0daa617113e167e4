/* SPDX-License-Identifier: Apache-2.0 */
/* What the records of all inodes add up to. */
#include "daemon/meta/check_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define LOST_AND_FOUND "lost+found"

/* ---- what cannot be reached ---- */

/* Give inode @p ino a name in /lost+found; its counts are made right in the next round. */
static int fix_connect(struct check *c, struct seen *lost_and_found, const struct seen *i)
{
	struct dentry d = {.ino = i->ino, .type = i->mode & S_IFMT}, there;
	char name[32];
	int r;

	if (!c->repair)
		return 0;
	snprintf(name, sizeof(name), "#%" PRIu64, i->ino);
	for (unsigned n = 1; (r = txn_get_dentry(c->t, lost_and_found->ino, name, &there)) != -ENOENT; n++) {
		if (r < 0)
			return r;
		snprintf(name, sizeof(name), "#%" PRIu64 ".%u", i->ino, n);
	}
	d.position = lost_and_found->next_position++;
	fix_put_dentry(c, lost_and_found->ino, name, &d);
	return 0;
}

int check_is_name_of(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct name_of *of = arg;
	struct dentry d;

	if (meta_key_parse_name(key, 'D', &of->parent, of->name) < 0 || meta_decode_dentry(value, &d) < 0)
		return 0;
	of->dentry = d;
	return d.ino == of->ino;
}

/* Take the name of a directory away that is in a loop. */
static int fix_loop(struct check *c, const struct seen *dir)
{
	struct meta_key prefix = meta_key_number('D', dir->found_parent);
	struct name_of of = {.ino = dir->ino};
	int r;

	if (!c->repair)
		return 0;
	r = kv_scan(c->t->kv, meta_key_slice(&prefix), meta_key_slice(&prefix), check_is_name_of, &of);
	if (r == 1) {
		fix_delete(c, meta_key_name('D', dir->found_parent, of.name));
		fix_delete(c, meta_key_pair('R', dir->found_parent, of.dentry.position));
	}
	return r < 0 ? r : 0;
}

/* A directory that is named and yet not below the root is in a loop, or below one. */
static int check_ways_to_root(struct check *c)
{
	bool fixed = false;

	for (size_t n = 0; n < c->count; n++) {
		const struct seen *dir = &c->inodes[n];
		size_t steps = 0;
		int r;

		if (!S_ISDIR(dir->mode) || !dir->links)
			continue;
		while (dir && dir->ino != META_ROOT_INO && dir->links && steps++ < c->count)
			dir = check_find(c, dir->found_parent);
		if (dir && steps <= c->count)
			continue; /* the root, or one without a name, which was said */
		check_problem(c, "directory %" PRIu64 " is not below the root", c->inodes[n].ino);
		/* After so many steps `dir` is in the loop. One is opened at a time. */
		if (dir && !fixed) {
			r = fix_loop(c, dir);
			if (r < 0)
				return r;
			fixed = true;
		}
	}
	return 0;
}

int check_reach(struct check *c)
{
	struct seen *lost_and_found = NULL;
	struct dentry d;
	int r = txn_get_dentry(c->t, META_ROOT_INO, LOST_AND_FOUND, &d);

	if (!r)
		lost_and_found = check_find(c, d.ino);
	for (size_t n = 0; n < c->count; n++) {
		const struct seen *i = &c->inodes[n];
		bool named = i->links || i->ino == META_ROOT_INO;

		if (named || (!i->nlink && !i->names_in))
			continue;
		check_problem(c, "inode %" PRIu64 " has nlink %u and no name", i->ino, i->nlink);
		if (lost_and_found && S_ISDIR(lost_and_found->mode)) {
			r = fix_connect(c, lost_and_found, i);
			if (r < 0)
				return r;
		} else if (c->repair) {
			c->wants_lost_and_found = true;
		}
	}
	return check_ways_to_root(c);
}

/* ---- counts ---- */

static void check_directory(struct check *c, const struct seen *i, struct inode *right)
{
	bool root = i->ino == META_ROOT_INO;

	if (i->nlink && i->nlink != 2 + i->subdirs)
		check_problem(c, "directory %" PRIu64 " has nlink %u and %" PRIu64 " subdirectories", i->ino,
		              i->nlink, i->subdirs);
	if (i->links != (i->nlink && !root))
		check_problem(c, "directory %" PRIu64 " has %u names and nlink %u", i->ino, i->links,
		              i->nlink);
	if (i->nlink && !root && i->links && i->parent != i->found_parent)
		check_problem(c, "directory %" PRIu64 " is in %" PRIu64 " and believes in %" PRIu64, i->ino,
		              i->found_parent, i->parent);
	if (root && i->parent != META_ROOT_INO)
		check_problem(c, "the root directory believes in %" PRIu64, i->parent);
	if (i->entries != i->names_in)
		check_problem(c, "directory %" PRIu64 " has %" PRIu64 " names and counts %" PRIu64, i->ino,
		              i->names_in, i->entries);
	if (i->last_position >= i->next_position)
		check_problem(c, "directory %" PRIu64 " would give its next name a place that is taken",
		              i->ino);
	right->attr.nlink = root || i->links ? 2 + i->subdirs : 0;
	if (i->links)
		right->attr.parent = i->found_parent;
	if (root)
		right->attr.parent = META_ROOT_INO;
	right->entries = i->names_in;
	if (i->last_position >= right->next_position)
		right->next_position = i->last_position + 1;
}

static int check_sums_of(struct check *c, const struct seen *i)
{
	struct meta_key orphan = meta_key_number('O', i->ino), cut = meta_key_number('T', i->ino);
	struct inode right = {};
	size_t before = c->problems;
	int r = c->repair ? txn_get_inode(c->t, i->ino, false, &right) : 0;

	if (r < 0)
		return r;
	if (S_ISDIR(i->mode)) {
		check_directory(c, i, &right);
	} else {
		if (i->links != i->nlink)
			check_problem(c, "inode %" PRIu64 " has nlink %u and %u names", i->ino, i->nlink,
			              i->links);
		right.attr.nlink = i->links;
	}
	if (i->xattrs != i->found_xattrs)
		check_problem(c, "inode %" PRIu64 " has %u extended attributes and counts %u", i->ino,
		              i->found_xattrs, i->xattrs);
	right.attr.xattrs = i->found_xattrs;
	if (c->problems > before)
		fix_put_inode(c, &right);

	if (i->orphan != !i->nlink)
		check_problem(c, "inode %" PRIu64 " has nlink %u and is %san orphan", i->ino, i->nlink,
		              i->orphan ? "" : "not ");
	if (c->repair && i->orphan && right.attr.nlink)
		fix_delete(c, orphan);
	else if (c->repair && !i->orphan && !right.attr.nlink)
		fix_put(c, orphan, "\1", 1);
	if (i->cut != (i->cut_from != META_CUT_NONE)) {
		check_problem(c, "inode %" PRIu64 " disagrees on a truncation under way", i->ino);
		if (i->cut)
			fix_delete(c, cut);
		else
			fix_put(c, cut, "\1", 1);
	}
	if (S_ISLNK(i->mode) && !i->target)
		check_problem(c, "symlink %" PRIu64 " has no target", i->ino);
	return 0;
}

static int read_counter(struct check *c, char which, bool encoded, uint64_t *ret)
{
	struct meta_key key = meta_key_counter(which);
	_cleanup_free_ void *value = NULL;
	struct kv_slice slice;
	size_t size = 0;
	int r;

	r = kv_get(c->t->kv, meta_key_slice(&key), false, &value, &size);
	if (r == -ENOENT && !encoded) {
		*ret = 0;
		return 0;
	}
	slice = (struct kv_slice){value, size};
	if (r == -ENOENT ||
	    (!r && (encoded ? meta_decode_number(slice, ret) : meta_decode_counter(slice, ret)))) {
		check_problem(c, "counter %c is damaged", which);
		*ret = UINT64_MAX;
		return 0;
	}
	return r;
}

static void fix_counter(struct check *c, char which, uint64_t number)
{
	unsigned char value[META_VALUE_MAX];

	fix_put(c, meta_key_counter(which), value, meta_encode_number(number, value));
}

/* A counter that kv_add() keeps. */
static void fix_usage(struct check *c, char which, uint64_t number)
{
	unsigned char value[8];

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = number >> (8 * i);
	fix_put(c, meta_key_counter(which), value, sizeof(value));
}

static int check_counters(struct check *c)
{
	uint64_t bytes, inodes, next_ino, next_object, epoch;
	size_t before = c->problems;
	int r;

	r = read_counter(c, 'b', false, &bytes);
	if (!r)
		r = read_counter(c, 'n', false, &inodes);
	if (r < 0)
		return r;
	if (bytes != c->bytes)
		check_problem(c, "%" PRIu64 " bytes are used and %" PRIu64 " counted", c->bytes, bytes);
	if (inodes != c->count)
		check_problem(c, "%zu inodes are there and %" PRIu64 " counted", c->count, inodes);
	if (c->problems > before) {
		fix_usage(c, 'b', c->bytes);
		fix_usage(c, 'n', c->count);
	}

	r = read_counter(c, 'i', true, &next_ino);
	if (!r)
		r = read_counter(c, 'o', true, &next_object);
	if (!r)
		r = read_counter(c, 'e', true, &epoch);
	if (r < 0)
		return r;
	if (c->max_ino >= next_ino)
		check_problem(c, "inode number %" PRIu64 " is in use and not reserved", c->max_ino);
	if (c->max_ino >= next_ino || next_ino == UINT64_MAX)
		fix_counter(c, 'i', c->max_ino + 1);
	if (c->max_object >= next_object)
		check_problem(c, "object %" PRIu64 " is in use and not reserved", c->max_object);
	if (c->next_object > next_object)
		check_problem(c, "object %" PRIu64 " is in the store and not reserved", c->next_object - 1);
	if (c->max_object >= next_object || c->next_object > next_object || next_object == UINT64_MAX)
		fix_counter(c, 'o', c->max_object >= c->next_object ? c->max_object + 1 : c->next_object);
	/* How many opens there were is not known any more, but how many changed something. */
	if (epoch == UINT64_MAX)
		fix_counter(c, 'e', (c->max_version >> META_EPOCH_SHIFT) + 1);
	return 0;
}

int check_sums(struct check *c)
{
	for (size_t i = 0; i < c->count; i++) {
		int r = check_sums_of(c, &c->inodes[i]);

		if (r < 0)
			return r;
	}
	return check_counters(c);
}
