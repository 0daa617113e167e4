// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/version.h"
#include "common/why.h"

#include <ctype.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <getopt.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define YEAR_S (365.0 * 24 * 3600)

enum key {
	KEY_BPF_CACHE = 256, /* above every character */
	KEY_BPF_MAX_ENTRIES,
	KEY_CACHE_DIR,
	KEY_CACHE_SIZE,
	KEY_FREE_SPACE_RATIO,
	KEY_META_DIR,
	KEY_META_BACKUP,
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

static const struct spec {
	const char *name;
	int key;
	int argument;      /* no_argument, required_argument, optional_argument */
	const char *value; /* how --help names the argument */
	const char *help;  /* NULL: an alias that --help leaves out; '\n' begins another line */
} specs[] = {
	{"foreground", 'f', no_argument, NULL, "stay in the foreground, log to standard error"},
	{"debug", 'd', no_argument, NULL, "print every FUSE request (implies -f)"},
	{"options", 'o', required_argument, "OPT[,OPT...]",
         "mount options: ro, allow_other, acl, nosuid, ...,\n"
         "and any long option below as NAME or NAME=VALUE"},
	{"bpf-cache", KEY_BPF_CACHE, optional_argument, "MODE",
         "answer from inside the kernel: auto (default), require\n"
         "(what --bpf-cache alone means), off"},
	{"bpf-max-entries", KEY_BPF_MAX_ENTRIES, required_argument, "N",
         "entries of each BPF map (default 1M)"},
	{"cache-dir", KEY_CACHE_DIR, required_argument, "DIR",
         "local data cache (default /var/cache/curvefs/UUID)"},
	{"cache-size", KEY_CACHE_SIZE, required_argument, "SIZE", "limit of the data cache (default 100G)"},
	{"free-space-ratio", KEY_FREE_SPACE_RATIO, required_argument, "RATIO",
         "part of the cache's disk that is left free (default 0.1)"},
	{"meta-dir", KEY_META_DIR, required_argument, "DIR",
         "metadata of the volume (default /var/lib/curvefs/UUID)"},
	{"meta-backup", KEY_META_BACKUP, required_argument, "SECONDS",
         "how often changes of the metadata are copied to the object\n"
         "store (default 60; 0: never)"},
	{"break-lease", KEY_BREAK_LEASE, no_argument, NULL,
         "mount though another machine has the volume mounted,\n"
         "which must be gone for good"},
	{"attr-cache", KEY_ATTR_CACHE, required_argument, "SECONDS",
         "how long the kernel may keep attributes (default 1;\n"
         "with BPF for the call that asked, until the next tick)"},
	{"entry-cache", KEY_ENTRY_CACHE, required_argument, "SECONDS",
         "... names (default 1; 0 with BPF: checked each time)"},
	{"negative-entry-cache", KEY_NEGATIVE_ENTRY_CACHE, required_argument, "SECONDS",
         "... names that are not there (default as above)"},
	{"endpoint-url", KEY_ENDPOINT_URL, required_argument, "URL",
         "s3: the server (default AWS_ENDPOINT_URL)"},
	{"region", KEY_REGION, required_argument, "NAME",
         "s3: the region (default AWS_REGION, else us-east-1)"},
	{"get-timeout", KEY_GET_TIMEOUT, required_argument, "SECONDS",
         "give an attempt up after so long without progress (default 30)"},
	{"retries", KEY_RETRIES, required_argument, "N", "further attempts after a failed one (default 5)"},
	{"io-retries", KEY_RETRIES, required_argument, "N", NULL},
	{"max-uploads", KEY_MAX_UPLOADS, required_argument, "N", "uploads at once (default 8)"},
	{"max-downloads", KEY_MAX_DOWNLOADS, required_argument, "N", "downloads at once (default 16)"},
	{"buffer-size", KEY_BUFFER_SIZE, required_argument, "SIZE", "memory for all buffers (default 64M)"},
	{"read-ahead", KEY_READ_AHEAD, required_argument, "SIZE",
         "fetched ahead of a sequential reader (default 8M; 0: nothing)"},
	{"clone-fd", KEY_CLONE_FD, no_argument, NULL, "a /dev/fuse descriptor for each thread"},
	{"max-idle-threads", KEY_MAX_IDLE_THREADS, required_argument, "N",
         "threads kept waiting for requests (default 16)"},
	{"log-level", KEY_LOG_LEVEL, required_argument, "LEVEL", "error, warning, info (default) or debug"},
	{"help", 'h', no_argument, NULL, "print this and exit"},
	{"version", 'V', no_argument, NULL, "print the version and exit"},
};

/* -o names that go to libfuse as they are. */
static const char *const fuse_names[] = {
	"suid",    "nosuid",     "dev",        "nodev",         "exec",    "noexec", "atime",
	"noatime", "nodiratime", "norelatime", "nostrictatime", "dirsync", "sync",   "async",
};

/* -o names that mean something to mount(8) or systemd and nothing here. */
static const char *const ignored_names[] = {
	"_netdev",
	"auto",
	"noauto",
	"defaults",
	"nofail",
	"user",
	"nouser",
	"users",
	"owner",
	"group",
	"default_permissions",
	"relatime",
};
static const char *const ignored_prefixes[] = {"x-", "X-", "comment="};

#define refuse(ret_why, ...) why_r(-EINVAL, ret_why, __VA_ARGS__)

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

/* ---- values ---- */

int options_parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGTPE";
	unsigned __int128 value = 0, fraction = 0, scale = 1;
	unsigned shift = 0;
	const char *p = text, *unit;
	bool fractional = false;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		value = value * 10 + (unsigned)(*p - '0');
		if (value > UINT64_MAX)
			return -ERANGE;
	}
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p))
			return -EINVAL;
		fractional = true;
		for (; isdigit((unsigned char)*p); p++) {
			if (scale >= 1000000000) /* finer than any unit's bytes that one would mean */
				continue;
			fraction = fraction * 10 + (unsigned)(*p - '0');
			scale *= 10;
		}
	}
	unit = *p ? strchr(units, toupper((unsigned char)*p)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		p++;
		if (*p == 'i')
			p++;
		if (p[-1] == 'i' && *p != 'B')
			return -EINVAL;
		if (*p == 'B')
			p++;
	}
	if (*p || (fractional && !unit))
		return -EINVAL;
	value = (value << shift) + (fraction << shift) / scale;
	if (value > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)value;
	return 0;
}

