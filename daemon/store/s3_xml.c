/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/s3_xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"

#define DEPTH_MAX 8
#define ENTRIES_MAX 10000
/* A key has at most 1024 bytes, each of which may be URI-encoded. */
#define TEXT_MAX 4096

/** State of one parse; `path` are the names of the open elements, cut to what we compare. */
struct parse {
	XML_Parser parser;
	int error; /* negative errno once it failed */
	unsigned depth;
	char path[DEPTH_MAX][32];
	char text[TEXT_MAX + 1];
	size_t text_length;
	void (*leaf)(struct parse *p, const char *name); /* an element ended; its text is in `text` */
	/* s3_xml_parse_error() */
	struct s3_error *s3_error;
	/* s3_xml_parse_list() */
	struct s3_list_page page;
	size_t room;
	bool has_root, has_key, has_size, has_truncated, truncated, url_encoded;
	char *token;
};

static void fail(struct parse *p, int error)
{
	if (!p->error)
		p->error = error;
	XML_StopParser(p->parser, XML_FALSE);
}

/** True if the innermost open element is at @p depth and its parent is @p parent. */
static bool inside(const struct parse *p, unsigned depth, const char *parent)
{
	return p->depth == depth && !strcmp(p->path[depth - 2], parent);
}

static void start_element(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *p = arg;
	size_t n = strlen(name);

	(void)attributes;
	if (p->error)
		return;
	if (p->depth == DEPTH_MAX) {
		fail(p, -EBADMSG);
		return;
	}
	if (n >= sizeof(p->path[0]))
		n = sizeof(p->path[0]) - 1;
	memcpy(p->path[p->depth], name, n);
	p->path[p->depth++][n] = 0;
	p->text_length = 0;
	if (p->depth == 1)
		p->has_root = !strcmp(name, p->s3_error ? "Error" : "ListBucketResult");
	if (p->depth == 2 && !strcmp(name, "Contents")) {
		p->has_key = p->has_size = false;
		if (p->s3_error)
			return;
		if (p->page.n == ENTRIES_MAX) {
			fail(p, -EBADMSG);
			return;
		}
		if (p->page.n == p->room) {
			size_t room = p->room ? p->room * 2 : 64;
			void *v = reallocarray(p->page.entries, room, sizeof(*p->page.entries));

			if (!v) {
				fail(p, -ENOMEM);
				return;
			}
			p->page.entries = v;
			p->room = room;
		}
		p->page.entries[p->page.n++] = (struct s3_list_entry){0};
	}
}

static void character_data(void *arg, const XML_Char *text, int length)
{
	struct parse *p = arg;

	if (p->error || !p->has_root)
		return;
	if ((size_t)length > TEXT_MAX - p->text_length) {
		/* An error's message is cut; anything else that long is not S3. */
		if (!p->s3_error)
			fail(p, -EBADMSG);
		length = TEXT_MAX - p->text_length;
	}
	memcpy(p->text + p->text_length, text, length);
	p->text_length += length;
}

static void end_element(void *arg, const XML_Char *name)
{
	struct parse *p = arg;

	if (p->error || !p->depth)
		return;
	p->text[p->text_length] = 0;
	if (p->has_root)
		p->leaf(p, name);
	p->text_length = 0;
	p->depth--;
}

static void refuse_doctype(void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                           int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	fail(arg, -EBADMSG);
}

static int run(struct parse *p, const char *xml, size_t length)
{
	enum XML_Status status;

	if (length > INT_MAX)
		return -EBADMSG;
	p->parser = XML_ParserCreate("UTF-8");
	if (!p->parser)
		return -ENOMEM;
	XML_SetUserData(p->parser, p);
	XML_SetElementHandler(p->parser, start_element, end_element);
	XML_SetCharacterDataHandler(p->parser, character_data);
	XML_SetStartDoctypeDeclHandler(p->parser, refuse_doctype);
	status = XML_Parse(p->parser, xml, length, 1);
	if (status != XML_STATUS_OK && !p->error)
		p->error = XML_GetErrorCode(p->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG;
	XML_ParserFree(p->parser);
	if (!p->error && !p->has_root)
		p->error = -EBADMSG;
	return p->error;
}

/* ---- errors ---- */

static void copy_printable(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from && n + 1 < size; from++)
		to[n++] = *from >= ' ' && *from <= '~' ? *from : '?';
	to[n] = 0;
}

