#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Living with KVM: whoever starts a VM first has the CPUs, the other gets EBUSY,
# and nobody is harmed. On both vendors; run as root in the nested host without
# the module: scripts/nested-host --no-load -- bats tests/host

# shellcheck disable=SC2154 # stderr and status are bats'
load ../cli/common

setup()
{
	PATH=$(realpath "$BATS_TEST_DIRNAME/../../build/tests/host"):$PATH
	kvm=kvm_intel
	! grep -qw svm /proc/cpuinfo || kvm=kvm_amd
	holder=''
	dmesg -C
}

teardown()
{
	[[ -z $holder ]] || end_holder
	vmctl rm -f --all 2>/dev/null || true
	rmmod mayfly 2>/dev/null || true
	modprobe -r "$kvm" kvm
	[[ ! -e /dev/mayfly && ! -e /dev/kvm ]]
}

# A VM of KVM's that runs until end_holder.
start_holder()
{
	# Not for bats' own descriptor: it would wait for the holder to end.
	coproc HOLDER { exec kvm_holder 3>&-; }
	holder=$HOLDER_PID to_holder=${HOLDER[1]} from_holder=${HOLDER[0]}
	local said
	read -r -t 60 said <&"$from_holder"
	[[ $said == running ]]
}

holder_exits()
{
	local exits
	echo >&"$to_holder"
	read -r -t 60 exits <&"$from_holder"
	echo "$exits"
}

holder_is_well()
{
	local before after
	before=$(holder_exits)
	after=$(holder_exits)
	((after > before))
}

end_holder()
{
	local id=$holder
	exec {to_holder}>&- {from_holder}<&-
	holder=''
	wait "$id"
}

kvm_is_refused()
{
	run -75 kvm_holder </dev/null
	# From Linux 6.12 on it says EIO.
	[[ $output == *"KVM_CREATE_VM: Device or resource busy" || $output == *"KVM_CREATE_VM: Input/output error" ]]
}

parked()
{
	vmctl info --json | jq '.[0].parked'
}

# Guests that go on parking and waking: more parks than before.
more_parked_than()
{
	(($(parked) > $1))
}

vms_are_well()
{
	eventually more_parked_than "$(parked)"
}

log_has()
{
	dmesg | grep -F "$1"
}

# What doctor says about other hypervisors, and its status.
doctor()
{
	run vmctl doctor --json
	output=$(jq -r '.[] | select(.check == "other hypervisors") | .text' <<<"$output")
	show
}

@test "KVM is loaded and idle: VMs run, with KVM loaded before or after Mayfly" {
	modprobe "$kvm"
	load_module
	doctor
	[[ $status -eq 0 && $output == "KVM is loaded and idle"* ]]
	vmctl run noop
	modprobe -r "$kvm"
	vmctl run noop
	modprobe "$kvm"
	vmctl run noop
	rmmod mayfly
	start_holder
	holder_is_well
}

@test "KVM's VM first: EBUSY that names KVM, KVM's VM goes on, then ours run" {
	modprobe "$kvm"
	start_holder
	load_module
	doctor
	[[ $status -eq 1 && $output == "KVM has virtual machines"* ]]
	vm spawn -n 3
	expect_status 125
	expect_error "vmctl: spawn: made 0 of 3: KVM has virtual machines and holds the CPU's virtualization"
	log_has "(error -16): KVM is using it; end its virtual machines"
	holder_is_well
	end_holder
	vmctl run noop
}

@test "our VMs first: KVM loads, its VM gets EBUSY, ours go on; then KVM's run" {
	load_module
	vmctl spawn -q -n 20 daytime >/dev/null
	vms_are_well
	modprobe "$kvm"
	doctor
	[[ $status -eq 0 && $output == "Mayfly has VMs and holds the CPU"* ]]
	kvm_is_refused
	vms_are_well
	kvm_is_refused
	vmctl rm -f --all
	start_holder
	holder_is_well
	vm run noop
	expect_status 125
}

