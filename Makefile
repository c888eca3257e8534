# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `make help` says what there is. Everything that is built goes to build/;
# kernels, headers and sources come from a cache outside of the tree, which
# `make setup` fills and every other target sees to by itself.

KERNEL		?= 6.1
LANE		?= vng
T		?= 600
FUZZ_KERNEL	?= 6.1-kasan

prefix		?= /usr/local
KDIR		?= /lib/modules/$(shell uname -r)/build

MBUF_CACHE	?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mbuf
override MBUF_CACHE := $(abspath $(MBUF_CACHE))
export MBUF_CACHE

# V=1 shows the commands.
quiet		:= $(if $(V),,-s) --no-print-directory
build		:= $(CURDIR)/build
ksft		:= $(MBUF_CACHE)/source/tree/tools/testing/selftests
selftests-make	= $(MAKE) $(quiet) -C selftests \
		  OUTPUT=$(build)/selftests KSFT=$(ksft) LIBMBUF=$(build)/lib

all: module lib selftests examples tools bench-build ## build everything (default)

help: ## this list
	@echo "mbuf: targets of make"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)
	@echo "Variables: KERNEL=$(KERNEL) (one of: $(notdir $(wildcard vm/kernels/*))),"
	@echo "LANE=$(LANE) (vng or initramfs, for vm), T=$(T) (for fuzz), DESTDIR, prefix=$(prefix), KDIR (for"
	@echo "install and uninstall), STEPS (of check; all), KERNELS (of check-debug, check-matrix),"
	@echo "MUTANTS (of check-mutants; all), MBUF_CACHE=$(MBUF_CACHE)"

setup: ## install missing tools, fetch kernel, headers and sources
	@vm/setup --kernel $(KERNEL)

module: setup ## the kernel module, for KERNEL
	@echo "  MODULE     for kernel $(KERNEL)"
	@vm/kbuild $(KERNEL)
	@vm/kbuild --source selftests/mbuf_test $(KERNEL)

lib: setup ## libmbuf, shared and static
	@echo "  LIB"
	@$(MAKE) $(quiet) -C lib O=$(build)/lib

selftests: lib ## the kselftests
	@echo "  SELFTESTS"
	@mkdir -p $(build)/selftests
	@$(selftests-make)

# The installed form of the tests, with the kernel's runner beside them: what
# a guest runs.
kselftest: selftests
	@mkdir -p $(build)/kselftest
	@cp -a $(ksft)/run_kselftest.sh $(ksft)/kselftest $(build)/kselftest/
	@$(selftests-make) -s install INSTALL_PATH=$(build)/kselftest/mbuf
	@$(selftests-make) -s emit_tests COLLECTION=mbuf \
		>$(build)/kselftest/kselftest-list.txt

# The same as 32-bit programs, to which a 64-bit kernel is another interface. Who
# has no compiler for them is told by the step of vm/check.
32		:= $(build)/32
kselftest32: setup ## the kselftests as 32-bit programs
	@mkdir -p $(32)/selftests $(build)/kselftest
	@rm -f $(build)/kselftest/mbuf32-list.txt
	@if cc=$$(lib/cc32 2>$(32)/skip); then \
		echo "  SELFTESTS  with $$cc"; \
		$(MAKE) $(quiet) -s -C lib O=$(32)/lib CC="$$cc" \
			$(32)/lib/libmbuf.a && \
		$(selftests32-make) && \
		$(selftests32-make) install \
			INSTALL_PATH=$(build)/kselftest/mbuf32 && \
		$(selftests32-make) emit_tests COLLECTION=mbuf32 \
			>$(build)/kselftest/mbuf32-list.txt; \
	else \
		echo "  SELFTESTS  none with 32 bits: $$(cat $(32)/skip)"; \
	fi

# Where 64-bit atomics are aligned is no news.
selftests32-make = $(MAKE) $(quiet) -s -C selftests CC="$$cc -Wno-psabi" \
		   OUTPUT=$(32)/selftests KSFT=$(ksft) LIBMBUF=$(32)/lib

# The same for the tests that take long.
proving-make	= $(MAKE) $(quiet) -s -C selftests/proving \
		  OUTPUT=$(build)/proving KSFT=$(ksft) LIBMBUF=$(build)/lib \
		  MBUF_ROOT=$(CURDIR)

proving: lib
	@echo "  PROVING"
	@mkdir -p $(build)/proving $(build)/kselftest
	@$(proving-make)
	@$(proving-make) install INSTALL_PATH=$(build)/kselftest/proving
	@$(proving-make) emit_tests COLLECTION=proving \
		>$(build)/kselftest/proving-list.txt

examples: lib ## the example programs
	@echo "  EXAMPLES"
	@$(MAKE) $(quiet) -C examples O=$(build)/examples \
		LIBMBUF=$(build)/lib

tools: setup lib ## mbufctl
	@echo "  TOOLS"
	@$(MAKE) $(quiet) -C tools/mbufctl O=$(build)/tools \
		LIBMBUF=$(build)/lib

bench-build: lib ## the benchmark program
	@echo "  BENCH"
	@$(MAKE) $(quiet) -C bench O=$(build)/bench

fuzz-build:
	@echo "  FUZZ"
	@$(MAKE) $(quiet) -C fuzz O=$(build)/fuzz

demo: module examples ## stream a real file between two processes, in a guest
	@vm/demo --kernel $(KERNEL)

check: setup ## build and run every test; the last line counts them
	@vm/check $(if $(STEPS),build $(STEPS))

