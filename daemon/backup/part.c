// SPDX-License-Identifier: Apache-2.0
#include "daemon/backup/part.h"

#include "common/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <isa-l/crc.h>
#include <string.h>
#include <zlib.h>

#define MAGIC "cfs-meta"

enum {
	VERSION = 1,
	HEADER_SIZE = 96,
	CRC_AT = 92,
	CHANGE_HEADER = 9,
	LEVEL = 1, /* of compression: fast */
};

static void put32(unsigned char *to, uint32_t n)
{
	n = htole32(n);
	memcpy(to, &n, sizeof(n));
}

static void put64(unsigned char *to, uint64_t n)
{
	n = htole64(n);
	memcpy(to, &n, sizeof(n));
}

static uint32_t get32(const unsigned char *from)
{
	uint32_t n;

	memcpy(&n, from, sizeof(n));
	return le32toh(n);
}

static uint64_t get64(const unsigned char *from)
{
	uint64_t n;

	memcpy(&n, from, sizeof(n));
	return le64toh(n);
}

/* ISA-L leaves the inversions to the caller. */
static uint32_t crc_of(const unsigned char *part, size_t size)
{
	uint32_t crc = crc32_iscsi((unsigned char *)part, CRC_AT, ~0u);

	return ~crc32_iscsi((unsigned char *)part + HEADER_SIZE, (int)(size - HEADER_SIZE), crc);
}

/* ---- writing ---- */

int part_add(struct part_buffer *b, enum kv_op op, struct kv_slice key, struct kv_slice value)
{
	size_t need = CHANGE_HEADER + key.size + value.size, room = b->room ? b->room : 1 << 16;
	unsigned char *p;

	if (key.size > PART_RAW_MAX || value.size > PART_RAW_MAX || need > PART_RAW_MAX - b->size)
		return -E2BIG;
	while (room < b->size + need)
		room *= 2;
	if (room > b->room) {
		p = realloc(b->bytes, room);
		if (!p)
			return -ENOMEM;
		b->bytes = p;
		b->room = room;
	}
	p = b->bytes + b->size;
	p[0] = op;
	put32(p + 1, (uint32_t)key.size);
	put32(p + 5, (uint32_t)value.size);
	memcpy(p + CHANGE_HEADER, key.data, key.size);
	if (value.size)
		memcpy(p + CHANGE_HEADER + key.size, value.data, value.size);
	b->size += need;
	b->changes++;
	return 0;
}

void part_clear(struct part_buffer *b)
{
	free(b->bytes);
	*b = (struct part_buffer){0};
}

int part_print(const struct part_buffer *b, const struct part_id *id, void **ret, size_t *ret_size,
               uint32_t *ret_crc)
{
	uLongf stored = compressBound(b->size);
	_cleanup_free_ unsigned char *p = calloc(1, HEADER_SIZE + stored);

	if (!p || compress2(p + HEADER_SIZE, &stored, b->size ? b->bytes : p, b->size, LEVEL) != Z_OK)
		return -ENOMEM;
	memcpy(p, MAGIC, 8);
	put32(p + 8, VERSION);
	put32(p + 12, id->kind);
	put64(p + 16, id->epoch);
	put64(p + 24, id->number);
	put32(p + 32, (uint32_t)b->size);
	put32(p + 36, (uint32_t)stored);
	put32(p + 40, b->changes);
	memcpy(p + 44, id->uuid, PART_UUID_SIZE);
	*ret_crc = crc_of(p, HEADER_SIZE + stored);
	put32(p + CRC_AT, *ret_crc);
	*ret_size = HEADER_SIZE + stored;
	*ret = TAKE_PTR(p);
	return 0;
}

/* ---- reading ---- */

uint32_t part_crc(const void *data, size_t size)
{
	return size < HEADER_SIZE ? 0 : get32((const unsigned char *)data + CRC_AT);
}

/* @return NULL, or what is wrong with it. */
static const char *check_header(const unsigned char *p, size_t size, const struct part_id *id, int *ret_error)
{
	*ret_error = -EBADMSG;
	if (size < HEADER_SIZE || memcmp(p, MAGIC, 8) != 0)
		return "it is not a part of a metadata backup";
	if (get32(p + 8) != VERSION && get32(p + 8)) {
		*ret_error = -EPROTO;
		return "it was made by a later version of curvefs: use that one";
	}
	if (get32(p + 36) != size - HEADER_SIZE)
		return "it was cut off, or is longer than it was";
	if (size > INT32_MAX || crc_of(p, size) != get32(p + CRC_AT))
		return "its checksum is wrong";
	if (get32(p + 12) != id->kind || get64(p + 16) != id->epoch || get64(p + 24) != id->number)
		return "it is another part than its name says";
	if (memcmp(p + 44, id->uuid, PART_UUID_SIZE) != 0)
		return "it belongs to another volume";
	if (get32(p + 32) > PART_RAW_MAX)
		return "it says that it is larger than a part can be";
	*ret_error = 0;
	return NULL;
}

static int read_changes(const unsigned char *at, size_t size, uint32_t count, kv_change_fn fn, void *arg)
{
	for (; count; count--) {
		struct kv_slice key, value;
		int r;

		if (size < CHANGE_HEADER)
			return -EBADMSG;
		key = (struct kv_slice){at + CHANGE_HEADER, get32(at + 1)};
		size -= CHANGE_HEADER;
		if (key.size > size || get32(at + 5) > size - key.size)
			return -EBADMSG;
		value = (struct kv_slice){at + CHANGE_HEADER + key.size, get32(at + 5)};
		size -= key.size + value.size;
		if (at[0] != KV_PUT && at[0] != KV_DELETE && at[0] != KV_ADD)
			return -EBADMSG;
		r = fn(at[0], key, value, arg);
		if (r)
			return r;
		at += CHANGE_HEADER + key.size + value.size;
	}
	return size ? -EBADMSG : 0;
}

int part_read(const void *data, size_t size, const struct part_id *id, kv_change_fn fn, void *arg,
              const char **ret_wrong)
{
	_cleanup_free_ unsigned char *raw = NULL;
	const unsigned char *p = data;
	uLongf raw_size;
	int r;

	*ret_wrong = check_header(p, size, id, &r);
	if (*ret_wrong)
		return r;
	raw_size = get32(p + 32);
	raw = malloc(raw_size + 1);
	if (!raw) {
		*ret_wrong = strerror(ENOMEM);
		return -ENOMEM;
	}
	if (uncompress(raw, &raw_size, p + HEADER_SIZE, size - HEADER_SIZE) != Z_OK ||
	    raw_size != get32(p + 32))
		r = -EBADMSG;
	else
		r = read_changes(raw, raw_size, get32(p + 40), fn, arg);
	if (r == -EBADMSG)
		*ret_wrong = "its contents make no sense";
	else if (r)
		*ret_wrong = strerror(r < 0 ? -r : ECANCELED);
	return r;
}
