/* SPDX-License-Identifier: Apache-2.0 */

/*
 * curvefs maps: what the kernel would answer from. The maps are read through their pins, with no
 * more trust than any other input: first "info", which says what made them, then each map's own sizes.
 */

#include "bpf/extfuse_abi.h"
#include "common/cleanup.h"
#include "common/text.h"
#include "common/why.h"
#include "daemon/ctl/ctl.h"
#include "tools/cmd.h"
#include "tools/table.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_NAMES "dentry, dentry_long, inode, read_cache, written, dirty"
#define PATHS_MAX 20000 /* inode numbers in one request; its line has a limit */

static bool opt_json;
static const char *opt_map;
static unsigned opt_limit = 1000;

static const struct arg args[] = {
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print JSON", 0, 0},
	{"map", 'm', ARG_STRING, &opt_map, "NAME", "this map only: " MAP_NAMES, 0, 0},
	{"limit", 'n', ARG_UINT, &opt_limit, "N", "at most so many entries of each map (default 1000)", 1,
         100000000},
	{0},
};

static void set_number(json_t *j, const char *key, uint64_t n)
{
	json_object_set_new(j, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

/* ---- entries as JSON ---- */

static json_t *dentry_json(uint64_t parent, const char *key_name, size_t size, const struct extfuse_dentry *d)
{
	char name[sizeof(((struct extfuse_dentry_long_key *)0)->name) + 1];
	_cleanup_free_ char *text = NULL;
	json_t *j = json_object();

	memcpy(name, key_name, size);
	name[size] = '\0'; /* a name of full length has none in the key */
	text = text_escape(name);
	set_number(j, "parent", parent);
	json_object_set_new(j, "name", json_string(text ? text : "?"));
	set_number(j, "ino", d->ino);
	set_number(j, "generation", d->generation);
	set_number(j, "expires_ns", d->expires_ns);
	return j;
}

static json_t *short_dentry_json(const void *key, const void *value)
{
	const struct extfuse_dentry_key *k = key;

	return dentry_json(k->parent, k->name, sizeof(k->name), value);
}

static json_t *long_dentry_json(const void *key, const void *value)
{
	const struct extfuse_dentry_long_key *k = key;

	return dentry_json(k->parent, k->name, sizeof(k->name), value);
}

static json_t *inode_json(const void *key, const void *value)
{
	const struct extfuse_inode *i = value;
	json_t *j = json_object();
	char mode[16];

	snprintf(mode, sizeof(mode), "%06o", i->attr.mode);
	set_number(j, "ino", *(const __u64 *)key);
	json_object_set_new(j, "mode", json_string(mode));
	set_number(j, "size", i->attr.size);
	set_number(j, "nlink", i->attr.nlink);
	set_number(j, "uid", i->attr.uid);
	set_number(j, "gid", i->attr.gid);
	json_object_set_new(j, "mtime", json_integer((json_int_t)i->attr.mtime));
	set_number(j, "generation", i->generation);
	set_number(j, "expires_ns", i->expires_ns);
	set_number(j, "backing_id", i->backing_id);
	set_number(j, "backing_offset", i->backing_offset);
	json_object_set_new(j, "cached", json_boolean(i->flags & EXTFUSE_INODE_CACHED));
	json_object_set_new(j, "no_xattr", json_boolean(i->flags & EXTFUSE_INODE_NO_XATTR));
	json_object_set_new(j, "all_names", json_boolean(i->flags & EXTFUSE_INODE_ALL_NAMES));
	json_object_set_new(j, "lent", json_boolean(i->flags & EXTFUSE_INODE_LENT));
	return j;
}

static json_t *chunk_json(const void *key, const void *value)
{
	const struct extfuse_chunk_key *k = key;
	const struct extfuse_chunk *c = value;
	json_t *j = json_object();
	char valid[24];

	snprintf(valid, sizeof(valid), "0x%016llx", (unsigned long long)c->valid);
	set_number(j, "ino", k->ino);
	set_number(j, "chunk", k->chunk);
	set_number(j, "backing_id", c->backing_id);
	set_number(j, "offset", c->offset);
	json_object_set_new(j, "valid", json_string(valid));
	set_number(j, "version", c->version);
	return j;
}

static json_t *written_json(const void *key, const void *value)
{
	const struct extfuse_written *w = value;
	json_t *j = json_object();

	set_number(j, "ino", *(const __u64 *)key);
	set_number(j, "size", w->size);
	set_number(j, "time_ns", w->time_ns);
	set_number(j, "bytes", w->bytes);
	set_number(j, "max_bytes", w->max_bytes);
	set_number(j, "fresh_chunk", w->fresh_chunk);
	if (w->first_chunk <= w->last_chunk) { /* else nothing was written */
		set_number(j, "first_chunk", w->first_chunk);
		set_number(j, "last_chunk", w->last_chunk);
	}
	return j;
}

/* The pages that are set, as ranges: "0-4,17". */
static json_t *ranges_json(const struct extfuse_dirty *d)
{
	char text[6 * EXTFUSE_PAGES_PER_CHUNK]; /* at most "1023," for every other page */
	size_t used = 0;
	int first = -1;

	text[0] = '\0';
	for (int n = 0; n <= EXTFUSE_PAGES_PER_CHUNK; n++) {
		bool set = n < EXTFUSE_PAGES_PER_CHUNK && d->pages[n / 64] >> n % 64 & 1;

		if (set && first < 0)
			first = n;
		if (set || first < 0)
			continue;
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d", used ? "," : "", first);
		if (n - 1 > first)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "-%d", n - 1);
		first = -1;
	}
	return json_string(text);
}

static json_t *dirty_json(const void *key, const void *value)
{
	const struct extfuse_chunk_key *k = key;
	const struct extfuse_dirty *d = value;
	json_t *j = json_object();
	uint64_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(d->pages); i++)
		count += (uint64_t)__builtin_popcountll(d->pages[i]);
	set_number(j, "ino", k->ino);
	set_number(j, "chunk", k->chunk);
	set_number(j, "pages", count);
	json_object_set_new(j, "ranges", ranges_json(d));
	return j;
}

