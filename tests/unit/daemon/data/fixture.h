/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_DATA_FIXTURE_H
#define CURVEFS_TESTS_DATA_FIXTURE_H

/* A volume in a temporary folder, with real metadata, a real file:// store and a real cache. */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after those it needs */
#include <cmocka.h>

#include "cache/cache.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/data/data.h"
#include "daemon/meta/stream.h"
#include "daemon/meta/slices.h"
#include "daemon/store/fault.h"
#include "daemon/store/store.h"
#include "tests/harness/tempdir.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define CHUNK (1 * MIB) /* small, so that a few MiB have several */
#define BLOCK CACHE_BLOCK_SIZE

enum cache_kind { ROOMY, TINY, NONE };

struct fixture {
	char *top; /* removed at the end */
	enum cache_kind kind;
	const char *faults;
	struct data_options options;
	struct meta *meta;
	struct store *store;
	struct cache *cache;
	struct data *data;
	_Atomic unsigned will_write, changed, forgotten;
	uint64_t watched; /* will_write looks whether this inode is pending */
	_Atomic bool pending_seen;
	_Atomic bool backed_up; /* there is a copy of the metadata elsewhere, with the changes up to ... */
	_Atomic uint64_t shipped;
	_Atomic uint64_t first_private; /* objects from here on are in no copy; 0: none */
	_Atomic unsigned deletes_wanted, deletes_refused;
	_Atomic int may_write;                       /* what writers get */
	void (*add_hooks)(struct data_hooks *hooks); /* NULL: those below are all */
};

static inline void on_will_write(void *arg, uint64_t ino)
{
	struct fixture *f = arg;

	f->will_write++;
	if (ino == f->watched) {
		struct meta_attr attr = {.ino = ino};

		f->pending_seen = data_pending(f->data, &attr);
	}
}

static inline void on_changed(void *arg, uint64_t ino, uint64_t offset, uint64_t length)
{
	struct fixture *f = arg;

	(void)ino, (void)offset, (void)length;
	f->changed++;
}

static inline void on_forgotten(void *arg, uint64_t ino)
{
	struct fixture *f = arg;

	(void)ino;
	f->forgotten++;
}

static inline int on_may_write(void *arg)
{
	return ((struct fixture *)arg)->may_write;
}

static inline bool on_may_delete(void *arg, uint64_t sequence)
{
	struct fixture *f = arg;

	if (!f->backed_up || sequence <= f->shipped)
		return true;
	f->deletes_refused++;
	return false;
}

static inline uint64_t on_first_private(void *arg)
{
	struct fixture *f = arg;

	return f->first_private ? f->first_private : UINT64_MAX;
}

static inline void on_want_delete(void *arg)
{
	struct fixture *f = arg;

	f->shipped = meta_sequence(f->meta);
	f->deletes_wanted++;
}

static inline void on_all_committed(void *arg)
{
	struct fixture *f = arg;

	f->shipped = meta_sequence(f->meta);
}

static inline void fixture_open(struct fixture *f)
{
	struct data_hooks hooks = {.will_write = on_will_write,
	                           .changed = on_changed,
	                           .forgotten = on_forgotten,
	                           .may_write = on_may_write,
	                           .may_delete = on_may_delete,
	                           .first_private = on_first_private,
	                           .want_delete = on_want_delete,
	                           .all_committed = on_all_committed,
	                           .arg = f};
	struct cache_options cache = {.volume_uuid = "00000000-1111-2222-3333-444444444444",
	                              .max_bytes = f->kind == TINY ? 512 * KIB : 0};
	struct store_options store = {.create = true};
	char path[PATH_MAX], *why = NULL;

	if (f->add_hooks)
		f->add_hooks(&hooks);
	snprintf(path, sizeof(path), "file://%s/store", f->top);
	if (store_open(path, &store, &f->store, &why))
		fail_msg("store_open: %s", why);
	if (f->faults && fault_store_open(f->faults, f->store, &f->store, &why))
		fail_msg("fault_store_open: %s", why);
	snprintf(path, sizeof(path), "%s/meta", f->top);
	if (meta_open(path, &f->meta, &why))
		fail_msg("meta_open: %s", why);
	snprintf(path, sizeof(path), "%s/cache", f->top);
	cache.dir = path;
	if (f->kind != NONE && cache_open(&cache, &f->cache, &why))
		fail_msg("cache_open: %s", why);
	assert_int_equal(data_open(f->meta, f->store, f->cache, &f->options, &hooks, &f->data), 0);
}

