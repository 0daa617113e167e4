/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a volume's metadata: format, open, close; usage; the numbers that are never used twice. */
#include "daemon/meta/check.h"
#include "daemon/meta/internal.h"
#include "daemon/meta/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

enum {
	ID_RANGE = 1024 /* numbers reserved at a time */
};

static int fail(char **ret_why, int r, const char *dir, const char *why)
{
	if (asprintf(ret_why, "%s: %s", dir, why) < 0)
		*ret_why = NULL;
	return r;
}

static int put_number(struct kv_txn *txn, char which, uint64_t number)
{
	struct meta_key key = meta_key_counter(which);
	unsigned char value[META_VALUE_MAX];
	size_t size = meta_encode_number(number, value);

	return kv_put(txn, meta_key_slice(&key), (struct kv_slice){value, size});
}

static int get_number(struct kv_txn *txn, char which, bool lock, uint64_t *ret)
{
	struct meta_key key = meta_key_counter(which);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r = kv_get(txn, meta_key_slice(&key), lock, &value, &size);

	return r < 0 ? r : meta_decode_number((struct kv_slice){value, size}, ret);
}

static int get_usage(struct kv_txn *txn, char which, uint64_t *ret)
{
	struct meta_key key = meta_key_counter(which);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r = kv_get(txn, meta_key_slice(&key), false, &value, &size);

	if (r == -ENOENT) {
		*ret = 0; /* nothing was added yet */
		return 0;
	}
	return r < 0 ? r : meta_decode_counter((struct kv_slice){value, size}, ret);
}

static int get_volume(struct kv_txn *txn, struct meta_volume *ret)
{
	struct meta_key key = meta_key_plain('V');
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r = kv_get(txn, meta_key_slice(&key), false, &value, &size);

	return r < 0 ? r : meta_decode_volume((struct kv_slice){value, size}, ret);
}

/* Everything of a new volume, in one transaction: a format that was interrupted left nothing. */
static int put_new_volume(struct kv_txn *txn, const struct meta_volume *volume)
{
	struct meta_key volume_key = meta_key_plain('V'), root_key = meta_key_number('I', META_ROOT_INO);
	struct meta_key inodes_key = meta_key_counter('n');
	unsigned char value[META_VALUE_MAX];
	struct inode root = {
		.attr = {.ino = META_ROOT_INO,
	                 .generation = 1,
	                 .size = 4096,
	                 .version = 1,
	                 .parent = META_ROOT_INO,
	                 .mode = S_IFDIR | 0755,
	                 .nlink = 2,
	                 .uid = geteuid(),
	                 .gid = getegid()},
		.next_position = META_POSITION_FIRST,
	};
	struct timespec now;
	int r;

	clock_gettime(CLOCK_REALTIME, &now);
	root.attr.atime = root.attr.mtime = root.attr.ctime = root.attr.btime = now;
	r = kv_put(txn, meta_key_slice(&root_key), (struct kv_slice){value, meta_encode_inode(&root, value)});
	if (!r)
		r = put_number(txn, 'e', 0);
	if (!r)
		r = put_number(txn, 'i', META_ROOT_INO + 1);
	if (!r)
		r = put_number(txn, 'o', META_FIRST_OBJECT);
	if (!r)
		r = kv_add(txn, meta_key_slice(&inodes_key), 1);
	if (!r)
		r = kv_put(txn, meta_key_slice(&volume_key),
		           (struct kv_slice){value, meta_encode_volume(volume, value)});
	return r;
}

int meta_format(const char *dir, const struct meta_volume *volume, char **ret_why)
{
	struct meta_volume there;
	struct kv_txn *txn;
	struct kv *kv;
	uint32_t chunk = volume->chunk_size;
	int r;

	if (chunk < 1 << 20 || chunk > 64 << 20 || (chunk & (chunk - 1)))
		return fail(ret_why, -EINVAL, dir, "the chunk size must be a power of two, 1 MiB to 64 MiB");
	r = kv_open(dir, true, &kv, ret_why);
	if (r < 0)
		return r;
	r = kv_begin(kv, &txn);
	if (!r) {
		r = get_volume(txn, &there);
		if (r == -ENOENT)
			r = put_new_volume(txn, volume);
		else if (!r || r == -EPROTO)
			r = -EEXIST;
		if (!r)
			r = kv_commit(txn, true);
		else
			kv_rollback(txn);
	}
	kv_close(kv);
	return r == -EEXIST ? fail(ret_why, r, dir, "there is the metadata of a volume already")
	       : r < 0      ? fail(ret_why, r, dir, strerror(-r))
	                    : 0;
}

