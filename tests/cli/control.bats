#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pause, unpause, stop, kill, rm, wait, create and start; who is meant by what.

# shellcheck disable=SC2154 # stderr is set by bats
load with_module

# Milliseconds that COMMAND takes.
time_of()
{
	local start
	start=$(date +%s%N)
	"$@" >&2
	echo $((($(date +%s%N) - start) / 1000000))
}

@test "VMs are meant by id, name, prefix, glob, range and --all" {
	vmctl spawn -q -n 3 --name web
	vmctl spawn -q --name database
	first=$(field web-1 id)
	names() { vmctl ps --json "$@" | jq -r '[.[].name] | join(" ")'; }
	[[ $(names "$first") == web-1 ]]
	[[ $(names web-2) == web-2 ]]
	[[ $(names data) == database ]]
	[[ $(names 'web-[23]') == "web-2 web-3" ]]
	[[ $(names "$first-$((first + 1))") == "web-1 web-2" ]]
	[[ $(names web-3 "$first") == "web-3 web-1" ]]
	vm ps web
	expect_status 1
	expect_error "vmctl: ps: web: 3 VMs start like this; for all of them: 'web*'"
	vm kill nothing
	expect_status 1
	expect_error "vmctl: kill: nothing: no such VM"
	vm kill
	expect_status 2
}

@test "some of several fail: 1, and the others are done" {
	vmctl spawn -q -n 2 --name web
	vm kill web-1 nothing web-2
	expect_status 1
	expect_error "vmctl: kill: nothing: no such VM"
	[[ -z $(vmctl ps -q) ]]
}

@test "pause and unpause" {
	vmctl spawn -q --name spinner selftest -- spin
	eventually has_state spinner running
	vm pause spinner
	expect_status 0
	has_state spinner paused
	exits=$(field spinner exits)
	sleep 0.3
	[[ $(field spinner exits) == "$exits" ]]
	vm pause spinner
	expect_status 1
	expect_error "vmctl: pause: spinner: is paused already"
	vm resume spinner
	expect_status 0
	eventually has_state spinner running
	vm unpause spinner
	expect_status 1
	expect_error "vmctl: unpause: spinner: is not paused"
}

@test "stop: the guest ends by itself" {
	vmctl spawn -q -n 5 --name web
	eventually has_state web-5 parked
	vm stop 'web-*'
	expect_status 0
	[[ $stderr == "stopped 5 VMs in "* && $stderr != *killed* ]]
	vmctl ps -a --json | jq -e 'all(.reason == "exited" and .status == 0)'
	vm stop web-1
	expect_status 0
}

@test "stop: a guest that does not listen is killed after the grace" {
	vmctl spawn -q --name spinner selftest -- spin
	vmctl spawn -q --name deaf selftest -- spin-cli
	took=$(time_of vmctl stop -t 1.5 --all)
	echo "took $took ms"
	((took >= 1500 && took < 8000))
	vmctl ps -a --json | jq -e 'all(.reason == "killed")'
}

@test "stop wakes a paused VM and does not wait for one that never ran" {
	vmctl spawn -q --name sleeper
	eventually has_state sleeper parked
	vmctl pause sleeper
	vmctl create -q --name unborn
	took=$(time_of vmctl stop --all)
	echo "took $took ms"
	((took < 8000))
	[[ $(field sleeper reason) == exited && $(field unborn reason) == killed ]]
}

@test "kill ends guests that spin with interrupts off, at once" {
	vmctl spawn -q -n 4 --name deaf selftest -- spin-cli
	vm kill --all
	expect_status 0
	vmctl ps -a --json | jq -e 'length == 4 and all(.reason == "killed")'
	vm kill deaf-1
	expect_status 1
	expect_error "vmctl: kill: deaf-1: has ended already"
	vm kill --all
	expect_status 0
}

@test "rm refuses what has not ended, and -f kills it first" {
	vmctl spawn -q --name web
	vm rm web
	expect_status 1
	expect_error "vmctl: rm: web: has not ended; kill it first, or use rm -f"
	vm rm -f web
	expect_status 0
	[[ -z $(vmctl ps -aq) ]]
	vm rm web
	expect_status 1
	expect_error "vmctl: rm: web: no such VM"
}

@test "a name can be used again after rm" {
	vmctl spawn -q --name web
	vmctl rm -f web
	vm spawn -q --name web
	expect_status 0
}

@test "wait gives back the guest's status" {
	vmctl spawn -q --name good noop
	vm wait good
	expect_status 0
	expect_output 0
	vmctl spawn -q --name clock daytime -- 2
	vm wait clock
	expect_status 0
}

@test "wait: 137 when killed, 125 for any other end" {
	vmctl spawn -q --name victim
	vmctl spawn -q --name poker selftest -- poke-device-page
	(sleep 0.5; exec vmctl kill victim) 3>&- &
	vm wait poker victim
	expect_status 137
	expect_output $'125\n137'
	[[ $stderr == "vmctl: wait: poker: bad access to guest-physical 0x2"* ]]
	vm wait victim poker
	expect_status 125
	wait
	vmctl ps -a --json poker | jq -e '.[0] | .reason == "bad-access" and .status == null and (.address | startswith("0x2"))'
}

@test "wait for many" {
	vmctl spawn -q -n 50 noop >/dev/null
	vm wait --all
	expect_status 0
	[[ ${#lines[@]} -eq 50 ]]
}

@test "create makes VMs that wait for start" {
	vmctl create -q --name web
	sleep 0.3
	[[ $(field web state) == ready && $(field web exits) == 0 ]]
	vm start web
	expect_status 0
	eventually has_state web parked
	vm start web
	expect_status 1
	expect_error "vmctl: start: web: is started already"
}