static const struct map {
	const char *name;
	uint32_t key_size, value_size;
	json_t *(*entry)(const void *key, const void *value);
	const char *ino_key; /* whose path is shown */
} maps[] = {
	{EXTFUSE_MAP_DENTRY, sizeof(struct extfuse_dentry_key), sizeof(struct extfuse_dentry),
         short_dentry_json, "parent"},
	{EXTFUSE_MAP_DENTRY_LONG, sizeof(struct extfuse_dentry_long_key), sizeof(struct extfuse_dentry),
         long_dentry_json, "parent"},
	{EXTFUSE_MAP_INODE, sizeof(__u64), sizeof(struct extfuse_inode), inode_json, "ino"},
	{EXTFUSE_MAP_CHUNK, sizeof(struct extfuse_chunk_key), sizeof(struct extfuse_chunk), chunk_json,
         "ino"},
	{EXTFUSE_MAP_WRITTEN, sizeof(__u64), sizeof(struct extfuse_written), written_json, "ino"},
	{EXTFUSE_MAP_DIRTY, sizeof(struct extfuse_chunk_key), sizeof(struct extfuse_dirty), dirty_json,
         "ino"},
};

/* ---- reading ---- */

/* @return an open map of just these sizes, or negative errno. */
static int open_map(unsigned minor, const char *name, uint32_t key_size, uint32_t value_size,
                    struct bpf_map_info *ret_info, char **ret_why)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	_cleanup_close_ int fd = -1;
	char path[128];

	snprintf(path, sizeof(path), CTL_BPFFS_DIR "/%u/%s", minor, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == EPERM ? why_r(-EPERM, ret_why, "reading BPF maps needs root")
		                      : why_r(-errno, ret_why, "%s: %s", path, strerror(errno));
	if (bpf_map_get_info_by_fd(fd, &info, &size) < 0)
		return why_r(-errno, ret_why, "%s: %s", path, strerror(errno));
	if (info.key_size != key_size || info.value_size != value_size)
		return why_r(-EPROTO, ret_why,
		             "%s: keys of %u and values of %u bytes, but this tool knows %u and %u: it is of "
		             "another version",
		             path, info.key_size, info.value_size, key_size, value_size);
	if (ret_info)
		*ret_info = info;
	return TAKE_FD(fd);
}

