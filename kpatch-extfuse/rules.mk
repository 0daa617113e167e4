# SPDX-License-Identifier: Apache-2.0
# The kernel module.  Kbuild builds where the sources are, so they are linked
# into the build folder.  The module is the same whatever SANITIZE= says.
module-dir  := build/kpatch-extfuse
module-src  := $(wildcard kpatch-extfuse/*.c kpatch-extfuse/*.h) $(addprefix kpatch-extfuse/,Kbuild Makefile layout.sh)
module-link := $(patsubst kpatch-extfuse/%,$(module-dir)/%,$(module-src)) $(module-dir)/extfuse_abi.h

module: build/extfuse.ko ## build the kernel module only

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
