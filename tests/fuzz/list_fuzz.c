// SPDX-License-Identifier: Apache-2.0
/* The list of `curvefs warmup --file`. First byte: with or without --null. Each path is on one mount here. */
#include "tools/warmup.c"

#include "tests/fuzz/fuzz.h"

/* In place of daemon/ctl's, which would look at this machine and ask a daemon. */
int ctl_find_place(const char *path, bool follow, struct ctl_place *ret, char **ret_why)
{
	(void)follow;
	CHECK(*path);
	if (path[0] == '!') {
		*ret_why = strdup("not there");
		return -ENOENT;
	}
	*ret = (struct ctl_place){.minor = path[0] & 1,
	                          .path = strdup(path),
	                          .mountpoint = strdup("/m"),
	                          .dead = path[0] == '?'};
	return 0;
}

void ctl_place_free(struct ctl_place *place)
{
	free(place->path);
	free(place->mountpoint);
	*place = (struct ctl_place){0};
}

int ctl_call(unsigned minor, json_t *request, unsigned timeout_s, ctl_progress_fn progress, void *arg,
             json_t **ret, char **ret_why)
{
	json_t *path;
	size_t i;

	(void)minor;
	(void)timeout_s;
	(void)progress;
	(void)arg;
	(void)ret_why;
	json_array_foreach(json_object_get(request, "paths"), i, path)
	{
		char *bytes;

		/* What is sent, the daemon can read. */
		CHECK(text_unescape(json_string_value(path), &bytes) == 0);
		free(bytes);
	}
	*ret = json_object();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[32];
	int fd;

	if (!size)
		return 0;
	fd = fuzz_file(data + 1, size - 1, path);
	opt_nul = data[0] & 1;
	opt_json = data[0] & 2;
	opt_list = path;
	run(0, NULL);
	batch_count = 0;
	memset(&sum, 0, sizeof(sum));
	close(fd);
	return 0;
}

FUZZ_WITHOUT_OUTPUT
