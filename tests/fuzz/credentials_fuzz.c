// SPDX-License-Identifier: Apache-2.0
/* ~/.aws/credentials and ~/.aws/config. What is taken from them goes into HTTP headers. */
#include "daemon/store/credentials.h"
#include "tests/fuzz/fuzz.h"

static void check_value(const char *s)
{
	for (; s && *s; s++)
		CHECK(*s > ' ' && *s <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct credentials c = {0};
	char path[32], *why = NULL, *region;
	int fd = fuzz_file(data, size, path);

	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	setenv("AWS_CONFIG_FILE", path, 1);
	if (credentials_load(&c, &why) == 0) {
		CHECK(*c.access_key && *c.secret_key);
		check_value(c.access_key);
		check_value(c.session_token);
		credentials_clear(&c);
	} else {
		CHECK(why && *why);
	}
	region = credentials_setting("region");
	CHECK(!region || *region);
	free(region);
	free(why);
	close(fd);
	return 0;
}