static int check_info(unsigned minor, char **ret_why)
{
	_cleanup_close_ int fd = open_map(minor, EXTFUSE_MAP_INFO, sizeof(uint32_t),
	                                  sizeof(struct extfuse_info), NULL, ret_why);
	struct extfuse_info info;
	uint32_t zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, &info) < 0)
		return -errno;
	if (info.magic != EXTFUSE_ABI_MAGIC)
		return why_r(-EPROTO, ret_why, "the pinned maps are not extfuse's (magic 0x%x)", info.magic);
	if (info.version != EXTFUSE_ABI_VERSION)
		return why_r(-EPROTO, ret_why, "the maps are of ABI version %u, this tool is of %u",
		             info.version, EXTFUSE_ABI_VERSION);
	if (info.dentry_key_size != sizeof(struct extfuse_dentry_key) ||
	    info.dentry_long_key_size != sizeof(struct extfuse_dentry_long_key) ||
	    info.dentry_size != sizeof(struct extfuse_dentry) ||
	    info.inode_size != sizeof(struct extfuse_inode) ||
	    info.chunk_key_size != sizeof(struct extfuse_chunk_key) ||
	    info.chunk_size != sizeof(struct extfuse_chunk) ||
	    info.written_size != sizeof(struct extfuse_written) ||
	    info.dirty_size != sizeof(struct extfuse_dirty))
		return why_r(-EPROTO, ret_why, "the maps' own description does not fit their version");
	return 0;
}

/*
 * At most opt_limit entries into @p list. The kernel changes the map meanwhile: when the key we stand on
 * goes, the walk begins again, so steps are bounded too and a key may come twice.
 */
static int read_map(int fd, const struct map *m, const struct bpf_map_info *info, json_t *list,
                    bool *ret_more)
{
	_cleanup_free_ char *key = malloc(m->key_size), *next = malloc(m->key_size),
			    *value = malloc(m->value_size);
	uint64_t steps = 2 * (uint64_t)info->max_entries;
	bool first = true;

	if (!key || !next || !value)
		return -ENOMEM;
	*ret_more = false;
	while (steps--) {
		if (bpf_map_get_next_key(fd, first ? NULL : key, next) < 0)
			return errno == ENOENT ? 0 : -errno;
		first = false;
		memcpy(key, next, m->key_size);
		if (bpf_map_lookup_elem(fd, key, value) < 0)
			continue; /* gone already */
		if (json_array_size(list) >= opt_limit) {
			*ret_more = true;
			return 0;
		}
		json_array_append_new(list, m->entry(key, value));
	}
	return 0;
}

/* ---- paths ---- */

/* "ino" -> path of all inodes that the lists name, as far as the daemon finds them. */
static json_t *find_paths(unsigned minor, const json_t *result)
{
	json_t *inos = json_object(), *numbers = json_array(), *request, *answer = NULL, *paths = NULL, *map,
	       *entry;
	_cleanup_free_ char *why = NULL;
	const char *name;
	size_t i;

	json_object_foreach((json_t *)result, name, map)
	{
		json_array_foreach(json_object_get(map, "entries"), i, entry)
		{
			static const char *const keys[] = {"ino", "parent"};

			for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
				uint64_t ino = cmd_number(entry, keys[k]);
				char key[24];

				snprintf(key, sizeof(key), "%" PRIu64, ino);
				if (!ino || json_object_get(inos, key) ||
				    json_array_size(numbers) >= PATHS_MAX)
					continue;
				json_object_set_new(inos, key, json_true());
				json_array_append_new(numbers, json_integer((json_int_t)ino));
			}
		}
	}
	request = json_pack("{s:s,s:O}", "cmd", "paths", "inos", numbers);
	if (ctl_call(minor, request, 120, NULL, NULL, &answer, &why) == 0)
		paths = json_incref(json_object_get(answer, "paths"));
	else
		cmd_error("no path names: %s", why ? why : "the daemon does not answer");
	json_decref(answer);
	json_decref(request);
	json_decref(numbers);
	json_decref(inos);
	return paths;
}

static const char *path_of(const json_t *paths, uint64_t ino)
{
	char key[24];

	snprintf(key, sizeof(key), "%" PRIu64, ino);
	return json_string_value(json_object_get(paths, key));
}

static void add_paths(json_t *result, const json_t *paths)
{
	json_t *map, *entry;
	const char *name;
	size_t i;

	json_object_foreach(result, name, map)
	{
		json_array_foreach(json_object_get(map, "entries"), i, entry)
		{
			const char *child = cmd_string(entry, "name");
			bool dentry = json_object_get(entry, "parent") != NULL;
			const char *path = path_of(paths, cmd_number(entry, dentry ? "parent" : "ino"));
			_cleanup_free_ char *whole = NULL;

			if (path && asprintf(&whole, "/%s%s%s", path, dentry && *path ? "/" : "", child) < 0)
				whole = NULL;
			if (whole)
				json_object_set_new(entry, "path", json_string(whole));
		}
	}
}

/* ---- for people ---- */

