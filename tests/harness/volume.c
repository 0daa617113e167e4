/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/volume.h"

#include "common/cleanup.h"
#include "daemon/data/data.h"
#include "daemon/descriptor.h"
#include "daemon/meta/meta.h"
#include "daemon/store/store.h"
#include "daemon/volume.h"
#include "tests/harness/tempdir.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* after those it needs */
#include <cmocka.h>

static void format(const char *url, const char *meta_dir)
{
	const struct meta_volume volume = {
		.uuid = "00000000-1111-2222-3333-444444444444", .name = "test", .chunk_size = 4 << 20};
	const struct store_options options = {.create = true};
	struct store *store;
	char *why = NULL;

	if (store_open(url, &options, &store, &why) < 0 || meta_format(meta_dir, &volume, &why) < 0 ||
	    descriptor_write(store, &volume, &why) < 0)
		fail_msg("cannot format a volume: %s", why);
	store_close(store);
}

void test_volume_open(struct test_volume *t)
{
	char url[PATH_MAX], meta[PATH_MAX], cache[PATH_MAX], mnt[PATH_MAX], *why = NULL;
	char *argv[] = {(char *)"curvefs-fuse",
	                (char *)"--bpf-cache=off",
	                (char *)"--meta-dir",
	                meta,
	                (char *)"--cache-dir",
	                cache,
	                (char *)"--free-space-ratio=0",
	                url,
	                mnt,
	                NULL};

	memset(t, 0, sizeof(*t));
	t->dir = tempdir_make();
	assert_non_null(t->dir);
	snprintf(url, sizeof(url), "file://%s/volume", t->dir);
	snprintf(meta, sizeof(meta), "%s/meta", t->dir);
	snprintf(cache, sizeof(cache), "%s/cache", t->dir);
	snprintf(mnt, sizeof(mnt), "%s/mnt", t->dir);
	mkdir(meta, 0700);
	mkdir(mnt, 0700);
	format(url, meta);
	if (options_parse(ARRAY_SIZE(argv) - 1, argv, &t->options, &why) != 0 ||
	    volume_open(&t->options, &t->v, &why) < 0)
		fail_msg("cannot open the volume: %s", why);
	t->v->why_no_bpf = strdup("it is off");
}

void test_volume_close(struct test_volume *t)
{
	assert_int_equal(volume_close(t->v), 0);
	options_free(&t->options);
	tempdir_remove(t->dir);
}

uint64_t test_volume_make(struct test_volume *t, uint64_t parent, const char *name, uint32_t mode,
                          size_t size)
{
	const struct meta_cred cred = {.uid = 0, .gid = 0};
	struct meta_attr attr;
	struct data_file *f;
	char *bytes;

	assert_int_equal(meta_create(t->v->meta, parent, name, &cred, mode, 0,
	                             S_ISLNK(mode) ? "nowhere" : NULL, &attr, NULL),
	                 0);
	if (S_ISREG(mode) && size) {
		bytes = malloc(size);
		assert_non_null(bytes);
		for (size_t i = 0; i < size; i++)
			bytes[i] = (char)(i * 31 + attr.ino);
		assert_int_equal(data_file_get(t->v->data, attr.ino, &f), 0);
		assert_int_equal(data_write(f, 0, size, bytes, false), 0);
		assert_int_equal(data_flush(f), 0);
		data_file_put(f);
		free(bytes);
	}
	return attr.ino;
}
