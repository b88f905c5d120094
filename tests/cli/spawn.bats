#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spawn, ps, logs and inspect: VMs by the thousand.

# shellcheck disable=SC2154 # stderr is set by bats
load with_module

# True when all that live are parked.
all_parked()
{
	vmctl ps --json | jq -e 'all(.state == "parked")' >/dev/null
}

@test "ids on stdout, the summary on stderr" {
	vm spawn -n 3
	expect_status 0
	[[ ${#lines[@]} -eq 3 ]]
	grep -qE '^3 VMs up in [0-9.]+ (ms|s), [0-9.]+ KiB/VM$' <<<"$stderr"
	vm spawn -q
	[[ $output =~ ^[0-9]+$ && -z $stderr ]]
}

@test "ids that cannot be written: the VMs are removed" {
	for output in '>/dev/full' '>&-'; do
		run --separate-stderr bash -c "vmctl spawn -q -n 2000 $output"
		expect_status 125
		[[ ${stderr_lines[0]} == "vmctl: spawn: 2000 VMs removed again: the ids could not be written" ]]
		[[ ${stderr_lines[1]} == "vmctl: spawn: writing the output: "* ]]
		[[ -z $(vmctl ps -aq) ]]
	done
	vm run -d
	expect_status 0
}

@test "names: one as it is, several numbered, none from the id" {
	vmctl spawn -q --name web
	vmctl spawn -q -n 2 --name db
	id=$(vmctl spawn -q)
	[[ $(vmctl ps --json | jq -r '[.[].name] | join(" ")') == "web db-1 db-2 vm$id" ]]
}

@test "a name that is taken" {
	vmctl spawn -q --name web
	vm spawn --name web
	expect_status 125
	expect_error "vmctl: spawn: a VM named web exists already"
	vmctl spawn -q --name db-2
	vm spawn -n 3 --name db
	expect_status 1
	expect_error "vmctl: spawn: made 1 of 3: a VM named db-… exists already"
	[[ $(vmctl ps -q | wc -l) -eq 3 ]]
}

@test "bad names" {
	for name in 1web -web 'we b' web/1 ''; do
		vm spawn --name "$name"
		expect_status 2
	done
}

@test "-n 10000000 is refused before anything is made" {
	vm spawn -n 10000000
	expect_status 125
	[[ $stderr == "vmctl: spawn: -n 10000000: the module's limit is "*" VMs"* ]]
	[[ -z $(vmctl ps -aq) ]]
	vmctl info --json | jq -e '.[0].vms == 0 and .[0].images == 0'
}

# A parameter of the module: limit NAME VALUE
limit()
{
	echo "$2" >"/sys/module/mayfly/parameters/$1"
}

@test "limits: which one, and what to do; info shows them" {
	most=$(</sys/module/mayfly/parameters/max_vms)
	limit max_vms_user 5
	vmctl spawn -q -n 4 >/dev/null
	vm spawn -n 2
	limit max_vms_user 0
	expect_status 125
	expect_error "vmctl: spawn: made 0 of 2: you have 4 of at most 5 VMs"
	[[ $stderr == *"to mend it: remove VMs, or as root write more to /sys/module/mayfly/parameters/max_vms_user" ]]

	limit max_vms 4
	vm run
	limit max_vms "$most"
	expect_status 125
	expect_error "vmctl: run: there are 4 of at most 4 VMs"

	limit max_bytes_user 1048576
	vm spawn -n 1000
	# While they run, one that goes over the limit counts until it has ended for that.
	eventually all_parked
	vm info
	grep -xE 'VMs +[0-9]+ of '"$most"' at most, [0-9]+ asleep and cold' <<<"$output"
	grep -xE ' +by yours +[0-9.]+ [KM]iB of 1.0 MiB at most' <<<"$output"
	vmctl info --json | jq -e --argjson most "$most" '.[0] | .max_vms == $most and .max_vms_user == $most
		and .user_vms == .vms and .user_bytes == .bytes and .bytes > 0
		and .max_bytes == 0 and .max_bytes_user == 1048576 and .user_bytes <= .max_bytes_user'
	vm spawn -n 1000
	limit max_bytes_user 0
	[[ $stderr == *": your VMs and images hold "*" of at most 1048576 bytes"* ]]
	vmctl rm -f --all
	vmctl info --json | jq -e '.[0] | .user_vms == 0 and .bytes == 0 and .user_bytes == 0'
}

@test "a thousand: spawn, ps, kill and rm" {
	vm spawn -n 1000
	expect_status 0
	[[ ${#lines[@]} -eq 1000 ]]
	eventually all_parked
	[[ $(vmctl ps -q | wc -l) -eq 1000 ]]
	run vmctl ps
	[[ ${lines[0]} == "1000 VMs: 1000 parked, "* ]]
	[[ ${lines[1]} == *ID*NAME*STATE*IMAGE*MEMORY*PRIVATE*EXITS*CPU*AGE ]]

	vm kill --all
	expect_status 0
	[[ $stderr == "killed 1000 VMs in "* ]]
	[[ -z $(vmctl ps -q) && $(vmctl ps -aq | wc -l) -eq 1000 ]]
	vmctl ps -a --json | jq -e 'all(.reason == "killed" and .status == null)'
	vm rm --all
	expect_status 0
	[[ -z $(vmctl ps -aq) ]]
	vmctl info --json | jq -e '.[0] | .vms == 0 and .images == 0 and .pages == 0'
}

@test "a thousand cost as many system calls as one" {
	command -v strace >/dev/null || skip "strace is not installed"
	count() { strace -f -e trace=ioctl -o "$BATS_TEST_TMPDIR/calls" vmctl "$@" && grep -c 0xbe "$BATS_TEST_TMPDIR/calls"; }
	vmctl spawn -q -n 1000 >/dev/null
	[[ $(count kill --all 2>/dev/null) -le 4 ]]
}

@test "ps --json has every field, numbers as numbers" {
	before=$(date +%s)
	vmctl spawn -q --name web
	eventually has_state web parked
	vmctl ps --json | jq -e --argjson before "$before" '
		length == 1 and (.[0] |
		(.id | type) == "number" and .name == "web" and .state == "parked" and .image == "hello"
		and .reason == null and .status == null
		and .exits > 0 and .cpu_ns > 0 and .private_bytes > 0
		and .created / 1e9 >= $before - 1 and .created / 1e9 < $before + 60)'
	vmctl stop web
	vmctl ps -a --json | jq -e '.[0] | .state == "ended" and .reason == "exited" and .status == 0'
	[[ $(vmctl ps --json) == "[]" ]]
}

@test "what a VM holds alone is little" {
	vmctl spawn -q -n 10 >/dev/null
	eventually all_parked
	vmctl ps --json | jq -e 'all(.private_bytes <= 65536)'
}

@test "logs: what was said, also after the end" {
	vmctl spawn -q --name web
	eventually has_state web parked
	id=$(field web id)
	vm logs web
	expect_status 0
	expect_output "Hello from Mayfly VM $id (web)"
	vmctl stop web
	vm logs "$id"
	expect_output "Hello from Mayfly VM $id (web)"
}

@test "logs of several start with their names" {
	vmctl spawn -q -n 2 --name web
	eventually all_parked
	vm logs 'web-*'
	expect_status 0
	[[ ${lines[0]} == "web-1 | Hello from Mayfly VM "* ]]
	[[ ${lines[1]} == "web-2 | Hello from Mayfly VM "* ]]
}

@test "logs -f follows until the end" {
	vmctl spawn -q --name clock daytime -- 3
	vm logs -f clock
	expect_status 0
	[[ ${#lines[@]} -eq 3 ]]
	has_state clock ended
}

@test "logs: what was overwritten before it was read is told, also while it is followed" {
	# Two thousand arguments are a greeting each: 40 KB, of which 4 KiB are kept.
	mapfile -t words < <(yes x | head -n 2000)
	vmctl spawn -q --name talker hello -- "${words[@]}"
	eventually has_state talker parked
	for command in "logs talker" "logs -f talker" "console talker"; do
		in_background vmctl $command
		eventually logged 100 'Hello, x!'
		[[ $command == "logs talker" ]] || kill "$pid"
		status_of_background
		[[ $stderr =~ ^"vmctl: ${command%% *}: talker: "([0-9]+)" older bytes are lost"$ ]]
		((BASH_REMATCH[1] + $(wc -c <"$log") == $(vmctl inspect talker | jq '.[0].console_bytes')))
	done
}

@test "logs -f and console end when nobody can read them" {
	vmctl spawn -q --name clock daytime -- 100000
	for command in "logs -f clock" "console clock"; do
		run --separate-stderr timeout 60 bash -c "vmctl $command >/dev/full"
		expect_status 125
		expect_error "vmctl: ${command%% *}: writing the output: No space left on device"
	done
	[[ $(field clock state) == @(parked|running|ready) ]]
}

@test "console without a terminal is logs -f" {
	vmctl spawn -q --name clock daytime -- 2
	run --separate-stderr vmctl console clock </dev/null
	expect_status 0
	[[ ${#lines[@]} -eq 2 ]]
}

@test "on a terminal: no ids, and ps stops after a screenful" {
	command -v script >/dev/null || skip "script is not installed"
	run on_terminal vmctl spawn -n 200
	echo "$output"
	[[ $output == *"200/200"* && $output == *"200 VMs up in "* ]]
	run ! grep -qE '^[0-9]+$' <<<"$output"
	run on_terminal vmctl ps
	echo "$output"
	[[ ${#lines[@]} -le 24 && $output == *"… 180 more"* ]]
}

@test "on a terminal: Ctrl-] leaves the console" {
	command -v script >/dev/null || skip "script is not installed"
	vmctl spawn -q --name web
	on_terminal_in_background vmctl console web
	eventually logged 1 "Hello from Mayfly VM"
	press '\x1d'
	status_of_background
	[[ $status -eq 0 && $output == *"Hello from Mayfly VM"*"left; web goes on"* ]]
	eventually has_state web parked
}

@test "inspect tells everything, as JSON" {
	vmctl spawn -q --name web
	eventually has_state web parked
	vmctl inspect web | jq -e '.[0] | .name == "web" and .exits_by_reason.hypercall > 0
		and .console_bytes > 0 and .guest_pages > 0 and .parked >= 1'
	vm inspect nothing
	expect_status 1
	expect_error "vmctl: inspect: nothing: no such VM"
}

@test "arguments arrive as they are" {
	vmctl spawn -q --name web hello -- --help 'two words' ''
	eventually has_state web parked
	vm logs web
	[[ ${lines[1]} == "Hello, --help!" && ${lines[2]} == "Hello, two words!" && ${lines[3]} == "Hello, !" ]]
	vm spawn -- "$(head -c 5000 /dev/zero | tr '\0' x)"
	expect_status 2
}

@test "no memory half-way: what was made stays and is told" {
	group=/sys/fs/cgroup/small
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir "$group"
	echo 16M >"$group/memory.max"
	run --separate-stderr bash -c "echo \$\$ >$group/cgroup.procs; exec vmctl spawn -n 5000"
	made=${#lines[@]}
	echo "status $status, made $made, stderr: $stderr"
	[[ $status -eq 1 && $made -gt 0 && $made -lt 5000 ]]
	[[ $stderr == *"vmctl: spawn: made $made of 5000: the host, or the cgroup, has no memory left"* ]]
	[[ $(vmctl ps -aq | wc -l) -eq $made ]]
	vmctl rm -f --all
	vmctl info --json | jq -e '.[0] | .vms == 0 and .images == 0 and .pages == 0'
	eventually rmdir "$group"
}
