/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_STORE_FILE_FIXTURE_H
#define CURVEFS_TESTS_STORE_FILE_FIXTURE_H

/* An empty file:// store in a temporary folder. */

#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "daemon/store/store.h"
#include "tests/harness/tempdir.h"

struct fixture {
	char *directory, *url;
	struct store *store;
};

static inline int open_store(void **state)
{
	struct store_options options = {.create = true};
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_free_ char *why = NULL;

	*state = f;
	f->directory = tempdir_make();
	if (!f->directory || asprintf(&f->url, "file://%s/v", f->directory) < 0)
		return -1;
	return store_open(f->url, &options, &f->store, &why);
}

static inline int close_store(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	tempdir_remove(f->directory);
	free(f->url);
	free(f);
	return 0;
}

#endif
