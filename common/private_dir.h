/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_COMMON_PRIVATE_DIR_H
#define CURVEFS_COMMON_PRIVATE_DIR_H

/**
 * See to it that only this process's user can get into @p dir, a directory for files that the permissions of
 * a volume's files do not guard: cached data, metadata.
 *
 * It has to belong to that user. If its mode lets others in, it is set to 0700, but only if the directory is
 * empty (but for lost+found), or one of the names in @p ours (NULL ends them) is in it and nobody else could
 * have put it there: whoever gives /tmp by mistake is told so.
 *
 * @return 0; -EPERM (*ret_why, to be freed, says what to do); -ENOENT, -ENOTDIR, ...
 */
int private_dir(const char *dir, const char *const *ours, char **ret_why);

#endif
