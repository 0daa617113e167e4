/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_S3_XML_H
#define CURVEFS_STORE_S3_XML_H

/*
 * The XML that S3 answers with.  It comes from outside: every length, number and
 * nesting is bounded, and a document type declaration (entities) is refused.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** An <Error>; what was not there is "". Printable ASCII only. */
struct s3_error {
	char code[64], message[256], region[64];
};

/** Take from @p xml what can be had; it may be anything, or cut short. */
void s3_xml_parse_error(const char *xml, size_t length, struct s3_error *ret);

struct s3_list_entry {
	char *key;
	uint64_t size;
	int64_t mtime_s; /* 0 if the answer has none */
};

/** One page of ListObjectsV2; next_token is NULL on the last one. */
struct s3_list_page {
	struct s3_list_entry *entries;
	size_t n;
	char *next_token;
};

/** @return 0, -EBADMSG if @p xml is no whole and sensible ListBucketResult, or -ENOMEM. */
int s3_xml_parse_list(const char *xml, size_t length, struct s3_list_page *ret);
void s3_list_page_clear(struct s3_list_page *page);

#endif
