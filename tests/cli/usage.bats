#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What needs no module: help, mistakes of the command line, doctor's causes.

# shellcheck disable=SC2154 # stderr is set by bats
load common

@test "without arguments: a screen of help that starts with examples" {
	vm
	expect_status 0
	[[ $output == *"vmctl spawn -n 1000"* ]]
	((${#lines[@]} <= 12))
}

@test "help names every command and its aliases" {
	vm help
	expect_status 0
	for word in run spawn ps stats logs console inspect pause unpause stop kill rm wait info doctor version; do
		grep -qE "^  $word " <<<"$output"
	done
	[[ $output == *"ls list status show"* ]]
	[[ $output == *"(destroy)"* && $output == *"(remove undefine)"* ]]
}

@test "help after a verb is about that verb" {
	vm spawn -n 3 --help
	expect_status 0
	[[ $output == "usage: vmctl spawn "* ]]
}

@test "an unknown command gets a guess" {
	vm sapwn
	expect_status 2
	expect_error "vmctl: sapwn: no such command; did you mean 'spawn'?"
}

@test "unknown options are refused" {
	vm ps --bogus
	expect_status 2
	[[ $stderr == "vmctl: ps: "*"--bogus"* ]]
}

@test "-n 0, -n -1 and worse are refused" {
	for n in 0 -1 1.5 x 4294967296 99999999999999999999; do
		vm spawn -n "$n"
		expect_status 2
		expect_error "vmctl: spawn: -n $n: not a number from 1 to 4294967295"
	done
}

@test "memory of 0, odd and beyond the maximum is refused" {
	vm run --memory 0
	expect_status 2
	expect_error "vmctl: run: --memory 0: a VM needs memory"
	vm run --memory 4097
	expect_status 2
	expect_error "vmctl: run: --memory 4097: not a multiple of 4 KiB"
	vm run --memory 65G
	expect_status 2
	expect_error "vmctl: run: --memory 65G: more than a VM may have, 64.0 GiB"
	vm run --memory 4mm
	expect_status 2
	expect_error "vmctl: run: --memory 4mm: not a size such as 512K, 16M or 1.5G"
}

# Each word list of a line, and what vmctl says of it after the verb's name.
@test "net, --net and -p: mistakes of the command line" {
	local words says
	local name="a network's name is a letter, then letters, digits, '.', '_' or '-', 15 in all at most"
	local place="not NAME[,ip=ADDRESS][,dns=ADDRESS][,rate=RATE][,router]" address="not an IPv4 address such as 10.9.0.2"
	while IFS='|' read -r words says; do
		# shellcheck disable=SC2086
		vm $words
		expect_status 2
		[[ ${stderr%%$'\n'*} == "vmctl: $says" ]]
	done <<-END
		net create|net create: a name for the network is needed
		net create web db|net create: db: one operand too many
		net create 1web --subnet 10.9.0.0/16|net create: 1web: $name
		net create a/b --subnet 10.9.0.0/16|net create: a/b: $name
		net create sixteen-letters- --subnet 10.9.0.0/16|net create: sixteen-letters-: $name
		net create web|net create: --subnet is needed, such as --subnet 10.9.0.0/16
		net create web --subnet 10.9.0.0|net create: --subnet 10.9.0.0: not a subnet such as 10.9.0.0/16
		net create web --subnet fd00::/64|net create: --subnet fd00::/64: not a subnet such as 10.9.0.0/16
		net create web --subnet 10.9.0.0/31|net create: --subnet 10.9.0.0/31: a subnet has from /8 to /30
		net create web --subnet 10.9.255.255/16|net create: --subnet 10.9.255.255/16: the last address is for broadcasts
		net create web --subnet 127.1.0.0/16|net create: --subnet 127.1.0.0/16: no host may have such an address
		net create web --subnet 10.9.0.0/16 --subnet6 fe80::/64|net create: --subnet6 fe80::/64: no VM may have such an address
		net create web --subnet 10.9.0.0/16 --policy open|net create: --policy open: not direct, host or isolated
		net create web --subnet 10.9.0.0/16 --mtu 575|net create: --mtu 575: not a number from 576 to 65535
		net create web --subnet 10.9.0.0/16 --mtu 65536|net create: --mtu 65536: not a number from 576 to 65535
		net create web --subnet 10.9.0.0/16 --mtu x|net create: --mtu x: not a number from 576 to 65535
		net create web --subnet 10.9.0.0/16 --owner nobody-such|net create: --owner nobody-such: no such user
		net create web --subnet 10.9.0.0/16 --owner 4294967295|net create: --owner 4294967295: no such user
		net ls web|net ls: web: one operand too many
		net rm|net rm: the name of a network is needed
		net inspect|net inspect: the name of a network is needed
		net hosts|net hosts: the name of a network is needed
		spawn --net 1web|spawn: --net 1web: $name
		spawn --net web,|spawn: --net web,: $place
		spawn --net web,ip|spawn: --net web,ip: $address
		spawn --net web,rate=10|spawn: --net web,rate=10: not a rate such as 100kbit, 10mbit or 1gbit
		spawn --net web,mac=1|spawn: --net web,mac=1: $place
		spawn --net web,dns=|spawn: --net web,dns=: $address
		spawn --net web,dns=0.0.0.0|spawn: --net web,dns=0.0.0.0: $address
		spawn --net web,ip=10.9.0.256|spawn: --net web,ip=10.9.0.256: $address
		spawn --net web,ip=10.9.0.2,ip=10.9.0.3|spawn: --net web,ip=10.9.0.2,ip=10.9.0.3: $place
		spawn --net web,dns=1.1.1.1,dns=1.1.1.1|spawn: --net web,dns=1.1.1.1,dns=1.1.1.1: $place
		spawn -n 2 --net web,ip=10.9.0.2|spawn: --net web,ip=10.9.0.2: 2 VMs cannot have one address
		spawn --net web -p 80|spawn: --publish 80: not [ADDRESS:]PORT:PORT[/tcp|/udp], as 8080:80
		spawn --net web -p 80:0|spawn: --publish 80:0: a port is a number from 1 to 65535
		spawn --net web -p x:1:2|spawn: --publish x:1:2: $address
		spawn --net web -p 80:80 -p 127.0.0.1:80:1|spawn: --publish 127.0.0.1:80:1: twice
		spawn -n 2 --net web -p 80:80|spawn: --publish: 2 VMs cannot share a port
	END
	for words in "net create web --bogus" "net ls --bogus" "net rm --bogus web" "net inspect --bogus web" \
		"net hosts --bogus web" "net create web --subnet" "net create web --mtu" "spawn --net" "spawn -p" \
		"net bogus" "net create web --subnet 10.9.0.0/16 --subnet 10.8.0.0/16" "spawn --net a --net a --net a --net a --net a"; do
		# shellcheck disable=SC2086
		vm $words
		expect_status 2
		[[ $stderr == "vmctl: "* ]]
	done
}

@test "no such image: 127" {
	vm_without_image spawn nothing
	[[ $stderr == "vmctl: spawn: nothing: no image and no file of this name; bundled are daytime, echo, hello, "* ]]
	vm_without_image run ./nothing
	expect_error "vmctl: run: ./nothing: No such file or directory"
}

@test "an image that cannot be read: 126" {
	vm run /etc
	expect_status 126
	expect_error "vmctl: run: /etc: is a directory"
	vm run /dev/zero
	expect_status 126
	expect_error "vmctl: run: /dev/zero: not a regular file"
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	vm run "$BATS_TEST_TMPDIR/fifo"
	expect_status 126
	truncate -s 1T "$BATS_TEST_TMPDIR/huge"
	vm run "$BATS_TEST_TMPDIR/huge"
	expect_status 126
}

@test "bundled images are listed" {
	vm images
	expect_status 0
	[[ $output == *hello*bundled* && $output == *noop*bundled* ]]
	[[ -z $(vmctl images -q) ]]
	vmctl images --json | jq -e '.[] | select(.name == "hello") | .bytes > 0 and .bytes <= 32768'
}

@test "output that cannot be written is an error" {
	for command in version --version help doctor images "completion bash"; do
		run bash -c "vmctl $command >/dev/full"
		expect_status 125
		[[ $output == *"writing the output: No space left on device" ]]
		run bash -c "vmctl $command >&-"
		expect_status 125
		[[ $output == *"writing the output: Bad file descriptor" ]]
	done
}

@test "messages that cannot be written change no status" {
	for command in "sapwn 2" "ps 125" "version 0" "spawn -n 0 2"; do
		run bash -c "vmctl ${command% *} 2>/dev/full"
		expect_status "${command##* }"
		run bash -c "vmctl ${command% *} 2>&-"
		expect_status "${command##* }"
	done
}

@test "bundled images are found without /proc, by a link and from anywhere" {
	ln -s "$(command -v vmctl)" "$BATS_TEST_TMPDIR/linked"
	cd "$(dirname "$(command -v vmctl)")"
	for command in vmctl ./vmctl ../"${PWD##*/}"/vmctl "$BATS_TEST_TMPDIR/linked"; do
		run unshare -m sh -c "mount -t tmpfs none /proc && $command images"
		echo "$output"
		[[ $status -eq 0 && $output == *hello*bundled* ]]
	done
}

@test "version" {
	vm version
	expect_status 0
	[[ $output == "vmctl "* ]]
	vm --version
	expect_status 0
}

# What the shell would offer: completed OPTIONS-OF-BASH WORD…
completed()
{
	local option=$1
	shift
	vmctl completion bash >"$BATS_TEST_TMPDIR/completion"
	# shellcheck disable=SC2016
	run --separate-stderr bash $option -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		_vmctl; echo "${COMPREPLY[@]}"' bash "$BATS_TEST_TMPDIR/completion" "$@"
	show
	[[ $status -eq 0 && -z $stderr ]]
}

@test "completion: verbs, images, options; strict shells, too" {
	for option in +u -u "-eu -o pipefail"; do
		completed "$option" vmctl sp
		[[ $output == spawn ]]
		completed "$option" vmctl image l
		[[ $output == "ls load" ]]
		completed "$option" vmctl run hel
		[[ $output == hello ]]
		completed "$option" vmctl rmi h
		[[ -z $output ]]
		completed "$option" vmctl nothing w
		[[ -z $output ]]
		completed "$option" vmctl version --
		[[ $output == --help ]]
		completed "$option" vmctl kill nothing
		[[ -z $output ]]
		completed "$option" vmctl completion b
		[[ $output == bash ]]
		completed "$option" vmctl ""
		[[ " $output " == *" spawn "* ]]
	done
}

@test "completion: whatever separates words for the user's shell" {
	vmctl completion bash >"$BATS_TEST_TMPDIR/completion"
	# shellcheck disable=SC2016
	run bash -c 'source "$1"; IFS=,; COMP_WORDS=(vmctl run hel) COMP_CWORD=2; _vmctl
		printf "<%s>" "$IFS" "${COMPREPLY[@]}"' bash "$BATS_TEST_TMPDIR/completion"
	echo "$output"
	[[ $output == "<,><hello>" ]]
}

@test "completion: VMs by their ids and names" {
	# shellcheck disable=SC2016
	{
		echo '#!/bin/sh'
		echo '[ "$1" = ps ] || exec '"$(command -v vmctl)"' "$@"'
		echo 'echo "2 VMs: 2 parked" >&2'
		printf 'printf "ID NAME STATE\\n 7 web-1 parked\\n71 database parked\\n"\n'
	} >"$BATS_TEST_TMPDIR/vmctl"
	chmod +x "$BATS_TEST_TMPDIR/vmctl"
	completed -u "$BATS_TEST_TMPDIR/vmctl" kill 7
	[[ $output == "7 71" ]]
	PATH=$BATS_TEST_TMPDIR:$PATH
	for verb in kill rm logs console ps; do
		completed -u vmctl $verb 7
		[[ $output == "7 71" ]]
		completed -u vmctl $verb w
		[[ $output == web-1 ]]
		completed -u vmctl $verb web-1 d
		[[ $output == database ]]
	done
}

# --- without the module -----------------------------------------------------

@test "without the module every verb names the cause and the fix" {
	for verb in ps stats run spawn info "kill 1" "logs 1" "wait 1" "inspect 1"; do
		# shellcheck disable=SC2086
		vm $verb
		expect_status 125
		expect_error "vmctl: ${verb%% *}: the mayfly module is not loaded"
		[[ $stderr == *"to mend it: "*"insmod"* ]]
	done
}

@test "without the module there are no networks, and none is made" {
	vm net create web --subnet 10.9.0.0/16
	expect_status 1
	expect_error "vmctl: net create: web: making the network: the kernel knows no networks of Mayfly's"
	[[ $stderr == *"to mend it: load the module: insmod mayfly.ko" ]]
	run ! ip link show web
	vm net ls
	expect_status 0
	[[ ${#lines[@]} -eq 1 && $output == "NAME  SUBNET  HOST  MTU  STATE  VMS" ]]
	[[ $(vmctl net ls --json | jq -c .) == "[]" ]]
	for verb in rm inspect hosts; do
		vm net $verb web
		expect_status 1
		expect_error "vmctl: net $verb: web: no such network"
	done
	vm spawn --net web
	expect_status 125
	expect_error "vmctl: spawn: the mayfly module is not loaded"
}

@test "net: a process without a descriptor to spare" {
	run --separate-stderr bash -c 'ulimit -n 3; exec vmctl net ls'
	expect_status 125
	[[ $stderr == "vmctl: net ls: asking for networks: "* ]]
}

@test "doctor without the module" {
	vm doctor
	expect_status 1
	[[ $output == *"the mayfly module is not loaded"* ]]
	[[ $output == *"to mend it: sudo modprobe mayfly"* ]]
	[[ $output == *"the CPU has AMD SVM"* ]]
	vmctl doctor --json | jq -e '.[] | select(.check == "module") | .result == "bad" and (.fix | length > 0)'
}

@test "a CPU without SVM: what doctor says, from /proc/cpuinfo" {
	# Mount namespaces make a fake one for this process alone.
	sed 's/\bsvm\b//g' /proc/cpuinfo >"$BATS_TEST_TMPDIR/cpuinfo"
	run unshare -m sh -c "mount --bind '$BATS_TEST_TMPDIR/cpuinfo' /proc/cpuinfo && vmctl doctor"
	echo "$output"
	[[ $status -eq 1 ]]
	[[ $output == *"the CPU has neither SVM nor VT-x"* ]]
	[[ $output == *"nested virtualization"* ]]
}
