#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Networks: net, --net, and what becomes of connections.

# shellcheck disable=SC2154 # stderr is set by bats
load with_network

bsd_guest=$BATS_TEST_DIRNAME/../../build/tests/bsd-guest

@test "net create, ls and rm" {
	vm net ls
	expect_status 0
	[[ ${lines[0]} == "NAME  SUBNET       HOST        MTU  STATE  VMS" ]]
	[[ ${lines[1]} == "web   10.9.0.0/16  10.9.0.1  65520  up       0" ]]
	vmctl net create db --subnet 10.10.0.7/24 --mtu 1500
	[[ $(vmctl net ls --json | jq -c '.[1] | [.name, .subnet, .host, .mtu, .up, .vms]') == \
		'["db","10.10.0.0/24","10.10.0.7",1500,true,0]' ]]
	[[ $(ip -j address show db | jq -r '.[0].addr_info[0].local') == 10.10.0.7 ]]
	vm net rm db web
	expect_status 0
	[[ -z $(vmctl net ls -q) ]]
	run ! ip link show db
}

# expect_refusal TEXT STATUS
expect_refusal()
{
	expect_status "$2"
	expect_error "vmctl: $1"
}

@test "net create: what is wrong leaves nothing behind" {
	vm net create other --subnet 10.11.0.0/16 --owner nobody-such
	expect_refusal "net create: --owner nobody-such: no such user" 2
	vm net create web --subnet 10.11.0.0/16
	expect_refusal "net create: web: a network device is called web already" 1
	vm net create lo --subnet 10.11.0.0/16
	expect_refusal "net create: lo: a network device is called lo already" 1
	vm net create other --subnet 10.0.0.0/8
	expect_refusal "net create: other: this host has 10.9.0.1/16 already" 1
	[[ $stderr == *"to mend it: choose another subnet" ]]
	ip link add ifb0 type ifb
	ip address add 10.11.3.1/24 dev ifb0
	vm net create other --subnet 10.11.0.0/16 --nat
	expect_refusal "net create: other: this host has 10.11.3.1/24 already" 1
	vm net create other --subnet 10.11.3.0/30
	expect_refusal "net create: other: this host has 10.11.3.1/24 already" 1
	[[ $(vmctl net ls -q) == web ]]
	run ! ip link show other
	run ! nft list table inet mayfly
}

@test "net create: who is killed in the midst of it leaves nothing, or a whole network" {
	local i
	for ((i = 0; i < 20; i++)); do
		vmctl net create other --subnet 10.11.0.0/16 3>&- &
		sleep "0.0$((i % 5))$((i / 5))"
		kill -KILL $! 2>/dev/null || true
		wait $! || true
		if ip link show other 2>/dev/null; then
			[[ $(ip -br address show other) == "other "*" 10.11.0.1/16"* ]]
			[[ $(ip -br link show other) == *",UP"* ]]
			vmctl net rm other
		fi
		[[ $(vmctl net ls -q) == web ]]
		[[ $(ip -br link) != *"~"* ]]
	done
	# One of a process that is gone, and one of somebody who lives.
	ip link add '~4194303' type mayfly
	ip link add "~$$" type mayfly
	[[ $(vmctl net ls -q) == web ]]
	[[ $(ip -br link) != *"~4194303"* && $(ip -br link) == *"~$$"* ]]
	ip link delete "~$$"
}

@test "net: who may not, does not" {
	vm_as_nobody net ls
	expect_refusal "net ls: no right to open /dev/mayfly" 125
	chmod 666 /dev/mayfly
	vm_as_nobody net create other --subnet 10.11.0.0/16
	expect_refusal "net create: other: making the network: not permitted" 1
	[[ $stderr == *"to mend it: run as root, or with CAP_NET_ADMIN" ]]
	vm_as_nobody net rm web
	expect_refusal "net rm: web: removing the network: not permitted" 1
	vm_as_nobody net rm -f web
	expect_refusal "net rm: web: removing the network: not permitted" 1
	# Where the project lies may be nobody else's to read.
	install -m 644 "$BATS_TEST_DIRNAME/../../build/guests/hello" /run/hello
	vm_as_nobody spawn --net web /run/hello
	expect_refusal "spawn: someone else's network" 125
	vm_as_nobody net ls -q
	chmod 600 /dev/mayfly
	expect_status 0
	expect_output web
	[[ -z $(vmctl ps -aq) ]]
}

