#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run: a VM in the foreground.

# shellcheck disable=SC2154 # in_background sets pid and log
load with_module

# True when SIGINT has reached $pid and no more of it is on the way.
has_taken_interrupt()
{
	! grep -qE '^(Sig|Shd)Pnd:.*[2367abef]$' "/proc/$pid/status"
}

# The same of SIGHUP.
has_taken_hangup()
{
	! grep -qE '^(Sig|Shd)Pnd:.*[13579bdf]$' "/proc/$pid/status"
}

@test "a guest that exits gives its status" {
	vm run noop
	expect_status 0
	expect_output ""
	[[ -z $stderr ]]
}

@test "its output comes out as it is written" {
	vm run daytime -- 2
	expect_status 0
	[[ ${#lines[@]} -eq 2 ]]
}

@test "the guest checks everything from inside" {
	vm run selftest
	expect_status 0
}

@test "a failed guest's status is run's own" {
	vm run daytime -- nonsense
	show
	[[ $status -ne 0 && $status -lt 125 ]]
}

@test "a file is run as well as a bundled image" {
	cp "$(dirname "$(command -v vmctl)")/guests/noop" "$BATS_TEST_TMPDIR/own.elf"
	vm run "$BATS_TEST_TMPDIR/own.elf"
	expect_status 0
}

@test "a bad access: 125, and the message says where" {
	vm run selftest -- poke-device-page
	expect_status 125
	grep -qE '^vmctl: run: selftest: bad access to guest-physical 0x2[0-9a-f]{3} at rip 0xffffffff8[0-9a-f]+$' <<<"$stderr"
}

@test "nothing stays of a VM that ran in the foreground" {
	vm run noop
	expect_status 0
	[[ -z $(vmctl ps -aq) ]]
}

@test "names are shown while it runs" {
	in_background vmctl run --name web
	eventually has_state web parked
	[[ $(field web image) == hello && $(field web detached) == false ]]
	eventually grep -q "^Hello from Mayfly VM [0-9]* (web)$" "$log"
	kill -INT "$pid"
	status_of_background
}

@test "Ctrl-C asks the guest to stop: 130" {
	in_background vmctl run
	eventually grep -q Hello "$log"
	kill -INT "$pid"
	status_of_background
	[[ $status -eq 130 ]]
	[[ -z $(vmctl ps -aq) ]]
}

@test "SIGTERM the same: 143" {
	in_background vmctl run
	eventually grep -q Hello "$log"
	kill -TERM "$pid"
	status_of_background
	[[ $status -eq 143 ]]
}

@test "a terminal that is closed the same: 129" {
	in_background vmctl run
	eventually grep -q Hello "$log"
	kill -HUP "$pid"
	status_of_background
	[[ $status -eq 129 && $stderr == "" ]]
	[[ -z $(vmctl ps -aq) ]]
}

# From the shell, and from the kernel when the shell has ended.
@test "a second SIGHUP does not make a guest hurry" {
	in_background vmctl run --name deaf selftest -- spin
	eventually has_state deaf running
	kill -HUP "$pid"
	eventually has_taken_hangup
	kill -HUP "$pid"
	eventually has_taken_hangup
	eventually has_state deaf running # not while the handler has it
	kill -INT "$pid"
	status_of_background
	[[ $status -eq 129 ]]
}

@test "what is ignored stays ignored, as with nohup" {
	in_background env --ignore-signal=INT,HUP vmctl run
	eventually grep -q Hello "$log"
	kill -INT "$pid"
	kill -HUP "$pid"
	kill -TERM "$pid"
	status_of_background
	[[ $status -eq 143 ]]
}

@test "a second Ctrl-C kills a guest that does not listen" {
	in_background vmctl run --name deaf selftest -- spin
	eventually has_state deaf running
	kill -INT "$pid"
	eventually has_taken_interrupt
	kill -0 "$pid"
	kill -INT "$pid"
	status_of_background
	[[ $status -eq 130 ]]
}

@test "SIGKILL of vmctl takes the VM with it" {
	in_background vmctl run
	eventually grep -q Hello "$log"
	kill -KILL "$pid"
	wait "$pid" || true
	is_gone() { [[ -z $(vmctl ps -aq) ]]; }
	eventually is_gone
	vmctl info --json | jq -e '.[0].vms == 0'
}

@test "killed by someone else: 137" {
	in_background vmctl run --name victim
	eventually has_state victim parked
	vmctl kill victim
	status_of_background
	[[ $status -eq 137 ]]
}

@test "asked to stop by someone else: the guest's own status" {
	in_background vmctl run --name polite
	eventually has_state polite parked
	vmctl stop polite
	status_of_background
	[[ $status -eq 0 ]]
}

@test "-d prints the id and lets go" {
	vm run -d --name web
	expect_status 0
	[[ $output =~ ^[0-9]+$ && -z $stderr ]]
	eventually has_state web parked
	[[ $(field web id) == "$output" ]]
}

@test "too little memory for the image: 126" {
	vm run -m 64K
	expect_status 126
	[[ $stderr == "vmctl: run: hello: needs at least "*" of memory, not 64.0 KiB" ]]
}

@test "output that cannot be written is an error, not a hang" {
	run --separate-stderr bash -c 'vmctl run daytime -- 3 >/dev/full'
	expect_status 125
	expect_error "vmctl: run: writing the output: No space left on device"
}

@test "the example of the library" {
	bin=$(dirname "$(command -v vmctl)")
	run --separate-stderr "$bin/examples/hello" "$bin/guests/hello"
	expect_status 0
	[[ ${lines[0]} == "Hello from Mayfly VM "* ]]
	[[ ${lines[1]} == "exited with status 0" ]]
}
