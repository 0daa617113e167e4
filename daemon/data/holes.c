/* SPDX-License-Identifier: Apache-2.0 */
/* data_fallocate() and data_seek(): holes are made and found in the metadata, after a commit. */
#include "daemon/data/internal.h"

#include "common/cleanup.h"

#include <errno.h>

static int fallocate_locked(struct data_file *f, bool zero, bool keep_size, uint64_t offset, uint64_t length)
{
	struct meta_attr attr = {}, after;
	uint64_t size, end = offset + length;
	struct past past;
	int r = flush_locked(f, true);

	if (r < 0)
		return r;
	size = f->size; /* nobody else changes it now */
	attr.size = keep_size || end < size ? size : end;
	if (!zero || offset >= size)
		return truncate_locked(f, 0, &attr, &after);

	if (end > size)
		end = size;
	past_begin(f, offset, end - offset, attr.size, &past);
	r = meta_punch(f->d->meta, f->ino, offset, end - offset, attr.size, &after);
	past_end(&past, r < 0 ? NULL : &after);
	if (r == 0 && past.cache)
		cache_show(past.cache, offset, end - offset, NULL);
	return r;
}

int data_fallocate(struct data_file *f, bool zero, bool keep_size, uint64_t offset, uint64_t length)
{
	int r;

	if (!length)
		return -EINVAL;
	if (length > META_SIZE_MAX || offset > META_SIZE_MAX - length)
		return -EFBIG;
	r = file_begin_change(f, true);
	if (r < 0)
		return r;
	pthread_mutex_lock(&f->flush);
	pthread_mutex_lock(&f->io);
	r = fallocate_locked(f, zero, keep_size, offset, length);
	pthread_mutex_unlock(&f->io);
	pthread_mutex_unlock(&f->flush);
	file_end_change(f);
	return r;
}

int data_seek(struct data_file *f, uint64_t offset, bool hole, uint64_t *ret)
{
	int r = file_commit(f);

	return r < 0 ? r : meta_seek(f->d->meta, f->ino, offset, hole, ret);
}
