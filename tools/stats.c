/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "daemon/ctl/ctl.h"
#include "tools/cmd.h"
#include "tools/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool opt_json, opt_all;
static double opt_interval;
static unsigned opt_count;

static const struct arg args[] = {
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print JSON; with --interval one object a line", 0, 0},
	{"all", 'a', ARG_FLAG, &opt_all, NULL, "also operations that never happened", 0, 0},
	{"interval", 'i', ARG_SECONDS, &opt_interval, "SECONDS",
         "print again and again, what was added in each interval", 0, 0},
	{"count", 'c', ARG_UINT, &opt_count, "N", "with --interval: end after N times", 1, UINT32_MAX},
	{0},
};

static void add_number(const char **cells, char *buffer, size_t size, uint64_t n, size_t column)
{
	snprintf(buffer, size, "%" PRIu64, n);
	cells[column] = n ? buffer : "-";
}

static void print_kernel(const json_t *stats)
{
	static const char *const titles[] = {"kernel",     ">hit",   ">(negative)", ">miss", ">stale",
	                                     ">uncovered", ">aside", ">drop",       ">pass", NULL};
	static const char *const keys[] = {"hit",       "negative", "miss", "stale",
	                                   "uncovered", "aside",    "drop", "pass"};
	struct table *t = table_new(titles);
	json_t *kernel = json_object_get(stats, "kernel"), *op;
	const char *name;

	if (!json_is_true(json_object_get(json_object_get(stats, "bpf"), "on"))) {
		printf("kernel: nothing is answered there: %s\n", cmd_string(stats, "bpf.why"));
		if (!opt_all) {
			table_print(t, stdout); /* no rows: prints nothing */
			return;
		}
	}
	json_object_foreach(kernel, name, op)
	{
		const char *cells[ARRAY_SIZE(keys) + 1] = {name};
		char numbers[ARRAY_SIZE(keys)][24];
		uint64_t sum = 0;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			uint64_t n = cmd_number(op, keys[i]);

			add_number(cells, numbers[i], sizeof(numbers[i]), n, i + 1);
			sum += n;
		}
		if (sum || opt_all)
			table_add(t, cells);
	}
	table_print(t, stdout);
}

static void print_daemon(const json_t *stats)
{
	static const char *const titles[] = {"daemon", ">requests", NULL};
	struct table *t = table_new(titles);
	json_t *n;
	const char *name;

	json_object_foreach(json_object_get(stats, "daemon"), name, n)
	{
		const char *cells[2] = {name};
		char number[24];

		add_number(cells, number, sizeof(number), (uint64_t)json_integer_value(n), 1);
		if (json_integer_value(n) > 0 || opt_all)
			table_add(t, cells);
	}
	fputc('\n', stdout);
	table_print(t, stdout);
}

static void print_store(const json_t *stats)
{
	static const char *const titles[] = {"store", ">requests", ">bytes", ">errors", NULL};
	static const char *const kinds[] = {"get", "put", "delete", "list", "head"};
	const json_t *store = json_object_get(stats, "store");
	struct table *t = table_new(titles);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *cells[4] = {kinds[i]};
		char requests[24], errors[24], bytes[HUMAN_MAX];
		uint64_t n = cmd_number(store, kinds[i]);
		uint64_t b = cmd_number(json_object_get(store, "bytes"), kinds[i]);

		add_number(cells, requests, sizeof(requests), n, 1);
		cells[2] = b ? human_bytes(b, bytes) : "-";
		add_number(cells, errors, sizeof(errors),
		           cmd_number(json_object_get(store, "errors"), kinds[i]), 3);
		if (n || opt_all)
			table_add(t, cells);
	}
	fputc('\n', stdout);
	table_print(t, stdout);
}

/* One line of "name value, name value". */
static void print_line(const json_t *stats, const char *title, const char *const (*items)[2], size_t count)
{
	printf("%-8s", title);
	for (size_t i = 0; i < count; i++) {
		uint64_t n = cmd_number(stats, items[i][0]);
		char buffer[HUMAN_MAX];

		if (strstr(items[i][0], "bytes") || strstr(items[i][0], "limit"))
			human_bytes(n, buffer);
		else
			snprintf(buffer, sizeof(buffer), "%" PRIu64, n);
		printf("%s%s %s", i ? ", " : "  ", items[i][1], buffer);
	}
	fputc('\n', stdout);
}