/* Count the open, and read what is kept in memory. */
static int load(struct meta *m)
{
	uint64_t epoch, bytes, inodes, object;
	struct meta_txn t = {.m = m};
	struct inode root;
	int r;

	r = kv_begin(m->kv, &t.kv);
	if (r < 0)
		return r;
	r = get_volume(t.kv, &m->volume);
	if (!r)
		r = txn_get_inode(&t, META_ROOT_INO, false, &root);
	if (!r)
		r = get_usage(t.kv, 'b', &bytes);
	if (!r)
		r = get_usage(t.kv, 'n', &inodes);
	if (!r)
		r = get_number(t.kv, 'o', false, &object);
	if (!r)
		r = get_number(t.kv, 'e', true, &epoch);
	if (r == -ENOENT && m->volume.chunk_size)
		r = -EBADMSG; /* there is a volume, but not all of it */
	if (!r && epoch >= UINT64_MAX >> META_EPOCH_SHIFT)
		r = -EOVERFLOW;
	if (!r)
		r = put_number(t.kv, 'e', epoch + 1);
	if (r < 0) {
		kv_rollback(t.kv);
		return r;
	}
	m->version_floor = (epoch + 1) << META_EPOCH_SHIFT;
	m->first_object = object;
	m->inos.counter = 'i';
	m->objects.counter = 'o';
	m->bytes = bytes;
	m->inodes = inodes;
	return kv_commit(t.kv, true);
}

/* Truncations that the end of the last process interrupted: few, one per thread that was in one. */
static int finish_cuts(struct meta *m)
{
	struct meta_txn t = {.m = m};
	_cleanup_free_ uint64_t *inos = NULL;
	size_t count = 0;
	int r;

	r = kv_begin_read(m->kv, &t.kv);
	if (r < 0)
		return r;
	r = txn_list_numbers(&t, 'T', &inos, &count);
	kv_rollback(t.kv);
	for (size_t i = 0; !r && i < count; i++) {
		/* One that fails stays on record, and readers of that file still see holes there. */
		int failed = meta_finish_cut(m, inos[i]);

		if (failed < 0)
			log_debug("metadata: cannot complete the truncation of inode %llu: %s",
			          (unsigned long long)inos[i], strerror(-failed));
	}
	return r;
}

static int open_with(const char *dir, int (*load_it)(struct meta *m), struct meta **ret, char **ret_why)
{
	struct meta *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return fail(ret_why, -ENOMEM, dir, strerror(ENOMEM));
	pthread_mutex_init(&m->id_lock, NULL);
	pthread_mutex_init(&m->crowded_lock, NULL);
	pthread_mutex_init(&m->firsts_lock, NULL);
	r = kv_open(dir, false, &m->kv, ret_why);
	if (r < 0) {
		meta_close(m);
		return r;
	}
	r = load_it(m);
	if (r < 0) {
		meta_close(m);
		return fail(ret_why, r, dir,
		            r == -ENOENT    ? "no volume was formatted here"
		            : r == -EPROTO  ? "made by another version of this program"
		            : r == -EBADMSG ? "the metadata is damaged"
		                            : strerror(-r));
	}
	*ret = m;
	return 0;
}

static int load_and_finish_cuts(struct meta *m)
{
	int r = load(m);

	return r < 0 ? r : finish_cuts(m);
}

int meta_open(const char *dir, struct meta **ret, char **ret_why)
{
	return open_with(dir, load_and_finish_cuts, ret, ret_why);
}

void meta_close(struct meta *m)
{
	if (!m)
		return;
	if (m->kv && kv_sync(m->kv) < 0)
		log_debug("metadata: closed without a sync; a power failure may take the last changes");
	kv_close(m->kv);
	pthread_mutex_destroy(&m->firsts_lock);
	pthread_mutex_destroy(&m->crowded_lock);
	pthread_mutex_destroy(&m->id_lock);
	free(m);
}

