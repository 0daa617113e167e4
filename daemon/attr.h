/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_ATTR_H
#define CURVEFS_ATTR_H

/*
 * Attributes as the metadata has them, and as stat(2) and the FUSE protocol
 * give them. One home, so that the daemon's replies and the entries in the
 * kernel's maps are the same to the bit.
 */

#include "bpf/extfuse_abi.h"
#include "daemon/meta/meta.h"

#include <sys/stat.h>

#define ATTR_BLKSIZE (128u << 10) /* st_blksize: what a program should read at a time */

void attr_to_stat(const struct meta_attr *attr, struct stat *ret);
void attr_to_fuse(const struct meta_attr *attr, struct fuse_attr *ret);

#endif
