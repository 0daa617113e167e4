/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TOOLS_FUSE_KNOWN_H
#define CURVEFS_TOOLS_FUSE_KNOWN_H

/* Is the fs/fuse of a kernel one that extfuse.ko can be built for?  What layout.sh asks when it is built. */

struct btf;

/* kpatch-extfuse/fuse.known, which says what its lines mean. */
extern const char fuse_known_list[];

/**
 * Compare @p btf, of a kernel, with @p list, a text such as fuse_known_list.
 * 0: all is as it says.  -EPROTO: something is not, and *ret_why, to be freed, names it in one line.  Or
 * -ENOMEM.
 */
int fuse_known_check(const struct btf *btf, const char *list, char **ret_why);

#endif
