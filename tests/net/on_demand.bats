#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# VMs that are made when a packet comes for them, as people use them.

# shellcheck disable=SC2154 # stderr is set by bats
load with_network

# Networks first: a packet that comes late would make a VM.
teardown()
{
	[[ ! -e $BATS_TEST_TMPDIR/cold_after ]] ||
		cat "$BATS_TEST_TMPDIR/cold_after" >/sys/module/mayfly/parameters/cold_after_ms
	chmod 600 /dev/mayfly
	vmctl net ls -q | xargs -r vmctl net rm -f
	remove_all
}

on_demand()
{
	vmctl net on-demand web --range 10.9.4.0/24 "$@"
}

# A field of the only range: row .vms
row()
{
	vmctl net on-demand --json | jq -r ".[0]$1"
}

nothing_registered()
{
	[[ $(vmctl net on-demand --json) == "[]" ]]
}

none_left()
{
	[[ -z $(vmctl ps -qa) ]]
}

@test "on demand: a page from a VM that there was not, and is not any more" {
	on_demand --image http --ports 80 --idle 200ms
	none_left
	[[ $(fetched 10.9.4.17) == "$page" ]]
	eventually none_left
	[[ $(fetched 10.9.4.17) == "$page" ]]
	[[ $(row .born) -eq 2 && $(row .refused) -eq 0 ]]
	eventually none_left
	# Nobody is at home at other addresses, or for other ports.
	run -7 curl -sS -m 20 http://10.9.5.17/
	run -7 curl -sS -m 20 http://10.9.4.17:81/
	run -1 ping -q -c 1 -W 5 10.9.4.17
	[[ $(row .born) -eq 2 ]]
	run -0 vmctl net on-demand --rm 10.9.4.0/24
	run -7 curl -sS -m 20 http://10.9.4.17/
	run -0 vmctl net on-demand
	[[ $output == NETWORK* && ${#lines[@]} -eq 1 ]]
}

@test "on demand: what is registered" {
	on_demand --image echo -m 8M --ports 7 --ports 7/udp --idle 5m --rate 10 --max 20
	vmctl net on-demand web --range 10.9.5.7 --image http --keep cold
	run -0 vmctl net on-demand web
	[[ ${lines[0]} == NETWORK*RANGE*IMAGE*PORTS*IDLE*RATE*MAX*VMS*BORN*REFUSED ]]
	[[ ${lines[1]} =~ ^web\ +10.9.4.0/24\ +echo\ +7/tcp,7/udp\ +300.0\ s\ +10\ +20\ +0\ +0\ +0$ ]]
	[[ ${lines[2]} =~ ^web\ +10.9.5.7/32\ +http\ +any\ +never\ +1000\ +1\ +0\ +0\ +0$ ]]
	[[ $(row .network) == web && $(row .memory) -eq $((8 << 20)) && $(row .idle_ms) -eq 300000 ]]
	[[ $(row .ports) == *7/tcp*7/udp* ]]
	[[ $(vmctl net on-demand --json | jq -c '[.[] | .idle_ms]') == "[300000,null]" ]]
	vmctl net create other --subnet 10.10.0.0/16
	[[ $(vmctl net on-demand other --json) == "[]" ]]
	# With its network.
	vmctl net rm web
	eventually nothing_registered
	vmctl net rm other
}

@test "on demand: what is wrong registers nothing" {
	local refusal refused
	while IFS='|' read -r refused refusal; do
		# shellcheck disable=SC2086 # words
		vm net on-demand $refused
		((status != 0))
		expect_error "vmctl: net on-demand: $refusal"
	done <<-'END'
		--range 10.9.4.0/24 --image http|the name of a network is needed
		web --image http|--range : not addresses such as 10.9.4.0/24
		web --range 10.9.4.0/24|--image is needed: what the VMs are made from
		web --range 10.9.4.0/33 --image http|--range 10.9.4.0/33: not addresses such as 10.9.4.0/24
		web --range 10.9.4.0/0 --image http|--range 10.9.4.0/0: not addresses such as 10.9.4.0/24
		web --range 10.9.4 --image http|--range 10.9.4: not addresses such as 10.9.4.0/24
		web --range 10.9.4.0/24 --image http --ports 0|--ports 0: not a port such as 80/tcp or 53/udp
		web --range 10.9.4.0/24 --image http --ports 80/icmp|--ports 80/icmp: not a port such as 80/tcp or 53/udp
		web --range 10.9.4.0/24 --image http --idle 0|--idle 0: not a time such as 2s, 500ms or 5m, up to 24h
		web --range 10.9.4.0/24 --image http --idle 25h|--idle 25h: not a time such as 2s, 500ms or 5m, up to 24h
		web --range 10.9.4.0/24 --image http --keep warm|--keep warm: not cold
		web --range 10.9.4.0/24 --image http --keep cold --idle 2s|--idle says when VMs end, --keep that they do not
		web --range 10.9.4.0/24 --image http --rate 1001|--rate 1001: not a number from 1 to 1000
		web --range 10.9.4.0/24 --image http --max 0|--max 0: not a number from 1 to 4294967295
		nowhere --range 10.9.4.0/24 --image http|nowhere: no such network
		lo --range 10.9.4.0/24 --image http|lo: no such network
		web --range 10.8.4.0/24 --image http|web: not addresses for VMs of this network
		nowhere|nowhere: no such network
		--rm 10.9.4.0/24|10.9.4.0/24: no such range on demand
		--rm 10.9.4.0/24 --image http|--rm takes no other option
		web --max 3|--range : not addresses such as 10.9.4.0/24
		web --rm 10.9|--rm 10.9: not addresses such as 10.9.4.0/24
	END
	vm_without_image net on-demand web --range 10.9.4.0/24 --image nothing
	[[ $stderr == "vmctl: net on-demand: nothing: no image and no file of this name"* ]]
	vm net on-demand web --range 10.9.4.0/24 --image http -m 64K
	[[ $stderr == "vmctl: net on-demand: http: needs at least "*" of memory, not 64.0 KiB"* ]]
	[[ $(vmctl net on-demand --json) == "[]" ]]
	on_demand --image http
	vm net on-demand web --range 10.9.0.0/16 --image http
	expect_error "vmctl: net on-demand: web: some of these addresses are on demand already"
	chmod 666 /dev/mayfly
	vm_as_nobody net on-demand web --range 10.9.5.0/24 --image http
	expect_error "vmctl: net on-demand: web: someone else's network"
	vm_as_nobody net on-demand --json
	expect_output "[]"
}

@test "on demand: a connection that is open keeps its VM for longer, and is reset by the next one" {
	on_demand --image echo --idle 3s
	exec {tcp}<>/dev/tcp/10.9.4.7/7
	echo once >&"$tcp"
	read -r -t 20 line <&"$tcp"
	[[ $line == once ]]
	sleep 6
	[[ $(vmctl ps -q | wc -l) -eq 1 ]]
	vmctl net on-demand --rm 10.9.4.0/24
	vmctl rm -f --all
	on_demand --image echo
	# What comes then is for the next VM, which knows nothing of it.
	echo again >&"$tcp"
	run -1 timeout 20 head -c 1 <&"$tcp"
	exec {tcp}>&-
	[[ $(row .born) -eq 1 ]]
}

@test "on demand: many at once, each at its own address" {
	local pids=() i
	on_demand --image daytime --keep cold
	for ((i = 0; i < 8; i++)); do
		ask_twenty "$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	[[ $(cat "$BATS_TEST_TMPDIR"/answers.* | grep -c '^20..-..-..T..:..:..Z$') -eq 160 ]]
	[[ $(row .born) -eq 160 && $(vmctl ps -q | wc -l) -eq 160 ]]
}

# Asks twenty addresses for the time.
ask_twenty()
{
	local i line socket
	for ((i = $1 * 20 + 10; i < $1 * 20 + 30; i++)); do
		exec {socket}<>"/dev/tcp/10.9.4.$i/13"
		read -r -t 60 line <&"$socket"
		exec {socket}>&-
		echo "$line" >>"$BATS_TEST_TMPDIR/answers.$1"
	done
}

@test "on demand: from where another one is ready" {
	vmctl spawn -q --name model --net web http
	eventually has_state model parked
	vmctl snapshot model ready >/dev/null
	vmctl rm -f model
	on_demand --image ready
	vmctl image rm ready
	[[ $(fetched 10.9.4.17) == "$page" ]]
	[[ $(fetched 10.9.4.18) == "$page" ]]
	[[ $(row .born) -eq 2 ]]
}

@test "on demand: VMs make VMs, and IPv6 does" {
	vmctl net rm web
	vmctl net create web --subnet 10.9.0.0/16 --subnet6 fd00:9::/64
	on_demand --image echo --ports 7 --keep cold
	[[ $(net_guest asks ask 10.9.4.7 7 10) == "done in "* ]]
	[[ $(asked fd00:9::a09:408 7 <<<"IPv6") == IPv6 ]]
	[[ $(vmctl ps --json | jq -c '[.[].ip] | sort') == '["10.9.4.7","10.9.4.8"]' ]]
}

@test "on demand: VMs that are kept sleep, and wake" {
	cat /sys/module/mayfly/parameters/cold_after_ms >"$BATS_TEST_TMPDIR/cold_after"
	echo 1 >/sys/module/mayfly/parameters/cold_after_ms
	on_demand --image http --keep cold
	[[ $(fetched 10.9.4.17) == "$page" ]]
	eventually all_are_cold
	[[ $(fetched 10.9.4.17) == "$page" ]]
	[[ $(row .born) -eq 1 ]]
}

all_are_cold()
{
	[[ $(vmctl ps --json | jq -c '[.[].cold]') == "[true]" ]]
}

@test "on demand: a VM that somebody removes is made again" {
	on_demand --image echo --keep cold
	[[ $(asked 10.9.4.7 7 <<<"one") == one ]]
	vmctl rm -f "$(vmctl ps -q)"
	eventually none_left
	[[ $(asked 10.9.4.7 7 <<<"two") == two ]]
	vmctl kill --all
	eventually none_left
	[[ $(asked 10.9.4.7 7 <<<"three") == three ]]
	[[ $(row .born) -eq 3 ]]
}

@test "on demand: one that ends before it listens" {
	on_demand --image noop
	# It is told so, or gives up.
	run curl -sS -m 10 http://10.9.4.17/
	((status == 7 || status == 28))
	eventually none_left
	[[ $(row .vms) -eq 0 ]]
	(($(row .born) >= 1))
}

@test "on demand: one that never listens is idle" {
	on_demand --image hello --idle 200ms
	run ! curl -sS -m 5 http://10.9.4.17/
	(($(row .born) >= 1))
	eventually none_left
}

@test "on demand: no VM makes one that it may not reach" {
	vmctl net rm web
	vmctl net create web --subnet 10.9.0.0/16 --policy isolated
	on_demand --image echo
	run -124 timeout 3 vmctl run --net web "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- try 10.9.4.7 7
	[[ $(row .born) -eq 0 && $(row .refused) -eq 0 ]]
	[[ $(asked 10.9.4.7 7 <<<"the host") == "the host" ]]
}

@test "on demand: the module goes, and what is registered" {
	on_demand --image http
	unload_module
	load_module
}