/* What has to be there for anything to be checked. */
static int load_to_repair(struct meta *m)
{
	struct kv_txn *txn;
	uint64_t epoch;
	int r = kv_begin_read(m->kv, &txn);

	if (r < 0)
		return r;
	r = get_volume(txn, &m->volume);
	if (!r && get_number(txn, 'e', false, &epoch) == 0 && epoch < UINT64_MAX >> META_EPOCH_SHIFT)
		m->version_floor = (epoch + 1) << META_EPOCH_SHIFT;
	kv_rollback(txn);
	m->inos.counter = 'i';
	m->objects.counter = 'o';
	return r;
}

int meta_open_to_repair(const char *dir, struct meta **ret, char **ret_why)
{
	return open_with(dir, load_to_repair, ret, ret_why);
}

uint64_t meta_first_object(const struct meta *m)
{
	return m->first_object;
}

static int skip(struct kv_txn *txn, char which, uint64_t count, uint64_t limit)
{
	uint64_t number;
	int r = get_number(txn, which, true, &number);

	if (r < 0)
		return r;
	return number > limit - count ? -EOVERFLOW : put_number(txn, which, number + count);
}

int volume_skip_ids(struct kv_txn *txn, struct meta_volume *ret, struct meta_usage *ret_usage)
{
	int r = get_volume(txn, ret);

	if (!r)
		r = get_usage(txn, 'b', &ret_usage->bytes);
	if (!r)
		r = get_usage(txn, 'n', &ret_usage->inodes);
	if (!r)
		r = skip(txn, 'o', META_SKIP_OBJECTS, INT64_MAX);
	if (!r)
		r = skip(txn, 'i', META_SKIP_INOS, INT64_MAX);
	if (!r)
		r = skip(txn, 'e', META_SKIP_OPENS, UINT64_MAX >> META_EPOCH_SHIFT);
	return r;
}

void meta_set_guard(struct meta *m, meta_guard_fn guard, void *arg)
{
	m->guard_arg = arg;
	m->guard = guard;
}

const struct meta_volume *meta_volume(const struct meta *m)
{
	return &m->volume;
}

int meta_sync(struct meta *m)
{
	return kv_sync(m->kv);
}

uint64_t meta_moment(struct meta *m)
{
	return kv_commits(m->kv);
}

int meta_sync_to(struct meta *m, uint64_t moment)
{
	return kv_sync_to(m->kv, moment);
}

void meta_get_usage(struct meta *m, struct meta_usage *ret)
{
	ret->bytes = atomic_load(&m->bytes);
	ret->inodes = atomic_load(&m->inodes);
}

void meta_set_usage_changed(struct meta *m, void (*fn)(void *arg), void *arg)
{
	m->usage_changed_arg = arg;
	m->usage_changed = fn;
}

static int reserve(struct meta_txn *t, void *arg)
{
	struct id_range *range = arg;
	uint64_t first;
	int r = get_number(t->kv, range->counter, true, &first);

	if (r < 0)
		return r;
	if (!first || first > INT64_MAX - ID_RANGE)
		return -EOVERFLOW;
	range->next = first;
	range->end = first + ID_RANGE;
	return put_number(t->kv, range->counter, range->end);
}

/* Durable before use: after a power failure a number may be known to the object store or to a data cache,
 * though the metadata that named it is lost. */
static int new_id(struct meta *m, struct id_range *range, uint64_t *ret)
{
	SCOPED_LOCK(&m->id_lock);
	if (range->next == range->end) {
		struct id_range fresh = {.counter = range->counter};
		int r = meta_run(m, true, reserve, &fresh);

		if (r < 0)
			return r;
		*range = fresh;
	}
	*ret = range->next++;
	return 0;
}

int meta_new_ino(struct meta *m, uint64_t *ret_ino)
{
	return new_id(m, &m->inos, ret_ino);
}

int meta_new_object(struct meta *m, uint64_t *ret_id)
{
	return new_id(m, &m->objects, ret_id);
}

static int read_counter(struct meta_txn *t, void *arg)
{
	struct id_range *range = arg;

	return get_number(t->kv, range->counter, false, &range->next);
}

int meta_next_object(struct meta *m, uint64_t *ret_id)
{
	SCOPED_LOCK(&m->id_lock);
	struct id_range next = m->objects;
	/* All handed out: the next range begins where the counter is. */
	int r = next.next == next.end ? meta_run_read(m, read_counter, &next) : 0;

	if (!r)
		*ret_id = next.next;
	return r;
}
