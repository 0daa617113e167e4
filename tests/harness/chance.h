/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_CHANCE_H
#define CURVEFS_TESTS_CHANCE_H

/* Random numbers that a seed repeats, on any machine (splitmix64). The state is the seed at first. */

#include <stdint.h>

uint64_t chance_next(uint64_t *state);
/** One of 0 .. @p n - 1; 0 if @p n is 0. */
uint64_t chance_below(uint64_t *state, uint64_t n);

#endif