@test "KVM's module goes and comes while our VMs run" {
	modprobe "$kvm"
	load_module
	vmctl spawn -q -n 20 daytime >/dev/null
	for _ in 1 2; do
		modprobe -r "$kvm"
		vms_are_well
		modprobe "$kvm"
		vms_are_well
	done
	kvm_is_refused
}

@test "our module goes and comes while KVM's VM runs, KVM's cannot go" {
	modprobe "$kvm"
	start_holder
	for _ in 1 2; do
		load_module
		run rmmod "$kvm"
		[[ $status -ne 0 ]]
		holder_is_well
		rmmod mayfly
		holder_is_well
	done
}

@test "rmmod is refused while VMs live, and leaves a CPU that KVM can take" {
	load_module
	vmctl spawn -q -n 20 daytime >/dev/null
	exec {fd}</dev/mayfly
	run rmmod mayfly
	[[ $status -ne 0 && $output == *"in use"* ]]
	exec {fd}<&-
	run rmmod mayfly
	[[ $status -ne 0 && $output == *"in use"* ]]
	vms_are_well
	vmctl rm -f --all
	eventually rmmod mayfly
	modprobe "$kvm"
	start_holder
	holder_is_well
}

# KVM that takes the CPUs when its module for them is loaded: from Linux 6.12 on, where
# Debian turns it off.
load_eager_kvm()
{
	modprobe kvm enable_virt_at_load=1
	[[ -e /sys/module/kvm/parameters/enable_virt_at_load ]] || skip "this KVM takes them with its first VM"
}

@test "KVM that takes the CPUs when it is loaded: EBUSY that names it and the ways out" {
	load_eager_kvm
	modprobe "$kvm"
	load_module
	doctor
	[[ $status -eq 1 && $output == "KVM is loaded and holds the CPU's virtualization" ]]
	vm spawn
	expect_status 125
	expect_error "vmctl: spawn: KVM is loaded and holds the CPU's virtualization"
	[[ $stderr == *"to mend it: sudo modprobe -r kvm_amd kvm_intel; with kvm.enable_virt_at_load=0 it may stay" ]]
	log_has "(error -16): KVM, if it was loaded with enable_virt_at_load=1, or another hypervisor"
	start_holder
	holder_is_well
	end_holder
	modprobe -r "$kvm"
	vmctl run noop
}

@test "our VMs first: KVM that would take the CPUs cannot be loaded, and ours go on" {
	load_module
	vmctl spawn -q -n 20 daytime >/dev/null
	load_eager_kvm
	run modprobe "$kvm"
	[[ $status -ne 0 && $output == *"Input/output error" ]]
	vms_are_well
	vmctl rm -f --all
	modprobe "$kvm"
	start_holder
	holder_is_well
}

@test "both want the CPU at once: one gets it or both are refused, and both recover" {
	modprobe "$kvm"
	load_module
	for _ in {1..8}; do
		kvm_holder </dev/null >/dev/null 2>&1 3>&- &
		local rival=$! rival_status=0 own=0
		vmctl run noop 2>/dev/null || own=$?
		wait "$rival" || rival_status=$?
		[[ $own -eq 0 || $own -eq 125 ]]
		[[ $rival_status -eq 0 || $rival_status -eq 75 ]]
	done
	vmctl run noop
	start_holder
	holder_is_well
}

@test "a CPU goes and comes: while KVM has the others, and while we have, with KVM loaded" {
	[[ -w /sys/devices/system/cpu/cpu1/online ]] || skip "one CPU"
	modprobe "$kvm"
	load_module
	start_holder
	echo 0 >/sys/devices/system/cpu/cpu1/online
	vm run noop
	expect_status 125
	echo 1 >/sys/devices/system/cpu/cpu1/online
	vm run noop
	expect_status 125
	holder_is_well
	end_holder
	vmctl spawn -q -n 20 daytime >/dev/null
	echo 0 >/sys/devices/system/cpu/cpu1/online
	kvm_is_refused
	vms_are_well
	echo 1 >/sys/devices/system/cpu/cpu1/online
	kvm_is_refused
	vms_are_well
}
