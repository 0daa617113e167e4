/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_ACL_H
#define CURVEFS_META_ACL_H

/*
 * POSIX ACLs as the kernel gives them (extended attributes, version 2): a header, then entries of tag,
 * permissions and id, little-endian, sorted by tag. Who may do what by them is decided by the kernel; here
 * they are kept in step with the mode, as ext4 does it: the owner's, the mask's (or else the group's) and the
 * others' entries are the mode's permission bits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define META_ACL_ACCESS "system.posix_acl_access"
#define META_ACL_DEFAULT "system.posix_acl_default"

/** Whether @p name is that of an ACL. */
bool meta_acl_name(const char *name);

/** -EINVAL: not an ACL. All calls below want one that was checked. Without an entry it means: none. */
int meta_acl_check(const void *acl, size_t size);
bool meta_acl_empty(size_t size);

/** Set the permission bits of *mode to what the ACL says. @return true if that is all it says. */
bool meta_acl_to_mode(const void *acl, size_t size, uint32_t *mode);

/** chmod(2): change the ACL to agree with @p mode. */
void meta_acl_set_mode(void *acl, size_t size, uint32_t mode);

/**
 * Make of a directory's default ACL the access ACL of what is created in it with *mode, and the mode that
 * goes with it. @return true if the mode is all it says.
 */
bool meta_acl_create(void *acl, size_t size, uint32_t *mode);

#endif
