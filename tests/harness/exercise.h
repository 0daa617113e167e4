/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_EXERCISE_H
#define CURVEFS_TESTS_EXERCISE_H

/* The parts of exercise.prog.c. */

#include "tests/harness/script.h"

#define EXERCISE_PROCESSES_MAX 16
#define EXERCISE_PAGE 4096
/* Most operations are of less bytes than that, none of more than four times as many. */
#define EXERCISE_PIECE 300000

/* How often each is drawn, and whether with --apart, where none may change the size of the file. */
#define EXERCISE_KINDS(X)         \
	X(read, 24, true)         \
	X(write, 16, true)        \
	X(append, 2, false)       \
	X(truncate, 5, false)     \
	X(map_read, 5, true)      \
	X(map_write, 5, true)     \
	X(punch, 4, true)         \
	X(zero, 3, false)         \
	X(zero_keep, 3, true)     \
	X(allocate, 2, false)     \
	X(allocate_keep, 1, true) \
	X(copy, 6, true)          \
	X(seek, 4, true)          \
	X(fsync, 4, true)         \
	X(reopen, 4, true)        \
	X(forget, 3, true)        \
	X(size, 2, true)

enum exercise_kind {
#define X(name, often, apart) EXERCISE_##name,
	EXERCISE_KINDS(X)
#undef X
		EXERCISE_COUNT
};

struct exercise_op {
	unsigned kind, process;
	uint64_t at, length;
	uint64_t to;   /* copy: where to */
	uint64_t seed; /* of the bytes */
};

extern struct exercise {
	const char *path; /* of the file */
	uint64_t max_size;
	unsigned processes;
	bool apart;  /* each process in a region of its own, all at once */
	bool mapped; /* the file is mapped to be read only */
} exercise;

/* exercise_op.c */
struct exercise_op exercise_random_op(uint64_t *state);
const char *exercise_op_name(const struct exercise_op *op);
void exercise_print_op(FILE *out, const void *op);
bool exercise_read_op(const char *line, void *ret_op);

/* exercise_file.c */
/** Once, before the first run, when `exercise` is filled in. */
void exercise_prepare(void);
/** Do these operations on an empty file, by exercise.processes processes, and compare with the model. */
bool exercise_run(const struct script *s, char ret_why[SCRIPT_WHY]);

#endif
