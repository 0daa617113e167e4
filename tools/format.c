/* SPDX-License-Identifier: Apache-2.0 */

/*
 * curvefs format: the metadata first and the descriptor, which makes a store a volume, last: whatever fails
 * before that is taken back, and a store that holds anything already is left alone.
 */

#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/descriptor.h"
#include "daemon/meta/meta.h"
#include "daemon/store/store.h"
#include "tools/cmd.h"
#include "tools/metadir.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

static const char *opt_name, *opt_meta_dir, *opt_endpoint, *opt_region;
static uint64_t opt_chunk_size = 4 << 20;
static bool opt_json;

static const struct arg args[] = {
	{"name", 'n', ARG_STRING, &opt_name, "NAME", "name of the volume (default: the last part of SOURCE)",
         0, 0},
	{"chunk-size", 0, ARG_SIZE, &opt_chunk_size, "SIZE", "a power of two, 1M to 64M (default 4M)",
         1 << 20, 64 << 20},
	{"meta-dir", 0, ARG_STRING, &opt_meta_dir, "DIR",
         "where the metadata goes (default " METADIR_ROOT "/UUID)", 0, 0},
	{"endpoint-url", 0, ARG_STRING, &opt_endpoint, "URL", "s3: the server (default AWS_ENDPOINT_URL)", 0,
         0},
	{"region", 0, ARG_STRING, &opt_region, "NAME", "s3: the region (default AWS_REGION, else us-east-1)",
         0, 0},
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print the result as JSON", 0, 0},
	{0},
};

static int fail(char **ret_why, int r, const char *what, const char *detail)
{
	if (asprintf(ret_why, "%s: %s", what, detail) < 0)
		*ret_why = NULL;
	return r;
}

/* A random one (version 4). */
static int make_uuid(char ret[37])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	for (int i = 0, at = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret[at++] = '-';
		at += sprintf(ret + at, "%02x", b[i]);
	}
	return 0;
}

/* The last part of the URL's path, or else the bucket; what a name cannot have becomes '-'. */
static void default_name(const char *source, char *ret, size_t size)
{
	const char *start = strstr(source, "://");
	size_t length;

	start = start ? start + 3 : source;
	length = strlen(start);
	while (length && start[length - 1] == '/')
		length--;
	for (size_t i = length; i > 0; i--) {
		if (start[i - 1] == '/') {
			start += i;
			length -= i;
			break;
		}
	}
	if (length >= size)
		length = size - 1;
	for (size_t i = 0; i < length; i++)
		ret[i] = start[i] > ' ' && start[i] <= '~' ? start[i] : '-';
	strcpy(ret + length, length ? "" : "volume");
}

static int choose_name(const char *source, struct meta_volume *volume, char **ret_why)
{
	if (!opt_name) {
		default_name(source, volume->name, sizeof(volume->name));
		return 0;
	}
	if (strlen(opt_name) >= sizeof(volume->name))
		return fail(ret_why, -EINVAL, "--name", "at most 63 characters");
	for (const char *p = opt_name; *p; p++)
		if (*p < ' ' || *p > '~')
			return fail(ret_why, -EINVAL, "--name", "printable ASCII only");
	strcpy(volume->name, opt_name);
	return 0;
}

static int first_object(const struct store_object *object, void *arg)
{
	*(char **)arg = strdup(object->key);
	return 1;
}

/* Only an empty store becomes a volume: object names of another one would clash with ours. */
static int check_store(struct store *s, char **ret_why)
{
	_cleanup_free_ char *found = NULL, *text = NULL;
	struct meta_volume there;
	char *why = NULL;
	int r = descriptor_read(s, &there, &why);

	if (r == 0) {
		free(why);
		if (asprintf(ret_why, "%s holds the volume '%s' (%s) already; nothing was changed",
		             store_url(s), there.name, there.uuid) < 0)
			*ret_why = NULL;
		return -EEXIST;
	}
	if (r != -ENOENT) {
		*ret_why = why;
		return r;
	}
	free(why);
	r = store_list(s, "", first_object, &found);
	if (r < 0)
		return fail(ret_why, r, "cannot list the store", store_last_error());
	if (found) {
		text = text_escape(found);
		if (asprintf(ret_why, "%s is not empty (%s is there); give the volume a %s of its own",
		             store_url(s), text ? text : "something",
		             strncmp(store_url(s), "s3", 2) == 0 ? "bucket or prefix" : "directory") < 0)
			*ret_why = NULL;
		return -ENOTEMPTY;
	}
	return 0;
}

