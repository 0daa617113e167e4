/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/s3d_uri.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define PARAMETERS_MAX 32

void s3d_uri_encode(FILE *f, const char *s, bool keep_slash)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		bool plain = (*p < 128 && isalnum(*p)) || *p == '-' || *p == '_' || *p == '.' || *p == '~';

		fprintf(f, plain || (keep_slash && *p == '/') ? "%c" : "%%%02X", *p);
	}
}

char *s3d_uri_decode(const char *s, size_t n)
{
	char *out = malloc(n + 1), *to = out;

	for (size_t i = 0; out && i < n; i++) {
		char hex[3] = "";

		if (s[i] != '%') {
			*to++ = s[i];
			continue;
		}
		if (n - i < 3 || !isxdigit((unsigned char)s[i + 1]) || !isxdigit((unsigned char)s[i + 2])) {
			free(out);
			return NULL;
		}
		memcpy(hex, s + i + 1, 2);
		*to = strtoul(hex, NULL, 16);
		if (!*to++) {
			free(out);
			return NULL;
		}
		i += 2;
	}
	if (out)
		*to = 0;
	return out;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *s3d_uri_canonical_query(const char *raw)
{
	_cleanup_free_ char *copy = strdup(raw);
	char *pairs[PARAMETERS_MAX] = {0}, *rest = copy, *pair, *out = NULL;
	size_t n = 0, size;
	bool bad = false;
	FILE *f;

	while (*raw && (pair = strsep(&rest, "&"))) {
		_cleanup_free_ char *name = NULL, *value = NULL;
		size_t at = strcspn(pair, "=");
		FILE *p;

		name = s3d_uri_decode(pair, at);
		value = s3d_uri_decode(pair + at + !!pair[at], strlen(pair + at + !!pair[at]));
		if (!name || !value || n == PARAMETERS_MAX) {
			bad = true;
			break;
		}
		p = open_memstream(&pairs[n++], &size);
		s3d_uri_encode(p, name, false);
		fputc('=', p);
		s3d_uri_encode(p, value, false);
		fclose(p);
	}
	qsort(pairs, n, sizeof(*pairs), compare);
	f = open_memstream(&out, &size);
	for (size_t i = 0; i < n; i++) {
		fprintf(f, "%s%s", i ? "&" : "", pairs[i]);
		free(pairs[i]);
	}
	fclose(f);
	if (bad) {
		free(out);
		return NULL;
	}
	return out;
}

char *s3d_uri_parameter(const char *raw, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = raw; *p; p += strcspn(p, "&"), p += *p == '&') {
		size_t length = strcspn(p, "&");

		if (length > n && !strncmp(p, name, n) && p[n] == '=')
			return s3d_uri_decode(p + n + 1, length - n - 1);
		if (length == n && !strncmp(p, name, n))
			return strdup("");
	}
	return NULL;
}
