/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/tempdir.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is there now, for the end by a signal; NULL is a free place. */
static char *volatile made[64];
static pid_t maker; /* a forked child's end removes nothing */

/* Only what may be called in a signal handler. */
static void ended(int signal_number)
{
	for (size_t i = 0; getpid() == maker && i < sizeof(made) / sizeof(made[0]); i++) {
		pid_t child = made[i] ? fork() : 0;

		if (made[i] && child == 0) {
			execl("/bin/rm", "rm", "-rf", "--one-file-system", "--", made[i], (char *)NULL);
			_exit(1);
		}
		if (child > 0)
			waitpid(child, NULL, 0);
	}
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void watch_signals(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction old, new = {.sa_handler = ended};

	if (maker)
		return;
	maker = getpid();
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (!sigaction(ends[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(ends[i], &new, NULL);
	}
}

char *tempdir_make(void)
{
	const char *base = getenv("TMPDIR");
	char *path;

	watch_signals();
	if (asprintf(&path, "%s/curvefs-test.XXXXXX", base ? base : "/tmp") < 0)
		return NULL;
	if (!mkdtemp(path)) {
		free(path);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		if (!made[i]) {
			made[i] = path;
			break;
		}
	}
	return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void tempdir_remove(char *path)
{
	if (!path)
		return;
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		if (made[i] == path)
			made[i] = NULL;
	}
	free(path);
}
