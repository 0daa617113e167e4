// SPDX-License-Identifier: Apache-2.0
/* The XML in S3's answers: lists and errors. */
#include "daemon/store/s3_xml.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_Alignas(16) struct s3_list_page page = {0};
	struct s3_error e;

	s3_xml_parse_error((const char *)data, size, &e);
	CHECK(strnlen(e.code, sizeof(e.code)) < sizeof(e.code));
	CHECK(strnlen(e.message, sizeof(e.message)) < sizeof(e.message));
	CHECK(strnlen(e.region, sizeof(e.region)) < sizeof(e.region));
	if (s3_xml_parse_list((const char *)data, size, &page) == 0) {
		CHECK(!page.next_token || *page.next_token);
		for (size_t i = 0; i < page.n; i++)
			CHECK(page.entries[i].key && page.entries[i].size <= INT64_MAX);
		s3_list_page_clear(&page);
	} else {
		CHECK(!page.entries && !page.n && !page.next_token);
	}
	return 0;
}
