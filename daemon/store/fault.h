/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_FAULT_H
#define CURVEFS_STORE_FAULT_H

/*
 * A store that makes another one fail, slow or lie, for tests.
 *
 * store_open() stacks it when CURVEFS_STORE_FAULTS is in the environment:
 *
 *	rule [; rule]...        each rule counts its own calls; all that match apply
 *	rule = OP:WORD[,WORD]...
 *	OP   = get | put | delete | list | head | any
 *
 * What happens, at least one of:
 *	error=NAME    the call fails: EIO EACCES ENOENT ENOSPC EROFS ETIMEDOUT EBADMSG ENOMEM
 *	delay_ms=N    the call waits first (at most 3600000)
 *	corrupt       get: one bit in the middle of what is read is flipped
 *	kill          the process is ended by SIGKILL
 *
 * To which calls, by default to all of OP:
 *	key=TEXT      only to keys (or list prefixes) that contain TEXT
 *	after=N       not to the first N of those
 *	every=N       only to each Nth of the rest, the first time to the Nth
 *	times=N       at most N times
 *	late          error, kill: after the call was carried out, as when an answer is lost
 *
 * "put:error=EIO,every=3;get:delay_ms=50;get:corrupt,every=10"
 */

#include "daemon/store/store.h"

/**
 * Stack the faults of @p spec on @p below, whose counters it shares; the result owns @p below.
 * @return 0, or -EINVAL or -ENOMEM with *ret_why (free it), *ret and @p below untouched.
 */
int fault_store_open(const char *spec, struct store *below, struct store **ret, char **ret_why);

#endif
