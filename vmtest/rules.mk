# SPDX-License-Identifier: Apache-2.0
# One boot of the stock kernel runs everything that needs the module: the cases of
# vmtest/cases/, then the whole-program cases with --bpf-cache=require.
VMTEST_TIMEOUT ?= 2700
# Whole-program cases at a time; what needs to be alone is.
VMTEST_JOBS    ?= 2
# Those of vmtest/kernels to do it on, one after the other; or `all` (but for the one that looks for mistakes).
KERNELS        ?= 6.12-bookworm
kernels        := $(if $(filter all,$(KERNELS)),$(filter-out %-debug,$(notdir $(wildcard vmtest/kernels/*))),$(KERNELS))

vmtest: all harness $(foreach k,$(kernels),$(call kernel-ko,$(k))) ## run the kernel cases and the whole-program cases in a VM, with the module, on KERNELS=
	$(Q)failed=; for k in $(kernels); do echo "kernel $$k"; vmtest/run.sh --kernel $$k --no-journal --timeout $(VMTEST_TIMEOUT) -- \
		vmtest/suite --build=$(B) --jobs=$(VMTEST_JOBS) $(CASES) || failed="$$failed $$k"; \
	done; [ -z "$$failed" ] || { echo "failed on:$$failed" >&2; false; }

# A distribution drops a kernel some time after it has a newer one.
QUICK_KERNELS  ?= 7.2-trixie
QUICK_CASES    ?= $(addprefix vmtest/cases/,attach hit invalidate open read revalidate unload) \
	tests/fs/kernel/warm-open.sh tests/fs/kernel/write-then-read.sh tests/fs/tools/doctor.sh
.PHONY: vmtest-kernels
vmtest-kernels: ## what tells most, in a VM with QUICK_KERNELS= (7.2-trixie); skipped if there is no such package any more
	$(Q)vmtest/kernels.sh fetch $(QUICK_KERNELS) || { [ $$? = 77 ] && echo "0 passed, 0 failed, 1 skipped"; exit; }; \
	$(MAKE) --no-print-directory vmtest KERNELS='$(QUICK_KERNELS)' CASES='$(QUICK_CASES)' VMTEST_TIMEOUT=600

# A kernel of our own, with everything that looks for mistakes; it takes several times as long.
DEBUG_KERNEL   := 6.12-debug
DEBUG_TIMEOUT  ?= 28800
DEBUG_SLOW     ?= 8
build/kernels/$(DEBUG_KERNEL)/version: vmtest/debug.config vmtest/debug-kernel.sh
.PHONY: vmtest-debug
vmtest-debug: ## the same on a kernel with KASAN, lockdep, PROVE_RCU ... that is compiled first; by hand (hours), all or CASES=
	$(Q)vmtest/kernels.sh fetch $(DEBUG_KERNEL)
	$(Q)$(MAKE) --no-print-directory all harness module KERNEL=$(DEBUG_KERNEL)
	$(Q)vmtest/run.sh --kernel $(DEBUG_KERNEL) --no-journal --timeout $(DEBUG_TIMEOUT) --log build/debug-kernel.log -- \
		env CURVEFS_SLOW=$(DEBUG_SLOW) vmtest/debug-kernel.sh watch vmtest/suite --build=$(B) --jobs=$(VMTEST_JOBS) $(CASES)

# The tests of the kernel side alone, with a daemon of their own.
kernel-case := $(B)/tests/harness/kernel-case
$(kernel-case): $(patsubst %.c,$(B)/%.o,$(wildcard vmtest/kernel/*.c)) $(B)/bpf/embed.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs fuse3 libbpf) -lpthread
$(patsubst %.c,$(B)/%.o,$(wildcard vmtest/kernel/*.c)): CFLAGS += -Wno-unused-parameter
harness: $(kernel-case)