/* @return what data_close() said. */
static inline int fixture_close(struct fixture *f)
{
	int r = data_close(f->data);

	f->data = NULL;
	if (f->cache)
		cache_close(f->cache);
	f->cache = NULL;
	meta_close(f->meta);
	store_close(f->store);
	return r;
}

static inline void fixture_reopen(struct fixture *f)
{
	assert_int_equal(fixture_close(f), 0);
	fixture_open(f);
}

static inline struct fixture *fixture_new(enum cache_kind kind)
{
	static const struct meta_volume volume = {
		.uuid = "00000000-1111-2222-3333-444444444444", .name = "test", .chunk_size = CHUNK};
	struct fixture *f = calloc(1, sizeof(*f));
	char path[PATH_MAX], *why = NULL;

	assert_non_null(f);
	f->top = tempdir_make();
	assert_non_null(f->top);
	f->kind = kind;
	f->options = (struct data_options){.memory_bytes = 8 * MIB, .read_ahead = 2 * MIB};
	snprintf(path, sizeof(path), "%s/meta", f->top);
	if (meta_format(path, &volume, &why))
		fail_msg("meta_format: %s", why);
	/* Errors that a test provokes are not for people. */
	log_set_level(LOG_CRIT);
	return f;
}

static inline int setup_kind(void **state, enum cache_kind kind)
{
	struct fixture *f = fixture_new(kind);

	fixture_open(f);
	*state = f;
	return 0;
}

static inline int setup_roomy(void **state)
{
	return setup_kind(state, ROOMY);
}

static inline int setup_tiny(void **state)
{
	return setup_kind(state, TINY);
}

static inline int setup_none(void **state)
{
	return setup_kind(state, NONE);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->data)
		fixture_close(f);
	tempdir_remove(f->top);
	free(f);
	return 0;
}

