#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A host whose memory controller is cgroup v1's, as old ones and some containers have
# it: all processes are in one cgroup of v2, its root, and in many of v1. Run like
# kvm.bats.

# shellcheck disable=SC2154 # stderr and status are bats'
load ../cli/common

setup()
{
	memory=$BATS_TEST_TMPDIR/memory
	mkdir "$memory"
	# Kernels may be built without it.
	mount -t cgroup -o memory cgroup "$memory" || skip "no memory controller of cgroup v1"
	mkdir "$memory/first" "$memory/second"
	# What has gone cold is charged less.
	load_module cold_after_ms=0
}

teardown()
{
	mountpoint -q "$memory" || return 0
	unload_module
	rmdir "$memory/first" "$memory/second"
	umount "$memory"
}

# spawn_in CGROUP NUMBER NAME
spawn_in()
{
	# The subshell's own number, not bats'.
	(echo "$BASHPID" >"$memory/$1/cgroup.procs" && exec vmctl spawn -q -n "$2" --name "$3" hello)
}

charged()
{
	cat "$memory/$1/memory.usage_in_bytes"
}

pools_are()
{
	[[ $(vmctl info --json | jq '.[0].pools') == "$1" ]]
}

@test "VMs are charged to the memory cgroup of their own creator" {
	spawn_in first 1 one >/dev/null
	local first second held
	first=$(charged first) second=$(charged second)
	spawn_in second 200 two >/dev/null
	held=$(vmctl ps -a --json | jq '[.[] | select(.name | startswith("two"))] | map(.private_bytes) | add')
	echo "first $first -> $(charged first), second $second -> $(charged second), VMs hold $held"
	((held > 200 * 4096))
	(($(charged second) - second >= held))
	(($(charged first) - first < held / 2))
	pools_are 2
}

@test "a limit of one creator's memory cgroup ends none of another's VMs" {
	spawn_in first 1 one >/dev/null
	echo 4M >"$memory/second/memory.limit_in_bytes"
	run spawn_in second 1000 two
	show
	[[ $status -eq 1 && $output == *"the cgroup, has no memory left"* ]]
	spawn_in first 200 three >/dev/null
}
