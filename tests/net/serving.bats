#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guests that serve, and that ask. On both vendors' machines.

load with_network

@test "echo gives back what it gets, by TCP and UDP, and answers pings" {
	local bytes=3000000
	vmctl spawn -q --net web,ip=10.9.0.9 echo
	[[ $(asked 10.9.0.9 7 <<<"hello") == hello ]]
	run -0 ping -q -c 3 -i 0.2 -W 10 10.9.0.9
	exec {udp}<>/dev/udp/10.9.0.9/7
	echo "by UDP" >&"$udp"
	# A datagram is read at once or lost.
	[[ $(timeout 20 head -c 7 <&"$udp") == "by UDP" ]]
	exec {udp}>&-
	# Both directions at once, more than all buffers hold.
	head -c $bytes /dev/urandom >"$BATS_TEST_TMPDIR/sent"
	exec {tcp}<>/dev/tcp/10.9.0.9/7
	cat "$BATS_TEST_TMPDIR/sent" >&"$tcp" &
	head -c $bytes <&"$tcp" | cmp - "$BATS_TEST_TMPDIR/sent"
	exec {tcp}>&-
	[[ $(ip -j -s link show web | jq ".[0].stats64.rx.errors") -eq 0 ]]
}

@test "several networks, and IPv6" {
	vmctl net create db --subnet 10.10.0.0/16 --subnet6 fd00:10::/64
	vmctl spawn -q --net web,ip=10.9.0.9 --net db,ip=10.10.0.9 echo
	[[ $(asked 10.9.0.9 7 <<<"web") == web ]]
	[[ $(asked 10.10.0.9 7 <<<"db") == db ]]
	[[ $(asked fd00:10::a0a:9 7 <<<"IPv6") == IPv6 ]]
	run -0 ping -q -c 3 -i 0.2 -W 10 fd00:10::a0a:9
}

@test "VMs of one network reach each other, and the host's stack sees nothing of it" {
	vmctl spawn -q --net web,ip=10.9.0.9 echo
	[[ $(net_guest asks ask 10.9.0.9 7 100) == "done in "* ]]
	[[ $(net_guest asks-udp ask-udp 10.9.0.9 7 100) == "done in "* ]]
	[[ $(net_guest streams echo 10.9.0.9 7 3000000) == "done in "* ]]
	[[ $(net_guest refused try 10.9.0.9 8) == $'failed\nended: -111\n'* ]]
	[[ $(cat /proc/sys/net/ipv4/ip_forward) -eq 0 ]]
}
