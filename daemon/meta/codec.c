/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/meta/codec.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/meta/slices.h"

/* Volumes of version 1 had no 'K'. */
enum {
	RECORD_VERSION = 1,
	VOLUME_VERSION = 3, /* 2: object ids from 1 on */
	VOLUME_VERSION_MIN = 2,
	SLICE_SIZE = 4 + 4 + 8 + 4 + 4
};

/* ---- keys ---- */

static void key_add_be64(struct meta_key *key, uint64_t n)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		key->bytes[key->size++] = n >> shift;
}

static uint64_t get_be64(const unsigned char *p)
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | p[i];
	return n;
}

struct meta_key meta_key_plain(char kind)
{
	return (struct meta_key){.bytes = {kind}, .size = 1};
}

struct meta_key meta_key_counter(char which)
{
	return (struct meta_key){.bytes = {'N', which}, .size = 2};
}

struct meta_key meta_key_number(char kind, uint64_t number)
{
	struct meta_key key = meta_key_plain(kind);

	key_add_be64(&key, number);
	return key;
}

struct meta_key meta_key_pair(char kind, uint64_t ino, uint64_t second)
{
	struct meta_key key = meta_key_number(kind, ino);

	key_add_be64(&key, second);
	return key;
}

struct meta_key meta_key_name(char kind, uint64_t ino, const char *name)
{
	struct meta_key key = meta_key_number(kind, ino);
	size_t length = strnlen(name, META_NAME_MAX);

	memcpy(key.bytes + key.size, name, length);
	key.size += length;
	return key;
}

int meta_key_parse_number(struct kv_slice key, char kind, uint64_t *ret)
{
	const unsigned char *p = key.data;

	if (key.size != 9 || p[0] != (unsigned char)kind)
		return -EBADMSG;
	*ret = get_be64(p + 1);
	return 0;
}

int meta_key_parse_pair(struct kv_slice key, char kind, uint64_t *ret_ino, uint64_t *ret_second)
{
	const unsigned char *p = key.data;

	if (key.size != 17 || p[0] != (unsigned char)kind)
		return -EBADMSG;
	*ret_ino = get_be64(p + 1);
	*ret_second = get_be64(p + 9);
	return 0;
}

int meta_key_parse_name(struct kv_slice key, char kind, uint64_t *ret_ino, char *ret_name)
{
	const unsigned char *p = key.data;
	size_t length = key.size - 9;

	if (key.size < 10 || length > META_NAME_MAX || p[0] != (unsigned char)kind ||
	    memchr(p + 9, 0, length))
		return -EBADMSG;
	*ret_ino = get_be64(p + 1);
	memcpy(ret_name, p + 9, length);
	ret_name[length] = 0;
	return 0;
}

/* ---- writing and reading values ---- */

struct writer {
	unsigned char *at;
};

static void put_int(struct writer *w, uint64_t n, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*w->at++ = n >> (8 * i);
}

static void put_bytes(struct writer *w, const void *bytes, size_t size)
{
	memcpy(w->at, bytes, size);
	w->at += size;
}

static void put_time(struct writer *w, const struct timespec *t)
{
	put_int(w, t->tv_sec, 8);
	put_int(w, t->tv_nsec, 4);
}

/* Reads never go past the end: they give 0 and set `bad`, which the decoder asks once, at its end. */
struct reader {
	const unsigned char *at;
	size_t left;
	bool bad;
};

