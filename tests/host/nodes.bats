#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A host of two nodes: what a CPU reads and writes at every world switch is in its own
# node's memory. Run like kvm.bats, with --nodes 2 and the debug module.

# shellcheck disable=SC2154 # stderr and status are bats'
load ../cli/common

setup()
{
	[[ -d /sys/devices/system/node/node1 ]] || skip "a machine of one node"
}

teardown()
{
	[[ ! -d /sys/module/mayfly ]] || unload_module
}

# mutation NAME: its number, see kmod/debug/mutation.h
mutation()
{
	awk -v name="MUTATION_$1," '/^\tMUTATION_/ { if ($1 == name) print n + 0; n++ }' \
		"$BATS_TEST_DIRNAME/../../kmod/debug/mutation.h"
}

# What the checks have found, after a VM has run on each CPU.
found_on_all_cpus()
{
	taskset -c 0 vmctl run noop
	taskset -c 1 vmctl run noop
	grep -v '=0$' /sys/module/mayfly/parameters/shadow_hits || true
}

@test "control blocks are in the memory of their CPU's node" {
	grep -q '^1$' /sys/devices/system/node/node1/cpulist
	load_module
	[[ -z $(found_on_all_cpus) ]]
}

@test "one in another node's memory is seen" {
	load_module mutation="$(mutation NODE)"
	[[ $(found_on_all_cpus) =~ ^node=[1-9][0-9]*$ ]]
}
