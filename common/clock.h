/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_COMMON_CLOCK_H
#define CURVEFS_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S 1000000000ll

/** CLOCK_MONOTONIC, in nanoseconds. */
static inline int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

#endif
