/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_TEMPDIR_H
#define CURVEFS_TESTS_TEMPDIR_H

/**
 * Make an empty directory below $TMPDIR (or /tmp).  Called by one thread at a time.  It goes too when the
 * program is ended by SIGINT, SIGTERM or SIGHUP. @return its path (see tempdir_remove()), or NULL.
 */
char *tempdir_make(void);

/** Remove it with all that is in it, without crossing into another file system, and free @p path. */
void tempdir_remove(char *path);

#endif
