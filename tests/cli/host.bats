#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# info, doctor, rights, and a CPU that KVM holds.

# shellcheck disable=SC2154 # stderr is set by bats
load with_module

teardown()
{
	chmod 600 /dev/mayfly
	vmctl rm -f --all 2>/dev/null || true
	[[ -z ${holder:-} ]] || kill "$holder" 2>/dev/null || true
}

@test "info: the module's numbers" {
	vm info
	expect_status 0
	[[ $output == *SVM* ]]
	vmctl info --json | jq -e '.[0] | .api_version == 1 and .backend == "SVM" and .vms == 0'
}

@test "doctor is content" {
	vm doctor
	expect_status 0
	[[ $output == *"Mayfly can run here." ]]
}

@test "doctor is content where there is no /sys and no /proc" {
	run unshare -m sh -c "mount -t tmpfs none /sys && mount -t tmpfs none /proc && vmctl doctor"
	show
	[[ $status -eq 0 && $output == *"mayfly is loaded"* ]]
}

@test "without rights: the cause and the fix" {
	run --separate-stderr as_nobody vmctl ps
	expect_status 125
	expect_error "vmctl: ps: no right to open /dev/mayfly"
	[[ $stderr == *"to mend it: sudo make install PREFIX=/usr/local, "*"udev"*"sudo usermod -aG kvm "* ]]
	mkdir -p /run/udev/rules.d
	touch /run/udev/rules.d/60-mayfly.rules
	run --separate-stderr as_nobody vmctl ps
	rm /run/udev/rules.d/60-mayfly.rules
	[[ $stderr == *"to mend it: load the module again, for the udev rule"*"sudo usermod -aG kvm "* ]]
	chgrp daemon /dev/mayfly
	chmod 660 /dev/mayfly
	run --separate-stderr as_nobody vmctl ps
	chgrp root /dev/mayfly
	chmod 600 /dev/mayfly
	show
	[[ $stderr == *"to mend it: sudo usermod -aG daemon "* ]]
	run --separate-stderr as_nobody vmctl doctor
	expect_status 1
	[[ $output == *"no right to open /dev/mayfly"* ]]
}

@test "users see and touch only their own VMs" {
	chmod 666 /dev/mayfly
	# Where the project lies may be nobody else's to read.
	install -m 644 "$BATS_TEST_DIRNAME/../../build/guests/hello" /run/hello
	root_vm=$(vmctl spawn -q --name web)
	own_vm=$(as_nobody vmctl spawn -q --name web /run/hello)
	[[ $(as_nobody vmctl ps -q) == "$own_vm" ]]
	run --separate-stderr as_nobody vmctl kill "$root_vm"
	expect_status 1
	expect_error "vmctl: kill: $root_vm: no such VM"
	as_nobody vmctl rm -f --all
	[[ $(vmctl ps -q) == "$root_vm" ]]
	run --separate-stderr as_nobody vmctl logs web
	expect_status 1
}

@test "KVM holds the CPU: the cause and the fix, and all is well afterwards" {
	modprobe kvm_amd || skip "no KVM module for this kernel"
	vm doctor
	expect_status 0
	# A VM of KVM's, for as long as this process lives.
	# shellcheck disable=SC2016
	perl -e 'open(my $kvm, "+<", "/dev/kvm") or die; ioctl($kvm, 0xae01, 0) or die; $| = 1; print "held\n"; sleep 60' \
		>"$BATS_TEST_TMPDIR/held" 3>&- &
	holder=$!
	eventually grep -q held "$BATS_TEST_TMPDIR/held"

	vm spawn -n 3
	expect_status 125
	expect_error "vmctl: spawn: made 0 of 3: KVM has virtual machines and holds the CPU's virtualization"
	[[ $stderr == *"to mend it: end KVM's machines"* ]]
	vm run
	expect_status 125
	vm doctor
	expect_status 1
	[[ $output == *"KVM has virtual machines"* ]]
	[[ -z $(vmctl ps -aq) ]]

	kill "$holder"
	wait "$holder" || true
	eventually vmctl run noop
	modprobe -r kvm_amd
}

@test "the module stays while someone uses it, and goes clean" {
	id=$(vmctl spawn -q)
	exec {fd}</dev/mayfly
	run rmmod mayfly
	[[ $status -ne 0 ]]
	exec {fd}<&-
	vmctl rm -f "$id"
	vmctl info --json | jq -e '.[0] | .vms == 0 and .images == 0 and .pages == 0 and .pools == 0'
	rmmod mayfly
	load_module
}
