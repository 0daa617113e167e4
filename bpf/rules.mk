# SPDX-License-Identifier: Apache-2.0
# The BPF object, and the same bytes as an object file to link into the programs.
bpf-object := $(B)/bpf/extfuse.bpf.o
BPF_CFLAGS := -target bpf -D__TARGET_ARCH_x86 -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
	-Ibpf -I$(B)/bpf

bpf: $(bpf-object) ## build the BPF object only

$(B)/bpf/vmlinux.h: $(KDIR)/vmlinux $(module-kdir)
	$(call say,BTF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) btf dump file $< format c >$@
$(KDIR)/vmlinux:
	@echo "$(or $(KDIR),KDIR) has no vmlinux with BTF: install the kernel's headers (make setup) or set KDIR=" >&2; false

# Debug sections go, BTF stays: the object is carried by every daemon.
$(bpf-object): bpf/extfuse.bpf.c $(B)/bpf/vmlinux.h
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@ $<
	$(Q)llvm-strip -g $@

$(B)/bpf/embed.o: bpf/embed.S $(bpf-object)
	$(call say,AS,$@)
	$(Q)$(CC) -DEXTFUSE_BPF_OBJECT='"$(bpf-object)"' -c -o $@ $<
