/* SPDX-License-Identifier: Apache-2.0 */
#include "common/text.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the printable UTF-8 character at @p s; 0: it is none (C1 controls are not printable). */
static size_t printable_utf8(const unsigned char *s)
{
	uint32_t c;
	size_t length;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		length = 2;
		c = s[0] & 0x1f;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		length = 3;
		c = s[0] & 0x0f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		length = 4;
		c = s[0] & 0x07;
	} else {
		return 0;
	}
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80) /* also the NUL at the end */
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < 0xa0 || (length == 3 && c < 0x800) || (length == 4 && c < 0x10000) || c > 0x10ffff)
		return 0;
	if (c >= 0xd800 && c <= 0xdfff)
		return 0;
	return length;
}

char *text_escape(const char *bytes)
{
	const unsigned char *s = (const unsigned char *)bytes;
	char *text, *p;

	p = text = malloc(4 * strlen(bytes) + 1);
	if (!text)
		return NULL;
	while (*s) {
		size_t length = printable_utf8(s);

		if (*s == '\\') {
			*p++ = '\\';
			*p++ = '\\';
			s++;
		} else if (length) {
			memcpy(p, s, length);
			p += length;
			s += length;
		} else {
			p += sprintf(p, "\\x%02X", *s++);
		}
	}
	*p = '\0';
	return text;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int text_unescape(const char *text, char **ret_bytes)
{
	_cleanup_free_ char *bytes = NULL;
	char *p;

	p = bytes = malloc(strlen(text) + 1);
	if (!bytes)
		return -ENOMEM;
	while (*text) {
		if (*text != '\\') {
			*p++ = *text++;
		} else if (text[1] == '\\') {
			*p++ = '\\';
			text += 2;
		} else if (text[1] == 'x' && hex_digit(text[2]) >= 0 && hex_digit(text[3]) >= 0) {
			*p = (char)(hex_digit(text[2]) << 4 | hex_digit(text[3]));
			if (!*p)
				return -EINVAL;
			p++;
			text += 4;
		} else {
			return -EINVAL;
		}
	}
	*p = '\0';
	*ret_bytes = TAKE_PTR(bytes);
	return 0;
}