/* Bytes or plain numbers in [min, max]; the limits are named as the user would write them. */
static int parse_number(const struct spec *spec, const char *value, const char *min, const char *max,
                        uint64_t *ret, char **ret_why)
{
	uint64_t lowest, highest, number;
	int r;

	if (options_parse_size(min, &lowest) < 0 || options_parse_size(max, &highest) < 0)
		return -EINVAL;
	r = options_parse_size(value, &number);
	if (r == -EINVAL)
		return refuse(ret_why, "--%s: \"%s\" is not a number like 512, 4M or 1.5G", spec->name,
		              value);
	if (r == -ERANGE || number < lowest || number > highest)
		return refuse(ret_why, "--%s: %s is not between %s and %s", spec->name, value, min, max);
	*ret = number;
	return 0;
}

static int parse_unsigned(const struct spec *spec, const char *value, const char *min, const char *max,
                          unsigned *ret, char **ret_why)
{
	uint64_t number;
	int r;

	r = parse_number(spec, value, min, max, &number, ret_why);
	if (r < 0)
		return r;
	*ret = (unsigned)number; /* max fits */
	return 0;
}

static int parse_real(const struct spec *spec, const char *value, double max, double *ret, char **ret_why)
{
	double number;
	char *end;

	/* strtod() also knows blanks, signs, "inf", "nan" and hexadecimal digits. */
	if (!*value || strspn(value, "0123456789.") != strlen(value))
		return refuse(ret_why, "--%s: \"%s\" is not a number", spec->name, value);
	number = strtod(value, &end);
	if (*end || end == value)
		return refuse(ret_why, "--%s: \"%s\" is not a number", spec->name, value);
	if (!(number <= max))
		return refuse(ret_why, "--%s: %s is not between 0 and %g", spec->name, value, max);
	*ret = number;
	return 0;
}

