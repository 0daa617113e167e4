/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TOOLS_ARGS_H
#define CURVEFS_TOOLS_ARGS_H

/*
 * Options of a subcommand, as a table. They may stand before and behind the operands,
 * "--" ends them; "--name=value", "--name value", "-nvalue" and "-n value" are the same.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum arg_type {
	ARG_FLAG,   /* bool */
	ARG_STRING, /* const char * */
	ARG_UINT,   /* unsigned, between min and max */
	ARG_SIZE,   /* uint64_t, bytes: "4M", between min and max */
	ARG_SECONDS /* double, > 0 */
};

struct arg {
	const char *name; /* long; NULL ends the table */
	char letter;      /* short, or 0 */
	enum arg_type type;
	void *target;      /* set when the option is there */
	const char *value; /* how --help names its value */
	const char *help;
	uint64_t min, max; /* max 0: no limits */
};

/**
 * Parse argv[1] ... and leave the operands in argv[0] ... @return their number, or -EINVAL and *ret_why (free
 * it): what is wrong, with a suggestion for an option that was mistyped.
 */
int args_parse(const struct arg *table, int argc, char **argv, char **ret_why);

/** A line for each option of @p table. */
void args_print(const struct arg *table, FILE *f);

/** The one of @p count @p words that @p word may have been meant to be, or NULL. */
const char *args_suggest(const char *word, const char *const *words, size_t count);

#endif