static void print_rest(const json_t *stats)
{
	static const char *const cache[][2] = {{"cache.bytes", "size"},      {"cache.limit", "limit"},
	                                       {"cache.files", "files"},     {"cache.packed", "packed"},
	                                       {"cache.packs", "packs"},     {"cache.hits", "hits"},
	                                       {"cache.misses", "misses"},   {"cache.evictions", "evictions"},
	                                       {"cache.corrupt", "corrupt"}, {"cache.full", "full"}};
	static const char *const ring[][2] = {{"ring.records", "records"}, {"ring.lost", "lost"}};
	static const char *const maps[][2] = {{"maps.inodes", "inodes"},
	                                      {"maps.dentries", "dentries"},
	                                      {"maps.chunks", "chunks"},
	                                      {"maps.backing_files", "backing files"},
	                                      {"maps.lost_publishes", "lost publishes"},
	                                      {"maps.evicted", "evicted"}};
	static const char *const data[][2] = {{"data.open_files", "open files"},
	                                      {"data.dirty_bytes", "not yet uploaded"},
	                                      {"data.uploads_running", "uploads"},
	                                      {"data.downloads_running", "downloads"}};
	static const char *const memory[][2] = {{"memory.resident_bytes", "resident"},
	                                        {"memory.buffer_bytes", "buffers"}};
	static const char *const volume[][2] = {{"volume.inodes", "inodes"}, {"volume.bytes", "data"}};

	fputc('\n', stdout);
	print_line(stats, "cache", cache, ARRAY_SIZE(cache));
	print_line(stats, "ring", ring, ARRAY_SIZE(ring));
	print_line(stats, "maps", maps, ARRAY_SIZE(maps));
	print_line(stats, "data", data, ARRAY_SIZE(data));
	print_line(stats, "memory", memory, ARRAY_SIZE(memory));
	print_line(stats, "volume", volume, ARRAY_SIZE(volume));
}

/* What is a level and not a count: it is shown as it is in an interval, too. */
static bool is_level(const char *group, const char *key)
{
	static const char *const groups[] = {"data", "memory", "volume", "bpf"};
	static const char *const keys[] = {"limit",  "files",    "packed", "packs",        "dirty_bytes",
	                                   "inodes", "dentries", "chunks", "backing_files"};

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (strcmp(group, groups[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return strcmp(group, "cache") == 0 && strcmp(key, "bytes") == 0;
}

/* now - before, in a new object. */
static json_t *difference(const json_t *now, const json_t *before, const char *group)
{
	json_t *result = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)now, key, value)
	{
		json_t *old = json_object_get(before, key);

		if (json_is_object(value))
			json_object_set_new(result, key, difference(value, old, *group ? group : key));
		else if (json_is_integer(value) && json_is_integer(old) && !is_level(group, key))
			json_object_set_new(
				result, key,
				json_integer(json_integer_value(value) - json_integer_value(old)));
		else
			json_object_set(result, key, value);
	}
	return result;
}

static void print_human(const json_t *stats)
{
	print_kernel(stats);
	print_daemon(stats);
	print_store(stats);
	print_rest(stats);
}

static int run(int count, char **operands)
{
	json_t *request = json_pack("{s:s}", "cmd", "stats"), *before = NULL, *stats;
	char *why = NULL;
	unsigned minor, times = 0;
	uint64_t ino;
	int r, status = EXIT_DONE;

	(void)count;
	r = ctl_find_mount(operands[0], &minor, &ino, &why);
	if (r < 0) {
		json_decref(request);
		return cmd_fail(r, why, NULL);
	}
	for (;;) {
		r = ctl_call(minor, request, 30, NULL, NULL, &stats, &why);
		if (r < 0) {
			status = cmd_fail(r, why, operands[0]);
			break;
		}
		if (opt_interval > 0 && before) {
			json_t *added = difference(stats, before, "");

			if (opt_json) {
				status = cmd_print_json(added, JSON_COMPACT);
			} else {
				char now[32];
				time_t t = time(NULL);

				strftime(now, sizeof(now), "%H:%M:%S", localtime(&t));
				printf("---- %s, the last %g s ----\n", now, opt_interval);
				print_human(added);
				json_decref(added);
			}
			fflush(stdout);
			times++;
		} else if (!(opt_interval > 0)) {
			if (opt_json) {
				status = cmd_print_json(stats, JSON_INDENT(2));
			} else {
				print_human(stats);
				json_decref(stats);
			}
			break;
		}
		json_decref(before);
		before = stats;
		if (status != EXIT_DONE || (opt_count && times >= opt_count))
			break;
		nanosleep(&(struct timespec){(time_t)opt_interval,
		                             (long)((opt_interval - (double)(time_t)opt_interval) * 1e9)},
		          NULL);
	}
	json_decref(before);
	json_decref(request);
	return status;
}

const struct command cmd_stats = {
	.name = "stats",
	.operands = "MOUNTPOINT",
	.summary = "who answered how many requests, and what the cache and the store did",
	.details = "kernel: answered inside the kernel (hit; negative: known to be absent), or why not.\n"
		   "daemon: requests that reached it. Counted since the mount.\n",
	.args = args,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
