// SPDX-License-Identifier: Apache-2.0
#include "daemon/options_internal.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/version.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <getopt.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define YEAR_S (365.0 * 24 * 3600)

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

static int parse_ring_pages(struct options *o, const struct option_spec *spec, const char *value,
                            char **ret_why)
{
	unsigned pages;
	int r = option_parse_unsigned(spec, value, "1", "1K", &pages, ret_why);

	if (r < 0)
		return r;
	if (pages & (pages - 1))
		return refuse(ret_why, "--%s: %u is not a power of two", spec->name, pages);
	o->bpf_ring_pages = pages;
	return 0;
}

static int set_option(struct options *o, const struct option_spec *spec, const char *given, char **ret_why)
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
		return option_parse_bpf_cache(given, &o->bpf_cache, ret_why);
	case KEY_BPF_MAX_ENTRIES:
		r = option_parse_unsigned(spec, value, "1K", "64M", &entries, ret_why);
		if (!r)
			o->bpf_max_entries = entries;
		return r;
	case KEY_BPF_RING_PAGES:
		return parse_ring_pages(o, spec, value, ret_why);
	case KEY_CACHE_DIR:
		return option_parse_path(spec, value, &o->cache_dir, ret_why);
	case KEY_CACHE_SIZE:
		return option_parse_number(spec, value, "1M", "1E", &o->cache_size, ret_why);
	case KEY_FREE_SPACE_RATIO:
		return option_parse_real(spec, value, 1, &o->free_space_ratio, ret_why);
	case KEY_META_DIR:
		return option_parse_path(spec, value, &o->meta_dir, ret_why);
	case KEY_META_BACKUP:
		return option_parse_unsigned(spec, value, "0", "86400", &o->meta_backup_s, ret_why);
	case KEY_WRITEBACK:
		o->writeback = true;
		return 0;
	case KEY_UPLOAD_DELAY:
		return option_parse_unsigned(spec, value, "0", "86400", &o->upload_delay_s, ret_why);
	case KEY_DIRTY_EXPIRE:
		return option_parse_unsigned(spec, value, "1", "86400", &o->dirty_expire_s, ret_why);
	case KEY_BREAK_LEASE:
		o->break_lease = true;
		return 0;
	case KEY_ATTR_CACHE:
		return option_parse_real(spec, value, YEAR_S, &o->attr_cache, ret_why);
	case KEY_ENTRY_CACHE:
		return option_parse_real(spec, value, YEAR_S, &o->entry_cache, ret_why);
	case KEY_NEGATIVE_ENTRY_CACHE:
		return option_parse_real(spec, value, YEAR_S, &o->negative_entry_cache, ret_why);
	case KEY_ENDPOINT_URL:
		return option_parse_text(spec, value, &o->endpoint_url, ret_why);
	case KEY_REGION:
		return option_parse_text(spec, value, &o->region, ret_why);
	case KEY_GET_TIMEOUT:
		return option_parse_unsigned(spec, value, "1", "3600", &o->get_timeout_s, ret_why);
	case KEY_RETRIES:
		return option_parse_unsigned(spec, value, "1", "100", &o->retries, ret_why);
	case KEY_MAX_UPLOADS:
		return option_parse_unsigned(spec, value, "1", "1024", &o->max_uploads, ret_why);
	case KEY_MAX_DOWNLOADS:
		return option_parse_unsigned(spec, value, "1", "1024", &o->max_downloads, ret_why);
	case KEY_BUFFER_SIZE:
		return option_parse_number(spec, value, "16M", "1T", &o->buffer_size, ret_why);
	case KEY_READ_AHEAD:
		return option_parse_number(spec, value, "0", "1G", &o->read_ahead, ret_why);
	case KEY_CLONE_FD:
		o->clone_fd = true;
		return 0;
	case KEY_MAX_IDLE_THREADS:
		return option_parse_unsigned(spec, value, "1", "1024", &o->max_idle_threads, ret_why);
	case KEY_LOG_LEVEL:
		return option_parse_log_level(value, &o->log_level, ret_why);
	}
	return refuse(ret_why, "option --%s cannot be given here", spec->name);
}

/* One NAME or NAME=VALUE of -o. */
static int set_mount_option(struct options *o, char *item, char **ret_why)
{
	const struct option_spec *spec;
	char *value;

	if (option_is_ignored(item))
		return 0;
	if (option_is_for_fuse(item))
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
	spec = option_spec_by_name(item);
	if (!spec || (spec->key < 256 && spec->key != 'd'))
		return option_refuse_unknown("-o ", item, ret_why);
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

/* ---- the command line ---- */

/*
 * What getopt_long() answered '?' to: @letter is 0 for an unknown long option, that of a known one which
 * was given a value, or the unknown letter, which need not be in @argument, the last one that was finished.
 */
static int refuse_argument(const char *argument, int letter, char **ret_why)
{
	const struct option_spec *spec = option_spec_by_key(letter);
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
	return option_refuse_unknown("--", name, ret_why);
}

/* The table as getopt_long() takes it (free it), or NULL. */
static struct option *for_getopt(void)
{
	struct option *list;
	size_t count = 0;

	while (option_specs[count].name)
		count++;
	list = calloc(count + 1, sizeof(*list));
	for (size_t i = 0; list && i < count; i++) {
		list[i] = (struct option){.name = option_specs[i].name,
		                          .has_arg = option_specs[i].argument,
		                          .val = option_specs[i].key};
	}
	return list;
}

static int parse_arguments(int argc, char *const argv[], struct options *o, bool *ret_printed, char **ret_why)
{
	_cleanup_free_ struct option *long_options = for_getopt();
	int key, r;

	if (!long_options)
		return -ENOMEM;
	opterr = 0;
	optind = 0; /* glibc: start afresh */
	while ((key = getopt_long(argc, argv, ":fdo:hV", long_options, NULL)) != -1) {
		const struct option_spec *spec;

		switch (key) {
		case 'h':
			option_print_help();
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
		spec = option_spec_by_key(key);
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
		.bpf_ring_pages = 16,
		.cache_size = 100ull << 30,
		.free_space_ratio = 0.1,
		.meta_backup_s = 60,
		.dirty_expire_s = 30,
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
	if (!r && !printed && o.upload_delay_s && !o.writeback)
		r = refuse(ret_why, "--upload-delay means something with --writeback only");
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
