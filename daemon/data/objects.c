/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/data/internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <endian.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

/*
 * Two levels of folders: ids are handed out in order, and no folder of a file:// store gets more than its
 * share. 256 neighbours are in one, as to make a folder takes a disk longer than to make an object; all over
 * the prefixes of the store are those after them.  The ids of early volumes are spread one by one.
 */
void data_object_key(uint64_t object, uint32_t size, char ret[DATA_KEY_MAX])
{
	uint64_t place = object < META_FIRST_OBJECT ? object : object >> 8;

	snprintf(ret, DATA_KEY_MAX, "data/%02x/%02x/%016" PRIx64 "_%" PRIu32, (unsigned)(place & 0xff),
	         (unsigned)(place >> 8 & 0xff), object, size);
}

int data_object_of_key(const char *key, uint64_t *ret_object, uint32_t *ret_size)
{
	char again[DATA_KEY_MAX];
	uint64_t object;
	uint32_t size;

	if (sscanf(key, DATA_KEY_PREFIX "%*2[0-9a-f]/%*2[0-9a-f]/%16" SCNx64 "_%10" SCNu32, &object, &size) !=
	    2)
		return -EINVAL;
	data_object_key(object, size, again);
	if (strcmp(key, again) != 0)
		return -EINVAL;
	*ret_object = object;
	*ret_size = size;
	return 0;
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

/* ---- checksums; data.h says how an object is laid out ---- */

static uint32_t crc_begin(uint64_t object, uint64_t block)
{
	const uint64_t place[2] = {htole64(object), htole64(block)};

	return crc32_iscsi((unsigned char *)place, sizeof(place), ~0u);
}

static uint32_t crc_add(uint32_t crc, const void *bytes, size_t length)
{
	/* ISA-L takes a pointer that it does not write to. */
	return crc32_iscsi((unsigned char *)bytes, (int)length, crc);
}

static uint32_t block_length(uint32_t size, uint64_t block)
{
	uint64_t left = size - block * DATA_OBJECT_BLOCK;

	return left < DATA_OBJECT_BLOCK ? left : DATA_OBJECT_BLOCK;
}

void *object_buffer(uint32_t size)
{
	return malloc(data_object_bytes(size));
}

/* Move the blocks apart, the last one first, for their checksums. */
static void seal(char *buffer, uint64_t object, uint32_t size)
{
	for (uint64_t block = ((uint64_t)size + DATA_OBJECT_BLOCK - 1) / DATA_OBJECT_BLOCK; block-- > 0;) {
		char *from = buffer + block * DATA_OBJECT_BLOCK, *to = from + block * DATA_OBJECT_CRC;
		uint32_t length = block_length(size, block);
		uint32_t crc = htole32(~crc_add(crc_begin(object, block), from, length));

		memmove(to, from, length);
		memcpy(to + length, &crc, sizeof(crc));
	}
}

/* A range of an object that is being read: whole blocks, of which the ends may not be wanted. */
struct piece {
	uint64_t object, first, blocks;
	uint32_t size, offset, length;
	char *bytes;  /* wanted */
	char *before; /* in the first block, `lead` bytes, then `trail` bytes of the last one */
	uint32_t lead, trail;
	uint32_t *crcs; /* as they are in the object */
	struct iovec *parts;
	size_t count;
};

static void piece_add(struct piece *p, void *base, size_t length)
{
	if (length)
		p->parts[p->count++] = (struct iovec){.iov_base = base, .iov_len = length};
}

/* Where the bytes of each block go: in the buffer, but for what comes before and behind it. */
static int piece_lay_out(struct piece *p)
{
	uint64_t end = (uint64_t)p->offset + p->length, last = (end - 1) / DATA_OBJECT_BLOCK;
	char *at = p->bytes;

	p->first = p->offset / DATA_OBJECT_BLOCK;
	p->blocks = last - p->first + 1;
	p->lead = p->offset - p->first * DATA_OBJECT_BLOCK;
	p->trail = last * DATA_OBJECT_BLOCK + block_length(p->size, last) - end;
	p->before = malloc(p->lead + p->trail + 1);
	p->crcs = calloc(p->blocks, sizeof(*p->crcs));
	p->parts = calloc(2 * p->blocks + 2, sizeof(*p->parts));
	if (!p->before || !p->crcs || !p->parts)
		return -ENOMEM;
	piece_add(p, p->before, p->lead);
	for (uint64_t i = 0; i < p->blocks; i++) {
		uint32_t length = block_length(p->size, p->first + i);

		length -= (i == 0 ? p->lead : 0) + (i == p->blocks - 1 ? p->trail : 0);
		piece_add(p, at, length);
		if (i == p->blocks - 1)
			piece_add(p, p->before + p->lead, p->trail);
		piece_add(p, &p->crcs[i], sizeof(*p->crcs));
		at += length;
	}
	return 0;
}

static void piece_clear(struct piece *p)
{
	free(p->before);
	free(p->crcs);
	free(p->parts);
}

/* @return the first block that does not fit its checksum, or UINT64_MAX. */
static uint64_t piece_check(const struct piece *p)
{
	const struct iovec *part = p->parts;

	for (uint64_t i = 0; i < p->blocks; i++) {
		uint32_t crc = crc_begin(p->object, p->first + i);

		for (; part->iov_base != &p->crcs[i]; part++)
			crc = crc_add(crc, part->iov_base, part->iov_len);
		part++;
		if (~crc != le32toh(p->crcs[i]))
			return p->first + i;
	}
	return UINT64_MAX;
}

int object_upload(struct data *d, void *buffer, uint32_t size, uint64_t *ret_object)
{
	char key[DATA_KEY_MAX];
	uint64_t object;
	int r = meta_new_object(d->meta, &object);

	if (r < 0)
		return r;
	data_object_key(object, size, key);
	seal(buffer, object, size);
	transfer_begin(d->transfer, TRANSFER_UP);
	/* Not store_put_new(): ids are never used again, and a repeated request may meet its own object. */
	r = store_put_once(d->store, key, buffer, data_object_bytes(size));
	transfer_end(d->transfer, TRANSFER_UP);
	if (r < 0) {
		if (r == -ENOSPC) {
			atomic_store(&d->store_full, true);
			janitor_kick(d);
		}
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
	_cleanup_(piece_clear) struct piece p = {
		.object = object, .size = size, .offset = offset, .length = length, .bytes = buffer};
	uint64_t bad = UINT64_MAX;
	char key[DATA_KEY_MAX];
	int r;

	if (!length || offset >= size || length > size - offset)
		return -EINVAL;
	r = piece_lay_out(&p);
	if (r < 0)
		return r;
	data_object_key(object, size, key);
	/* Twice: perhaps it was only on the way here that a bit fell over. */
	for (int try = 0; try < 2; try++) {
		transfer_begin(d->transfer, TRANSFER_DOWN);
		r = store_get_parts(d->store, key, p.first * (DATA_OBJECT_BLOCK + DATA_OBJECT_CRC), p.parts,
		                    p.count);
		transfer_end(d->transfer, TRANSFER_DOWN);
		if (r < 0)
			break;
		bad = piece_check(&p);
		if (bad == UINT64_MAX)
			return 0;
	}
	if (r < 0 && r != -ENOENT)
		log_warning("reading from the store failed: %s", store_last_error());
	if (r == 0)
		log_error("%s/%s is damaged: its bytes from %" PRIu64
		          " on (64 KiB) do not fit their checksum, and are not handed out",
		          store_url(d->store), key, bad * (DATA_OBJECT_BLOCK + DATA_OBJECT_CRC));
	if (r == 0)
		r = -EBADMSG;
	return r == -ENOENT ? r : store_error(r);
}

/* The blocks of @piece, which begins with block @first. @return the first that does not fit, or UINT64_MAX.
 */
static uint64_t verify_blocks(const char *piece, uint64_t object, uint32_t size, uint64_t first,
                              uint64_t count)
{
	for (uint64_t block = first; block < first + count; block++) {
		uint32_t length = block_length(size, block), crc;

		memcpy(&crc, piece + length, sizeof(crc));
		if (~crc_add(crc_begin(object, block), piece, length) != le32toh(crc))
			return block;
		piece += length + DATA_OBJECT_CRC;
	}
	return UINT64_MAX;
}

int data_object_verify(struct store *store, uint64_t object, uint32_t size, uint64_t *ret_at)
{
	enum { BLOCKS = 16 };
	const uint64_t stride = DATA_OBJECT_BLOCK + DATA_OBJECT_CRC, end = data_object_bytes(size);
	_cleanup_free_ char *piece = malloc(BLOCKS * stride);
	char key[DATA_KEY_MAX];

	if (!piece)
		return -ENOMEM;
	data_object_key(object, size, key);
	for (uint64_t at = 0; at < end; at += BLOCKS * stride) {
		uint64_t length = end - at < BLOCKS * stride ? end - at : BLOCKS * stride;
		uint64_t bad = UINT64_MAX;

		for (int try = 0; try < 2; try++) {
			int r = store_get(store, key, at, length, piece);

			if (r < 0)
				return r;
			bad = verify_blocks(piece, object, size, at / stride, (length + stride - 1) / stride);
			if (bad == UINT64_MAX)
				break;
		}
		if (bad != UINT64_MAX) {
			*ret_at = bad * stride;
			return -EBADMSG;
		}
	}
	return 0;
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
