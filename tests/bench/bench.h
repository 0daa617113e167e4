/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_BENCH_H
#define CURVEFS_TESTS_BENCH_H

/* What the programs that measure have in common. */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

/** xorshift64: the same numbers in each run. */
static inline uint64_t random_next(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

#endif
