/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TOOLS_METADIR_H
#define CURVEFS_TOOLS_METADIR_H

/* The directory of a volume's metadata, made by `curvefs format` and `curvefs restore`. */

#include <limits.h>
#include <stdbool.h>

#define METADIR_ROOT "/var/lib/curvefs"

/** @p given, or the default of the volume @p uuid. @return 0 or -ENAMETOOLONG. */
int metadir_path(const char *given, const char *uuid, char ret[PATH_MAX]);

/**
 * Make it, with those above it; one that is there must be empty (-ENOTEMPTY). *ret_made: it was not there.
 */
int metadir_make(const char *path, bool *ret_made, char **ret_why);

/** Remove what is in it, and itself if @p made: it was empty, or not there, before metadir_make(). */
void metadir_remove(const char *path, bool made);

/** "mount it with: ...", all as text; NULL: the default. */
void metadir_print_mount(const char *source, const char *meta_dir, const char *endpoint, const char *region);

#endif
