/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_COMMON_WHY_H
#define CURVEFS_COMMON_WHY_H

/*
 * Reasons for people: what a function with a `char **ret_why` says when it
 * fails. The caller frees it, and starts with NULL, which means "the errno says it all".
 */

#include <stdio.h>

/** Set *@p ret_why to the formatted sentence (NULL when out of memory) and give @p r: `return why_r(...)`. */
#define why_r(r, ret_why, ...)                          \
	({                                              \
		if (asprintf(ret_why, __VA_ARGS__) < 0) \
			*(ret_why) = NULL;              \
		(r);                                    \
	})

#endif
