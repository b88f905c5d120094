#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Suspend while VMs run. The kernel turns back just before the machine would sleep
# (/sys/power/pm_test), so its TSC goes on, which in RAM it would not. Like kvm.bats,
# without the module loaded.

# shellcheck disable=SC2154 # output and status are bats'
load ../cli/common

setup()
{
	dmesg -C
	insmod "$MAYFLY_KO"
}

teardown()
{
	echo none >/sys/power/pm_test
	vmctl rm -f --all 2>/dev/null || true
	rmmod mayfly
}

clocks()
{
	vmctl ps --json 'clock-*' | jq -c 'map(.exits)'
}

# Has each of them run since the list $1?
all_have_run()
{
	jq -en '[$now, $before] | transpose | all(.[0] > .[1])' --argjson before "$1" --argjson now "$(clocks)" >/dev/null
}

@test "suspend: VMs go on afterwards, and more can be made" {
	# As far as it gets: to one CPU, with VT-x off and on again. In QEMU the root file
	# system would not live through its device's sleep, but processes can stop.
	level=core
	! grep -qw svm /proc/cpuinfo || level=freezer
	echo "$level" >/sys/power/pm_test
	echo 1 >/sys/module/suspend/parameters/pm_test_delay # s
	vmctl spawn -q -n 10 --name clock daytime
	vmctl spawn -q --name sleeper hello
	before=$(clocks)
	echo mem >/sys/power/state
	eventually all_have_run "$before"
	has_state sleeper parked
	vmctl run noop
	vmctl stop sleeper
	dmesg | grep 'PM: suspend exit'
	run ! grep -E 'is off after suspend|WARNING|BUG' <(dmesg)
}
