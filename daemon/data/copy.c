/* SPDX-License-Identifier: Apache-2.0 */
/* data_copy(): what is committed of the one file becomes the contents of the other. */
#include "daemon/data/internal.h"

#include "common/cleanup.h"

#include <errno.h>

static ssize_t copy_locked(struct data_file *from, uint64_t from_offset, struct data_file *to,
                           uint64_t offset, size_t length)
{
	struct meta_attr after;
	uint64_t copied, size;
	struct past past;
	int r = flush_locked(to, true);

	if (r < 0)
		return r;
	pthread_mutex_lock(&from->lock);
	size = from->size;
	pthread_mutex_unlock(&from->lock);
	if (from_offset >= size)
		return 0;
	if (length > size - from_offset)
		length = size - from_offset;
	past_begin(to, offset, length, offset + length, &past);
	r = meta_copy_range(to->d->meta, from->ino, from_offset, to->ino, offset, length, &copied, &after);
	past_end(&past, r < 0 ? NULL : &after);
	if (r == 0)
		past_show(&past, offset, copied);
	return r < 0 ? r : (ssize_t)copied;
}

ssize_t data_copy(struct data_file *from, uint64_t from_offset, struct data_file *to, uint64_t offset,
                  size_t length)
{
	ssize_t r;

	if (length > META_SIZE_MAX || offset > META_SIZE_MAX - length || from_offset > META_SIZE_MAX - length)
		return -EFBIG;
	if (from == to && from_offset < offset + length && offset < from_offset + length)
		return -EINVAL;
	if (!length)
		return 0;
	/* One after the other, for nobody may hold the locks of two files. */
	r = from == to ? 0 : file_commit(from);
	if (r < 0)
		return r;
	r = file_begin_change(to, true);
	if (r < 0)
		return r;
	pthread_mutex_lock(&to->flush);
	pthread_mutex_lock(&to->io);
	r = copy_locked(from, from_offset, to, offset, length);
	pthread_mutex_unlock(&to->io);
	pthread_mutex_unlock(&to->flush);
	file_end_change(to);
	return r;
}
