# SPDX-License-Identifier: Apache-2.0
# The kernel module.  Kbuild builds where the sources are, so they are linked
# into the build folder.  The module is the same whatever SANITIZE= says.
module-dir  := build/kpatch-extfuse
module-src  := $(wildcard kpatch-extfuse/*.c kpatch-extfuse/*.h) $(addprefix kpatch-extfuse/,Kbuild Makefile layout.sh fuse.known)
module-link := $(patsubst kpatch-extfuse/%,$(module-dir)/%,$(module-src)) $(module-dir)/extfuse_abi.h

# KERNEL=   one of vmtest/kernels, which is got if it is not here
$(foreach k,$(KERNEL) $(filter-out all,$(KERNELS)),$(if $(wildcard vmtest/kernels/$(k)),,$(error no kernel '$(k)' in vmtest/kernels: $(notdir $(wildcard vmtest/kernels/*)))))
kernel-ko = $(if $(filter 6.12-bookworm,$(1)),build/extfuse.ko,build/kernels/$(1)/extfuse.ko)
module: $(call kernel-ko,$(or $(KERNEL),6.12-bookworm)) ## build the kernel module only; for KERNEL= of vmtest/kernels

# Made for another kernel, everything is made anew.
module-kdir := $(module-dir)/.kdir
$(if $(filter-out $(file <$(module-kdir)),$(KDIR)),$(shell rm -rf $(module-dir)))
$(module-kdir): | $(module-dir)
	$(Q)echo '$(KDIR)' >$@

build/extfuse.ko: $(module-src) bpf/extfuse_abi.h $(module-kdir) | $(module-link)
	$(call say,KO,$@)
	$(Q)$(MAKE) $(if $(Q),-s) --no-print-directory -C $(module-dir) KDIR='$(KDIR)' BPFTOOL='$(BPFTOOL)'
	$(Q)cp $(module-dir)/extfuse.ko $@
$(module-dir)/extfuse_abi.h: | $(module-dir)
	$(Q)ln -sfn ../../bpf/extfuse_abi.h $@
$(module-dir)/%: | $(module-dir)
	$(Q)ln -sfn ../../kpatch-extfuse/$* $@
$(module-dir):
	$(Q)mkdir -p $@

build/kernels/%/version: vmtest/kernels/%
	$(call say,KERNEL,$*)
	$(Q)vmtest/kernels.sh fetch $* && touch $@
build/kernels/%/extfuse.ko: build/kernels/%/version $(module-src) bpf/extfuse_abi.h
	$(call say,KO,$@)
	$(Q)vmtest/kernels.sh module $*
.PRECIOUS: build/kernels/%/version
