/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_COMMON_CLEANUP_H
#define CURVEFS_COMMON_CLEANUP_H

/*
 * The one cleanup idiom: a local that owns something says so where it is
 * declared, and TAKE_PTR()/TAKE_FD() hand it on.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_unlockp(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)
#define _cleanup_fclose_ _cleanup_(cleanup_fclosep)
#define _cleanup_unlock_ _cleanup_(cleanup_unlockp)

static inline pthread_mutex_t *mutex_lock_ret(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

/** Hold @p m until the end of the enclosing block. */
#define SCOPED_LOCK(m) \
	_cleanup_unlock_ pthread_mutex_t *scoped_lock __attribute__((unused)) = mutex_lock_ret(m)

#define TAKE_PTR(p)                     \
	({                              \
		typeof(p) _taken = (p); \
		(p) = NULL;             \
		_taken;                 \
	})

#define TAKE_FD(fd)                \
	({                         \
		int _taken = (fd); \
		(fd) = -1;         \
		_taken;            \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

#endif
