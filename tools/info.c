/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/ctl/ctl.h"
#include "tools/cmd.h"
#include "tools/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool opt_json, opt_no_follow;
static unsigned opt_chunks = 1024;

static const struct arg args[] = {
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print JSON", 0, 0},
	{"no-dereference", 'P', ARG_FLAG, &opt_no_follow, NULL,
         "of a symbolic link, not of what it points to", 0, 0},
	{"max-chunks", 0, ARG_UINT, &opt_chunks, "N", "list at most so many chunks (default 1024)", 0, 65536},
	{0},
};

static void print_time(const char *label, const json_t *info, const char *key)
{
	const char *text = cmd_string(info, key);
	time_t t = (time_t)strtoll(text, NULL, 10);
	const char *dot = strchr(text, '.');
	char day[64];
	struct tm tm;

	if (localtime_r(&t, &tm) && strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &tm))
		printf("%-12s%s%s\n", label, day, dot ? dot : "");
}

static void print_slices(const json_t *info)
{
	struct table *t = table_new((const char *[]){">chunk", ">at", ">length", "object", ">from", NULL});
	json_t *chunk, *slice;
	size_t i, k;

	json_array_foreach(json_object_get(info, "chunks"), i, chunk)
	{
		json_array_foreach(json_object_get(chunk, "slices"), k, slice)
		{
			char number[24], at[24], length[24], from[24];
			bool zeros = json_is_true(json_object_get(slice, "zeros"));

			snprintf(number, sizeof(number), "%" PRIu64, cmd_number(chunk, "chunk"));
			snprintf(at, sizeof(at), "%" PRIu64, cmd_number(slice, "pos"));
			snprintf(length, sizeof(length), "%" PRIu64, cmd_number(slice, "length"));
			snprintf(from, sizeof(from), "%" PRIu64, cmd_number(slice, "offset"));
			table_add(t, (const char *[]){k ? "" : number, at, length,
			                              zeros ? "(zeros)" : cmd_string(slice, "object"),
			                              zeros ? "" : from});
		}
	}
	table_print(t, stdout);
	if (json_is_true(json_object_get(info, "chunks_truncated")))
		puts("... (more with --max-chunks)");
}

static void print(const json_t *info)
{
	const json_t *published = json_object_get(info, "published");
	uint64_t size = cmd_number(info, "size"), cached = cmd_number(info, "cached_bytes");
	bool file = strcmp(cmd_string(info, "type"), "file") == 0;
	char buffer[HUMAN_MAX];

	printf("%-12s/%s\n", "path", cmd_string(info, "path"));
	printf("%-12s%" PRIu64 " (generation %" PRIu64 ", data version %" PRIu64 ")\n", "inode",
	       cmd_number(info, "ino"), cmd_number(info, "generation"), cmd_number(info, "version"));
	printf("%-12s%s %s, owner %" PRIu64 ":%" PRIu64 ", %" PRIu64 " link%s, %" PRIu64 " xattr%s\n", "type",
	       cmd_string(info, "type"), cmd_string(info, "mode"), cmd_number(info, "uid"),
	       cmd_number(info, "gid"), cmd_number(info, "nlink"), cmd_number(info, "nlink") == 1 ? "" : "s",
	       cmd_number(info, "xattrs"), cmd_number(info, "xattrs") == 1 ? "" : "s");
	printf("%-12s%" PRIu64 " bytes (%s)%s\n", "size", size, human_bytes(size, buffer),
	       json_is_true(json_object_get(info, "being_written")) ? ", being written" : "");
	print_time("modified", info, "mtime");
	print_time("changed", info, "ctime");
	print_time("born", info, "btime");
	if (file)
		printf("%-12s%" PRIu64 " bytes (%.0f%%)\n", "cached", cached,
		       size ? 100.0 * (double)(cached < size ? cached : size) / (double)size : 100.0);
	if (!json_is_true(json_object_get(json_object_get(info, "bpf"), "on")))
		printf("%-12sno, BPF is off: %s\n", "in kernel", cmd_string(info, "bpf.why"));
	else
		printf("%-12sattributes %s%s\n", "in kernel",
		       json_is_true(json_object_get(published, "attributes")) ? "yes" : "no",
		       !file                                                ? ""
		       : json_is_true(json_object_get(published, "packed")) ? ", every byte readable, packed"
		       : json_is_true(json_object_get(published, "all_data")) ? ", every byte readable"
		                                                              : ", not every byte readable");
	if (file) {
		printf("%-12s%" PRIu64 " of %s\n", "chunks", cmd_number(info, "chunk_count"),
		       human_bytes(cmd_number(info, "chunk_size"), buffer));
		print_slices(info);
	}
}

static int run(int count, char **operands)
{
	_cleanup_(ctl_place_free) struct ctl_place place = {0};
	_cleanup_free_ char *path = NULL;
	json_t *request, *info = NULL;
	char *why = NULL;
	int r;

	(void)count;
	r = ctl_find_place(operands[0], !opt_no_follow, &place, &why);
	if (r < 0)
		return cmd_fail(r, why, NULL);
	if (place.dead)
		return cmd_fail(-ENOTCONN, NULL, operands[0]);
	request = json_pack("{s:s,s:I,s:i}", "cmd", "info", "ino", (json_int_t)place.ino, "max_chunks",
	                    (int)opt_chunks);
	r = ctl_call(place.minor, request, 30, NULL, NULL, &info, &why);
	json_decref(request);
	if (r < 0)
		return cmd_fail(r, why, operands[0]);
	path = text_escape(place.path);
	json_object_set_new(info, "path", json_string(path ? path : ""));
	if (opt_json)
		return cmd_print_json(info, JSON_INDENT(2));
	print(info);
	json_decref(info);
	return EXIT_DONE;
}

const struct command cmd_info = {
	.name = "info",
	.operands = "PATH",
	.summary = "a file's inode, chunks, slices and objects, and what of it is cached and published",
	.args = args,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
