/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_FS_TMPFILE_H
#define CURVEFS_FS_TMPFILE_H

/*
 * open(O_TMPFILE) with a libfuse that has no operation for it.
 *
 * The kernel's TMPFILE request is, but for the opcode, a CREATE: the same body, the same answer, and its name
 * is
 * "/", which no file can have. So requests are read by a function of our own, which makes it one before
 * libfuse sees it; fs_create() knows it by that name.
 */

struct fuse_session;

/** Once, after the session was mounted and before it is served. @return 0 or negative errno. */
int fs_pass_tmpfile(struct fuse_session *fuse);

#endif
