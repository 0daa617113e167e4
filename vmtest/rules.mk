# SPDX-License-Identifier: Apache-2.0
# One boot of the stock kernel runs everything that needs the module: the cases of
# vmtest/cases/, then the whole-program cases with --bpf-cache=require.
VMTEST_TIMEOUT ?= 1200

vmtest: all harness ## run the kernel cases and the whole-program cases in a VM, with the module
	$(Q)vmtest/run.sh --timeout $(VMTEST_TIMEOUT) -- vmtest/suite --build=$(B) $(CASES)
