/* SPDX-License-Identifier: Apache-2.0 */
#include "vmtest/kernel/case.h"
const struct test invalidate_tests[] = {{}};
const struct test attach_tests[] = {{}};
const struct test race_tests[] = {{}};