static void error_leaf(struct parse *p, const char *name)
{
	if (p->depth != 2)
		return;
	if (!strcmp(name, "Code"))
		copy_printable(p->s3_error->code, sizeof(p->s3_error->code), p->text);
	else if (!strcmp(name, "Message"))
		copy_printable(p->s3_error->message, sizeof(p->s3_error->message), p->text);
	else if (!strcmp(name, "Region"))
		copy_printable(p->s3_error->region, sizeof(p->s3_error->region), p->text);
}

void s3_xml_parse_error(const char *xml, size_t length, struct s3_error *ret)
{
	_cleanup_free_ struct parse *p = calloc(1, sizeof(*p));

	*ret = (struct s3_error){0};
	if (!p || !length)
		return;
	p->leaf = error_leaf;
	p->s3_error = ret;
	run(p, xml, length);
}

/* ---- lists ---- */

static bool parse_size(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || n > INT64_MAX)
		return false;
	*ret = n;
	return true;
}

/** "2009-10-12T17:50:30.000Z" @return seconds, or 0. */
static int64_t parse_time(const char *text)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!rest || (*rest != '.' && *rest != 'Z'))
		return 0;
	return timegm(&tm);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** Undo URI encoding in place ('+' is a space, as in AWS's answers); false if malformed or with a NUL. */
static bool uri_decode(char *s)
{
	char *to = s;

	for (; *s; s++) {
		int high, low;

		if (*s != '%') {
			*to++ = *s == '+' ? ' ' : *s;
			continue;
		}
		high = hex_digit(s[1]);
		low = high < 0 ? -1 : hex_digit(s[2]);
		if (low < 0 || !(high | low))
			return false;
		*to++ = high << 4 | low;
		s += 2;
	}
	*to = 0;
	return true;
}

static void contents_leaf(struct parse *p, const char *name)
{
	struct s3_list_entry *e = &p->page.entries[p->page.n - 1];

	if (!strcmp(name, "Key") && !p->has_key) {
		p->has_key = true;
		e->key = strdup(p->text);
		if (!e->key)
			fail(p, -ENOMEM);
	} else if (!strcmp(name, "Size") && !p->has_size) {
		p->has_size = true;
		if (!parse_size(p->text, &e->size))
			fail(p, -EBADMSG);
	} else if (!strcmp(name, "LastModified")) {
		e->mtime_s = parse_time(p->text);
	} else if (!strcmp(name, "Key") || !strcmp(name, "Size")) {
		fail(p, -EBADMSG);
	}
}

static void list_leaf(struct parse *p, const char *name)
{
	if (inside(p, 3, "Contents")) {
		contents_leaf(p, name);
		return;
	}
	if (p->depth != 2)
		return;
	if (!strcmp(name, "Contents")) {
		if (!p->has_key || !p->has_size)
			fail(p, -EBADMSG);
	} else if (!strcmp(name, "IsTruncated")) {
		p->has_truncated = true;
		p->truncated = !strcmp(p->text, "true");
		if (!p->truncated && strcmp(p->text, "false"))
			fail(p, -EBADMSG);
	} else if (!strcmp(name, "NextContinuationToken")) {
		free(p->token);
		p->token = strdup(p->text);
		if (!p->token)
			fail(p, -ENOMEM);
	} else if (!strcmp(name, "EncodingType")) {
		p->url_encoded = !strcmp(p->text, "url");
	}
}

/** What can be told only at the end of the document. */
static int finish_list(struct parse *p)
{
	if (!p->has_truncated || (p->truncated && (!p->token || !*p->token)))
		return -EBADMSG;
	for (size_t i = 0; p->url_encoded && i < p->page.n; i++) {
		if (!uri_decode(p->page.entries[i].key))
			return -EBADMSG;
	}
	if (p->truncated)
		p->page.next_token = TAKE_PTR(p->token);
	return 0;
}

int s3_xml_parse_list(const char *xml, size_t length, struct s3_list_page *ret)
{
	_cleanup_free_ struct parse *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->leaf = list_leaf;
	r = run(p, xml, length);
	if (!r)
		r = finish_list(p);
	free(p->token);
	if (r < 0)
		s3_list_page_clear(&p->page);
	else
		*ret = p->page;
	return r;
}

void s3_list_page_clear(struct s3_list_page *page)
{
	for (size_t i = 0; i < page->n; i++)
		free(page->entries[i].key);
	free(page->entries);
	free(page->next_token);
	*page = (struct s3_list_page){0};
}
