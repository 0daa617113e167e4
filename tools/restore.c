/* SPDX-License-Identifier: Apache-2.0 */

/* curvefs restore: a volume brought up where its metadata is not, from the copy in its store. */

#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/backup/manifest.h"
#include "daemon/backup/restore.h"
#include "daemon/descriptor.h"
#include "daemon/store/store.h"
#include "tools/cmd.h"
#include "tools/metadir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *opt_meta_dir, *opt_endpoint, *opt_region;
static bool opt_break_lease, opt_json;

static const struct arg args[] = {
	{"meta-dir", 0, ARG_STRING, &opt_meta_dir, "DIR",
         "where the metadata goes (default " METADIR_ROOT "/UUID)", 0, 0},
	{"break-lease", 0, ARG_FLAG, &opt_break_lease, NULL,
         "though a machine has the volume mounted, which must be gone for good", 0, 0},
	{"endpoint-url", 0, ARG_STRING, &opt_endpoint, "URL", "s3: the server (default AWS_ENDPOINT_URL)", 0,
         0},
	{"region", 0, ARG_STRING, &opt_region, "NAME", "s3: the region (default AWS_REGION, else us-east-1)",
         0, 0},
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print the result as JSON", 0, 0},
	{0},
};

static void show_progress(uint64_t parts, uint64_t of_parts, void *arg)
{
	(void)arg;
	if (parts > 1 || of_parts > 1)
		fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " parts%s", parts, of_parts,
		        parts == of_parts ? "\n" : "");
}

static int restore_to(struct store *store, const char *dir, struct restored *ret, char **ret_why)
{
	bool made;
	int r = metadir_make(dir, &made, ret_why);

	if (r < 0)
		return r;
	r = restore(store, dir, opt_break_lease, isatty(STDERR_FILENO) && !opt_json ? show_progress : NULL,
	            NULL, ret, ret_why);
	if (r < 0)
		metadir_remove(dir, made);
	return r;
}

static int report(const char *source, const char *dir, const struct restored *done)
{
	/* Absolute: the mount may be made from elsewhere. */
	_cleanup_free_ char *whole = realpath(dir, NULL);
	_cleanup_free_ char *source_text = text_escape(source), *dir_text = text_escape(whole ? whole : dir);
	char when[MANIFEST_TIME_MAX], bytes[HUMAN_MAX];

	manifest_time(done->created_s, when);
	if (opt_json)
		return cmd_print_json(
			json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "source", source_text,
		                  "name", done->volume.name, "uuid", done->volume.uuid, "meta_dir", dir_text,
		                  "backup_time", when, "backup_unix", (json_int_t)done->created_s, "sequence",
		                  (json_int_t)done->sequence, "parts", (json_int_t)done->parts, "changes",
		                  (json_int_t)done->changes, "inodes", (json_int_t)done->usage.inodes,
		                  "bytes", (json_int_t)done->usage.bytes),
			JSON_INDENT(2));
	printf("the volume '%s' (%s) is as it was at %s: %" PRIu64
	       " inodes, %s of data; what was changed later is "
	       "lost\n",
	       done->volume.name, done->volume.uuid, when, done->usage.inodes,
	       human_bytes(done->usage.bytes, bytes));
	metadir_print_mount(source_text, opt_meta_dir ? dir_text : NULL, opt_endpoint, opt_region);
	return EXIT_DONE;
}

static int run(int count, char **operands)
{
	const struct store_options options = {.endpoint_url = opt_endpoint, .region = opt_region};
	struct restored done = {0};
	struct meta_volume volume;
	struct store *store = NULL;
	char dir[PATH_MAX], *why = NULL;
	int r;

	(void)count;
	umask(077);
	r = store_open(operands[0], &options, &store, &why);
	if (r < 0)
		return cmd_fail(r, why, NULL);
	r = descriptor_read(store, &volume, &why);
	if (!r)
		r = metadir_path(opt_meta_dir, volume.uuid, dir);
	if (!r)
		r = restore_to(store, dir, &done, &why);
	store_close(store);
	return r < 0 ? cmd_fail(r, why, NULL) : report(operands[0], dir, &done);
}

const struct command cmd_restore = {
	.name = "restore",
	.operands = "SOURCE",
	.summary = "bring a volume up whose metadata was lost, from its backup",
	.details =
		"The metadata of the volume in SOURCE is made again from the copy that its last mount kept\n"
		"in the store (--meta-backup). What was changed after that copy is lost. The directory must\n"
		"be empty or not there. Metadata of the volume elsewhere can write no more afterwards.\n",
	.args = args,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
