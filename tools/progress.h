/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TOOLS_PROGRESS_H
#define CURVEFS_TOOLS_PROGRESS_H

/*
 * How far a long job is, on standard error: a bar that is redrawn on a
 * terminal, else a line every ten seconds.
 */

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *label;
	bool terminal;
	bool drawn;
	double started, last; /* seconds, monotonic */
};

void progress_start(struct progress *p, const char *label);

/** @p done of @p total (0: not known), in whatever unit; @p text: the numbers for people. */
void progress_update(struct progress *p, uint64_t done, uint64_t total, const char *text);

/** Take the bar away, so that what is said next has the line to itself. */
void progress_end(struct progress *p);

#endif
