/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_META_SCENE_H
#define CURVEFS_TESTS_META_SCENE_H

/* A volume with one of everything, and how records of it are damaged: for the tests of check and repair. */

#include "tests/unit/daemon/meta/fixture.h"

#include "daemon/meta/internal.h"
#include "daemon/meta/slices.h"

struct scene {
	uint64_t dir, sub, file, link, orphan;
	uint64_t object; /* of file's first chunk */
};

static inline struct scene make_scene(struct fixture *f)
{
	struct meta_attr attr;
	struct scene s;

	s.dir = make_dir(f, 1, "dir");
	s.sub = make_dir(f, s.dir, "sub");
	make_file(f, s.sub, "deep");
	s.file = make_file(f, s.dir, "file");
	s.orphan = make_file(f, 1, "orphan");
	s.object = write_slice(f, s.file, 0, 0, 1000);
	write_slice(f, s.file, 1, 0, 1000);
	assert_int_equal(meta_link(f->m, s.file, 1, "hard", NULL, NULL), 0);
	assert_int_equal(meta_setxattr(f->m, s.file, "user.a", "x", 1, 0, NULL), 0);
	assert_int_equal(meta_create(f->m, 1, "soft", &fixture_cred, S_IFLNK, 0, "target", &attr, NULL), 0);
	s.link = attr.ino;
	assert_int_equal(meta_unlink(f->m, 1, "orphan", NULL, NULL), 0);
	return s;
}

struct damage {
	struct meta_key key;
	const void *value; /* NULL: take the record away */
	size_t size;
	struct inode *inode; /* or write this */
	uint64_t count;      /* or count more inodes */
};

static inline int do_damage(struct meta_txn *t, void *arg)
{
	struct damage *d = arg;

	if (d->count) {
		t->add_inodes = d->count;
		return 0;
	}
	if (d->inode)
		return txn_put_inode(t, d->inode);
	return d->value ? txn_put(t, d->key, d->value, d->size) : txn_delete(t, d->key);
}

#endif
