/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/meta/acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>
#include <sys/stat.h>

#define PERMS (S_IRWXU | S_IRWXG | S_IRWXO)
#define RWX 7u

typedef struct posix_acl_xattr_header acl_header;
typedef struct posix_acl_xattr_entry acl_entry;

bool meta_acl_name(const char *name)
{
	return !strcmp(name, META_ACL_ACCESS) || !strcmp(name, META_ACL_DEFAULT);
}

static size_t entries_of(size_t size)
{
	return (size - sizeof(acl_header)) / sizeof(acl_entry);
}

/* The bytes come from wherever they lay, so not by pointer. */
static acl_entry get_entry(const void *acl, size_t i)
{
	acl_entry e;

	memcpy(&e, (const char *)acl + sizeof(acl_header) + i * sizeof(e), sizeof(e));
	return (acl_entry){le16toh(e.e_tag), le16toh(e.e_perm), le32toh(e.e_id)};
}

static void set_perm(void *acl, size_t i, uint32_t perm)
{
	acl_entry e = get_entry(acl, i);

	e = (acl_entry){htole16(e.e_tag), htole16((uint16_t)perm), htole32(e.e_id)};
	memcpy((char *)acl + sizeof(acl_header) + i * sizeof(e), &e, sizeof(e));
}

/* How the tags follow each other: each entry's rank is not below that of the one before, and those that there
 * is one of go up. */
static int rank(uint16_t tag)
{
	switch (tag) {
	case ACL_USER_OBJ:
		return 1;
	case ACL_USER:
		return 2;
	case ACL_GROUP_OBJ:
		return 3;
	case ACL_GROUP:
		return 4;
	case ACL_MASK:
		return 5;
	case ACL_OTHER:
		return 6;
	default:
		return 0;
	}
}

int meta_acl_check(const void *acl, size_t size)
{
	bool seen[7] = {};
	acl_header header;
	int last = 0;

	if (size < sizeof(header) || (size - sizeof(header)) % sizeof(acl_entry))
		return -EINVAL;
	memcpy(&header, acl, sizeof(header));
	if (le32toh(header.a_version) != POSIX_ACL_XATTR_VERSION)
		return -EINVAL;
	if (meta_acl_empty(size))
		return 0;
	for (size_t i = 0; i < entries_of(size); i++) {
		acl_entry e = get_entry(acl, i);
		int now = rank(e.e_tag);
		bool many = e.e_tag == ACL_USER || e.e_tag == ACL_GROUP;

		if (!now || now < last || (now == last && !many) || e.e_perm > RWX)
			return -EINVAL;
		seen[now] = true;
		last = now;
	}
	if (!seen[1] || !seen[3] || !seen[6] || ((seen[2] || seen[4]) && !seen[5]))
		return -EINVAL;
	return 0;
}

bool meta_acl_empty(size_t size)
{
	return size == sizeof(acl_header);
}

static bool has_mask(const void *acl, size_t size)
{
	for (size_t i = 0; i < entries_of(size); i++) {
		if (get_entry(acl, i).e_tag == ACL_MASK)
			return true;
	}
	return false;
}

/* Where in a mode the permissions of an entry are: 6, 3, 0, or -1: nowhere. */
static int shift_of(uint16_t tag, bool masked)
{
	switch (tag) {
	case ACL_USER_OBJ:
		return 6;
	case ACL_GROUP_OBJ:
		return masked ? -1 : 3;
	case ACL_MASK:
		return 3;
	case ACL_OTHER:
		return 0;
	default:
		return -1;
	}
}

bool meta_acl_to_mode(const void *acl, size_t size, uint32_t *mode)
{
	bool masked = has_mask(acl, size);
	uint32_t bits = 0;

	for (size_t i = 0; i < entries_of(size); i++) {
		acl_entry e = get_entry(acl, i);
		int shift = shift_of(e.e_tag, masked);

		if (shift >= 0)
			bits |= (uint32_t)e.e_perm << shift;
	}
	*mode = (*mode & ~(uint32_t)PERMS) | bits;
	/* Without a mask there are no users or groups by name either. */
	return !masked;
}

void meta_acl_set_mode(void *acl, size_t size, uint32_t mode)
{
	bool masked = has_mask(acl, size);

	for (size_t i = 0; i < entries_of(size); i++) {
		int shift = shift_of(get_entry(acl, i).e_tag, masked);

		if (shift >= 0)
			set_perm(acl, i, mode >> shift & RWX);
	}
}

bool meta_acl_create(void *acl, size_t size, uint32_t *mode)
{
	uint32_t allowed = 0;

	meta_acl_to_mode(acl, size, &allowed);
	allowed &= *mode & PERMS;
	*mode = (*mode & ~(uint32_t)PERMS) | allowed;
	meta_acl_set_mode(acl, size, allowed);
	return !has_mask(acl, size);
}
