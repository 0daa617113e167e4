// SPDX-License-Identifier: Apache-2.0
#include "daemon/options_internal.h"

#include "common/cleanup.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

const struct option_spec option_specs[] = {
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
	{"bpf-ring-pages", KEY_BPF_RING_PAGES, required_argument, "N",
         "pages of each CPU's ring of kernel events, a power of two\n"
         "(default 16)"},
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
	{"writeback", KEY_WRITEBACK, no_argument, NULL,
         "close and fsync return when the local disk has what was\n"
         "written; it is uploaded later"},
	{"upload-delay", KEY_UPLOAD_DELAY, required_argument, "SECONDS",
         "with --writeback: what is removed sooner is never uploaded\n"
         "(default 0)"},
	{"dirty-expire", KEY_DIRTY_EXPIRE, required_argument, "SECONDS",
         "what is written is uploaded after so long without close or\n"
         "fsync (default 30)"},
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
	{},
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

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

bool option_is_for_fuse(const char *name)
{
	return is_one_of(name, fuse_names, ARRAY_SIZE(fuse_names));
}

bool option_is_ignored(const char *item)
{
	for (size_t i = 0; i < ARRAY_SIZE(ignored_prefixes); i++) {
		if (!strncmp(item, ignored_prefixes[i], strlen(ignored_prefixes[i])))
			return true;
	}
	return is_one_of(item, ignored_names, ARRAY_SIZE(ignored_names));
}

const struct option_spec *option_spec_by_name(const char *name)
{
	for (const struct option_spec *s = option_specs; s->name; s++) {
		if (!strcmp(s->name, name))
			return s;
	}
	return NULL;
}

const struct option_spec *option_spec_by_key(int key)
{
	for (const struct option_spec *s = option_specs; s->name; s++) {
		if (s->key == key)
			return s;
	}
	return NULL;
}

void option_print_help(void)
{
	puts("usage: curvefs-fuse [OPTION...] SOURCE MOUNTPOINT\n"
	     "\n"
	     "Mount the volume in SOURCE, file:///DIR or s3://BUCKET[/PREFIX] (made by `curvefs format`).\n"
	     "Sizes take K, M, G, T (powers of 1024).\n");
	for (const struct option_spec *s = option_specs; s->name; s++) {
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

	for (const struct option_spec *s = option_specs; s->name; s++)
		consider(name, s->name, &best, &best_distance);
	for (size_t i = 0; with_fuse && i < ARRAY_SIZE(own); i++)
		consider(name, own[i], &best, &best_distance);
	for (size_t i = 0; with_fuse && i < ARRAY_SIZE(fuse_names); i++)
		consider(name, fuse_names[i], &best, &best_distance);
	return best;
}

int option_refuse_unknown(const char *dashes, const char *name, char **ret_why)
{
	const char *other = meant(name, dashes[1] == 'o');

	if (other)
		return refuse(ret_why, "unknown option %s%s (did you mean %s%s?)", dashes, name, dashes,
		              other);
	return refuse(ret_why, "unknown option %s%s (see --help)", dashes, name);
}
