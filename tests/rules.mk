# SPDX-License-Identifier: Apache-2.0
# Units:   tests/unit/<folder>/<module>_test.c  ->  $(B)/tests/unit/<folder>/<module>_test
# Helpers: tests/harness/<name>.c               ->  an object of $(B)/libharness.a, linked into every unit
#          tests/harness/<name>.prog.c          ->  $(B)/tests/harness/<name>, a program for the cases
#          tests/harness/<name>.so.c      ->  $(B)/tests/harness/<name>.so, for LD_PRELOAD
#          tests/bench/<name>.prog.c            ->  $(B)/tests/bench/<name>, one for the benchmarks
# Fuzzers: tests/fuzz/<name>_fuzz.c         ->  $(B)/tests/fuzz/<name>_fuzz, with SANITIZE=fuzz only
# Cases:   tests/fs/**/*.sh, found by path; tests/run-cases says what they can use.
# Soak:    tests/soak/*.sh, cases that go on for SOAK_SECONDS; by hand only.

harness-src  := $(filter-out %.prog.c %.so.c,$(wildcard tests/harness/*.c))
harness-prog := $(patsubst %.prog.c,$(B)/%,$(wildcard tests/harness/*.prog.c tests/bench/*.prog.c))
harness-so   := $(patsubst %.so.c,$(B)/%.so,$(wildcard tests/harness/*.so.c))
unit-src     := $(wildcard tests/unit/*_test.c tests/unit/*/*_test.c tests/unit/*/*/*_test.c)
unit-prog    := $(unit-src:%.c=$(B)/%)
libharness   := $(B)/libharness.a

.PHONY: units-build harness tsan coverage soak model

$(libharness): $(harness-src:%.c=$(B)/%.o)
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D) && rm -f $@ && $(AR) rcs $@ $^

$(unit-prog) $(harness-prog): $(B)/%:
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) -lcmocka -lmicrohttpd $(LIBS)
$(unit-prog): $(B)/%: $(B)/%.o $(libharness) $(lib)
$(harness-prog): $(B)/%: $(B)/%.prog.o $(libharness) $(lib)
$(harness-so): $(B)/%.so: %.so.c
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(filter-out -fsanitize=%,$(CFLAGS)) -fPIC -shared -o $@ $< -ldl
.SECONDARY: $(unit-prog:%=%.o) $(harness-prog:%=%.prog.o)

harness: $(harness-prog) $(harness-so)
units-build: $(unit-prog) harness

units: units-build ## build and run the unit tests
	$(Q)KERNEL_WITH_BTF=$(KDIR)/vmlinux tests/run-units $(unit-prog)

# An S3 server that nobody here wrote; the store's contract test uses it when it is there.
.PHONY: s3rver
s3rver: ## install s3rver below build/, for one more S3 server in the unit tests (needs npm)
	$(Q)npm install --silent --no-audit --no-fund --no-package-lock --prefix build/s3rver s3rver@3.7.1

fs-test: programs harness ## run the whole-program cases on this machine, without BPF
	$(Q)tests/run-cases --build=$(B) --bpf=off --jobs=$$(nproc) --timeout=$${CASE_TIMEOUT:-60} $(CASES)

SOAK_SECONDS ?= 600
soak: programs harness ## run the cases of tests/soak, each for SOAK_SECONDS (600), until one fails
	$(Q)SOAK_SECONDS=$(SOAK_SECONDS) tests/run-cases --build=$(B) --bpf=off \
		--timeout=$$(($(SOAK_SECONDS) * 2 + 600)) $(or $(CASES),tests/soak)

# Long runs of what is random or exhaustive in the cases; the usual run has a few seconds of each.
ROUNDS ?= 100
.PHONY: crash
crash: all harness ## kill -9 of the daemon and power failures of its disk, ROUNDS times, each of its calls and requests fails once, power failures of a VM
	$(Q)ROUNDS=$(ROUNDS) SECONDS_MAX=1000000 tests/run-cases --build=$(B) --timeout=1000000 tests/fs/crash
	$(Q)vmtest/crash.sh --build=$(B) --rounds=$$((($(ROUNDS) + 9) / 10))

asan: ## units and whole-program cases with AddressSanitizer, leak and undefined-behaviour checks
	$(Q)$(MAKE) --no-print-directory SANITIZE=asan programs units-build
	$(Q)UNIT_TIMEOUT=600 $(MAKE) --no-print-directory SANITIZE=asan units
	$(Q)CASE_TIMEOUT=200 $(MAKE) --no-print-directory SANITIZE=asan fs-test

# What can meet bytes from outside; the rest needs a kernel or a user.
fuzz-prog    := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz-lib-src := $(filter-out daemon/session.c daemon/kernel/load.c daemon/fs/%,$(filter-out %/main.c,$(wildcard \
	common/*.c cache/*.c daemon/*.c daemon/*/*.c tools/args.c tools/cmd.c tools/progress.c))) daemon/fs/removed.c
libfuzzed    := $(B)/libfuzzed.a
$(libfuzzed): $(fuzz-lib-src:%.c=$(B)/%.o) $(B)/tests/harness/volume.o $(B)/tests/harness/tempdir.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(fuzz-prog): $(B)/%: $(B)/%.o $(libfuzzed)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ -lcmocka $(LIBS)
.SECONDARY: $(fuzz-prog:%=%.o)
.PHONY: fuzz fuzz-build
fuzz-build: $(fuzz-prog)

