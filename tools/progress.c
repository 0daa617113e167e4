/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/progress.h"

#include "common/clock.h"
#include "tools/cmd.h"

#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR 30
#define REDRAW_S 0.1
#define LINE_S 10.0

static double now(void)
{
	return (double)monotonic_ns() / NS_PER_S;
}

void progress_start(struct progress *p, const char *label)
{
	const char *term = getenv("TERM");

	*p = (struct progress){.label = label, .started = now()};
	p->last = p->started;
	p->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static int columns(void)
{
	struct winsize w;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

void progress_update(struct progress *p, uint64_t done, uint64_t total, const char *text)
{
	double t = now(), part = total ? (double)done / (double)total : 0;
	char line[256], bar[BAR + 1], left[HUMAN_MAX + 16] = "", buffer[HUMAN_MAX];

	if (t - p->last < (p->terminal ? REDRAW_S : LINE_S) && (p->drawn || !p->terminal))
		return;
	p->last = t;
	if (part > 1)
		part = 1;
	if (part > 0.01 && part < 1 && t - p->started > 2)
		snprintf(left, sizeof(left), ", %s left",
		         human_duration((uint64_t)((t - p->started) / part * (1 - part)) + 1, buffer));
	if (!p->terminal) {
		if (total)
			fprintf(stderr, "%s: %.0f%%, %s%s\n", p->label, 100 * part, text, left);
		else
			fprintf(stderr, "%s: %s\n", p->label, text);
		return;
	}
	memset(bar, ' ', BAR);
	memset(bar, '=', (size_t)(part * BAR));
	bar[BAR] = '\0';
	if (total)
		snprintf(line, sizeof(line), "%s [%s] %3.0f%%  %s%s", p->label, bar, 100 * part, text, left);
	else
		snprintf(line, sizeof(line), "%s  %s", p->label, text);
	fprintf(stderr, "\r\033[K%.*s", columns() - 1, line);
	p->drawn = true;
}

void progress_end(struct progress *p)
{
	if (p->terminal && p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
