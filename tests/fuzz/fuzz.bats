# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # status and stderr are bats'
#
# The fuzzers for a minute, and that they can fail. They run as root in the nested
# host with the debug module: scripts/nested-host --debug -- bats tests/fuzz
# Cases are of a fixed seed, which make the same everywhere, and of a fresh one.

bats_require_minimum_version 1.5.0

setup()
{
	# The emulated VT-x machine is that much slower, and its clock is not the
	# host's: fewer guests and programs there, counted not timed, and longer programs.
	slower=1 steps=60
	! grep -qw vmx /proc/cpuinfo || slower=25 steps=400
	guests=build/tests/fuzz-guests
	ioctls=build/tests/fuzz-ioctls
	files=build/tests/fuzz-files
	# Where some VMs are attached.
	[[ -d /sys/class/net/mf0 ]] || { ip link add mf0 type mayfly && ip address add 10.9.0.1/24 dev mf0 &&
		ip link set mf0 up; }
}

fuzz()
{
	run --separate-stderr "$@"
	echo "$* ended with $status"
	echo "$output"
	echo "$stderr" | tail -n 20
}

field()
{
	jq -r "$1" <<<"$output"
}

@test "guests of a fixed seed break no rule" {
	fuzz "$guests" --seed 5 --count $((6400 / slower)) --json
	[[ $status -eq 0 ]]
	[[ $(field .cases) -eq $((6400 / slower)) ]]
	# They come far: all ends there are for guests, and all kinds of exits.
	for end in exited killed triple-fault bad-access; do
		[[ $(field ".ends[\"$end\"]") -gt 0 ]]
	done
	for exit in interrupt hypercall cpuid hlt msr memory denied exception shutdown; do
		[[ $(field ".exits[\"$exit\"]") -gt 0 ]]
	done
	[[ $(field .done) -gt 0 && $(field .states_set) -gt 0 && $(field .states_refused) -gt 0 ]]
}

@test "guests of a fresh seed break no rule" {
	fuzz "$guests" --count $((3200 / slower)) --json
	[[ $status -eq 0 ]]
	[[ $(field .cases) -eq $((3200 / slower)) ]]
}

@test "a seed makes the same guests again" {
	fuzz "$guests" --seed 9 --start 64 --count 64 --json
	[[ $status -eq 0 ]]
	first=$(field .digest)
	fuzz "$guests" --seed 9 --start 64 --count 64 --json
	[[ $(field .digest) == "$first" ]]
	fuzz "$guests" --seed 10 --start 64 --count 64 --json
	[[ $(field .digest) != "$first" ]]
}

# Case 0 of seed 5 is one that ends by itself.
@test "a case alone ends as it has ended before" {
	fuzz "$guests" --seed 5 --start 0 --count 1 --json
	[[ $status -eq 0 ]]
	first=$(field '[.ends, .exits.shutdown, .exits.hypercall, .states_set, .digest]')
	fuzz "$guests" --seed 5 --start 0 --count 1 --json
	[[ $(field '[.ends, .exits.shutdown, .exits.hypercall, .states_set, .digest]') == "$first" ]]
	[[ $(field '.ends.killed') == null ]]
}

@test "a guest that the CPU refuses is found, with the command that shows it again" {
	echo 1 >/sys/module/mayfly/parameters/mutation
	fuzz "$guests" --seed 5 --count 64
	echo 0 >/sys/module/mayfly/parameters/mutation
	[[ $status -eq 1 ]]
	[[ $stderr == *"guests cannot end so: ended bad-state"* ]]
	[[ $stderr == *"build/tests/fuzz-guests --seed 5 --start "*" --count 1"* ]]
}

@test "ioctls of a fixed seed break no rule" {
	fuzz "$ioctls" --seed 5 --count $((150 / slower)) --steps "$steps" --json
	[[ $status -eq 0 ]]
	[[ $(field .programs) -eq $((150 / slower)) ]]
	[[ $(field .ioctls) -gt 1000 ]]
	# Six programs need not meet every answer.
	((slower == 1)) || return 0
	for call in INFO IMAGE_CREATE SPAWN LIST OPEN "CONTROL of many" CONTROL STAT RUN GET_STATE SET_STATE; do
		[[ $(field ".answers[\"$call\"].ok") -gt 0 ]]
		[[ $(field ".answers[\"$call\"].EFAULT") -gt 0 ]]
	done
}

@test "ioctls of a fresh seed break no rule" {
	fuzz "$ioctls" --count $((150 / slower)) --steps "$steps" --json
	[[ $status -eq 0 ]]
	[[ $(field .programs) -eq $((150 / slower)) ]]
}

@test "ioctls of an unprivileged caller break no rule" {
	fuzz "$ioctls" --count $((75 / slower)) --steps "$steps" --user --json
	[[ $status -eq 0 ]]
	[[ $(field .programs) -eq $((75 / slower)) ]]
	# Bochs has too few for that.
	[[ $slower -gt 1 || $(field .answers.network.ok) -gt 0 ]]
}

@test "a seed makes the same programs again" {
	fuzz "$ioctls" --seed 9 --start 10 --count 5 --json
	[[ $status -eq 0 ]]
	first=$(field .digest)
	fuzz "$ioctls" --seed 9 --start 10 --count 5 --json
	[[ $(field .digest) == "$first" ]]
}

@test "a VM that is left behind is found" {
	vmctl spawn --name stranger
	fuzz "$guests" --seed 5 --count 1 --patience 10
	vmctl rm -f stranger
	[[ $status -eq 1 ]]
	[[ $stderr == *"left are VMs 1,"* ]]
}

@test "saved images that were changed are refused, or can be started" {
	fuzz "$files" --seed 3 --count $((15000 / slower))
	[[ $status -eq 0 ]]
	[[ $(field .answers.EBADMSG) -gt 0 && $(field .answers.ok) -gt 0 ]]
}
