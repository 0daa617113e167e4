/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_LINEAR_H
#define CURVEFS_TESTS_LINEAR_H

/*
 * Whether what several processes saw, each doing one operation after the other, can be explained by one order
 * of all operations, in which each takes effect at a moment between its call and its return (Herlihy and
 * Wing, "Linearizability: A Correctness Condition for Concurrent Objects", TOPLAS 12(3), 1990).
 *
 * The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", JPDC 17, 1993): try
 * whatever may come next, step back where the model contradicts. As Lowe does ("Testing for linearizability",
 * Concurrency and Computation 29(4), 2017) it remembers the configurations that led nowhere: the state, and
 * how far each process is. Of each only 128 bits of a hash are kept; two that fall together would make a
 * false alarm once in 2^80 histories or so.
 *
 * An operation may be of several steps, each atomic, between which others may come: a stat(2) finds the name
 * and then reads the inode.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINEAR_PROCESSES_MAX 16
#define LINEAR_STEPS_MAX 4 /* of an operation */
#define LINEAR_NEVER UINT64_MAX

/** Those of one process are in the order in which it did them, and do not overlap. */
struct linear_op {
	unsigned process;
	uint64_t start, end; /* of one clock; LINEAR_NEVER: did not return, and may have been done or not */
};

enum linear_verdict {
	LINEAR_IMPOSSIBLE, /* not in this state, with what the operation returned */
	LINEAR_MORE,       /* so far; there are more steps */
	LINEAR_DONE,       /* that was the last one */
};

struct linear_model {
	size_t state_size; /* bytes; equal states have equal bytes */
	/** Do step @p step (from 0) of operation @p op to @p state. */
	enum linear_verdict (*step)(void *state, size_t op, unsigned step, void *context);
	/** Whether it may end like this; NULL: always. */
	bool (*end)(void *state, void *context);
	void *context;
};

/**
 * @param ret_state  the state in the end, may be NULL
 * @param ret_order  @p count operations in the order in which their last steps come, SIZE_MAX for each that
 * was not done; may be NULL
 * @return 1: linearizable; 0: not; -EINVAL: no history; -E2BIG: too many configurations; -ENOMEM
 */
int linear_check(const struct linear_model *model, const struct linear_op *ops, size_t count,
                 const void *start, void *ret_state, size_t *ret_order);

#endif