static int fill(struct store *s, const char *meta_dir, const struct meta_volume *volume, char **ret_why)
{
	bool made;
	int r = metadir_make(meta_dir, &made, ret_why);

	if (r < 0)
		return r;
	umask(077); /* as the daemon has it */
	r = meta_format(meta_dir, volume, ret_why);
	if (r == 0)
		r = descriptor_write(s, volume, ret_why);
	if (r < 0)
		metadir_remove(meta_dir, made);
	return r;
}

/* The directory of a file:// store, if it is not there yet: then it is ours to remove again. */
static const char *missing_directory(const char *source)
{
	const char *path = source + strlen("file://");

	return strncmp(source, "file://", 7) == 0 && access(path, F_OK) < 0 && errno == ENOENT ? path : NULL;
}

static int report(const char *source, const char *meta_dir, const struct meta_volume *volume)
{
	/* Absolute: the mount may be made from elsewhere. */
	_cleanup_free_ char *whole = realpath(meta_dir, NULL);
	_cleanup_free_ char *source_text = text_escape(source),
			    *meta_text = text_escape(whole ? whole : meta_dir);

	if (opt_json)
		return cmd_print_json(json_pack("{s:s,s:s,s:s,s:i,s:s}", "source", source_text, "name",
		                                volume->name, "uuid", volume->uuid, "chunk_size",
		                                (int)volume->chunk_size, "meta_dir", meta_text),
		                      JSON_INDENT(2));
	printf("%s is now the volume '%s' (%s); its metadata is in %s\n", source_text, volume->name,
	       volume->uuid, meta_text);
	metadir_print_mount(source_text, opt_meta_dir ? meta_text : NULL, opt_endpoint, opt_region);
	return EXIT_DONE;
}

static int run(int count, char **operands)
{
	const struct store_options options = {
		.endpoint_url = opt_endpoint, .region = opt_region, .create = true};
	struct meta_volume volume = {.chunk_size = (uint32_t)opt_chunk_size};
	const char *source = operands[0], *made_store = missing_directory(source);
	struct store *store = NULL;
	char meta_dir[PATH_MAX], *why = NULL;
	int r;

	(void)count;
	if (opt_chunk_size & (opt_chunk_size - 1)) {
		cmd_error("--chunk-size must be a power of two from 1M to 64M");
		return EXIT_USAGE;
	}
	r = choose_name(source, &volume, &why);
	if (r < 0) {
		cmd_fail(r, why, NULL);
		return EXIT_USAGE;
	}
	r = make_uuid(volume.uuid);
	if (r < 0)
		return cmd_fail(r, NULL, "cannot make a uuid");
	if (metadir_path(opt_meta_dir, volume.uuid, meta_dir) < 0)
		return cmd_fail(-ENAMETOOLONG, NULL, "--meta-dir");

	r = store_open(source, &options, &store, &why);
	if (r == 0)
		r = check_store(store, &why);
	if (r == 0)
		r = fill(store, meta_dir, &volume, &why);
	if (store)
		store_close(store);
	if (r < 0) {
		/* Only if it is empty again. */
		if (made_store)
			rmdir(made_store);
		return cmd_fail(r, why, NULL);
	}
	return report(source, meta_dir, &volume);
}

const struct command cmd_format = {
	.name = "format",
	.operands = "SOURCE",
	.summary = "make a new volume",
	.details =
		"SOURCE is file:///directory or s3://bucket[/prefix], and must be empty. Credentials of s3\n"
		"come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.\n",
	.args = args,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