@test "net: other devices are no networks, and what is one is done" {
	ip link add ifb0 type ifb
	for verb in inspect hosts rm "rm -f"; do
		for name in ifb0 lo none; do
			# shellcheck disable=SC2086
			vm net $verb $name
			expect_refusal "net ${verb% -f}: $name: no such network" 1
		done
	done
	vm spawn --net ifb0
	expect_refusal "spawn: no such network" 125
	ip link show ifb0
	vmctl net create db --subnet 10.10.0.0/16
	vm net inspect none web lo db
	expect_refusal "net inspect: none: no such network" 1
	[[ $(jq -c '[.[].name]' <<<"$output") == '["web","db"]' ]]
	vmctl spawn -q --name one --net db hello
	vm net hosts web none db
	expect_refusal "net hosts: none: no such network" 1
	expect_output "10.10.0.2 one.mayfly"
	vm net rm none db web
	expect_refusal "net rm: none: no such network" 1
	[[ $stderr == *"vmctl: net rm: db: has 1 VM"* && $(vmctl net ls -q) == db ]]
}

@test "--net: places that there are not, for every verb that takes it" {
	local address
	vmctl spawn -q --name first hello
	vmctl save first "$BATS_TEST_TMPDIR/first.mayfly"
	for verb in run "run -d" spawn create "clone first" "restore $BATS_TEST_TMPDIR/first.mayfly"; do
		# shellcheck disable=SC2086
		vm $verb --net none
		expect_refusal "${verb%% *}: --net none: no such network" 125
		[[ $stderr == *"to mend it: make it: vmctl net create none --subnet 10.9.0.0/16" ]]
		# shellcheck disable=SC2086
		vm $verb --net web,ip=10.10.0.1
		expect_refusal "${verb%% *}: 10.10.0.1: not an address for a VM of this network" 125
		# shellcheck disable=SC2086
		vm $verb --net web,ip=10.9
		expect_refusal "${verb%% *}: --net web,ip=10.9: not an IPv4 address such as 10.9.0.2" 2
	done
	# The network's, the host's, that of all.
	for address in 10.9.0.0 10.9.0.1 10.9.255.255; do
		vm spawn --net "web,ip=$address"
		expect_refusal "spawn: $address: not an address for a VM of this network" 125
	done
	[[ $(vmctl ps -a --json | jq -c '[.[].name]') == '["first"]' ]]
}

@test "--net: a network that is full, or has no address" {
	vmctl net create small --subnet 10.11.0.0/30
	vm spawn -q -n 3 --net small hello
	expect_refusal "spawn: made 1 of 3: the network has no address left, or none at all" 1
	[[ $(vmctl ps -a --json | jq -c '[.[].ip]') == '["10.11.0.2"]' ]]
	vm spawn -q --net small hello
	expect_refusal "spawn: the network has no address left, or none at all" 125
	ip link add bare type mayfly
	ip link set bare up
	vm spawn --net bare hello
	expect_refusal "spawn: the network has no address left, or none at all" 125
	[[ $(vmctl net ls --json | jq -c '.[-1] | [.name, .subnet, .host]') == '["bare",null,null]' ]]
	[[ $(vmctl ps -aq | wc -l) -eq 1 ]]
}

@test "net rm: VMs are a reason not to" {
	vmctl spawn -q --net web hello
	vm net rm web
	expect_status 1
	expect_error "vmctl: net rm: web: has 1 VM"
	vm net rm -f web
	expect_status 0
	[[ $(vmctl ps --json | jq -r '.[0] | .ip + " " + .state') == "10.9.0.2 parked" ]]
	vm net rm web
	expect_status 1
	expect_error "vmctl: net rm: web: no such network"
	vm net rm lo
	expect_status 1
}

