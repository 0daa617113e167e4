/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMTEST_CASE_H
#define VMTEST_CASE_H

/* Tests of the kernel side: small functions in groups, a process each, run by "kernel-case GROUP". */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define die(...)                                                \
	do {                                                    \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
		fprintf(stderr, __VA_ARGS__);                   \
		fputc('\n', stderr);                            \
		end_failed();                                   \
	} while (0)

/*
 * Leave the test's process.  A thread of it may wait for an answer of its own
 * daemon, which is to be no more: so every connection is aborted first.
 */
_Noreturn void end_failed(void);

/* What is false ends the test; the mount goes with the test's process and namespace. */
#define check(what)                                                              \
	do {                                                                     \
		if (!(what))                                                     \
			die("not true: %s (errno: %s)", #what, strerror(errno)); \
	} while (0)

#define check_equal(a, b)                                                                           \
	do {                                                                                        \
		long long _a = (long long)(a), _b = (long long)(b);                                 \
		if (_a != _b)                                                                       \
			die("%s is %lld, %s is %lld (errno: %s)", #a, _a, #b, _b, strerror(errno)); \
	} while (0)

/* The call fails, and with this error. */
#define check_errno(call, error)                                                            \
	do {                                                                                \
		errno = 0;                                                                  \
		if ((call) >= 0 || errno != (error))                                        \
			die("%s: got %s, not %s", #call, strerror(errno), strerror(error)); \
	} while (0)

/* End the test after so many seconds from now, or as often as many as $CURVEFS_SLOW says (tests/run-cases).
 */
void give_seconds(unsigned seconds);

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(fn)        \
	{               \
#fn, fn \
	}

extern const struct test hit_tests[], read_tests[], invalidate_tests[], attach_tests[], race_tests[],
	revalidate_tests[], open_tests[], write_tests[], mmap_tests[], fuzz_tests[], recall_tests[],
	recall_ends_tests[], recall_requests_tests[], recall_names_tests[], recall_race_tests[], torn_tests[];
int measure(int argc, char **argv);
int load_mount(int argc, char **argv);

#endif
