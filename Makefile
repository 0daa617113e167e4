# SPDX-License-Identifier: Apache-2.0
# The entry to everything; `make help` lists the targets.
include build-aux/common.mk

.PHONY: all programs module bpf setup check units fs-test vmtest demo bench asan lint format install clean help
all: programs module ## build the daemon, the tool and the kernel module

# One archive of everything but the mains: programs, units and fuzzers link it.
lib-src  := $(filter-out %/main.c,$(wildcard common/*.c cache/*.c daemon/*.c daemon/*/*.c tools/*.c))
lib-obj  := $(lib-src:%.c=$(B)/%.o) $(B)/bpf/embed.o $(B)/tools/fuse_known_list.o
lib      := $(B)/libcurvefs.a
programs := $(B)/curvefs-fuse $(B)/curvefs

programs: $(programs)
$(lib): $(lib-obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(B)/curvefs-fuse: $(B)/daemon/main.o $(lib)
$(B)/curvefs: $(B)/tools/main.o $(lib)
$(B)/tools/fuse_known_list.o: tools/fuse_known.S kpatch-extfuse/fuse.known
	$(call say,AS,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<
$(programs):
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

include kpatch-extfuse/rules.mk
include bpf/rules.mk
include tests/rules.mk
include vmtest/rules.mk

setup: ## install every package needed (root, Debian 12; idempotent)
	build-aux/setup.sh

lint: ## static checks, every warning an error
	$(Q)CPPFLAGS='$(CPPFLAGS)' build-aux/lint.sh
format: ## lay the sources out as .clang-format says
	git ls-files '*.c' '*.h' | xargs clang-format -i

install: all ## install below $(DESTDIR)$(PREFIX)
	build-aux/install.sh '$(B)' '$(DESTDIR)' '$(PREFIX)'

clean: ## remove everything built
	rm -rf build build-*/

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | sort | column -t -s '|'

-include $(shell find $(B) -path $(B)/kernels -prune -o -name '*.d' -type f -print 2>/dev/null)