/* The same test with a cache that has room, one that has not, and none. */
#define WITH_EACH_CACHE(test)                                              \
	{#test " (cache)", test, setup_roomy, teardown, NULL},             \
		{#test " (tiny cache)", test, setup_tiny, teardown, NULL}, \
	{                                                                  \
#test " (no cache)", test, setup_none, teardown, NULL      \
	}

/* ---- short forms; they fail the test if the call fails ---- */

static inline uint64_t make_file(struct fixture *f, const char *name)
{
	const struct meta_cred cred = {.uid = 1000, .gid = 100};
	struct meta_attr attr;

	assert_int_equal(
		meta_create(f->meta, META_ROOT_INO, name, &cred, S_IFREG | 0644, 0, NULL, &attr, NULL), 0);
	return attr.ino;
}

static inline struct data_file *get(struct fixture *f, uint64_t ino)
{
	struct data_file *file;

	assert_int_equal(data_file_get(f->data, ino, &file), 0);
	return file;
}

static inline struct meta_attr attr_of(struct fixture *f, uint64_t ino)
{
	struct meta_attr attr;

	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	data_pending(f->data, &attr);
	return attr;
}

static inline void put_bytes(struct data_file *file, uint64_t offset, const void *bytes, size_t length)
{
	assert_int_equal(data_write(file, offset, length, bytes, false), 0);
}

static inline void commit_bytes(struct data_file *file, uint64_t offset, const void *bytes, size_t length)
{
	put_bytes(file, offset, bytes, length);
	assert_int_equal(data_flush(file), 0);
}

static inline void truncate_to(struct fixture *f, uint64_t ino, uint64_t size)
{
	struct meta_attr attr = {.size = size}, after;

	assert_int_equal(data_truncate(f->data, ino, META_SET_SIZE, &attr, &after), 0);
	assert_true(after.size == size);
}

static inline void expect_bytes(struct data_file *file, uint64_t offset, const void *bytes, size_t length)
{
	_cleanup_free_ char *buffer = malloc(length + 1);

	assert_int_equal(data_read(file, offset, length, buffer), length);
	for (size_t i = 0; i < length; i++)
		if (buffer[i] != ((const char *)bytes)[i])
			fail_msg("byte %zu of %zu at %" PRIu64 " is %02x, not %02x", i, length, offset,
			         (unsigned char)buffer[i], ((const unsigned char *)bytes)[i]);
}

/* ---- a file and what it must hold ---- */

struct model {
	uint64_t ino, size;
	char *bytes; /* MODEL_MAX */
	unsigned seed;
};
#define MODEL_MAX (6 * MIB)

static inline void model_init(struct model *m, uint64_t ino, unsigned seed)
{
	*m = (struct model){.ino = ino, .bytes = calloc(1, MODEL_MAX), .seed = seed};
	assert_non_null(m->bytes);
}

static inline unsigned model_random(struct model *m, unsigned below)
{
	return (unsigned)rand_r(&m->seed) % below;
}

static inline void model_write(struct model *m, struct data_file *file, uint64_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++)
		m->bytes[offset + i] = (char)rand_r(&m->seed);
	put_bytes(file, offset, m->bytes + offset, length);
	if (offset + length > m->size)
		m->size = offset + length;
}

static inline void model_truncate(struct model *m, struct fixture *f, uint64_t size)
{
	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
	truncate_to(f, m->ino, size);
}

static inline void model_check(struct model *m, struct fixture *f, struct data_file *file)
{
	struct meta_attr attr = attr_of(f, m->ino);
	char one;

	assert_int_equal(attr.size, m->size);
	for (uint64_t at = 0; at < m->size;) {
		size_t n = 1 + model_random(m, 300 * KIB);

		if (n > m->size - at)
			n = m->size - at;
		expect_bytes(file, at, m->bytes + at, n);
		at += n;
	}
	assert_int_equal(data_read(file, m->size, 1, &one), 0);
}

/* ---- objects ---- */

static inline int count_object(const struct store_object *object, void *arg)
{
	(void)object;
	++*(size_t *)arg;
	return 0;
}

static inline size_t objects_in_store(struct fixture *f)
{
	size_t count = 0;

	assert_int_equal(store_list(f->store, "data/", count_object, &count), 0);
	return count;
}

/* Distinct objects that the metadata of @p ino name; each must be in the store, with its size. */
static inline size_t objects_of(struct fixture *f, uint64_t ino)
{
	struct meta_attr attr;
	size_t count = 0;

	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	for (uint64_t chunk = 0; chunk * CHUNK < attr.size; chunk++) {
		_cleanup_slices_ struct meta_slices list = {};

		assert_int_equal(meta_slices(f->meta, ino, chunk, &list), 0);
		for (size_t i = 0; i < list.count; i++) {
			char key[DATA_KEY_MAX];
			uint64_t size;
			bool seen = false;

			for (size_t j = 0; j < i; j++)
				seen |= list.slices[j].object == list.slices[i].object;
			data_object_key(list.slices[i].object, list.slices[i].size, key);
			assert_int_equal(store_head(f->store, key, &size), 0);
			assert_int_equal(size, data_object_bytes(list.slices[i].size));
			count += !seen;
		}
	}
	return count;
}

/* Close, with all garbage deleted, and compare: the objects of @p ino are all there are. */
static inline void expect_no_leftover(struct fixture *f, uint64_t ino)
{
	fixture_reopen(f);
	assert_int_equal(objects_in_store(f), ino ? objects_of(f, ino) : 0);
}

/* The end of a test: @p file is as @p m says, now and after a new start, and nothing is left over. Ends both.
 */
static inline void model_finish(struct model *m, struct fixture *f, struct data_file *file)
{
	model_check(m, f, file);
	data_file_put(file);
	expect_no_leftover(f, m->ino);
	file = get(f, m->ino);
	model_check(m, f, file);
	data_file_put(file);
	free(m->bytes);
}

#endif
