/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_COMMON_VERSION_H
#define CURVEFS_COMMON_VERSION_H

/* Of all programs made from this tree. */
#define CURVEFS_VERSION "0.1.0"

#endif
