/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_CODEC_H
#define CURVEFS_META_CODEC_H

/*
 * Keys and values of the metadata as bytes.
 *
 * Keys: one letter, then integers big-endian, so that they sort as numbers.
 *
 *   'V'                       volume descriptor
 *   'N' 'e' | 'i' | 'o'       counters: epoch of opens, first unreserved inode number, object id (locked,
 * set) 'N' 'b' | 'n'             usage: bytes, inodes (kv_add: 8 bytes little-endian, no version byte) 'L'
 * never stored: its lock serialises moves of directories between directories 'I' ino                   inode
 *   'S' ino                   target of a symlink
 *   'D' parent name           dentry by name
 *   'R' parent position       the same dentry by its place in the order of readdir
 *   'X' ino name              extended attribute
 *   'C' ino chunk             slice list of a chunk; absent: a hole
 *   'T' ino                   the inode has chunks still to be cut off (inode.cut_from)
 *   'O' ino                   orphan: nlink 0, not reaped yet
 *   'G' object                object to be deleted from the store
 *   'K' object                number of references to it beyond the first; absent: there is one
 *
 * References.  One slice in a value of 'C' that names an object is one reference to it, whatever part of the
 * object it means: a write into the middle of a slice makes two of it, copy_file_range() adds some in another
 * place.  'K' is changed in the transaction that changes the lists; the one that takes the last reference
 * away writes 'G' and leaves no 'K'.
 *
 * Values: a version byte, then integers little-endian, no padding.  Decoding trusts nothing: any
 * length, range or enumeration that encoding would not write gives -EBADMSG.
 *
 * Who protects what (by the key's lock in a transaction): an inode's lock protects all keys that begin with
 * its number, dentries of a directory included.  Inodes are locked in ascending order, after 'L'.  'K' has a
 * lock of its own, since inodes share objects; these are taken last, in ascending order.
 */

#include "daemon/meta/kv.h"
#include "daemon/meta/meta.h"

#define META_POSITION_FIRST 16 /* smaller ones are free for "." and ".." */
#define META_CUT_NONE UINT64_MAX

enum { META_KEY_MAX = 1 + 8 + META_XATTR_NAME_MAX }; /* names are no longer than these */

struct meta_key {
	unsigned char bytes[META_KEY_MAX];
	size_t size;
};

/** An inode as stored. */
struct inode {
	struct meta_attr attr;  /* of a directory: .parent is set */
	uint64_t entries;       /* directory: number of names in it */
	uint64_t next_position; /* directory: of the next new name */
	uint64_t cut_from;      /* regular file: chunks from this one on are cut off, whatever 'C' says;
	                           META_CUT_NONE */
};

struct dentry {
	uint64_t ino;
	uint32_t type; /* S_IFMT bits */
	uint64_t position;
};

/** A dentry found by position; name as long as the record says, with a NUL. */
struct dentry_at {
	uint64_t ino;
	uint32_t type;
	char name[META_NAME_MAX + 1];
};

/* ---- keys ---- */

struct meta_key meta_key_plain(char kind);
struct meta_key meta_key_counter(char which);
/** 'I', 'S', 'T', 'O', 'G', 'K', and the prefixes of 'D', 'R', 'X', 'C'. */
struct meta_key meta_key_number(char kind, uint64_t number);
/** 'R' and 'C'. */
struct meta_key meta_key_pair(char kind, uint64_t ino, uint64_t second);
/** 'D' and 'X'; @p name is at most 255 bytes. */
struct meta_key meta_key_name(char kind, uint64_t ino, const char *name);

static inline struct kv_slice meta_key_slice(const struct meta_key *key)
{
	return (struct kv_slice){key->bytes, key->size};
}

/** Take apart what meta_key_number() and meta_key_pair() make. */
int meta_key_parse_number(struct kv_slice key, char kind, uint64_t *ret);
int meta_key_parse_pair(struct kv_slice key, char kind, uint64_t *ret_ino, uint64_t *ret_second);
/** @p ret_name: 256 bytes. */
int meta_key_parse_name(struct kv_slice key, char kind, uint64_t *ret_ino, char *ret_name);

/* ---- values: encoders of fixed size give the bytes written, which fit in META_VALUE_MAX ---- */

enum { META_VALUE_MAX = 320 };

size_t meta_encode_volume(const struct meta_volume *v, unsigned char *ret);
/** -EPROTO: written by another version of this program. */
int meta_decode_volume(struct kv_slice value, struct meta_volume *ret);

size_t meta_encode_number(uint64_t number, unsigned char *ret);
int meta_decode_number(struct kv_slice value, uint64_t *ret);

/** Usage counters, as kv_add() keeps them. */
int meta_decode_counter(struct kv_slice value, uint64_t *ret);

size_t meta_encode_inode(const struct inode *inode, unsigned char *ret);
/** @p ino: from the key; it is not in the value. */
int meta_decode_inode(struct kv_slice value, uint64_t ino, struct inode *ret);

size_t meta_encode_dentry(const struct dentry *d, unsigned char *ret);
int meta_decode_dentry(struct kv_slice value, struct dentry *ret);

size_t meta_encode_dentry_at(const struct dentry_at *d, unsigned char *ret);
int meta_decode_dentry_at(struct kv_slice value, struct dentry_at *ret);

/** Strings: symlink targets and xattr values. Free *ret; the decoded one has a NUL behind it that @p ret_size
 * leaves out. */
int meta_encode_bytes(const void *bytes, size_t size, void **ret, size_t *ret_size);
int meta_decode_bytes(struct kv_slice value, void **ret, size_t *ret_size);

/** Normal lists only (slices.h), on both ways. Free *ret, or meta_slices_clear(). */
int meta_encode_slices(const struct meta_slices *list, void **ret, size_t *ret_size);
int meta_decode_slices(struct kv_slice value, struct meta_slices *ret);

/** Garbage: the size of the object. */
size_t meta_encode_garbage(uint32_t size, unsigned char *ret);
int meta_decode_garbage(struct kv_slice value, uint32_t *ret);

/** References beyond the first: 1 or more. */
size_t meta_encode_references(uint64_t more, unsigned char *ret);
int meta_decode_references(struct kv_slice value, uint64_t *ret);

#endif
