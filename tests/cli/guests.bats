#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a guest's program may do, seen from outside: guest-unikernel/tests/guest.

# shellcheck disable=SC2154 # output and stderr are bats'
load with_module

run_trial()
{
	vm run "$(dirname "$(command -v vmctl)")/tests/test-guest" -- "$1"
}

# try TRIAL STATUS LINE…: what it prints, and how it ends.
try()
{
	run_trial "$1"
	expect_status "$2"
	expect_output "$(printf '%s\n' "${@:3}")"
}

@test "all static objects of a guest are destroyed, the last one first" {
	try statics 0 "0 of 300 left, 0 in the wrong order" global
}

@test "thread storage is the guest's own memory, made and destroyed" {
	try thread-storage 0 "ok values" "ok zeros" "ok places" "ok writes" "ok page table" \
		"made second" "made first" "used second, first" "made static" \
		"gone first" "gone second" "gone static"
}

# fault TRIAL STATUS BEGINNING: what is reported of a fault that nobody catches.
fault()
{
	run_trial "$1"
	expect_status "$2"
	[[ $output == "fault: $3 at rip 0xffffffff801"*" address 0 error "* ]]
}

@test "a fault is reported by a guest that has nothing to catch it with" {
	fault null-read 142 "#PF"
	fault divide-by-zero 128 "#DE"
}

# overflow TRIAL: it ends at the guard of its stack, and has not come past it.
overflow()
{
	run_trial "overflow-$1"
	expect_status 125
	[[ -z $output && $stderr == *"bad access to guest-physical 0x10"* ]]
}

@test "no frame of a guest steps over the guard of its stack" {
	try stack 0 "wrote 1 frame" "wrote 1 frame"
	overflow below-image
	overflow into-tables
	overflow in-frame
}

@test "a guest has the containers and algorithms of C++, and the arithmetic of C" {
	try libraries 134 "ok new(std::nothrow)" "ok stable_sort" "ok arithmetic" "ok strings" "ok containers" \
		"755 010 0xff" "std::out_of_range: vector::_M_range_check: __n (which is 3) >= this->size() (which is 0)" aborted
}
