/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_S3D_URI_H
#define CURVEFS_TESTS_S3D_URI_H

#include <stdbool.h>
#include <stdio.h>

/** Write @p s as SigV4 encodes it, '/' kept or not. */
void s3d_uri_encode(FILE *f, const char *s, bool keep_slash);

/** Decode @p n bytes of @p s. @return a string to free, or NULL if malformed or with a NUL. */
char *s3d_uri_decode(const char *s, size_t n);

/** The query @p raw (without '?') as the canonical request has it; free it. NULL if malformed. */
char *s3d_uri_canonical_query(const char *raw);

/** The decoded value of @p name in the query @p raw; free it. NULL if there is none. */
char *s3d_uri_parameter(const char *raw, const char *name);

#endif