static const unsigned char *get_bytes(struct reader *r, size_t size)
{
	const unsigned char *p = r->at;

	if (size > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += size;
	r->left -= size;
	return p;
}

static uint64_t get_int(struct reader *r, int bytes)
{
	const unsigned char *p = get_bytes(r, bytes);
	uint64_t n = 0;

	for (int i = 0; p && i < bytes; i++)
		n |= (uint64_t)p[i] << (8 * i);
	return n;
}

static struct timespec get_time(struct reader *r)
{
	struct timespec t = {.tv_sec = (int64_t)get_int(r, 8)};

	t.tv_nsec = get_int(r, 4);
	if (t.tv_nsec >= 1000000000)
		r->bad = true;
	return t;
}

static struct reader reader_begin(struct kv_slice value)
{
	struct reader r = {value.data, value.size, false};

	if (get_int(&r, 1) != RECORD_VERSION)
		r.bad = true;
	return r;
}

static int reader_end(const struct reader *r)
{
	return r->bad || r->left ? -EBADMSG : 0;
}

static bool type_valid(uint32_t type)
{
	switch (type) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	default:
		return false;
	}
}

/* The type in one byte: S_IFMT bits shifted down. */
static void put_type(struct writer *w, uint32_t type)
{
	put_int(w, type >> 12, 1);
}

static uint32_t get_type(struct reader *r)
{
	uint32_t type = get_int(r, 1) << 12;

	if (!type_valid(type))
		r->bad = true;
	return type;
}

/* ---- volume ---- */

size_t meta_encode_volume(const struct meta_volume *v, unsigned char *ret)
{
	struct writer w = {ret};
	size_t uuid = strnlen(v->uuid, sizeof(v->uuid) - 1), name = strnlen(v->name, sizeof(v->name) - 1);

	put_int(&w, VOLUME_VERSION, 1);
	put_int(&w, v->chunk_size, 4);
	put_int(&w, uuid, 1);
	put_bytes(&w, v->uuid, uuid);
	put_int(&w, name, 1);
	put_bytes(&w, v->name, name);
	return w.at - ret;
}

static void get_text(struct reader *r, char *ret, size_t room)
{
	size_t length = get_int(r, 1);
	const unsigned char *p = get_bytes(r, length);

	if (!p || length >= room || memchr(p, 0, length)) {
		r->bad = true;
		return;
	}
	memcpy(ret, p, length);
	ret[length] = 0;
}

int meta_decode_volume(struct kv_slice value, struct meta_volume *ret)
{
	struct reader r = {value.data, value.size, false};
	struct meta_volume v = {};
	uint64_t version;

	if (!value.size)
		return -EBADMSG;
	version = get_int(&r, 1);
	if (version < VOLUME_VERSION_MIN || version > VOLUME_VERSION)
		return -EPROTO;
	v.chunk_size = get_int(&r, 4);
	get_text(&r, v.uuid, sizeof(v.uuid));
	get_text(&r, v.name, sizeof(v.name));
	if (v.chunk_size < 1 << 20 || v.chunk_size > 64 << 20 || (v.chunk_size & (v.chunk_size - 1)))
		r.bad = true;
	if (reader_end(&r) < 0)
		return -EBADMSG;
	*ret = v;
	return 0;
}

/* ---- numbers ---- */

size_t meta_encode_number(uint64_t number, unsigned char *ret)
{
	struct writer w = {ret};

	put_int(&w, RECORD_VERSION, 1);
	put_int(&w, number, 8);
	return w.at - ret;
}

int meta_decode_number(struct kv_slice value, uint64_t *ret)
{
	struct reader r = reader_begin(value);
	uint64_t n = get_int(&r, 8);

	if (reader_end(&r) < 0)
		return -EBADMSG;
	*ret = n;
	return 0;
}

int meta_decode_counter(struct kv_slice value, uint64_t *ret)
{
	struct reader r = {value.data, value.size, false};
	uint64_t n = get_int(&r, 8);

	if (reader_end(&r) < 0)
		return -EBADMSG;
	*ret = n;
	return 0;
}

/* ---- inode ---- */