static void print_dentries(const json_t *entries)
{
	struct table *t = table_new((const char *[]){">parent", ">inode", "path", NULL});
	json_t *e;
	size_t i;

	json_array_foreach((json_t *)entries, i, e)
	{
		_cleanup_free_ char *unknown = NULL;
		char parent[24], ino[24];

		if (!*cmd_string(e, "path") && asprintf(&unknown, "?/%s", cmd_string(e, "name")) < 0)
			unknown = NULL;
		snprintf(parent, sizeof(parent), "%" PRIu64, cmd_number(e, "parent"));
		snprintf(ino, sizeof(ino), "%" PRIu64, cmd_number(e, "ino"));
		table_add(t, (const char *[]){parent, cmd_number(e, "ino") ? ino : "absent",
		                              *cmd_string(e, "path") ? cmd_string(e, "path") : unknown});
	}
	table_print(t, stdout);
}

static void print_inodes(const json_t *entries)
{
	struct table *t =
		table_new((const char *[]){">inode", "mode", ">size", ">backing", "flags", "path", NULL});
	json_t *e;
	size_t i;

	json_array_foreach((json_t *)entries, i, e)
	{
		char ino[24], size[24], backing[24], flags[64];

		snprintf(ino, sizeof(ino), "%" PRIu64, cmd_number(e, "ino"));
		snprintf(size, sizeof(size), "%" PRIu64, cmd_number(e, "size"));
		snprintf(backing, sizeof(backing), "%" PRIu64, cmd_number(e, "backing_id"));
		snprintf(flags, sizeof(flags), "%s%s%s%s",
		         json_is_true(json_object_get(e, "cached")) ? "cached " : "",
		         json_is_true(json_object_get(e, "lent")) ? "lent " : "",
		         json_is_true(json_object_get(e, "all_names")) ? "all-names " : "",
		         json_is_true(json_object_get(e, "no_xattr")) ? "no-xattr" : "");
		table_add(t, (const char *[]){ino, cmd_string(e, "mode"), size,
		                              cmd_number(e, "backing_id") ? backing : "-", flags,
		                              *cmd_string(e, "path") ? cmd_string(e, "path") : "?"});
	}
	table_print(t, stdout);
}

static void print_chunks(const json_t *entries)
{
	struct table *t = table_new((const char *[]){">inode", ">chunk", ">backing", ">offset", "valid",
	                                             ">version", "path", NULL});
	json_t *e;
	size_t i;

	json_array_foreach((json_t *)entries, i, e)
	{
		char numbers[5][24];
		static const char *const keys[] = {"ino", "chunk", "backing_id", "offset", "version"};

		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			snprintf(numbers[k], sizeof(numbers[k]), "%" PRIu64, cmd_number(e, keys[k]));
		table_add(t, (const char *[]){numbers[0], numbers[1], numbers[2], numbers[3],
		                              cmd_string(e, "valid"), numbers[4],
		                              *cmd_string(e, "path") ? cmd_string(e, "path") : "?"});
	}
	table_print(t, stdout);
}

static void print_written(const json_t *entries)
{
	struct table *t =
		table_new((const char *[]){">inode", ">size", ">bytes", ">room", "chunks", "path", NULL});
	json_t *e;
	size_t i;

	json_array_foreach((json_t *)entries, i, e)
	{
		static const char *const keys[] = {"ino", "size", "bytes", "max_bytes"};
		char numbers[4][24], chunks[48] = "-";

		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			snprintf(numbers[k], sizeof(numbers[k]), "%" PRIu64, cmd_number(e, keys[k]));
		if (json_object_get(e, "first_chunk"))
			snprintf(chunks, sizeof(chunks), "%" PRIu64 "-%" PRIu64, cmd_number(e, "first_chunk"),
			         cmd_number(e, "last_chunk"));
		table_add(t, (const char *[]){numbers[0], numbers[1], numbers[2], numbers[3], chunks,
		                              *cmd_string(e, "path") ? cmd_string(e, "path") : "?"});
	}
	table_print(t, stdout);
}