FUZZ_SECONDS ?= 60
fuzz: ## feed random bytes to every parser, for FUZZ_SECONDS=60 in all
	$(Q)$(MAKE) --no-print-directory SANITIZE=fuzz fuzz-build
	$(Q)tests/fuzz/run --seconds=$(FUZZ_SECONDS) build-fuzz/tests/fuzz

# What is no finding is in tests/tsan.supp.
tsan: ## units and whole-program cases with ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory SANITIZE=tsan programs units-build
	$(Q)UNIT_TIMEOUT=600 $(MAKE) --no-print-directory SANITIZE=tsan units
	$(Q)CASE_TIMEOUT=200 $(MAKE) --no-print-directory SANITIZE=tsan fs-test

# A daemon that is killed counts nothing; those that end do.
COVERAGE_MIN ?= 85
coverage: ## lines that the units and whole-program cases execute; fails below COVERAGE_MIN (85) percent
	$(Q)$(MAKE) --no-print-directory SANITIZE=coverage programs units-build
	$(Q)find build-coverage -name '*.gcda' -delete
	$(Q)UNIT_TIMEOUT=600 $(MAKE) --no-print-directory SANITIZE=coverage units
	$(Q)CASE_TIMEOUT=200 $(MAKE) --no-print-directory SANITIZE=coverage fs-test
	$(Q)tests/coverage.py --min=$(COVERAGE_MIN) build-coverage daemon cache tools

model: ## have spin check the protocols that are modelled, each interleaving (a minute or two)
	$(Q)tests/model.sh $(addprefix daemon/kernel/,lent.pml lent_part.pml recall.pml settle.pml)

# The packages that the first lines of this build look for (pkg-config) may be installed only now,
# so everything after the set-up runs in makes of its own.
check: ## set up, build, and run all tests: units, whole-program cases, the same in a VM
	$(Q)MAKE='$(MAKE)' tests/check

demo: ## set up, build, and show in a VM what the kernel answers by itself
	$(Q)build-aux/setup.sh
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all harness
	$(Q)vmtest/run.sh --timeout 1500 -- tests/bench/demo.sh

# libfuse's example is compiled from where its package has it; without it there is a column less.
passthrough-src := $(wildcard /usr/share/doc/libfuse3-dev/examples/passthrough_ll.c)
passthrough     := $(passthrough-src:%=$(B)/tests/bench/passthrough)
$(passthrough): $(passthrough-src)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -O2 -w -o $@ $< $(shell pkg-config --cflags --libs fuse3)

# Of the file that is mapped.  Under emulation to write it takes longer than all else.
MAPPED_MIB ?= 256
.PHONY: bench-icount bench-profile bench-docs
bench: all harness $(passthrough) ## measure in a VM, in time and in instructions, and draw it: build/bench.json, .svg
	$(Q)vmtest/run.sh --memory 4G --timeout 1800 -- env mapped_mib=$(MAPPED_MIB) tests/bench/bench.sh time
	$(Q)vmtest/run.sh --icount --timeout 1800 -- tests/bench/bench.sh instructions
	$(Q)tests/bench/bench.py --json=$(B)/bench.json --svg=$(B)/bench.svg $(B)/bench/time.rows $(B)/bench/instructions.rows
bench-icount: all harness $(passthrough) ## measure instructions only: the same on any machine
	$(Q)vmtest/run.sh --icount --timeout 1800 -- tests/bench/bench.sh instructions
	$(Q)tests/bench/bench.py $(B)/bench/instructions.rows
bench-profile: all harness ## where the instructions go, by function, and the time of an fsync: build/bench/profile.txt
	$(Q)mkdir -p $(B)/bench
	$(Q)vmtest/run.sh --icount --timeout 1800 -- tests/bench/profile.sh $(OPERATIONS) >$(B)/bench/profile.txt
	$(Q)vmtest/run.sh --timeout 600 -- tests/bench/sync.sh >>$(B)/bench/profile.txt
	$(Q)cat $(B)/bench/profile.txt
SMALL_FILES ?= 200000
.PHONY: bench-small
bench-small: all harness ## read SMALL_FILES=200000 small files in a VM: who answers, and what memory it takes
	$(Q)mkdir -p $(B)/bench && tests/bench/small.sh fill $(SMALL_FILES) $(B)/bench/small.img
	$(Q)vmtest/run.sh --timeout 3000 --disk-file $(B)/bench/small.img -- tests/bench/small.sh read $(SMALL_FILES) $(B)/bench/small.img
bench-docs: bench bench-profile ## measure, and keep the figures in docs/
	$(Q)cp $(B)/bench.json $(B)/bench.svg $(B)/bench/profile.txt docs/

# Without a VM: FUSE alone, on this machine.  Both shapes of a million take half an hour.
FILES ?= 1000000
.PHONY: bench-million
bench-million: programs harness ## make, list, stat, rename and delete FILES=1000000 files, and draw the curve
	$(Q)tests/bench/million.py --build=$(B) --files=$(FILES) --json=$(B)/million.json --svg=$(B)/million.svg
