/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/store/s3_xml.h"

static const char page_one[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
	"<Name>bucket</Name><Prefix>data/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
	"<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
	"<Contents><Key>data/1</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
	"<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size>"
	"<Owner><ID>1</ID><DisplayName>x</DisplayName></Owner><StorageClass>STANDARD</StorageClass></"
	"Contents>"
	"<Contents><Size>0</Size><Key>data%2F2+%C3%A9</Key></Contents>"
	"<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>"
	"</ListBucketResult>";

static int parse(const char *xml, struct s3_list_page *page)
{
	return s3_xml_parse_list(xml, strlen(xml), page);
}

static void a_page_is_read(void **state)
{
	_cleanup_(s3_list_page_clear) struct s3_list_page page = {0};

	(void)state;
	assert_int_equal(parse(page_one, &page), 0);
	assert_int_equal(page.n, 2);
	assert_string_equal(page.entries[0].key, "data/1");
	assert_int_equal(page.entries[0].size, 434234);
	assert_int_equal(page.entries[0].mtime_s, 1255369830);
	assert_string_equal(page.entries[1].key, "data/2 \xc3\xa9");
	assert_int_equal(page.entries[1].mtime_s, 0);
	assert_string_equal(page.next_token, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
}

static void without_an_encoding_keys_are_as_they_are(void **state)
{
	_cleanup_(s3_list_page_clear) struct s3_list_page page = {0};

	(void)state;
	assert_int_equal(
		parse("<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a%2F+&amp;</Key>"
	              "<Size>1</Size></Contents></ListBucketResult>",
	              &page),
		0);
	assert_string_equal(page.entries[0].key, "a%2F+&");
	assert_null(page.next_token);
}

static void an_empty_bucket_is_an_empty_page(void **state)
{
	_cleanup_(s3_list_page_clear) struct s3_list_page page = {0};

	(void)state;
	assert_int_equal(
		parse("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", &page), 0);
	assert_int_equal(page.n, 0);
}

static void every_cut_of_a_page_is_refused(void **state)
{
	struct s3_list_page page = {0};

	(void)state;
	for (size_t n = 0; n < sizeof(page_one) - 1; n++)
		assert_int_equal(s3_xml_parse_list(page_one, n, &page), -EBADMSG);
	assert_null(page.entries);
}

#define LIST(inside) "<ListBucketResult>" inside "</ListBucketResult>"
#define LAST "<IsTruncated>false</IsTruncated>"

static void what_makes_no_sense_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"not xml",
		"<html><body>It works!</body></html>",
		"<Error><Code>NoSuchBucket</Code></Error>",
		"<ListBucketResult/>",
		LIST(""),
		LIST("<IsTruncated>maybe</IsTruncated>"),
		LIST("<IsTruncated>true</IsTruncated>"),
		LIST("<IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>"),
		LIST(LAST "<Contents><Key>a</Key></Contents>"),
		LIST(LAST "<Contents><Size>1</Size></Contents>"),
		LIST(LAST "<Contents/>"),
		LIST(LAST "<Contents><Key>a</Key><Key>b</Key><Size>1</Size></Contents>"),
		LIST(LAST "<Contents><Key>a</Key><Size>1</Size><Size>1</Size></Contents>"),
		LIST(LAST "<Contents><Key>a</Key><Size>-1</Size></Contents>"),
		LIST(LAST "<Contents><Key>a</Key><Size> 1</Size></Contents>"),
		LIST(LAST "<Contents><Key>a</Key><Size>1x</Size></Contents>"),
		LIST(LAST "<Contents><Key>a</Key><Size></Size></Contents>"),
		LIST(LAST "<Contents><Key>a</Key><Size>9223372036854775808</Size></Contents>"),
		LIST(LAST "<Contents><Key>a</Key><Size>99999999999999999999999</Size></Contents>"),
		LIST(LAST "<Contents><Key>a%</Key><Size>1</Size></Contents><EncodingType>url</EncodingType>"),
		LIST(LAST
	             "<Contents><Key>a%2</Key><Size>1</Size></Contents><EncodingType>url</EncodingType>"),
		LIST(LAST
	             "<Contents><Key>a%zz</Key><Size>1</Size></Contents><EncodingType>url</EncodingType>"),
		LIST(LAST
	             "<Contents><Key>a%00b</Key><Size>1</Size></Contents><EncodingType>url</EncodingType>"),
		LIST(LAST "<Contents><Wrap><Key>a</Key><Size>1</Size></Wrap></Contents>"),
		LIST(LAST) "trailing",
		LIST(LAST) LIST(LAST),
		"<Wrap>" LIST(LAST) "</Wrap>",
		LIST(LAST "<Contents><Key>a</Size></Contents>"),
		LIST(LAST "<a><b><c><d><e><f><g><h></h></g></f></e></d></c></b></a>"),
		"<!DOCTYPE x [<!ENTITY a \"aaaaaaaa\">]>" LIST(LAST),
		"<!DOCTYPE x SYSTEM \"file:///etc/passwd\">" LIST(LAST),
		LIST(LAST "<Contents><Key>&unknown;</Key><Size>1</Size></Contents>"),
		LIST(LAST "<Contents><Key>\xff\xfe</Key><Size>1</Size></Contents>"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct s3_list_page page = {0};

		if (parse(cases[i], &page) != -EBADMSG)
			fail_msg("taken: %s", cases[i]);
		assert_null(page.entries);
	}
}

static void a_key_has_its_limit(void **state)
{
	_cleanup_(s3_list_page_clear) struct s3_list_page fits = {0};
	struct s3_list_page page = {0};
	char text[6000], key[4098];

	(void)state;
	memset(key, 'k', sizeof(key));
	key[4097] = 0;
	snprintf(text, sizeof(text), LIST(LAST "<Contents><Key>%s</Key><Size>1</Size></Contents>"), key);
	assert_int_equal(parse(text, &page), -EBADMSG);
	key[4096] = 0;
	snprintf(text, sizeof(text), LIST(LAST "<Contents><Key>%s</Key><Size>1</Size></Contents>"), key);
	assert_int_equal(parse(text, &fits), 0);
	assert_int_equal(strlen(fits.entries[0].key), 4096);
}

static char *page_of(size_t entries)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	fputs("<ListBucketResult>" LAST, f);
	for (size_t i = 0; i < entries; i++)
		fprintf(f, "<Contents><Key>%zu</Key><Size>1</Size></Contents>", i);
	fputs("</ListBucketResult>", f);
	fclose(f);
	return text;
}

