/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_FUZZ_CHANGE_H
#define CURVEFS_TESTS_FUZZ_CHANGE_H

#include "daemon/meta/kv.h"
#include "tests/fuzz/fuzz.h"

/** A kv_change_fn that touches every byte; @p arg is a uint32_t. */
static inline int fuzz_on_change(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	uint32_t *sum = arg;

	CHECK(op == KV_PUT || op == KV_DELETE || op == KV_ADD);
	for (size_t i = 0; i < key.size; i++)
		*sum += ((const unsigned char *)key.data)[i];
	for (size_t i = 0; i < value.size; i++)
		*sum += ((const unsigned char *)value.data)[i];
	return 0;
}

#endif
