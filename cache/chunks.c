/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/chunks.h"

#include <stdlib.h>

#define FIRST_CAPACITY 4

static size_t slot_of(const struct chunks *t, uint64_t number)
{
	size_t slot = (size_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (t->capacity - 1);

	while (t->slots[slot] && t->slots[slot]->number != number)
		slot = (slot + 1) & (t->capacity - 1);
	return slot;
}

void chunks_free(struct chunks *t)
{
	for (size_t i = 0; i < t->capacity; i++)
		free(t->slots[i]);
	free(t->slots);
	*t = (struct chunks){};
}

struct chunk *chunks_find(const struct chunks *t, uint64_t number)
{
	return t->capacity ? t->slots[slot_of(t, number)] : NULL;
}

static bool grow(struct chunks *t)
{
	struct chunks bigger = {.n = t->n, .capacity = t->capacity ? 2 * t->capacity : FIRST_CAPACITY};

	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < t->capacity; i++)
		if (t->slots[i])
			bigger.slots[slot_of(&bigger, t->slots[i]->number)] = t->slots[i];
	free(t->slots);
	*t = bigger;
	return true;
}

struct chunk *chunks_add(struct chunks *t, uint64_t number)
{
	struct chunk *c;

	if (4 * (t->n + 1) > 3 * t->capacity && !grow(t))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->number = number;
	t->slots[slot_of(t, number)] = c;
	t->n++;
	return c;
}
