/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CACHE_CRC_H
#define CURVEFS_CACHE_CRC_H

#include <isa-l/crc.h>
#include <stddef.h>
#include <stdint.h>

/** CRC-32C (Castagnoli) of @p length bytes, at most a sub-block; of "123456789" it is 0xe3069283. */
static inline uint32_t cache_crc32c(const void *data, size_t length)
{
	/* ISA-L leaves the inversion before and after to the caller, and takes a pointer it does not write
	 * to. */
	return ~crc32_iscsi((unsigned char *)data, (int)length, ~0u);
}

#endif
