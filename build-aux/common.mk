# SPDX-License-Identifier: Apache-2.0
# Compilers, flags and the compile rules, shared by every rules.mk.
#   V=1            print whole commands
#   SANITIZE=asan  AddressSanitizer and UBSan, built under build-asan/
#   SANITIZE=tsan  ThreadSanitizer, built under build-tsan/
#   SANITIZE=fuzz  what libFuzzer's targets link, by clang, built under build-fuzz/
#   SANITIZE=coverage  not optimised, each executed line counted, built under build-coverage/
SHELL    := bash
PREFIX   ?= /usr/local
CLANG    ?= clang
BPFTOOL  ?= bpftool
SANITIZE ?=
B        := build$(SANITIZE:%=-%)
# Headers (with BTF: a vmlinux beside .config) of the kernel to build module and BPF object for.
KDIR     ?= $(firstword $(shell ls -d /usr/src/linux-headers-6.12.*-amd64 2>/dev/null | sort -Vr) \
	$(wildcard /lib/modules/$(shell uname -r)/build))

ifeq ($(V),1)
Q   :=
say :=
else
Q   := @
say  = @printf '  %-8s %s\n' $(1) $(2)
endif

deps     := fuse3 libbpf libcurl libcrypto jansson expat libisal zlib
CFLAGS   ?= -O2 -g
override CFLAGS += -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wvla \
	-fno-strict-aliasing -pthread
override CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 -I. $(shell pkg-config --cflags $(deps) 2>/dev/null)
LIBS     := -lrocksdb $(shell pkg-config --libs $(deps) 2>/dev/null) -lpthread

san-asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
san-tsan := -fsanitize=thread -fno-omit-frame-pointer
san-fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
ifeq ($(SANITIZE),fuzz)
CC       := $(CLANG)
endif
# Counted by threads at once; each process adds to the counts (*.gcda) of those before it.
san-coverage := --coverage -fprofile-update=atomic -O0
override CFLAGS  += $(san-$(SANITIZE))
override LDFLAGS += -pthread $(san-$(SANITIZE))

$(B)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

.DELETE_ON_ERROR:
