/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_OPTIONS_INTERNAL_H
#define CURVEFS_OPTIONS_INTERNAL_H

/* What options.c, options_table.c and options_value.c share; nobody else includes this. */

#include "common/why.h"
#include "daemon/options.h"

#include <stddef.h>

#define refuse(ret_why, ...) why_r(-EINVAL, ret_why, __VA_ARGS__)

/* ---- options_table.c: which options there are, and what they are called ---- */

/* Options without a letter; option_spec.key is one of these, or the letter. */
enum option_key {
	KEY_BPF_CACHE = 256, /* above every character */
	KEY_BPF_MAX_ENTRIES,
	KEY_BPF_RING_PAGES,
	KEY_DIRTY_EXPIRE,
	KEY_CACHE_DIR,
	KEY_CACHE_SIZE,
	KEY_FREE_SPACE_RATIO,
	KEY_META_DIR,
	KEY_META_BACKUP,
	KEY_WRITEBACK,
	KEY_UPLOAD_DELAY,
	KEY_BREAK_LEASE,
	KEY_ATTR_CACHE,
	KEY_ENTRY_CACHE,
	KEY_NEGATIVE_ENTRY_CACHE,
	KEY_ENDPOINT_URL,
	KEY_REGION,
	KEY_GET_TIMEOUT,
	KEY_RETRIES,
	KEY_MAX_UPLOADS,
	KEY_MAX_DOWNLOADS,
	KEY_BUFFER_SIZE,
	KEY_READ_AHEAD,
	KEY_CLONE_FD,
	KEY_MAX_IDLE_THREADS,
	KEY_LOG_LEVEL,
};

struct option_spec {
	const char *name;
	int key;
	int argument;      /* no_argument, required_argument, optional_argument */
	const char *value; /* how --help names the argument */
	const char *help;  /* NULL: an alias that --help leaves out; '\n' begins another line */
};

extern const struct option_spec option_specs[]; /* ends with one without a name */

/** @return the option, or NULL. */
const struct option_spec *option_spec_by_name(const char *name);
const struct option_spec *option_spec_by_key(int key);

/** Whether @p name, of -o, goes to libfuse as it is. */
bool option_is_for_fuse(const char *name);
/** Whether @p item, NAME or NAME=VALUE of -o, means something to mount(8) or systemd and nothing here. */
bool option_is_ignored(const char *item);

/** What --help prints. */
void option_print_help(void);

/**
 * Refuse the unknown @p name, and say which one was probably meant.
 * @param dashes how it was written, "--" or "-o "
 */
int option_refuse_unknown(const char *dashes, const char *name, char **ret_why);

/* ---- options_value.c: 0, or -EINVAL and *ret_why, or -ENOMEM ---- */

/** Bytes or plain numbers in [min, max]; the limits are named as the user would write them. */
int option_parse_number(const struct option_spec *spec, const char *value, const char *min, const char *max,
                        uint64_t *ret, char **ret_why);
int option_parse_unsigned(const struct option_spec *spec, const char *value, const char *min, const char *max,
                          unsigned *ret, char **ret_why);
/** A plain decimal fraction in [0, max]. */
int option_parse_real(const struct option_spec *spec, const char *value, double max, double *ret,
                      char **ret_why);
/** The absolute path of @p value, in place of *@p ret, which is freed; so it is with the next one. */
int option_parse_path(const struct option_spec *spec, const char *value, char **ret, char **ret_why);
int option_parse_text(const struct option_spec *spec, const char *value, char **ret, char **ret_why);
/** @param value NULL: none was given */
int option_parse_bpf_cache(const char *value, enum bpf_cache *ret, char **ret_why);
int option_parse_log_level(const char *value, int *ret, char **ret_why);

#endif
