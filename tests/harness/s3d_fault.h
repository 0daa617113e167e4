/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_S3D_FAULT_H
#define CURVEFS_TESTS_S3D_FAULT_H

/*
 * What the S3 test server does wrong: "OP:WORD[,WORD]...[;...]", OP one of get put delete list head any.
 *
 *	status=N         answer with this HTTP status instead
 *	code=NAME        ... and this <Code>
 *	retry_after=N    ... and this Retry-After
 *	drop             close the connection without an answer
 *	cut              close it in the middle of the body
 *	delay_ms=N       wait before the answer
 *	stall_ms=N       wait in the middle of the body
 *	corrupt          flip a bit of the body
 *	shift            get: send, and say so, another range than was asked for
 *	garbage          a body that is no XML
 *	late             carry the request out before status or drop
 *	key=TEXT         only if the key contains TEXT
 *	after=N times=N  not the first N such requests; at most N times (default: always)
 */

#include <stdbool.h>

#define S3D_RULES_MAX 16

struct s3d_fault {
	unsigned status, retry_after, delay_ms, stall_ms, after, times;
	bool drop, cut, corrupt, shift, garbage, late;
	char op[8], key[64], code[48];
	unsigned seen, hit;
};

struct s3d_faults {
	struct s3d_fault rules[S3D_RULES_MAX];
	unsigned n;
};

/** @return false if @p spec is malformed; *ret is then untouched. */
bool s3d_faults_parse(const char *spec, struct s3d_faults *ret);

/** The fault that this request meets, if any (the first that matches). */
bool s3d_faults_next(struct s3d_faults *faults, const char *op, const char *key, struct s3d_fault *ret);

#endif
