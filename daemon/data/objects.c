/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/data/internal.h"

#include "common/log.h"

#include <inttypes.h>

/*
 * Two levels of folders by the low digits: ids are handed out in order, so neighbours are spread over
 * the prefixes of the store, and no folder of a file:// store gets more than its share.
 */
void data_object_key(uint64_t object, uint32_t size, char ret[DATA_KEY_MAX])
{
	snprintf(ret, DATA_KEY_MAX, "data/%02x/%02x/%016" PRIx64 "_%" PRIu32, (unsigned)(object & 0xff),
	         (unsigned)(object >> 8 & 0xff), object, size);
}

/* An object's own failure is this file system's, not the caller's: "no such file" would be a lie. */
static int store_error(int r)
{
	switch (r) {
	case -ENOENT:
	case -ENODATA:
	case -EBADMSG:
	case -EINVAL:
	case -EEXIST:
		return -EIO;
	default:
		return r;
	}
}

int object_put(struct data *d, const void *buffer, uint32_t size, uint64_t *ret_object)
{
	char key[DATA_KEY_MAX];
	uint64_t object;
	int r = meta_new_object(d->meta, &object);

	if (r < 0)
		return r;
	data_object_key(object, size, key);
	transfer_begin(d->transfer, TRANSFER_UP);
	/* Not store_put_new(): ids are never used again, and a repeated request may meet its own object. */
	r = store_put(d->store, key, buffer, size);
	transfer_end(d->transfer, TRANSFER_UP);
	if (r < 0) {
		/* Once per outage. */
		if (!atomic_exchange(&d->put_failed, true))
			log_warning("writing to the store failed: %s", store_last_error());
		/* It may be there all the same, e.g. when only the answer was lost. */
		garbage_add(d, object, size);
		return store_error(r);
	}
	atomic_store(&d->put_failed, false);
	*ret_object = object;
	return 0;
}

int object_get(struct data *d, uint64_t object, uint32_t size, uint32_t offset, uint32_t length, void *buffer)
{
	char key[DATA_KEY_MAX];
	int r;

	data_object_key(object, size, key);
	transfer_begin(d->transfer, TRANSFER_DOWN);
	r = store_get(d->store, key, offset, length, buffer);
	transfer_end(d->transfer, TRANSFER_DOWN);
	return r == -ENOENT ? r : store_error(r);
}

int object_delete(struct data *d, uint64_t object, uint32_t size)
{
	char key[DATA_KEY_MAX];
	int r;

	data_object_key(object, size, key);
	transfer_begin(d->transfer, TRANSFER_UP);
	r = store_delete(d->store, key);
	transfer_end(d->transfer, TRANSFER_UP);
	return r;
}