size_t meta_encode_inode(const struct inode *inode, unsigned char *ret)
{
	const struct meta_attr *a = &inode->attr;
	struct writer w = {ret};

	put_int(&w, RECORD_VERSION, 1);
	put_int(&w, a->mode, 4);
	put_int(&w, a->nlink, 4);
	put_int(&w, a->uid, 4);
	put_int(&w, a->gid, 4);
	put_int(&w, a->rdev, 4);
	put_int(&w, a->xattrs, 4);
	put_int(&w, a->generation, 8);
	put_int(&w, a->size, 8);
	put_int(&w, a->version, 8);
	put_time(&w, &a->atime);
	put_time(&w, &a->mtime);
	put_time(&w, &a->ctime);
	put_time(&w, &a->btime);
	if (S_ISDIR(a->mode)) {
		put_int(&w, a->parent, 8);
		put_int(&w, inode->entries, 8);
		put_int(&w, inode->next_position, 8);
	} else if (S_ISREG(a->mode)) {
		put_int(&w, inode->cut_from, 8);
	}
	return w.at - ret;
}

int meta_decode_inode(struct kv_slice value, uint64_t ino, struct inode *ret)
{
	struct reader r = reader_begin(value);
	struct inode inode = {.cut_from = META_CUT_NONE};
	struct meta_attr *a = &inode.attr;

	a->ino = ino;
	a->mode = get_int(&r, 4);
	a->nlink = get_int(&r, 4);
	a->uid = get_int(&r, 4);
	a->gid = get_int(&r, 4);
	a->rdev = get_int(&r, 4);
	a->xattrs = get_int(&r, 4);
	a->generation = get_int(&r, 8);
	a->size = get_int(&r, 8);
	a->version = get_int(&r, 8);
	a->atime = get_time(&r);
	a->mtime = get_time(&r);
	a->ctime = get_time(&r);
	a->btime = get_time(&r);
	if (S_ISDIR(a->mode)) {
		a->parent = get_int(&r, 8);
		inode.entries = get_int(&r, 8);
		inode.next_position = get_int(&r, 8);
		if (!a->parent || inode.next_position < META_POSITION_FIRST ||
		    inode.next_position > INT64_MAX)
			r.bad = true;
	} else if (S_ISREG(a->mode)) {
		inode.cut_from = get_int(&r, 8);
	}
	if (!ino || !type_valid(a->mode & S_IFMT) || a->mode > (S_IFMT | 07777) || a->size > META_SIZE_MAX)
		r.bad = true;
	if (reader_end(&r) < 0)
		return -EBADMSG;
	*ret = inode;
	return 0;
}

/* ---- dentries ---- */

size_t meta_encode_dentry(const struct dentry *d, unsigned char *ret)
{
	struct writer w = {ret};

	put_int(&w, RECORD_VERSION, 1);
	put_type(&w, d->type);
	put_int(&w, d->ino, 8);
	put_int(&w, d->position, 8);
	return w.at - ret;
}

int meta_decode_dentry(struct kv_slice value, struct dentry *ret)
{
	struct reader r = reader_begin(value);
	struct dentry d;

	d.type = get_type(&r);
	d.ino = get_int(&r, 8);
	d.position = get_int(&r, 8);
	if (!d.ino || d.position < META_POSITION_FIRST || d.position > INT64_MAX)
		r.bad = true;
	if (reader_end(&r) < 0)
		return -EBADMSG;
	*ret = d;
	return 0;
}

size_t meta_encode_dentry_at(const struct dentry_at *d, unsigned char *ret)
{
	struct writer w = {ret};

	put_int(&w, RECORD_VERSION, 1);
	put_type(&w, d->type);
	put_int(&w, d->ino, 8);
	put_bytes(&w, d->name, strnlen(d->name, META_NAME_MAX));
	return w.at - ret;
}