static void print_dirty(const json_t *entries)
{
	struct table *t = table_new((const char *[]){">inode", ">chunk", ">pages", "which", "path", NULL});
	json_t *e;
	size_t i;

	json_array_foreach((json_t *)entries, i, e)
	{
		static const char *const keys[] = {"ino", "chunk", "pages"};
		char numbers[3][24], ranges[40];

		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			snprintf(numbers[k], sizeof(numbers[k]), "%" PRIu64, cmd_number(e, keys[k]));
		if (snprintf(ranges, sizeof(ranges), "%s", cmd_string(e, "ranges")) >= (int)sizeof(ranges))
			memcpy(ranges + sizeof(ranges) - 4, "...", 4); /* --json has all */
		table_add(t, (const char *[]){numbers[0], numbers[1], numbers[2], *ranges ? ranges : "-",
		                              *cmd_string(e, "path") ? cmd_string(e, "path") : "?"});
	}
	table_print(t, stdout);
}

static void print(const json_t *result)
{
	json_t *map;
	const char *name;

	json_object_foreach((json_t *)result, name, map)
	{
		const json_t *entries = json_object_get(map, "entries");
		bool more = json_is_true(json_object_get(map, "truncated"));

		printf("%s: %zu%s of at most %" PRIu64 " entries\n", name, json_array_size(entries),
		       more ? " (there are more, see --limit)" : "", cmd_number(map, "max_entries"));
		if (strncmp(name, EXTFUSE_MAP_DENTRY, strlen(EXTFUSE_MAP_DENTRY)) == 0)
			print_dentries(entries);
		else if (strcmp(name, EXTFUSE_MAP_INODE) == 0)
			print_inodes(entries);
		else if (strcmp(name, EXTFUSE_MAP_WRITTEN) == 0)
			print_written(entries);
		else if (strcmp(name, EXTFUSE_MAP_DIRTY) == 0)
			print_dirty(entries);
		else
			print_chunks(entries);
		putchar('\n');
	}
}

static int collect(unsigned minor, json_t *result, char **ret_why)
{
	int r = check_info(minor, ret_why);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(maps); i++) {
		_cleanup_close_ int fd = -1;
		struct bpf_map_info info;
		json_t *map, *entries;
		bool more;

		if (opt_map && strcmp(opt_map, maps[i].name) != 0)
			continue;
		fd = open_map(minor, maps[i].name, maps[i].key_size, maps[i].value_size, &info, ret_why);
		if (fd < 0)
			return fd;
		entries = json_array();
		r = read_map(fd, &maps[i], &info, entries, &more);
		map = json_pack("{s:I,s:b,s:o}", "max_entries", (json_int_t)info.max_entries, "truncated",
		                r == 0 && more, "entries", entries);
		json_object_set_new(result, maps[i].name, map);
	}
	return r;
}

static bool map_is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (strcmp(maps[i].name, name) == 0)
			return true;
	return false;
}

/* Without pins the likely reason is that BPF is off; the daemon knows why. */
static int say_no_maps(unsigned minor, const char *mountpoint)
{
	json_t *mount = NULL;

	if (ctl_read_mount_json(minor, &mount) == 0 && !json_is_true(json_object_get(mount, "bpf"))) {
		cmd_error("%s: BPF is off: %s", mountpoint, cmd_string(mount, "why_no_bpf"));
		json_decref(mount);
		return EXIT_FAILED;
	}
	json_decref(mount);
	cmd_error("%s: no maps are pinned in " CTL_BPFFS_DIR "/%u; is a bpffs mounted on /sys/fs/bpf?",
	          mountpoint, minor);
	return EXIT_FAILED;
}

static int run(int count, char **operands)
{
	json_t *result, *paths;
	char *why = NULL;
	unsigned minor;
	uint64_t ino;
	int r;

	(void)count;
	if (opt_map && !map_is_known(opt_map)) {
		cmd_error("no map '%s'; there are " MAP_NAMES, opt_map);
		return EXIT_USAGE;
	}
	r = ctl_find_mount(operands[0], &minor, &ino, &why);
	if (r < 0)
		return cmd_fail(r, why, NULL);
	result = json_object();
	r = collect(minor, result, &why);
	if (r < 0) {
		json_decref(result);
		if (r == -ENOENT) {
			free(why);
			return say_no_maps(minor, operands[0]);
		}
		return cmd_fail(r, why, operands[0]);
	}
	paths = find_paths(minor, result);
	add_paths(result, paths);
	json_decref(paths);
	if (opt_json)
		return cmd_print_json(result, JSON_INDENT(2));
	print(result);
	json_decref(result);
	return EXIT_DONE;
}

const struct command cmd_maps = {
	.name = "maps",
	.operands = "MOUNTPOINT",
	.summary = "what is in the kernel's maps of a mount, with path names",
	.details = "The same maps are pinned in " CTL_BPFFS_DIR "/<minor device number>, for bpftool.\n",
	.args = args,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
