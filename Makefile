# SPDX-License-Identifier: Apache-2.0
#
# make          everything: module, user space, guests, test programs
# make help     print these lines
# make deps     install what building and testing need (apt; sudo if not root)
# make demo     a thousand VMs, from a fresh clone, on an emulated SVM machine
# make test     every test tier
# make check    only the tiers that need no emulator, and builds only what they run
# make test-one T=TEST [TIER=TIER]  one test, or some of one tier, and builds only
#               what it needs. T is Suite.Name with wildcards, or a pattern in the
#               title of a bats test: T='Limits.TenThousand*' TIER=live-vmx
# make test-svm only the tiers of the emulated AMD machine; make test-vmx: Intel's
# make test-debug  what KASAN, lockdep, kmemleak, failing allocations and fuzzers
#               find, and what they reach; first builds a kernel, for 15 minutes;
#               test-debug-vmx: the same on the emulated Intel machine, slower
# make test-kernels  more on Debian 12's 6.12; the kernels of Debian 13 and its backports,
#               the newest of which has SVM only; DKMS. An hour, and 1.5 GB of downloads
# make test-network  VMs and programs of Debian's that speak with them, unchanged: curl, wrk,
#               redis-benchmark, iperf3, nmap, fping, scapy; installs them
# make test-fuzz  a million saved images that somebody has changed: half an hour
# make density  a hundred thousand VMs at once, and as many that come and go: 8 GiB
# make million  a million VMs at once: 20 GiB, and nothing else on the machine
# make install  the library, vmctl and guests into PREFIX (/usr/local), below DESTDIR
#               if that is given, with what programs and guests are built with; not
#               the module, which belongs to one kernel
# make install-dkms  the module, for every kernel of this machine that there is or comes, by DKMS
# make kmod     the module, plain and with its debug checks (DEBUG=1: only that)
# make kmod-6.12  the module for Debian's 6.12, with its debug checks; make test does it.
#               kmod-trixie, kmod-trixie-backports: for the kernels of Debian 13
# make compile_commands.json  what clangd and other tools read
# make clean    remove what was built

MAKEFLAGS += --no-print-directory --jobs=$(shell nproc)

include scripts/install.mk

build := build
test-debug_tiers := debug-live debug-faults debug-guests debug-ioctls debug-files
test-debug-vmx_tiers := debug-live-vmx debug-faults-vmx debug-guests-vmx
test-kernels_tiers := live-6.12 vmx-6.12 cli-6.12 host-6.12 host-vmx-6.12 boots-6.12 fuzz-6.12 \
	live-13 vmx-13 host-13 live-7 fair-7 host-7 boots-7 fuzz-7 vmx-7 dkms speculation-other
other_kernels := 6.12 trixie trixie-backports
running := $(wildcard /lib/modules/$(shell uname -r)/build)

test_programs := $(addprefix $(build)/tests/,unit guest-unit live faults)

.PHONY: all help kmod kmod-plain kmod-debug kmod-running kmod-debug-kernel kernel \
	$(other_kernels:%=kmod-%) \
	libvmctl vmctl guest-unikernel tests $(test_programs) compile_commands.json deps \
	demo test test-svm test-vmx test-fuzz test-network test-kernels test-debug test-debug-vmx test-one check density \
	million install install-dkms clean

all: kmod vmctl guest-unikernel tests

help:
	@sed -n '3,/^$$/s/^# \{0,1\}//p' Makefile

# --- the module -------------------------------------------------------------

ifdef DEBUG
kmod: kmod-debug
else
kmod: kmod-plain kmod-debug
endif
kmod: $(if $(running),kmod-running)

kernel:
	@scripts/fetch-kernel >/dev/null

kmod-plain: kernel
	+@scripts/build-module

kmod-debug: kernel
	+@scripts/build-module --debug

$(other_kernels:%=kmod-%): kmod-%:
	+@scripts/build-module --debug --series $*

kmod-running: $(if $(DEBUG),kmod-debug,kmod-plain)
	+@scripts/build-module --running $(if $(DEBUG),--debug)
	@ln -sfr $(build)/kmod-$(shell uname -r)$(if $(DEBUG),-debug)/mayfly.ko kmod/mayfly.ko

kmod-debug-kernel:
	@scripts/install-deps --debug-kernel
	+@scripts/build-module --debug --debug-kernel

# --- user space, guests, tests ----------------------------------------------

libvmctl guest-unikernel:
	+@$(MAKE) -C $@

vmctl: libvmctl
	+@$(MAKE) -C $@

tests: libvmctl vmctl guest-unikernel
	+@$(MAKE) -C $@
	+@$(MAKE) -C guest-unikernel test-binary

# One program alone.
$(build)/tests/live $(build)/tests/faults: libvmctl
$(filter-out %/guest-unit,$(test_programs)):
	+@$(MAKE) -C tests ../$@
$(build)/tests/guest-unit:
	+@$(MAKE) -C guest-unikernel test-binary

compile_commands.json: kmod-debug
	@scripts/compile-commands >$@.new
	@mv $@.new $@

# --- what people type -------------------------------------------------------

deps:
	@scripts/install-deps

# deps comes first and alone: nothing else can be built without it.
demo: deps
	+@$(MAKE) kmod-plain vmctl guest-unikernel
	@scripts/demo

test: deps
	+@$(MAKE) all kmod-6.12
	@scripts/run-tests

test-svm: deps
	+@$(MAKE) all kmod-6.12
	@scripts/run-tests cli net outside nested moved live live-6.12 live-la57 low-memory fair host boots memory density fuzz

test-vmx: deps
	+@$(MAKE) all kmod-6.12
	@scripts/run-tests live-vmx net-vmx vmx-6.12 mitigated-vmx nested-vmx memory-vmx host-vmx fuzz-vmx

test-fuzz: deps
	+@$(MAKE) tests guest-unikernel kmod
	@scripts/run-tests long-files

test-network: deps
	@scripts/install-deps --network
	+@$(MAKE) all
	@scripts/run-tests net outside peers

test-debug test-debug-vmx: deps
	+@$(MAKE) tests guest-unikernel kmod-debug-kernel
	@scripts/run-tests $($@_tiers)
	@scripts/coverage

test-kernels: deps
	+@$(MAKE) all
	+@for series in $(other_kernels); do $(MAKE) kmod-$$series || exit; done
	@status=0; scripts/run-tests $(test-kernels_tiers) || status=$$?; scripts/kernel-table; exit $$status

test-one: deps
	@scripts/run-tests --only "$$T" $(TIER)

check: deps
	+@$(MAKE) $(build)/tests/unit $(build)/tests/guest-unit vmctl guest-unikernel kernel
	@scripts/run-tests install static rooms unit guest

density: deps
	+@$(MAKE) all
	@scripts/bench-density

# They must go cold while more are made: warm ones would take 30 GiB.
million: deps
	+@$(MAKE) all
	@scripts/bench-density --part alive --vms 1000000 --memory 20G --cold-after 1000

install: libvmctl vmctl guest-unikernel
	+@for part in $^; do $(MAKE) -C $$part install DESTDIR=$(abspath $(DESTDIR)) || exit; done
	$(install_data) -t $(headers)/mayfly kmod/uapi/*.h
	$(install_data) -t $(udev) kmod/60-mayfly.rules
	$(install_data) -t $(network_manager) kmod/60-mayfly.conf

# The version is the library's, where all of Mayfly takes it from.
install-dkms:
	@scripts/install-dkms $$(sed -n 's/^version := //p' libvmctl/version.mk) $(abspath $(DESTDIR))

clean:
	rm -rf $(build) kmod/mayfly.ko compile_commands.json