@test "addresses: one as it is said, others that are free, in ps and inspect" {
	vmctl spawn -q --name one --net web,ip=10.9.3.17 hello
	vmctl spawn -q -n 3 --name more --net web hello
	vmctl spawn -q --name none hello
	[[ $(field one ip) == 10.9.3.17 ]]
	[[ $(vmctl ps --json | jq -c '[.[].ip]') == '["10.9.3.17","10.9.0.2","10.9.0.3","10.9.0.4",null]' ]]
	vmctl inspect one | jq -e '.[0].ip == "10.9.3.17"'
	vm ip one
	expect_status 0
	expect_output 10.9.3.17
	vm ip none
	expect_status 1
	expect_error "vmctl: ip: none: has no address on a network"
	vm ip nobody-such
	expect_status 1
	vm ip
	expect_status 2
	vmctl ps one | grep -q '  IP$'
	[[ $(vmctl net ls --json | jq '.[0].vms') == 4 ]]
	vm spawn --net web,ip=10.9.3.17
	expect_status 125
	expect_error "vmctl: spawn: 10.9.3.17: another VM has that address"
	vm spawn --net web,ip=10.8.0.1
	expect_status 125
	expect_error "vmctl: spawn: 10.8.0.1: not an address for a VM of this network"
	vm spawn --net lo
	expect_status 125
	expect_error "vmctl: spawn: no such network"
	vmctl kill one
	[[ $(field one ip) == null ]]
	vmctl spawn -q --net web,ip=10.9.3.17
}