static void a_page_has_its_limit(void **state)
{
	_cleanup_(s3_list_page_clear) struct s3_list_page fits = {0};
	_cleanup_free_ char *largest = page_of(10000), *larger = page_of(10001);
	struct s3_list_page page = {0};

	(void)state;
	assert_int_equal(parse(larger, &page), -EBADMSG);
	assert_int_equal(parse(largest, &fits), 0);
	assert_int_equal(fits.n, 10000);
	assert_string_equal(fits.entries[9999].key, "9999");
}

static void an_error_is_read(void **state)
{
	static const char xml[] =
		"<?xml version=\"1.0\"?><Error><Code>AuthorizationHeaderMalformed</Code>"
		"<Message>the region 'a' is wrong; expecting 'b'</Message><Region>b</Region>"
		"<Detail><Code>inner</Code></Detail></Error>";
	struct s3_error e;

	(void)state;
	s3_xml_parse_error(xml, sizeof(xml) - 1, &e);
	assert_string_equal(e.code, "AuthorizationHeaderMalformed");
	assert_string_equal(e.message, "the region 'a' is wrong; expecting 'b'");
	assert_string_equal(e.region, "b");
}

static void of_a_bad_error_is_kept_what_can_be(void **state)
{
	_cleanup_free_ char *large = malloc(200000);
	struct s3_error e;

	(void)state;
	s3_xml_parse_error("<Error><Code>SlowDown</Code><Message>cut", 40, &e);
	assert_string_equal(e.code, "SlowDown");
	s3_xml_parse_error("<html><Code>SlowDown</Code></html>", 34, &e);
	assert_string_equal(e.code, "");
	s3_xml_parse_error(NULL, 0, &e);
	assert_string_equal(e.code, "");
	s3_xml_parse_error("<Error><Code>a\nb\x7f\xc3\xa9</Code></Error>", 34, &e);
	assert_string_equal(e.code, "a?b???");
	memset(large, 'm', 200000);
	large[stpcpy(large, "<Error><Message>") - large] = 'm';
	strcpy(large + 199000, "</Message><Code>C</Code></Error>");
	s3_xml_parse_error(large, strlen(large), &e);
	assert_int_equal(strlen(e.message), sizeof(e.message) - 1);
	assert_string_equal(e.code, "C");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_page_is_read),
		cmocka_unit_test(without_an_encoding_keys_are_as_they_are),
		cmocka_unit_test(an_empty_bucket_is_an_empty_page),
		cmocka_unit_test(every_cut_of_a_page_is_refused),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(a_key_has_its_limit),
		cmocka_unit_test(a_page_has_its_limit),
		cmocka_unit_test(an_error_is_read),
		cmocka_unit_test(of_a_bad_error_is_kept_what_can_be),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
