/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_FUZZ_H
#define CURVEFS_TESTS_FUZZ_H

/*
 * What the fuzz targets share.  A target is one file, <name>_fuzz.c: it gives bytes from outside to one
 * parser, and CHECKs what must be true of whatever the parser took.  A static parser is had by including
 * its .c file.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it must hold in any build. */
#define CHECK(expression)                                                                          \
	do {                                                                                       \
		if (!(expression)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expression); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/** The input as a string of its own, so that reading behind its end is seen. Free it. */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
	char *s = malloc(size + 1);

	CHECK(s);
	if (size)
		memcpy(s, data, size);
	s[size] = 0;
	return s;
}

/** A file with the input in it, whose name goes to @p path (32 bytes). @return its descriptor: close it. */
static inline int fuzz_file(const uint8_t *data, size_t size, char *path)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/** In a target whose parser prints: nothing of it is shown. */
#define FUZZ_WITHOUT_OUTPUT                                \
	int LLVMFuzzerInitialize(int *argc, char ***argv); \
	int LLVMFuzzerInitialize(int *argc, char ***argv)  \
	{                                                  \
		(void)argc;                                \
		(void)argv;                                \
		CHECK(freopen("/dev/null", "w", stdout));  \
		return 0;                                  \
	}

#endif