check-debug: setup ## the same tests and more on debug kernels, which it compiles
	@vm/check --debug $(if $(KERNELS),--kernels $(KERNELS)) \
		$(if $(STEPS),build $(STEPS))

check-matrix: setup ## build for several kernel versions, and the tests on each
	@vm/check --matrix $(if $(KERNELS),--kernels $(KERNELS)) \
		$(if $(STEPS),build $(STEPS))

check-mutants: setup ## put bugs into a copy, and see that the tests find them
	@vm/mutants $(MUTANTS)

coverage: setup ## lines and branches that the tests reach, of module and library
	@vm/coverage

models: setup ## check the models of the protocols; LARGE=1 takes long
	@Documentation/models/check $(if $(LARGE),--large)

# An SVG ends with the sum of its source: make check compares it.
pictures: ## draw Documentation/pictures/*.dot anew; needs graphviz
	@command -v dot >/dev/null || { \
		echo "make pictures needs dot: apt install graphviz" >&2; exit 1; }
	@set -e; cd Documentation/pictures; for dot in *.dot; do \
		svg=$${dot%.dot}.svg; dot -Tsvg -o $$svg $$dot; \
		sed -i '1a <!-- SPDX-License-Identifier: LGPL-2.1-or-later -->' \
			$$svg; \
		echo "<!-- $$(sha256sum $$dot) -->" >>$$svg; \
	done

# What a fuzzer finds is seen by the debug kernel, and its coverage as well.
fuzz: ## fuzz the module for T seconds on a debug kernel, which it compiles
	@$(MAKE) $(quiet) module KERNEL=$(FUZZ_KERNEL)
	@fuzz/run --kernel $(FUZZ_KERNEL) --time $(T)

bench: module bench-build ## measure beside pipe, mqueue, eventfd and others
	@bench/run

bench-ring: lib ## time the ring beside those of others, on this machine
	@vm/setup --rings
	@echo "  BENCH      ring"
	@$(MAKE) $(quiet) -C bench/ring O=$(build)/bench-ring LIBMBUF=$(build)/lib
	@bench/ring/run

vm: all kselftest ## a shell in a guest with everything built and loaded
	@vm/run --lane $(LANE) --kernel $(KERNEL) --interactive \
		$(if $(filter initramfs,$(LANE)),--add $(build)/selftests \
		--add $(build)/examples --add $(build)/bench)

style: module ## checkpatch, sparse, kernel-doc, shellcheck
	@vm/style

analyze: setup ## clang-tidy, cppcheck, the kernel's semantic patches
	@vm/analyze

# Where all of it goes. Neither needs the cache, nor the network.
dist-make	= $(MAKE) $(quiet) -C dist prefix=$(prefix) DESTDIR=$(DESTDIR)
lib-make	= $(MAKE) $(quiet) -C lib O=$(build)/lib prefix=$(prefix) \
		  DESTDIR=$(DESTDIR)
tools-make	= $(MAKE) $(quiet) -C tools/mbufctl O=$(build)/tools \
		  LIBMBUF=$(build)/lib prefix=$(prefix) DESTDIR=$(DESTDIR)
bpftrace-make	= $(MAKE) $(quiet) -C tools/bpftrace prefix=$(prefix) \
		  DESTDIR=$(DESTDIR)
man-make	= $(MAKE) $(quiet) -C Documentation/man prefix=$(prefix) \
		  DESTDIR=$(DESTDIR)
tools-pkgs	:= libmnl json-c ncurses

install: install-user ## module for the running kernel, library, mbufctl, manual
	@vm/kbuild --kdir "$(KDIR)" --install "$(DESTDIR)"
	@$(dist-make) install-boot

dkms-install: install-user ## the same, the module by DKMS for kernels to come as well
	@$(dist-make) install-boot install-dkms

install-user:
	@$(lib-make) install
	@if pkg-config --exists $(tools-pkgs); then \
		$(tools-make) install; \
	else \
		echo "mbufctl is left out: it needs $(tools-pkgs)" \
			"(Debian: libmnl-dev, libjson-c-dev, libncurses-dev)"; \
	fi
	@$(bpftrace-make) install
	@$(man-make) install

uninstall: ## undo install, or dkms-install
	@$(dist-make) uninstall-boot uninstall-dkms
	@$(man-make) uninstall
	@$(bpftrace-make) uninstall
	@$(tools-make) uninstall
	@$(lib-make) uninstall
	@if [ -e "$(KDIR)/Makefile" ]; then \
		vm/kbuild --kdir "$(KDIR)" --uninstall "$(DESTDIR)"; \
	else \
		echo "no module is looked for: there are no headers in $(KDIR)"; \
	fi

deb: ## Debian packages, into build/deb/
	@vm/setup --packages
	@vm/deb

check-install: setup ## install the packages, and from source, in a guest with Debian
	@vm/check --install $(STEPS)

clean: ## remove build/
	rm -rf build

distclean: clean ## the same; CLEAN_CACHE=1 removes the cache as well
ifeq ($(CLEAN_CACHE),1)
	@test ! -e "$(MBUF_CACHE)/lock" || rm -rf "$(MBUF_CACHE)"
else
	@echo "What was fetched stays in $(MBUF_CACHE); CLEAN_CACHE=1 removes it."
endif

.PHONY: coverage all help setup module lib selftests kselftest kselftest32 examples \
	tools bench-build proving fuzz-build demo check check-debug check-matrix \
	check-mutants models pictures fuzz bench bench-ring vm style analyze install \
	dkms-install install-user uninstall deb check-install clean distclean
