/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/s3d_fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool copy(char *to, size_t size, const char *from)
{
	return *from && (size_t)snprintf(to, size, "%s", from) < size;
}

static bool parse_word(struct s3d_fault *f, char *word)
{
	const struct {
		const char *name;
		unsigned *number;
		bool *flag;
	} words[] = {
		{"status", &f->status, NULL},     {"retry_after", &f->retry_after, NULL},
		{"delay_ms", &f->delay_ms, NULL}, {"stall_ms", &f->stall_ms, NULL},
		{"after", &f->after, NULL},       {"times", &f->times, NULL},
		{"drop", NULL, &f->drop},         {"cut", NULL, &f->cut},
		{"corrupt", NULL, &f->corrupt},   {"shift", NULL, &f->shift},
		{"garbage", NULL, &f->garbage},   {"late", NULL, &f->late},
	};
	char *value = strchr(word, '='), *end;

	if (value)
		*value++ = 0;
	if (value && !strcmp(word, "key"))
		return copy(f->key, sizeof(f->key), value);
	if (value && !strcmp(word, "code"))
		return copy(f->code, sizeof(f->code), value);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(words[i].name, word) || !value != !words[i].number)
			continue;
		if (words[i].flag)
			return *words[i].flag = true;
		*words[i].number = strtoul(value, &end, 10);
		return *value && !*end;
	}
	return false;
}

bool s3d_faults_parse(const char *spec, struct s3d_faults *ret)
{
	char text[2048], *rest = text, *rule, *word;
	struct s3d_faults faults = {0};

	if (strlen(spec) >= sizeof(text))
		return false;
	strcpy(text, spec);
	while (*text && (rule = strsep(&rest, ";"))) {
		struct s3d_fault *f = &faults.rules[faults.n];
		char *words = strchr(rule, ':');

		if (!words || faults.n++ == S3D_RULES_MAX)
			return false;
		*words++ = 0;
		if (!strstr("get put delete list head any", rule) || !copy(f->op, sizeof(f->op), rule))
			return false;
		while ((word = strsep(&words, ","))) {
			if (!parse_word(f, word))
				return false;
		}
	}
	*ret = faults;
	return true;
}

bool s3d_faults_next(struct s3d_faults *faults, const char *op, const char *key, struct s3d_fault *ret)
{
	for (struct s3d_fault *f = faults->rules; f < faults->rules + faults->n; f++) {
		if ((strcmp(f->op, op) && strcmp(f->op, "any")) || !strstr(key, f->key))
			continue;
		if (++f->seen <= f->after || (f->times && f->hit == f->times))
			continue;
		f->hit++;
		*ret = *f;
		return true;
	}
	return false;
}
