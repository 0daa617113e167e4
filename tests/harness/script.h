/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_SCRIPT_H
#define CURVEFS_TESTS_SCRIPT_H

/*
 * Operations of a random test as a script: all are drawn before the first is done, each complete in itself,
 * so that any part of them can be done again. When something differs, operations are left out one piece after
 * the other as long as it still does (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
 * Input", 2002, without its second half), and what remains is printed, one line for each, to be replayed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SCRIPT_WHY 512 /* bytes of a reason */

#define SCRIPT_SHRINK_SECONDS 120

struct script {
	void *ops;
	size_t count;
};

/** What a script is of. */
struct script_type {
	const char *program; /* begins what is printed */
	size_t op_size;
	unsigned tries;          /* a failure may need so many runs to be seen again; at least 1 */
	unsigned shrink_seconds; /* nothing more is tried after that; SCRIPT_SHRINK_SECONDS as a rule */

	/** Do the operations, from scratch. @return whether all was as it must be; else @p ret_why says more.
	 */
	bool (*run)(const struct script *s, char ret_why[SCRIPT_WHY]);
	/**
	 * After a run that failed: another script, allocated, shorter as a rule, that may well show the same.
	 * NULL: none.
	 * @return whether there is one.
	 */
	bool (*cut)(struct script *ret_shorter);
	/** More about the last run that failed, in lines that begin with '#'; may be NULL. */
	void (*explain)(FILE *out);
	/** How the script is replayed, in a line that begins with '#'. */
	void (*print_head)(FILE *out);
	/** One line. */
	void (*print_op)(FILE *out, const void *op);
	/** @return whether @p line is an operation. */
	bool (*read_op)(const char *line, void *ret_op);
};

/** Do it; if it fails, shrink it (in place), and print what remains and why, with @p name in front. */
bool script_run(const struct script_type *type, struct script *s, const char *name);

/** The same with one that was printed, as often as type->tries says. Ends the program if @p path is none. */
bool script_replay(const struct script_type *type, const char *path);

/** Seconds of a clock that only goes forward. */
int64_t script_now(void);

#endif
