#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$CURVEFS_TOP/vmtest/kernel/lib.sh"
run_group torn
