/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many slices name an object ('K', codec.h).  While a transaction changes slice lists it only notes what
 * came and went; the sums are written at its end, in the order of the objects: so those who share several
 * objects do not deadlock, and a list that is rewritten around a slice costs nothing for it.
 */
#include "daemon/meta/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"

static int note(struct meta_txn *t, const struct meta_slice *slice, int change)
{
	struct meta_refs *refs = &t->refs;

	if (!slice->object)
		return 0;
	if (refs->count == refs->room) {
		size_t room = refs->room ? 2 * refs->room : 64;
		struct meta_ref *bigger = reallocarray(refs->list, room, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		refs->list = bigger;
		refs->room = room;
	}
	refs->list[refs->count++] =
		(struct meta_ref){.object = slice->object, .size = slice->size, .change = change};
	return 0;
}

static int note_all(struct meta_txn *t, const struct meta_slice *slices, size_t count, int change)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = note(t, &slices[i], change);
	return r;
}

int txn_refs_came(struct meta_txn *t, const struct meta_slice *slices, size_t count)
{
	return note_all(t, slices, count, 1);
}

int txn_refs_went(struct meta_txn *t, const struct meta_slice *slices, size_t count)
{
	return note_all(t, slices, count, -1);
}

int txn_refs_new(struct meta_txn *t, const struct meta_slice *slice)
{
	return note(t, slice, 0);
}

static int by_object(const void *a, const void *b)
{
	uint64_t x = ((const struct meta_ref *)a)->object, y = ((const struct meta_ref *)b)->object;

	return x < y ? -1 : x > y;
}

/* References beyond the first; locked, for others share the object. */
static int get_more(struct meta_txn *t, uint64_t object, uint64_t *ret)
{
	struct meta_key key = meta_key_number('K', object);
	_cleanup_free_ void *value = NULL;
	size_t size;
	int r = kv_get(t->kv, meta_key_slice(&key), true, &value, &size);

	if (r == -ENOENT) {
		*ret = 0;
		return 0;
	}
	return r < 0 ? r : meta_decode_references((struct kv_slice){value, size}, ret);
}

static int settle(struct meta_txn *t, const struct meta_ref *ref, int64_t change, bool new)
{
	unsigned char value[META_VALUE_MAX];
	uint64_t more = 0, count;
	int r = 0;

	if (!new)
		r = get_more(t, ref->object, &more);
	if (r < 0)
		return r;
	count = new ? 0 : more + 1;
	if (change < 0 && (uint64_t)-change > count)
		return -EBADMSG;
	count += change;
	if (count > 1)
		r = txn_put(t, meta_key_number('K', ref->object), value,
		            meta_encode_references(count - 1, value));
	else if (more)
		r = txn_delete(t, meta_key_number('K', ref->object));
	if (r < 0 || count)
		return r;
	return txn_put(t, meta_key_number('G', ref->object), value, meta_encode_garbage(ref->size, value));
}

int txn_settle_refs(struct meta_txn *t)
{
	struct meta_ref *list = t->refs.list;
	size_t count = t->refs.count;
	int r = 0;

	if (count)
		qsort(list, count, sizeof(*list), by_object);
	for (size_t i = 0, next; !r && i < count; i = next) {
		bool new = false, went = false;
		int64_t change = 0;

		for (next = i; next < count && list[next].object == list[i].object; next++) {
			change += list[next].change;
			new |= !list[next].change;
			went |= list[next].change < 0;
		}
		/* A commit that is repeated, since only its fsync failed, finds its objects named already. */
		new = new && !went;
		if (change || new)
			r = settle(t, &list[i], change, new);
	}
	return r;
}