/* A daemon's working directory is "/", so a relative path must be made absolute now. */
static int parse_path(const struct spec *spec, const char *value, char **ret, char **ret_why)
{
	char *path;

	if (!*value)
		return refuse(ret_why, "--%s: the path is empty", spec->name);
	if (*value == '/') {
		path = strdup(value);
	} else {
		_cleanup_free_ char *here = getcwd(NULL, 0);

		if (!here)
			return refuse(ret_why, "--%s: cannot tell the current directory: %s", spec->name,
			              strerror(errno));
		if (asprintf(&path, "%s/%s", here, value) < 0)
			path = NULL;
	}
	if (!path)
		return -ENOMEM;
	free(*ret);
	*ret = path;
	return 0;
}

static int parse_text(const struct spec *spec, const char *value, char **ret, char **ret_why)
{
	char *copy;

	if (!*value)
		return refuse(ret_why, "--%s: the value is empty", spec->name);
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

static int parse_bpf_cache(const char *value, enum bpf_cache *ret, char **ret_why)
{
	if (!value || !strcmp(value, "require"))
		*ret = BPF_CACHE_REQUIRE;
	else if (!strcmp(value, "auto"))
		*ret = BPF_CACHE_AUTO;
	else if (!strcmp(value, "off"))
		*ret = BPF_CACHE_OFF;
	else
		return refuse(ret_why, "--bpf-cache: \"%s\" is not one of auto, require, off", value);
	return 0;
}

static int parse_log_level(const char *value, int *ret, char **ret_why)
{
	int level = log_level_from_name(value);

	if (level < 0)
		return refuse(ret_why, "--log-level: \"%s\" is not one of error, warning, info, debug",
		              value);
	*ret = level;
	return 0;
}

/* ---- unknown names ---- */

/* Edit distance (insert, delete, replace, swap neighbours) of two short words. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][64];
	size_t la = strlen(a), lb = strlen(b);

	if (la >= ARRAY_SIZE(rows[0]) || lb >= ARRAY_SIZE(rows[0]))
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    above2[j - 2] + 1 < best)
				best = above2[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[la % 3][lb];
}

static void consider(const char *name, const char *candidate, const char **best, size_t *best_distance)
{
	size_t d = distance(name, candidate);

	if (d < *best_distance) {
		*best = candidate;
		*best_distance = d;
	}
}

/* The option that @name was probably meant to be, or NULL. @with_fuse: -o names too. */
static const char *meant(const char *name, bool with_fuse)
{
	static const char *const own[] = {"ro", "rw", "allow_other", "acl", "noacl"};
	const char *best = NULL;
	size_t best_distance = strlen(name) / 3 + 1;

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		consider(name, specs[i].name, &best, &best_distance);
	for (size_t i = 0; with_fuse && i < ARRAY_SIZE(own); i++)
		consider(name, own[i], &best, &best_distance);
	for (size_t i = 0; with_fuse && i < ARRAY_SIZE(fuse_names); i++)
		consider(name, fuse_names[i], &best, &best_distance);
	return best;
}

/* @dashes: how the option was written, "--" or "-o ". */
static int refuse_unknown(const char *dashes, const char *name, char **ret_why)
{
	const char *other = meant(name, dashes[1] == 'o');

	if (other)
		return refuse(ret_why, "unknown option %s%s (did you mean %s%s?)", dashes, name, dashes,
		              other);
	return refuse(ret_why, "unknown option %s%s (see --help)", dashes, name);
}

/* ---- options ---- */

static const struct spec *spec_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		if (!strcmp(specs[i].name, name))
			return &specs[i];
	}
	return NULL;
}

static const struct spec *spec_by_key(int key)
{
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		if (specs[i].key == key)
			return &specs[i];
	}
	return NULL;
}

static int add_fuse_opt(struct options *o, const char *name)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", o->fuse_opts ? o->fuse_opts : "", o->fuse_opts ? "," : "", name) < 0)
		return -ENOMEM;
	free(o->fuse_opts);
	o->fuse_opts = joined;
	return 0;
}

static int set_mount_options(struct options *o, const char *list, char **ret_why);

