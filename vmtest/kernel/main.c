/* SPDX-License-Identifier: Apache-2.0 */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/storm.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	const struct test *tests;
} groups[] = {
	{"hit", hit_tests},
	{"read", read_tests},
	{"invalidate", invalidate_tests},
	{"attach", attach_tests},
	{"race", race_tests},
	{"revalidate", revalidate_tests},
	{"open", open_tests},
	{"write", write_tests},
	{"mmap", mmap_tests},
	{"fuzz", fuzz_tests},
	{"recall", recall_tests},
	{"recall-ends", recall_ends_tests},
	{"recall-requests", recall_requests_tests},
	{"recall-names", recall_names_tests},
	{"recall-race", recall_race_tests},
	{"torn", torn_tests},
};

static void too_long(int sig)
{
	static const char what[] = "takes too long\n";

	(void)!write(STDERR_FILENO, what, sizeof(what) - 1);
	end_failed();
}

void give_seconds(unsigned seconds)
{
	const char *text = getenv("CURVEFS_SLOW");
	int slow = text ? atoi(text) : 1;

	alarm(seconds * (slow > 0 ? (unsigned)slow : 1));
}

static int run(const struct test *test)
{
	struct timespec from, to;
	int status;
	pid_t pid;

	fflush(NULL);
	clock_gettime(CLOCK_MONOTONIC, &from);
	pid = fork();
	check(pid >= 0);
	if (!pid) {
		signal(SIGALRM, too_long);
		give_seconds(100);
		test->run();
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid);
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (WIFSIGNALED(status))
		printf("FAIL %s: signal %d\n", test->name, WTERMSIG(status));
	else
		printf("%s %s (%ld s)\n", status ? "FAIL" : "ok  ", test->name,
		       (long)(to.tv_sec - from.tv_sec));
	return status != 0;
}

int main(int argc, char **argv)
{
	int failed = 0, ran = 0;

	if (argc > 1 && !strcmp(argv[1], "measure"))
		return measure(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "load"))
		return load_mount(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "scribble"))
		return scribble_pins(argc, argv);
	for (size_t g = 0; g < sizeof(groups) / sizeof(*groups); g++) {
		if (argc > 1 && strcmp(argv[1], groups[g].name))
			continue;
		for (const struct test *t = groups[g].tests; t->name; t++) {
			if (argc > 2 && strcmp(argv[2], t->name))
				continue;
			failed += run(t);
			ran++;
		}
	}
	if (!ran)
		fprintf(stderr, "usage: kernel-case [GROUP [TEST]] | measure DIR | load SECONDS | "
		                "scribble DIR SECONDS\n");
	return failed || !ran;
}
