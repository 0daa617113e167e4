/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CTL_RUNDIR_H
#define CURVEFS_CTL_RUNDIR_H

/* The run directory of a mount: names in it, making and removing it. Both sides use it. */

#include <jansson.h>
#include <limits.h>
#include <sys/un.h>

#define RUNDIR_SOCKET "control.sock"
#define RUNDIR_JSON "mount.json"

/** Path of @p name in the run directory of @p minor, or of the directory itself (NULL). -ENAMETOOLONG. */
int rundir_path(unsigned minor, const char *name, char ret[PATH_MAX]);

/** Address of the control socket. -ENAMETOOLONG. */
int rundir_socket(unsigned minor, struct sockaddr_un *ret);

/**
 * Make an empty directory of mode 0700 for @p minor, in place of whatever a killed daemon left.
 * *ret_fd (O_PATH) stays with the caller: it tells this directory from a later one of the same name.
 */
int rundir_make(unsigned minor, int *ret_fd, char **ret_why);

/** Write mount.json; seen whole or not at all. */
int rundir_write_json(unsigned minor, const json_t *mount);

/** Remove the directory of @p minor, if @p fd is it (-1: whatever is there). */
int rundir_remove(unsigned minor, int fd);

#endif
