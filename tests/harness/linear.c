/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/linear.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define SEEN_MAX (1u << 22) /* configurations */

struct key {
	uint64_t a, b; /* both 0: none */
};

struct seen {
	struct key *keys;
	size_t count, room; /* a power of two, or 0 */
};

struct search {
	const struct linear_model *model;
	const struct linear_op *ops;
	size_t count;
	size_t *of_process[LINEAR_PROCESSES_MAX]; /* their operations, in order */
	size_t lengths[LINEAR_PROCESSES_MAX];
	/* The configuration. */
	size_t next[LINEAR_PROCESSES_MAX];
	unsigned step[LINEAR_PROCESSES_MAX];
	unsigned char *states; /* one for each depth */
	size_t *order, ordered;
	struct seen seen;
	int error;
};

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void add_bytes(struct key *key, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	while (n) {
		uint64_t word = 0;
		size_t part = n < sizeof(word) ? n : sizeof(word);

		memcpy(&word, p, part);
		key->a = mix(key->a + word + 0x9e3779b97f4a7c15ull);
		key->b = mix((key->b ^ word) * 0xff51afd7ed558ccdull + 0x2545f4914f6cdd1dull);
		p += part;
		n -= part;
	}
}

static void put(struct seen *s, struct key key)
{
	size_t i = key.a & (s->room - 1);

	while (s->keys[i].a || s->keys[i].b)
		i = (i + 1) & (s->room - 1);
	s->keys[i] = key;
}

static int grow(struct seen *s)
{
	struct seen more = {.room = s->room ? 2 * s->room : 1024, .count = s->count};

	more.keys = calloc(more.room, sizeof(*more.keys));
	if (!more.keys)
		return -ENOMEM;
	for (size_t i = 0; i < s->room; i++)
		if (s->keys[i].a || s->keys[i].b)
			put(&more, s->keys[i]);
	free(s->keys);
	*s = more;
	return 0;
}

/* @return 1 if it is new, and remember it; 0; or an error */
static int is_new(struct seen *s, struct key key)
{
	int r = 2 * (s->count + 1) > s->room ? grow(s) : 0;

	if (r < 0)
		return r;
	for (size_t i = key.a & (s->room - 1); s->keys[i].a || s->keys[i].b; i = (i + 1) & (s->room - 1))
		if (s->keys[i].a == key.a && s->keys[i].b == key.b)
			return 0;
	if (s->count == SEEN_MAX)
		return -E2BIG;
	put(s, key);
	s->count++;
	return 1;
}

static bool search(struct search *s, size_t depth);

/* One more step of process @p p, and all that may follow. */
static bool try_step(struct search *s, unsigned p, size_t depth)
{
	size_t size = s->model->state_size, op = s->of_process[p][s->next[p]];
	unsigned char *state = s->states + depth * size, *after = state + size;
	unsigned step = s->step[p];
	enum linear_verdict verdict;

	memcpy(after, state, size);
	verdict = s->model->step(after, op, step, s->model->context);
	if (verdict == LINEAR_IMPOSSIBLE || (verdict == LINEAR_MORE && step + 1 == LINEAR_STEPS_MAX))
		return false;
	if (verdict == LINEAR_MORE) {
		s->step[p]++;
	} else {
		s->next[p]++;
		s->step[p] = 0;
		s->order[s->ordered++] = op;
	}
	if (search(s, depth + 1))
		return true;
	if (verdict == LINEAR_DONE) {
		s->next[p]--;
		s->ordered--;
	}
	s->step[p] = step;
	return false;
}

static bool search(struct search *s, size_t depth) // NOLINT(misc-no-recursion): as deep as there are steps
{
	unsigned char *state = s->states + depth * s->model->state_size;
	uint64_t first_end = LINEAR_NEVER; /* whatever is not done by then must be under way */
	struct key key = {1, 2};
	int r;

	for (unsigned p = 0; p < LINEAR_PROCESSES_MAX; p++) {
		const struct linear_op *op;

		if (s->next[p] == s->lengths[p])
			continue;
		op = &s->ops[s->of_process[p][s->next[p]]];
		if (op->end < first_end)
			first_end = op->end;
	}
	if (first_end == LINEAR_NEVER && (!s->model->end || s->model->end(state, s->model->context))) {
		if (depth)
			memmove(s->states, state, s->model->state_size);
		return true;
	}
	add_bytes(&key, s->next, sizeof(s->next));
	add_bytes(&key, s->step, sizeof(s->step));
	add_bytes(&key, state, s->model->state_size);
	r = is_new(&s->seen, key);
	if (r < 0)
		s->error = r;
	if (r <= 0)
		return false;
	for (unsigned p = 0; p < LINEAR_PROCESSES_MAX && !s->error; p++) {
		if (s->next[p] == s->lengths[p] || s->ops[s->of_process[p][s->next[p]]].start > first_end)
			continue;
		if (try_step(s, p, depth))
			return true;
	}
	return false;
}

int linear_check(const struct linear_model *model, const struct linear_op *ops, size_t count,
                 const void *start, void *ret_state, size_t *ret_order)
{
	struct search s = {.model = model, .ops = ops, .count = count};
	_cleanup_free_ size_t *lists = calloc(LINEAR_PROCESSES_MAX * count + 1, sizeof(*lists));
	_cleanup_free_ size_t *order = calloc(count + 1, sizeof(*order));
	_cleanup_free_ unsigned char *states = calloc(count * LINEAR_STEPS_MAX + 1, model->state_size);
	bool found;

	if (!lists || !order || !states)
		return -ENOMEM;
	s.order = order;
	s.states = states;
	for (unsigned p = 0; p < LINEAR_PROCESSES_MAX; p++)
		s.of_process[p] = lists + p * count;
	for (size_t i = 0; i < count; i++) {
		unsigned p = ops[i].process;

		if (p >= LINEAR_PROCESSES_MAX || ops[i].end < ops[i].start)
			return -EINVAL;
		if (s.lengths[p] && ops[s.of_process[p][s.lengths[p] - 1]].end > ops[i].start)
			return -EINVAL;
		s.of_process[p][s.lengths[p]++] = i;
	}
	memcpy(states, start, model->state_size);
	found = search(&s, 0);
	free(s.seen.keys);
	if (s.error)
		return s.error;
	if (!found)
		return 0;
	if (ret_state)
		memcpy(ret_state, states, model->state_size);
	for (size_t i = 0; ret_order && i < count; i++)
		ret_order[i] = i < s.ordered ? order[i] : SIZE_MAX;
	return 1;
}
