# SPDX-License-Identifier: Apache-2.0
# One boot of the stock kernel runs everything that needs the module: the cases of
# vmtest/cases/, then the whole-program cases with --bpf-cache=require.
VMTEST_TIMEOUT ?= 1800
# Whole-program cases at a time; what needs to be alone is.
VMTEST_JOBS    ?= 2

vmtest: all harness ## run the kernel cases and the whole-program cases in a VM, with the module
	$(Q)vmtest/run.sh --no-journal --timeout $(VMTEST_TIMEOUT) -- vmtest/suite --build=$(B) --jobs=$(VMTEST_JOBS) $(CASES)


# The tests of the kernel side alone, with a daemon of their own.
kernel-case := $(B)/tests/harness/kernel-case
$(kernel-case): $(patsubst %.c,$(B)/%.o,$(wildcard vmtest/kernel/*.c)) $(B)/bpf/embed.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs fuse3 libbpf) -lpthread
$(patsubst %.c,$(B)/%.o,$(wildcard vmtest/kernel/*.c)): CFLAGS += -Wno-unused-parameter
harness: $(kernel-case)
