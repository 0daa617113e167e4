/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TOOLS_DOCTOR_H
#define CURVEFS_TOOLS_DOCTOR_H

/* The checks of `curvefs doctor`: each looks at one thing and says what to do if it is not good. */

#include <stdio.h>

enum finding {
	FINDING_OK,
	FINDING_UNKNOWN, /* could not be seen */
	FINDING_WARNING, /* works, but not as well as it could */
	FINDING_PROBLEM,
};

struct check {
	enum finding finding;
	char *what;         /* what was found; free it */
	const char *advice; /* what to do; NULL: nothing */
};

/** Fill @p c with @p finding, @p todo (a constant, or NULL) and the formatted rest. */
#define found(c, f, todo, ...)                             \
	do {                                               \
		(c)->finding = (f);                        \
		(c)->advice = (todo);                      \
		if (asprintf(&(c)->what, __VA_ARGS__) < 0) \
			(c)->what = NULL;                  \
	} while (0)

/* What a mount needs. */
void check_fuse_device(struct check *c);
void check_fusermount(struct check *c);
void check_open_files(struct check *c);

/* What BPF needs. */
void check_kernel(struct check *c);
void check_kernel_config(struct check *c);
void check_ftrace(struct check *c);
void check_btf(struct check *c);
void check_fs_fuse(struct check *c);
void check_lockdown(struct check *c);
void check_signatures(struct check *c);
void check_capabilities(struct check *c);
void check_module(struct check *c);
void check_bpffs(struct check *c);
void check_probe(struct check *c);

/* What the cache needs, in the directory set here. */
void check_cache_set_dir(const char *dir);
void check_cache_type(struct check *c);
void check_cache_space(struct check *c);

#endif
