/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_PRIVILEGES_H
#define CURVEFS_PRIVILEGES_H

/*
 * What this process may do. Of root's capabilities it keeps
 *
 *   CAP_SYS_ADMIN                 to mount and to unmount; in effect at other times only with BPF, whose
 *                                 ioctls ask for it at each call
 *   CAP_BPF, CAP_PERFMON          with BPF
 *   CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
 *                                 only if a directory or file it was given cannot be reached without them,
 *                                 because it belongs to another user
 *
 * and an ordinary user's daemon has none. The others are gone for good, from the bounding set too.
 * As root no set-uid program gives any back (no_new_privs); for other users fusermount3 has to be able to, as
 * nobody else can unmount for them.
 *
 * Nobody else's process of the same user can look into this one, and it leaves no core dump: there are keys
 * of the object store and other people's files in it.
 */

#include <stdbool.h>

struct options;

/**
 * Before the first thread is made, which would keep what it was born with. @p bpf: it may be wanted.
 * @return 0, or negative errno and *ret_why (free it).
 */
int privileges_reduce(const struct options *o, bool bpf, char **ret_why);

/** Around mounting and unmounting: what this thread may do. Cannot fail for what was kept. */
void privileges_raise(void);
void privileges_lower(void);

#endif
