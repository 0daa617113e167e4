/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TOOLS_TABLE_H
#define CURVEFS_TOOLS_TABLE_H

/* Aligned columns. Numbers (right-aligned) are columns whose title begins with '>'. */

#include <stdint.h>
#include <stdio.h>

struct table;

/** @p titles: one or more, NULL-terminated; an empty or ">" title has no heading. NULL without memory. */
struct table *table_new(const char *const *titles);

/** A row: as many cells as there are titles, copied; NULL is empty. */
void table_add(struct table *t, const char *const *cells);

/** Print with titles (only if one of them is not empty) and free. Without rows nothing is printed. */
void table_print(struct table *t, FILE *f);

/** Columns that @p text takes on a terminal. */
int table_width(const char *text);

#endif
