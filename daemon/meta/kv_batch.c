/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/meta/kv_batch.h"

#include <errno.h>

enum { HEADER = 12, COUNT_AT = 8 };

/* Of the default column family; everything else is of features that are not used here. */
enum tag {
	TAG_DELETE = 0x0,
	TAG_PUT = 0x1,
	TAG_MERGE = 0x2,
	TAG_LOG_DATA = 0x3,
	TAG_SINGLE_DELETE = 0x7,
	TAG_NOOP = 0xd,
};

struct reader {
	const unsigned char *at, *end;
};

/* A length in 7 bits a byte, lowest first, and as many bytes. */
static int read_string(struct reader *r, struct kv_slice *ret)
{
	uint32_t size = 0;

	for (unsigned shift = 0;; shift += 7) {
		unsigned char byte;

		if (r->at == r->end || shift > 28)
			return -EBADMSG;
		byte = *r->at++;
		if (shift == 28 && byte > 0xf)
			return -EBADMSG;
		size |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	if (size > (size_t)(r->end - r->at))
		return -EBADMSG;
	*ret = (struct kv_slice){r->at, size};
	r->at += size;
	return 0;
}

int kv_batch_count(struct kv_slice batch, uint32_t *ret)
{
	const unsigned char *p = batch.data;

	if (batch.size < HEADER)
		return -EBADMSG;
	p += COUNT_AT;
	*ret = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
	return 0;
}

/* One record; *ret_counts: whether it has a sequence number. */
static int read_record(struct reader *r, bool *ret_counts, kv_change_fn fn, void *arg)
{
	struct kv_slice key, value = {0};
	unsigned tag = *r->at++;
	int error;

	*ret_counts = tag != TAG_NOOP && tag != TAG_LOG_DATA;
	if (tag == TAG_NOOP)
		return 0;
	if (tag != TAG_DELETE && tag != TAG_PUT && tag != TAG_MERGE && tag != TAG_LOG_DATA &&
	    tag != TAG_SINGLE_DELETE)
		return -EPROTO;
	error = read_string(r, &key);
	if (!error && (tag == TAG_PUT || tag == TAG_MERGE))
		error = read_string(r, &value);
	if (error || tag == TAG_LOG_DATA)
		return error;
	if (tag == TAG_MERGE && value.size != 8)
		return -EPROTO;
	return fn(tag == TAG_PUT ? KV_PUT : tag == TAG_MERGE ? KV_ADD : KV_DELETE, key, value, arg);
}

int kv_batch_read(struct kv_slice batch, kv_change_fn fn, void *arg)
{
	const unsigned char *start = batch.data;
	struct reader r;
	uint32_t count, seen = 0;
	int error = kv_batch_count(batch, &count);

	if (error)
		return error;
	r = (struct reader){start + HEADER, start + batch.size};
	while (r.at < r.end) {
		bool counts;

		error = read_record(&r, &counts, fn, arg);
		if (error)
			return error;
		seen += counts;
	}
	return seen == count ? 0 : -EBADMSG;
}
