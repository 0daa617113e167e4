/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/table.h"

#include "common/cleanup.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

struct table {
	size_t columns, rows, room;
	bool *right;
	bool titled;
	char **cells; /* the titles are row 0 */
	bool failed;  /* a row was lost for want of memory */
};

int table_width(const char *text)
{
	mbstate_t state = {0};
	int width = 0;

	while (*text) {
		wchar_t c;
		size_t n = mbrtowc(&c, text, strlen(text), &state);
		int w;

		if (n == 0 || n > strlen(text)) /* not of this locale: a byte is a column */
			return width + (int)strlen(text);
		w = wcwidth(c);
		width += w > 0 ? w : 0;
		text += n;
	}
	return width;
}

static void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->rows * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t->right);
	free(t);
}

struct table *table_new(const char *const *titles)
{
	struct table *t = calloc(1, sizeof(*t));
	_cleanup_free_ const char **names = NULL;

	if (!t)
		return NULL;
	do
		t->columns++;
	while (titles[t->columns]);
	t->right = calloc(t->columns, sizeof(*t->right));
	names = calloc(t->columns, sizeof(*names));
	if (!t->right || !names) {
		table_free(t);
		return NULL;
	}
	for (size_t c = 0; c < t->columns; c++) {
		t->right[c] = titles[c][0] == '>';
		names[c] = titles[c] + t->right[c];
		t->titled |= *names[c] != '\0';
	}
	table_add(t, names);
	return t;
}

void table_add(struct table *t, const char *const *cells)
{
	if (!t)
		return;
	if (t->rows == t->room) {
		size_t room = t->room ? 2 * t->room : 16;
		char **more = realloc(t->cells, room * t->columns * sizeof(*more));

		if (!more) {
			t->failed = true;
			return;
		}
		t->cells = more;
		t->room = room;
	}
	for (size_t c = 0; c < t->columns; c++)
		t->cells[t->rows * t->columns + c] = strdup(cells[c] ? cells[c] : "");
	t->rows++;
}

static const char *cell(const struct table *t, size_t row, size_t column)
{
	const char *text = t->cells[row * t->columns + column];

	return text ? text : "?";
}

void table_print(struct table *t, FILE *f)
{
	_cleanup_free_ int *widths = t ? calloc(t->columns, sizeof(*widths)) : NULL;

	if (!widths || t->failed || t->rows < 1)
		fputs("(not enough memory for this table)\n", f);
	for (size_t r = t && t->titled ? 0 : 1; widths && t->rows > 1 && r < t->rows; r++)
		for (size_t c = 0; c < t->columns; c++)
			if (table_width(cell(t, r, c)) > widths[c])
				widths[c] = table_width(cell(t, r, c));
	for (size_t r = t && t->titled ? 0 : 1; widths && t->rows > 1 && r < t->rows; r++) {
		int pending = 0; /* spaces; none at the end of a line */

		for (size_t c = 0; c < t->columns; c++) {
			const char *text = cell(t, r, c);
			int pad = widths[c] - table_width(text);

			if (t->right[c])
				pending += pad;
			if (*text) {
				fprintf(f, "%*s%s", pending, "", text);
				pending = 0;
			}
			pending += 2 + (t->right[c] ? 0 : pad);
		}
		fputc('\n', f);
	}
	table_free(t);
}
