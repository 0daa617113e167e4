/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_S3D_CHILD_H
#define CURVEFS_TESTS_S3D_CHILD_H

#include <sys/types.h>

/** The S3 test server as a child process of a unit test. */
struct s3d_child {
	pid_t pid;
	char url[64]; /* the endpoint */
};

/**
 * Start it with @p arguments (NULL-terminated, may be NULL) and set AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY to what it takes. @return 0, or -1 with the reason on standard error.
 */
int s3d_child_start(struct s3d_child *c, const char *const arguments[]);

/**
 * Start s3rver, a server that nobody here wrote, if it is installed (make s3rver), with bucket "test" in
 * @p directory, and set the credentials that it takes. @return 0, -1 on failure, -2 if it is not there.
 */
int s3rver_child_start(struct s3d_child *c, const char *directory);

/** Replace the server's faults (s3d_fault.h); "" for none. @return 0 or -1. */
int s3d_child_faults(const struct s3d_child *c, const char *spec);

/** A number of GET /-/stats; -1 if it cannot be had. */
long s3d_child_stat(const struct s3d_child *c, const char *name);

/** SIGTERM, and wait. @return its exit status, -1 if it was killed. */
int s3d_child_stop(struct s3d_child *c);

#endif
