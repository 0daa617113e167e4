# SPDX-License-Identifier: Apache-2.0
# One boot of the stock kernel runs everything that needs the module: the cases of
# vmtest/cases/, then the whole-program cases with --bpf-cache=require.
VMTEST_TIMEOUT ?= 1800
# Whole-program cases at a time; what needs to be alone is.
VMTEST_JOBS    ?= 2
# Those of vmtest/kernels to do it on, one after the other; or `all`.
KERNELS        ?= 6.12-bookworm
kernels        := $(if $(filter all,$(KERNELS)),$(notdir $(wildcard vmtest/kernels/*)),$(KERNELS))

vmtest: all harness $(foreach k,$(kernels),$(call kernel-ko,$(k))) ## run the kernel cases and the whole-program cases in a VM, with the module, on KERNELS=
	$(Q)failed=; for k in $(kernels); do echo "kernel $$k"; vmtest/run.sh --kernel $$k --no-journal --timeout $(VMTEST_TIMEOUT) -- \
		vmtest/suite --build=$(B) --jobs=$(VMTEST_JOBS) $(CASES) || failed="$$failed $$k"; \
	done; [ -z "$$failed" ] || { echo "failed on:$$failed" >&2; false; }

# The tests of the kernel side alone, with a daemon of their own.
kernel-case := $(B)/tests/harness/kernel-case
$(kernel-case): $(patsubst %.c,$(B)/%.o,$(wildcard vmtest/kernel/*.c)) $(B)/bpf/embed.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs fuse3 libbpf) -lpthread
$(patsubst %.c,$(B)/%.o,$(wildcard vmtest/kernel/*.c)): CFLAGS += -Wno-unused-parameter
harness: $(kernel-case)