static int set_option(struct options *o, const struct spec *spec, const char *given, char **ret_why)
{
	const char *value = given ? given : ""; /* only where it is optional may it not be given */
	unsigned entries;
	int r;

	switch (spec->key) {
	case 'f':
		o->foreground = true;
		return 0;
	case 'd':
		o->debug = o->foreground = true;
		return 0;
	case 'o':
		return set_mount_options(o, value, ret_why);
	case KEY_BPF_CACHE:
		return parse_bpf_cache(given, &o->bpf_cache, ret_why);
	case KEY_BPF_MAX_ENTRIES:
		r = parse_unsigned(spec, value, "1K", "64M", &entries, ret_why);
		if (!r)
			o->bpf_max_entries = entries;
		return r;
	case KEY_CACHE_DIR:
		return parse_path(spec, value, &o->cache_dir, ret_why);
	case KEY_CACHE_SIZE:
		return parse_number(spec, value, "1M", "1E", &o->cache_size, ret_why);
	case KEY_FREE_SPACE_RATIO:
		return parse_real(spec, value, 1, &o->free_space_ratio, ret_why);
	case KEY_META_DIR:
		return parse_path(spec, value, &o->meta_dir, ret_why);
	case KEY_META_BACKUP:
		return parse_unsigned(spec, value, "0", "86400", &o->meta_backup_s, ret_why);
	case KEY_BREAK_LEASE:
		o->break_lease = true;
		return 0;
	case KEY_ATTR_CACHE:
		return parse_real(spec, value, YEAR_S, &o->attr_cache, ret_why);
	case KEY_ENTRY_CACHE:
		return parse_real(spec, value, YEAR_S, &o->entry_cache, ret_why);
	case KEY_NEGATIVE_ENTRY_CACHE:
		return parse_real(spec, value, YEAR_S, &o->negative_entry_cache, ret_why);
	case KEY_ENDPOINT_URL:
		return parse_text(spec, value, &o->endpoint_url, ret_why);
	case KEY_REGION:
		return parse_text(spec, value, &o->region, ret_why);
	case KEY_GET_TIMEOUT:
		return parse_unsigned(spec, value, "1", "3600", &o->get_timeout_s, ret_why);
	case KEY_RETRIES:
		return parse_unsigned(spec, value, "1", "100", &o->retries, ret_why);
	case KEY_MAX_UPLOADS:
		return parse_unsigned(spec, value, "1", "1024", &o->max_uploads, ret_why);
	case KEY_MAX_DOWNLOADS:
		return parse_unsigned(spec, value, "1", "1024", &o->max_downloads, ret_why);
	case KEY_BUFFER_SIZE:
		return parse_number(spec, value, "16M", "1T", &o->buffer_size, ret_why);
	case KEY_READ_AHEAD:
		return parse_number(spec, value, "0", "1G", &o->read_ahead, ret_why);
	case KEY_CLONE_FD:
		o->clone_fd = true;
		return 0;
	case KEY_MAX_IDLE_THREADS:
		return parse_unsigned(spec, value, "1", "1024", &o->max_idle_threads, ret_why);
	case KEY_LOG_LEVEL:
		return parse_log_level(value, &o->log_level, ret_why);
	}
	return refuse(ret_why, "option --%s cannot be given here", spec->name);
}

/* One NAME or NAME=VALUE of -o. */
static int set_mount_option(struct options *o, char *item, char **ret_why)
{
	const struct spec *spec;
	char *value;

	for (size_t i = 0; i < ARRAY_SIZE(ignored_prefixes); i++) {
		if (!strncmp(item, ignored_prefixes[i], strlen(ignored_prefixes[i])))
			return 0;
	}
	if (is_one_of(item, ignored_names, ARRAY_SIZE(ignored_names)))
		return 0;
	if (is_one_of(item, fuse_names, ARRAY_SIZE(fuse_names)))
		return add_fuse_opt(o, item);
	if (!strcmp(item, "ro") || !strcmp(item, "rw")) {
		o->read_only = item[1] == 'o';
		return 0;
	}
	if (!strcmp(item, "acl") || !strcmp(item, "noacl")) {
		o->acl = item[0] == 'a';
		return 0;
	}
	if (!strcmp(item, "allow_other")) {
		o->allow_other = true;
		return 0;
	}

	value = strchr(item, '=');
	if (value)
		*value++ = '\0';
	spec = spec_by_name(item);
	if (!spec || (spec->key < 256 && spec->key != 'd'))
		return refuse_unknown("-o ", item, ret_why);
	if (value && spec->argument == no_argument)
		return refuse(ret_why, "-o %s takes no value", item);
	if (!value && spec->argument == required_argument)
		return refuse(ret_why, "-o %s needs a value: -o %s=%s", item, item, spec->value);
	return set_option(o, spec, value, ret_why);
}

