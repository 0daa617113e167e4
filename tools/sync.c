/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "daemon/ctl/ctl.h"
#include "tools/cmd.h"

#include <errno.h>
#include <stdio.h>

#define ANSWER_S 3600 /* there may be much to upload */

static const struct arg args[] = {
	{0},
};

static int run(int count, char **operands)
{
	json_t *request = json_pack("{s:s}", "cmd", "sync");
	int failed = 0;

	for (int i = 0; i < count; i++) {
		json_t *answer = NULL;
		char *why = NULL;
		unsigned minor;
		uint64_t ino;
		int r = ctl_find_mount(operands[i], &minor, &ino, &why);

		if (r == 0)
			r = ctl_call(minor, request, ANSWER_S, NULL, NULL, &answer, &why);
		json_decref(answer);
		if (r < 0) {
			cmd_fail(r, why, operands[i]);
			failed = 1;
		}
	}
	json_decref(request);
	return failed ? EXIT_FAILED : EXIT_DONE;
}

const struct command cmd_sync = {
	.name = "sync",
	.operands = "PATH...",
	.summary = "wait until all that was written is in the object store",
	.details = "PATH is a mount point or anything below it. When it succeeds, the data is in the store,\n"
		   "and so is a copy of the metadata (unless mounted with --meta-backup=0): the loss of\n"
		   "this machine would then take nothing that was written before.\n",
	.args = args,
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
