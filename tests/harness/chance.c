/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/chance.h"

uint64_t chance_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t chance_below(uint64_t *state, uint64_t n)
{
	return n ? chance_next(state) % n : 0;
}