static int set_mount_options(struct options *o, const char *list, char **ret_why)
{
	_cleanup_free_ char *copy = strdup(list);
	char *item, *rest = copy;
	int r;

	if (!copy)
		return -ENOMEM;
	while ((item = strsep(&rest, ","))) {
		if (!*item)
			continue;
		r = set_mount_option(o, item, ret_why);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- help ---- */

static void print_help(void)
{
	puts("usage: curvefs-fuse [OPTION...] SOURCE MOUNTPOINT\n"
	     "\n"
	     "Mount the volume in SOURCE, file:///DIR or s3://BUCKET[/PREFIX] (made by `curvefs format`).\n"
	     "Sizes take K, M, G, T (powers of 1024).\n");
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		const struct spec *s = &specs[i];
		char left[64], letter[8] = "    ";
		const char *help = s->help;
		int width;

		if (!help)
			continue;
		if (s->key < 256)
			snprintf(letter, sizeof(letter), "-%c, ", s->key);
		snprintf(left, sizeof(left), "%s--%s%s%s%s", letter, s->name,
		         s->argument == optional_argument   ? "[="
		         : s->argument == required_argument ? "="
		                                            : "",
		         s->value ? s->value : "", s->argument == optional_argument ? "]" : "");
		width = 36;
		printf("  %-*s", width, left);
		for (;;) {
			size_t n = strcspn(help, "\n");

			printf("%.*s\n", (int)n, help);
			if (!help[n])
				break;
			help += n + 1;
			printf("  %-*s", width, "");
		}
	}
}

/* ---- the command line ---- */

/*
 * What getopt_long() answered '?' to: @letter is 0 for an unknown long option, that of a known one which
 * was given a value, or the unknown letter, which need not be in @argument, the last one that was finished.
 */
static int refuse_argument(const char *argument, int letter, char **ret_why)
{
	const struct spec *spec = spec_by_key(letter);
	_cleanup_free_ char *name = NULL;

	if (spec)
		return refuse(ret_why, "option --%s takes no value", spec->name);
	if (letter > ' ' && letter <= '~')
		return refuse(ret_why, "unknown option -%c (see --help)", letter);
	if (letter || strncmp(argument, "--", 2) != 0)
		return refuse(ret_why, "unknown option -\\x%02X (see --help)", letter & 0xff);
	name = strndup(argument + 2, strcspn(argument + 2, "="));
	if (!name)
		return -ENOMEM;
	return refuse_unknown("--", name, ret_why);
}

static int parse_arguments(int argc, char *const argv[], struct options *o, bool *ret_printed, char **ret_why)
{
	struct option long_options[ARRAY_SIZE(specs) + 1] = {};
	int key, r;

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		long_options[i] = (struct option){
			.name = specs[i].name, .has_arg = specs[i].argument, .val = specs[i].key};
	}
	opterr = 0;
	optind = 0; /* glibc: start afresh */
	while ((key = getopt_long(argc, argv, ":fdo:hV", long_options, NULL)) != -1) {
		const struct spec *spec;

		switch (key) {
		case 'h':
			print_help();
			*ret_printed = true;
			return 0;
		case 'V':
			printf("curvefs-fuse %s (libfuse %s)\n", CURVEFS_VERSION, fuse_pkgversion());
			*ret_printed = true;
			return 0;
		case ':':
			return refuse(ret_why, "option %s needs a value", argv[optind - 1]);
		case '?':
			return refuse_argument(argv[optind - 1], optopt, ret_why);
		}
		spec = spec_by_key(key);
		r = set_option(o, spec, optarg, ret_why);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Once mounted, the daemon would have to ask itself for what lies there, and wait for ever. */
static int check_not_below(const char *what, const char *path, const char *mountpoint, char **ret_why)
{
	_cleanup_free_ char *resolved = NULL;
	size_t length = strlen(mountpoint);

	if (!path)
		return 0;
	resolved = realpath(path, NULL);
	if (resolved)
		path = resolved;
	else if (strstr(path, "/..")) /* not there yet, and no telling where it will be */
		return 0;
	if (strncmp(path, mountpoint, length) != 0 || (path[length] && path[length] != '/'))
		return 0;
	return refuse(ret_why, "%s lies below the mount point: %s", what, path);
}

static int check_places(const struct options *o, char **ret_why)
{
	const char *directory = strncmp(o->source, "file://", 7) == 0 ? o->source + 7 : NULL;
	int r;

	r = check_not_below("the volume", directory, o->mountpoint, ret_why);
	if (!r)
		r = check_not_below("--meta-dir", o->meta_dir, o->mountpoint, ret_why);
	if (!r)
		r = check_not_below("--cache-dir", o->cache_dir, o->mountpoint, ret_why);
	return r;
}

static int set_operands(struct options *o, int count, char *const operands[], char **ret_why)
{
	struct stat st;

	if (count < 1)
		return refuse(ret_why, "SOURCE and MOUNTPOINT are missing (see --help)");
	if (count < 2)
		return refuse(ret_why, "MOUNTPOINT is missing (see --help)");
	if (count > 2)
		return refuse(ret_why, "\"%s\" is one argument too many (see --help)", operands[2]);
	if (strncmp(operands[0], "file://", 7) != 0 && strncmp(operands[0], "s3://", 5) != 0)
		return refuse(ret_why, "\"%s\" is no SOURCE: give file:///DIR or s3://BUCKET[/PREFIX]",
		              strchr(operands[0], '@') ? "...@..." : operands[0]); /* maybe a password */
	if (stat(operands[1], &st) < 0) {
		if (errno == ENOTCONN)
			return refuse(ret_why, "%s: the daemon of an earlier mount is gone; umount %s first",
			              operands[1], operands[1]);
		return refuse(ret_why, "%s: %s", operands[1], strerror(errno));
	}
	if (!S_ISDIR(st.st_mode))
		return refuse(ret_why, "%s: %s", operands[1], strerror(ENOTDIR));
	o->mountpoint = realpath(operands[1], NULL);
	if (!o->mountpoint)
		return refuse(ret_why, "%s: %s", operands[1], strerror(errno));
	o->source = strdup(operands[0]);
	return o->source ? check_places(o, ret_why) : -ENOMEM;
}

int options_parse(int argc, char *const argv[], struct options *ret, char **ret_why)
{
	struct options o = {
		.bpf_cache = BPF_CACHE_AUTO,
		.bpf_max_entries = 1u << 20,
		.cache_size = 100ull << 30,
		.free_space_ratio = 0.1,
		.meta_backup_s = 60,
		.attr_cache = NAN,
		.entry_cache = NAN,
		.negative_entry_cache = NAN,
		.get_timeout_s = 30,
		.retries = 5,
		.max_uploads = 8,
		.max_downloads = 16,
		.buffer_size = 64ull << 20,
		.read_ahead = 8ull << 20,
		.max_idle_threads = 16,
		.log_level = LOG_INFO,
	};
	bool printed = false;
	int r;

	r = parse_arguments(argc, argv, &o, &printed, ret_why);
	if (!r && !printed)
		r = set_operands(&o, argc - optind, argv + optind, ret_why);
	if (r < 0 || printed) {
		options_free(&o);
		/* Out of memory has no sentence of its own. */
		return r < 0 ? -EINVAL : 1;
	}
	*ret = o;
	return 0;
}

void options_free(struct options *o)
{
	free(o->source);
	free(o->mountpoint);
	free(o->fuse_opts);
	free(o->cache_dir);
	free(o->meta_dir);
	free(o->endpoint_url);
	free(o->region);
	*o = (struct options){};
}
