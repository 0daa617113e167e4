#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# timeout: 90
. "$CURVEFS_TOP/vmtest/kernel/lib.sh"
run_group recall
