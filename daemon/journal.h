/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_JOURNAL_H
#define CURVEFS_JOURNAL_H

/*
 * Where --writeback has its journal (store/writeback.h): in the directory of the metadata, which names what
 * is in it; so the two are moved, kept and lost together, and a cache can be thrown away as ever.
 */

#include "daemon/store/writeback.h"

#define JOURNAL_DIR "journal"

struct meta;

/**
 * Stack the journal of @p meta on @p below, if @p options->stage or there is one; its dir and prefix are
 * filled in here.
 * @return 0, and *ret is @p below if there is nothing to stack; or negative errno with *ret_why (free it).
 */
int journal_open(struct store *below, const struct meta *meta, struct writeback_options options,
                 struct store **ret, char **ret_why);

#endif
