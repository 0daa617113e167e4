/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/args.h"

#include "common/cleanup.h"
#include "daemon/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 32

#define refuse(ret_why, ...)                            \
	({                                              \
		if (asprintf(ret_why, __VA_ARGS__) < 0) \
			*(ret_why) = NULL;              \
		-EINVAL;                                \
	})

/* How many letters must be changed, added, left out or swapped with the next (Damerau-Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= la; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

const char *args_suggest(const char *word, const char *const *words, size_t count)
{
	unsigned best =
		((unsigned)(strlen(word) + 2) / 3 + 1) * WORD_MAX; /* more is another word altogether */
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		unsigned score = distance(word, words[i]) * WORD_MAX;

		/* The beginning of a word is surely meant to be that word; of several the nearest. */
		if (strlen(word) >= 2 && strncmp(word, words[i], strlen(word)) == 0)
			score /= WORD_MAX;
		if (score < best) {
			best = score;
			found = words[i];
		}
	}
	return found;
}

static int parse_value(const struct arg *a, const char *shown, const char *text, char **ret_why)
{
	uint64_t value;
	char *end;
	double seconds;

	switch (a->type) {
	case ARG_FLAG:
		*(bool *)a->target = true;
		return 0;
	case ARG_STRING:
		if (!*text)
			return refuse(ret_why, "%s must not be empty", shown);
		*(const char **)a->target = text;
		return 0;
	case ARG_SECONDS:
		seconds = strtod(text, &end);
		if (end == text || *end || !isfinite(seconds) || seconds <= 0 || seconds > 1e9)
			return refuse(ret_why, "%s takes a number of seconds above 0, not '%s'", shown, text);
		*(double *)a->target = seconds;
		return 0;
	case ARG_UINT:
		errno = 0;
		value = strtoull(text, &end, 10);
		if (!isdigit((unsigned char)*text) || *end || errno || value > UINT32_MAX)
			return refuse(ret_why, "%s takes a number, not '%s'", shown, text);
		if (a->max && (value < a->min || value > a->max))
			return refuse(ret_why, "%s must be from %" PRIu64 " to %" PRIu64 ", not %s", shown,
			              a->min, a->max, text);
		*(unsigned *)a->target = (unsigned)value;
		return 0;
	case ARG_SIZE:
		if (options_parse_size(text, &value) < 0)
			return refuse(ret_why, "%s takes a size such as 4M or 1G, not '%s'", shown, text);
		if (a->max && (value < a->min || value > a->max))
			return refuse(ret_why, "%s must be from %" PRIu64 " to %" PRIu64 " bytes, not %s",
			              shown, a->min, a->max, text);
		*(uint64_t *)a->target = value;
		return 0;
	}
	return -EINVAL;
}

static int unknown_option(const struct arg *table, const char *given, const char *name, char **ret_why)
{
	const char *names[WORD_MAX], *meant;
	size_t count = 0;

	for (const struct arg *a = table; a->name && count < WORD_MAX - 1; a++)
		names[count++] = a->name;
	names[count++] = "help";
	meant = args_suggest(name, names, count);
	if (meant)
		return refuse(ret_why, "unknown option '%s'; did you mean --%s?", given, meant);
	return refuse(ret_why, "unknown option '%s'", given);
}

static const struct arg *find_name(const struct arg *table, const char *name)
{
	for (const struct arg *a = table; a->name; a++)
		if (strcmp(a->name, name) == 0)
			return a;
	return NULL;
}

static const struct arg *find_letter(const struct arg *table, char letter)
{
	for (const struct arg *a = table; a->name; a++)
		if (a->letter == letter)
			return a;
	return NULL;
}

/* argv[*i] is "--name..."; takes the next one as well if it is the value. */
static int parse_long(const struct arg *table, int argc, char **argv, int *i, char **ret_why)
{
	_cleanup_free_ char *name = strdup(argv[*i] + 2), *shown = NULL;
	char *value = name ? strchr(name, '=') : NULL;
	const struct arg *a;

	if (!name)
		return -ENOMEM;
	if (value)
		*value++ = '\0';
	a = find_name(table, name);
	if (!a) {
		_cleanup_free_ char *given = strndup(argv[*i], strlen(name) + 2);

		return unknown_option(table, given ? given : "", name, ret_why);
	}
	if (a->type == ARG_FLAG && value)
		return refuse(ret_why, "--%s takes no value", name);
	if (asprintf(&shown, "--%s", name) < 0) {
		shown = NULL;
		return -ENOMEM;
	}
	if (a->type == ARG_FLAG)
		return parse_value(a, shown, NULL, ret_why);
	if (value)
		value = strchr(argv[*i], '=') + 1; /* lives as long as argv */
	else if (*i + 1 < argc)
		value = argv[++*i];
	else
		return refuse(ret_why, "--%s needs a value (%s)", name, a->value);
	return parse_value(a, shown, value, ret_why);
}

/* argv[*i] is "-abc": flags, and perhaps one with a value at the end. */
static int parse_letters(const struct arg *table, int argc, char **argv, int *i, char **ret_why)
{
	const char *word = argv[*i];

	for (const char *p = word + 1; *p; p++) {
		const char shown[] = {'-', *p, '\0'};
		const char *value = NULL;
		const struct arg *a = find_letter(table, *p);
		int r;

		if (!a)
			/* "-json" was meant to be "--json" */
			return p == word + 1 && word[2] ? unknown_option(table, word, word + 1, ret_why)
			                                : refuse(ret_why, "unknown option '%s'", shown);
		if (a->type != ARG_FLAG) {
			if (p[1])
				value = p + 1;
			else if (*i + 1 < argc)
				value = argv[++*i];
			else
				return refuse(ret_why, "%s needs a value (%s)", shown, a->value);
		}
		r = parse_value(a, shown, value, ret_why);
		if (r < 0 || value)
			return r;
	}
	return 0;
}

int args_parse(const struct arg *table, int argc, char **argv, char **ret_why)
{
	int operands = 0, r = 0, i;

	for (i = 1; r == 0 && i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strncmp(argv[i], "--", 2) == 0)
			r = parse_long(table, argc, argv, &i, ret_why);
		else if (argv[i][0] == '-' && argv[i][1])
			r = parse_letters(table, argc, argv, &i, ret_why);
		else
			argv[operands++] = argv[i];
	}
	for (; r == 0 && i < argc; i++)
		argv[operands++] = argv[i];
	return r < 0 ? r : operands;
}

void args_print(const struct arg *table, FILE *f)
{
	for (const struct arg *a = table; a->name; a++) {
		char option[64], letter[8] = "    ";

		if (a->letter)
			snprintf(letter, sizeof(letter), "-%c, ", a->letter);
		snprintf(option, sizeof(option), "--%s%s%s", a->name, a->value ? " " : "",
		         a->value ? a->value : "");
		fprintf(f, "  %s%-22s %s\n", letter, option, a->help);
	}
	fprintf(f, "  -h, %-22s %s\n", "--help", "print this and exit");
}
