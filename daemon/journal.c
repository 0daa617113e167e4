/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/journal.h"

#include "common/cleanup.h"
#include "common/why.h"
#include "daemon/data/data.h"
#include "daemon/meta/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int journal_open(struct store *below, const struct meta *meta, struct writeback_options options,
                 struct store **ret, char **ret_why)
{
	_cleanup_free_ char *base = realpath(meta_directory(meta), NULL), *dir = NULL;

	if (!base)
		return why_r(-errno, ret_why, "%s: %s", meta_directory(meta), strerror(errno));
	if (asprintf(&dir, "%s/" JOURNAL_DIR, base) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	if (!options.stage && !writeback_is_there(dir)) {
		*ret = below;
		return 0;
	}
	options.dir = dir;
	options.prefix = DATA_KEY_PREFIX;
	return writeback_open(below, &options, ret, ret_why);
}
