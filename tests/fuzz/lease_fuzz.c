// SPDX-License-Identifier: Apache-2.0
/* The lease, as it comes from the store: what is in it is shown, compared and counted on. */
#include "daemon/lease.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lease_record r, again;
	char *text;

	if (lease_record_parse(data, size, &r) < 0)
		return 0;
	CHECK(r.epoch && r.epoch < INT64_MAX);
	CHECK(!r.held || (r.pid > 0 && r.duration_ms && *r.token));
	lease_record_holder(&r);
	text = lease_record_print(&r);
	CHECK(text);
	CHECK(lease_record_parse(text, strlen(text), &again) == 0);
	CHECK(again.epoch == r.epoch && again.held == r.held && strcmp(again.token, r.token) == 0);
	free(text);
	return 0;
}
