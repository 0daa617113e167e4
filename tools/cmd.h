/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TOOLS_CMD_H
#define CURVEFS_TOOLS_CMD_H

/*
 * The subcommands of curvefs. Each has a file of its own and gives main.c one
 * struct command; its options are a table, from which both the parser and --help are made.
 *
 * Exit status of every subcommand: 0 done; 1 it failed, or found what it looked for wrong; 2 it was
 * not understood (nothing was done). But fsck has those of fsck(8).
 */

#include "tools/args.h"

#include <jansson.h>
#include <stdint.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	const char *operands; /* "PATH..." */
	const char *summary;  /* one line */
	const char *details;  /* more of --help; may be NULL */
	const struct arg *args;
	int min_operands, max_operands; /* -1: any number */
	/** @return an exit status. Options are parsed; @p operands are what is left. */
	int (*run)(int count, char **operands);
};

extern const struct command cmd_format, cmd_warmup, cmd_stats, cmd_status, cmd_info, cmd_doctor, cmd_maps,
	cmd_umount, cmd_fsck, cmd_gc, cmd_sync, cmd_restore;

/** Whose messages the ones below are. */
void cmd_set_name(const char *subcommand);

/** Say "curvefs <subcommand>: <message>" on standard error. */
void cmd_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Say @p why (taken; NULL: strerror(-r)), with "what: " in front unless NULL. @return EXIT_FAILED. */
int cmd_fail(int r, char *why, const char *what);

/** Print and drop @p j, indented. @return EXIT_DONE, or EXIT_FAILED if it could not be written. */
int cmd_print_json(json_t *j, size_t flags);

/** The integer at "a.b.c" of @p j, 0 if there is none. */
uint64_t cmd_number(const json_t *j, const char *path);

/** The string at @p path, or "" if there is none. */
const char *cmd_string(const json_t *j, const char *path);

/** "1.5 GiB". */
#define HUMAN_MAX 32
const char *human_bytes(uint64_t bytes, char buffer[HUMAN_MAX]);

/** "3 d 4 h", "12 s". */
const char *human_duration(uint64_t seconds, char buffer[HUMAN_MAX]);

#endif