int meta_decode_dentry_at(struct kv_slice value, struct dentry_at *ret)
{
	struct reader r = reader_begin(value);
	const unsigned char *name;
	struct dentry_at d;
	size_t length;

	d.type = get_type(&r);
	d.ino = get_int(&r, 8);
	length = r.left;
	name = get_bytes(&r, length);
	if (!d.ino || !length || length > META_NAME_MAX || memchr(name, 0, length) ||
	    memchr(name, '/', length))
		r.bad = true;
	if (reader_end(&r) < 0)
		return -EBADMSG;
	memcpy(d.name, name, length);
	d.name[length] = 0;
	*ret = d;
	return 0;
}

/* ---- strings, slices, garbage ---- */

int meta_encode_bytes(const void *bytes, size_t size, void **ret, size_t *ret_size)
{
	unsigned char *value = malloc(size + 1);

	if (!value)
		return -ENOMEM;
	value[0] = RECORD_VERSION;
	if (size)
		memcpy(value + 1, bytes, size);
	*ret = value;
	*ret_size = size + 1;
	return 0;
}

int meta_decode_bytes(struct kv_slice value, void **ret, size_t *ret_size)
{
	struct reader r = reader_begin(value);
	unsigned char *bytes;

	if (r.bad)
		return -EBADMSG;
	bytes = malloc(r.left + 1);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, r.at, r.left);
	bytes[r.left] = 0;
	*ret = bytes;
	*ret_size = r.left;
	return 0;
}

int meta_encode_slices(const struct meta_slices *list, void **ret, size_t *ret_size)
{
	unsigned char *value;
	struct writer w;

	assert(meta_slices_normal(list));
	value = malloc(1 + list->count * SLICE_SIZE);
	if (!value)
		return -ENOMEM;
	w.at = value;
	put_int(&w, RECORD_VERSION, 1);
	for (size_t i = 0; i < list->count; i++) {
		const struct meta_slice *s = &list->slices[i];

		put_int(&w, s->pos, 4);
		put_int(&w, s->length, 4);
		put_int(&w, s->object, 8);
		put_int(&w, s->offset, 4);
		put_int(&w, s->size, 4);
	}
	*ret = value;
	*ret_size = w.at - value;
	return 0;
}

int meta_decode_slices(struct kv_slice value, struct meta_slices *ret)
{
	struct reader r = reader_begin(value);
	struct meta_slices list = {};

	/* The bytes are there, so the count they imply is not more memory than they are. */
	if (r.bad || r.left % SLICE_SIZE)
		return -EBADMSG;
	list.count = r.left / SLICE_SIZE;
	if (!list.count)
		return -EBADMSG; /* an empty list is not stored */
	list.slices = calloc(list.count, sizeof(*list.slices));
	if (!list.slices)
		return -ENOMEM;
	for (size_t i = 0; i < list.count; i++) {
		struct meta_slice *s = &list.slices[i];

		s->pos = get_int(&r, 4);
		s->length = get_int(&r, 4);
		s->object = get_int(&r, 8);
		s->offset = get_int(&r, 4);
		s->size = get_int(&r, 4);
	}
	if (reader_end(&r) < 0 || !meta_slices_normal(&list)) {
		meta_slices_clear(&list);
		return -EBADMSG;
	}
	*ret = list;
	return 0;
}

size_t meta_encode_garbage(uint32_t size, unsigned char *ret)
{
	struct writer w = {ret};

	put_int(&w, RECORD_VERSION, 1);
	put_int(&w, size, 4);
	return w.at - ret;
}

int meta_decode_garbage(struct kv_slice value, uint32_t *ret)
{
	struct reader r = reader_begin(value);
	uint32_t size = get_int(&r, 4);

	if (reader_end(&r) < 0)
		return -EBADMSG;
	*ret = size;
	return 0;
}

size_t meta_encode_references(uint64_t more, unsigned char *ret)
{
	return meta_encode_number(more, ret);
}

int meta_decode_references(struct kv_slice value, uint64_t *ret)
{
	uint64_t more;
	int r = meta_decode_number(value, &more);

	if (r < 0 || !more || more > INT64_MAX)
		return -EBADMSG;
	*ret = more;
	return 0;
}
