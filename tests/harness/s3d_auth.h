/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_S3D_AUTH_H
#define CURVEFS_TESTS_S3D_AUTH_H

#include <microhttpd.h>

#include "tests/harness/s3d.h"

/** An S3 error answer; status 0: none. */
struct s3d_refusal {
	unsigned status;
	const char *code, *message;
};

struct s3d_incoming {
	struct MHD_Connection *connection;
	const char *method;
	const char *path, *query; /* as they came, still encoded */
	const void *body;
	size_t length;
};

/** Check signature, date, payload hash, Content-MD5 and x-amz-checksum-crc32c. */
struct s3d_refusal s3d_auth_check(const struct s3d_options *options, const struct s3d_incoming *in);

#endif