@test "http serves a page, again and again over one connection" {
	vmctl spawn -q --net web,ip=10.9.3.17 http
	run -0 curl -sS -m 20 http://10.9.3.17/
	[[ $output == *"It works."* ]]
	[[ $(curl -sS -m 20 -w '%{num_connects} %{http_code}\n' -o /dev/null http://10.9.3.17/ \
		-o /dev/null http://10.9.3.17/index.html?x -o /dev/null http://10.9.3.17/no -o /dev/null -I http://10.9.3.17/) == \
		$'1 200\n0 200\n0 404\n0 200' ]]
	[[ $(curl -sS -m 20 -o /dev/null -w '%{http_code}' -d x http://10.9.3.17/) == 400 ]]
	[[ $(curl -sS -m 20 -o /dev/null -w '%{http_code}' -X DELETE http://10.9.3.17/) == 405 ]]
	[[ $(printf 'G\0T\r\n\r\n' | asked 10.9.3.17 80) == "HTTP/1.1 400 Bad Request"* ]]
}

@test "daytime tells the time at port 13 too" {
	vmctl spawn -q --name clock --net web,ip=10.9.0.13 daytime
	[[ $(asked 10.9.0.13 13 </dev/null) == 20??-??-??T??:??:??Z ]]
	eventually has_told_the_time clock
	vmctl spawn -q --name other daytime
	# A closed port is said to be so, and so is an address that nobody has.
	run ! asked 10.9.0.13 14 </dev/null
	[[ $output == *"Connection refused" ]]
	run ! asked 10.9.0.14 13 </dev/null
	[[ $output == *"No route to host" ]]
	ethtool -S web | grep -qE 'to_vm_no_such_address: [1-9]'
	ethtool -S web | grep -qE 'from_vm_false_sender: 0'
	vmctl stop clock
	[[ $(vmctl wait clock --json | jq '.[0].status') == 0 ]]
}

@test "a thousand serve, each with its own address" {
	local i line socket answers=0
	vmctl spawn -q -n 1000 --name time --net web daytime >/dev/null
	# Without a process for each.
	for ((i = 2; i < 1002; i++)); do
		exec {socket}<>"/dev/tcp/10.9.$((i / 256)).$((i % 256))/13"
		read -r -t 60 line <&"$socket"
		exec {socket}>&-
		[[ $line != 20??-??-??T??:??:??Z ]] || answers=$((answers + 1))
	done
	[[ $answers -eq 1000 ]]
	[[ $(vmctl ps --json | jq '[.[].ip] | unique | length') -eq 1000 ]]
}

@test "ten thousand are pinged in turn, and none is lost" {
	# A thousand pings a second: what has come waits here for fping.
	sysctl -q net.core.rmem_default=67108864
	vmctl spawn -q -n 10000 --net web echo >/dev/null
	fping -q -c 2 -i 1 -p 10000 -t 60000 -g 10.9.0.2 10.9.39.17 2>"$BATS_TEST_TMPDIR/told"
	[[ $(grep -c 'xmt/rcv/%loss = 2/2/0%' "$BATS_TEST_TMPDIR/told") -eq 10000 ]]
}

@test "CPUs go and come under traffic" {
	local cpu=/sys/devices/system/cpu/cpu1/online bytes=20000000 i streams=()
	vmctl spawn -q -n 2 --name echo --net web echo >/dev/null
	vmctl spawn -q --name asks --net web "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- ask 10.9.0.2 7 100000000
	head -c $bytes /dev/urandom >"$BATS_TEST_TMPDIR/sent"
	for i in 2 3; do
		exec {tcp}<>"/dev/tcp/10.9.0.$i/7"
		cat "$BATS_TEST_TMPDIR/sent" >&"$tcp" &
		head -c $bytes <&"$tcp" >"$BATS_TEST_TMPDIR/came.$i" &
		streams+=($!)
	done
	for ((i = 0; i < 5; i++)); do
		echo 0 >$cpu
		echo 1 >$cpu
	done
	wait "${streams[@]}"
	cmp "$BATS_TEST_TMPDIR/sent" "$BATS_TEST_TMPDIR/came.2"
	cmp "$BATS_TEST_TMPDIR/sent" "$BATS_TEST_TMPDIR/came.3"
	[[ $(field asks state) == @(parked|running|ready) ]]
}

@test "a cold VM wakes for a connection" {
	vmctl spawn -q --name sleeper --net web,ip=10.9.0.9 echo
	[[ $(asked 10.9.0.9 7 <<<"warm") == warm ]]
	eventually has_state sleeper parked
	vmctl pause sleeper
	echo 1 >/sys/module/mayfly/parameters/cold_after_ms
	vmctl unpause sleeper
	eventually is_cold sleeper
	[[ $(asked 10.9.0.9 7 <<<"cold") == cold ]]
	echo 1000 >/sys/module/mayfly/parameters/cold_after_ms
}

# The client's kernel may acknowledge late.
is_still()
{
	local before
	before=$(field "$1" exits)
	sleep 1
	[[ $(field "$1" exits) -eq $before ]]
}

has_told_the_time()
{
	vmctl logs "$1" | grep -q '^20'
}

is_cold()
{
	[[ $(field "$1" cold) == true ]]
}

@test "clones have addresses of their own, and listen there" {
	vmctl spawn -q --name first --net web,ip=10.9.0.9 echo
	exec {old}<>/dev/tcp/10.9.0.9/7
	echo before >&"$old"
	read -r -t 20 line <&"$old"
	[[ $line == before ]]
	vmctl clone -q -n 3 --name copy --net web first >/dev/null
	for name in copy-1 copy-2 copy-3; do
		[[ $(asked "$(field $name ip)" 7 <<<"$name") == "$name" ]]
	done
	# The original's connection is its own.
	echo after >&"$old"
	read -r -t 20 line <&"$old"
	exec {old}>&-
	[[ $line == after ]]
	# One without a network lives too.
	vmctl clone -q --name alone first >/dev/null
	[[ $(field alone ip) == null ]]
	eventually has_state alone parked
	vmctl clone -q --name again --net web,ip=10.9.0.99 alone >/dev/null
	[[ $(asked 10.9.0.99 7 <<<"again") == again ]]
	# A file has no rings.
	vmctl save first "$BATS_TEST_TMPDIR/first.mayfly"
	vmctl restore -q --name back --net web,ip=10.9.0.77 "$BATS_TEST_TMPDIR/first.mayfly" >/dev/null
	[[ $(asked 10.9.0.77 7 <<<"back") == back ]]
}

@test "bytes sent by reference arrive" {
	vmctl spawn -q --name taker --net web,ip=10.9.0.9 "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- take 5001
	[[ $(net_guest giver give 10.9.0.9 5001 5000000) == "done in "* ]]
	vmctl wait taker
	vmctl logs taker | grep -q '^took 5000000 bytes$'
}

@test "packets are lost both ways: all bytes arrive" {
	vmctl net create lossy --subnet 10.12.0.0/16 --mtu 1500
	# One packet is one segment, or too few could be lost.
	ip link set lossy gso_max_segs 1
	vmctl spawn -q --net lossy,ip=10.12.0.9 echo
	modprobe sch_netem
	tc qdisc add dev lossy root netem loss 1% limit 10000
	ip link add ifb0 type ifb
	ip link set ifb0 up
	tc qdisc add dev lossy ingress
	tc filter add dev lossy parent ffff: matchall action mirred egress redirect dev ifb0
	tc qdisc add dev ifb0 root netem loss 1% limit 10000
	head -c 2000000 /dev/urandom >"$BATS_TEST_TMPDIR/sent"
	exec {tcp}<>/dev/tcp/10.12.0.9/7
	cat "$BATS_TEST_TMPDIR/sent" >&"$tcp" &
	head -c 2000000 <&"$tcp" | cmp - "$BATS_TEST_TMPDIR/sent"
	exec {tcp}>&-
	for device in lossy ifb0; do
		[[ $(tc -j -s qdisc show dev $device root | jq '.[0].drops') -gt 2 ]]
	done
	ip link delete ifb0
}

@test "data for a connection that a guest has closed harms nobody" {
	local i
	vmctl spawn -q --net web,ip=10.9.3.17 http
	for ((i = 0; i < 20; i++)); do
		exec {tcp}<>/dev/tcp/10.9.3.17/80
		printf 'GET / HTTP/1.0\r\n\r\n' >&"$tcp"
		read -r -t 20 line <&"$tcp"
		[[ $line == "HTTP/1.1 200 OK"* ]]
		# It has sent its page by reference, and closed.
		printf 'more' >&"$tcp" || true
		exec {tcp}>&-
	done
	run -0 curl -sS -m 20 http://10.9.3.17/
	[[ $output == *"It works."* ]]
}

@test "pipelined requests are answered once each, whoever does not read" {
	local i
	vmctl spawn -q --net web,ip=10.9.3.17 http
	exec {tcp}<>/dev/tcp/10.9.3.17/80
	for ((i = 0; i < 2000; i++)); do
		printf 'GET / HTTP/1.1\r\n\r\n'
	done >"$BATS_TEST_TMPDIR/requests"
	printf 'GET /last HTTP/1.0\r\n\r\n' >>"$BATS_TEST_TMPDIR/requests"
	cat "$BATS_TEST_TMPDIR/requests" >&"$tcp"
	timeout 60 cat <&"$tcp" >"$BATS_TEST_TMPDIR/answers"
	exec {tcp}>&-
	[[ $(grep -c '200 OK' "$BATS_TEST_TMPDIR/answers") -eq 2000 ]]
	[[ $(grep -c '404 Not' "$BATS_TEST_TMPDIR/answers") -eq 1 ]]
}

@test "a peer that has closed and reads late gets all" {
	vmctl spawn -q --net web,ip=10.9.0.9 echo
	head -c 200000 /dev/urandom >"$BATS_TEST_TMPDIR/sent"
	exec {tcp}<>/dev/tcp/10.9.0.9/7
	cat "$BATS_TEST_TMPDIR/sent" >&"$tcp"
	sleep 4
	head -c 200000 <&"$tcp" | cmp - "$BATS_TEST_TMPDIR/sent"
	exec {tcp}>&-
}

@test "a program that knows only BSD's calls" {
	local how
	# What it expects is so on this machine, in a VM, and in one with a network.
	for how in "$BATS_TEST_DIRNAME/../../build/tests/bsd-host" "vmctl run $bsd_guest --" "vmctl run --net web $bsd_guest --"; do
		run $how check
		echo "$how: $output"
		[[ $status -eq 0 && $output == "0 failures" ]]
	done
	vmctl spawn -q --name polls --net web,ip=10.9.0.5 "$bsd_guest" -- serve 5000
	vmctl spawn -q --name selects --net web,ip=10.9.0.6 "$bsd_guest" -- select 5000
	for address in 10.9.0.5 10.9.0.6; do
		[[ $(vmctl run --net web "$bsd_guest" -- ask $address 5000 400000) == "401408 bytes came back" ]]
		[[ $("$BATS_TEST_DIRNAME/../../build/tests/bsd-host" ask $address 5000 400000) == "401408 bytes came back" ]]
	done
	# One that waits in a call ends when it shall stop.
	vmctl stop -t 60 polls selects
	[[ $(field polls status) == 0 && $(field selects status) == 0 ]]
}

@test "who captures packets of a network sees those between VMs" {
	local captured=$BATS_TEST_TMPDIR/captured
	# -c: it ends with the handshake, and what it was told before it looks is not lost.
	timeout 100 tcpdump -i web -n -c 3 -l tcp port 7 >"$captured" 2>"$captured.told" &
	eventually grep -q 'listening on web' "$captured.told"
	vmctl spawn -q --net web,ip=10.9.0.9 echo
	[[ $(net_guest asks ask 10.9.0.9 7 1) == "done in "* ]]
	wait $!
	grep -q 'IP 10.9.0.2.[0-9]* > 10.9.0.9.7: Flags \[S\]' "$captured"
	grep -q 'IP 10.9.0.9.7 > 10.9.0.2.[0-9]*: Flags \[S.\]' "$captured"
}

# What a VM with --net $1 finds for the name $2.
resolved()
{
	vmctl run --net "$1" "$bsd_guest" -- resolve "$2"
}

@test "names are asked of the host, or of whom --net says" {
	[[ $(resolved web 10.9.8.7) == 10.9.8.7 ]]
	# Nobody listens at port 53.
	run -1 resolved web web-17.mayfly
	[[ $output == EAI_AGAIN ]]
	run -1 vmctl run "$bsd_guest" -- resolve web-17.mayfly
	[[ $output == EAI_AGAIN ]]
	dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --pid-file="$BATS_TEST_TMPDIR/pid" \
		--user=root --local-service --interface=web --bind-interfaces --local=/mayfly/ \
		--host-record=web-17.mayfly,10.9.3.17 --cname=front.mayfly,web-17.mayfly
	[[ $(resolved web web-17.mayfly) == 10.9.3.17 ]]
	[[ $(resolved web front.mayfly.) == 10.9.3.17 ]]
	run -1 resolved web front..mayfly
	[[ $output == EAI_NONAME ]]
	run -1 resolved web other.mayfly
	[[ $output == EAI_NONAME ]]
	run -1 resolved "web,dns=10.9.0.200" web-17.mayfly
	[[ $output == EAI_AGAIN ]]
}

@test "net hosts: a name server that reads it knows VMs by their names" {
	local names=$BATS_TEST_TMPDIR/names
	vm net hosts web
	expect_status 0
	expect_output ""
	vmctl spawn -q -n 20 --name site --net web hello
	vmctl spawn -q --name elsewhere hello
	vm net hosts web
	[[ ${#lines[@]} -eq 20 && ${lines[16]} == "10.9.0.18 site-17.mayfly" ]]
	vm net hosts none
	expect_status 1
	expect_error "vmctl: net hosts: none: no such network"
	vm net hosts
	expect_status 2
	chmod 755 "$BATS_TEST_TMPDIR"
	mkdir "$names"
	vmctl net hosts web >"$names/web"
	dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --pid-file="$BATS_TEST_TMPDIR/pid" --user=root \
		--interface=web --bind-interfaces --local=/mayfly/ --hostsdir="$names"
	[[ $(resolved web site-17.mayfly) == 10.9.0.18 ]]
	run -1 resolved web late.mayfly
	vmctl spawn -q --name late --net web,ip=10.9.7.7 hello
	vmctl net hosts web >"$names/web"
	eventually resolved web late.mayfly
	[[ $(resolved web late.mayfly) == 10.9.7.7 ]]
}

@test "a connection that is idle wakes nobody" {
	vmctl spawn -q --name server --net web,ip=10.9.0.9 echo
	exec {tcp}<>/dev/tcp/10.9.0.9/7
	echo hello >&"$tcp"
	read -r -t 20 line <&"$tcp"
	[[ $line == hello ]]
	eventually is_still server
	before=$(field server exits)
	sleep 5
	[[ $(field server exits) -eq $before ]]
	echo again >&"$tcp"
	read -r -t 20 line <&"$tcp"
	exec {tcp}>&-
	[[ $line == again ]]
}
