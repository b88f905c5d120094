#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where VMs are on networks: on several, by IPv6 too, within limits, and apart from each other.

# shellcheck disable=SC2154 # stderr is set by bats
load with_network

setup()
{
	ip link set lo up
}

teardown()
{
	echo 0 >/proc/sys/net/ipv4/ip_forward
	nft delete table inet ours 2>/dev/null || true
	remove_all
}

# How many packets of network $1 were dropped because of $2.
dropped()
{
	vmctl net inspect "$1" | jq ".[0].drops.$2"
}

has_dropped()
{
	(($(dropped "$1" "$2") > $3))
}

# $1 in the form that the guest of the tests reads: sixteen bytes, each as two digits.
digits_of()
{
	python3 -c 'import ipaddress, sys; print(ipaddress.IPv6Address(sys.argv[1]).packed.hex())' "$1"
}

answered()
{
	[[ $(net_guest asks "$@") == "done in "* ]]
}

@test "policy isolated: VMs do not reach each other, by whatever way, and the host reaches all" {
	vmctl net create web --subnet 10.9.0.0/16 --policy isolated
	[[ $(vmctl net inspect web | jq -r '.[0].policy') == isolated ]]
	vmctl spawn -q --name server --net web,ip=10.9.0.7 -p 7007:7 echo
	[[ $(asked 10.9.0.7 7 <<<hello) == hello ]]
	[[ $(dropped web from_vm_to_vm_forbidden) -eq 0 ]]
	vmctl spawn -q --name straight --net web "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- try 10.9.0.7 7
	eventually has_dropped web from_vm_to_vm_forbidden 0
	vmctl rm -f straight
	# By a published port, the host would forward it.
	local before
	before=$(dropped web from_vm_to_vm_forbidden)
	vmctl spawn -q --name around --net web "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- try 10.9.0.1 7007
	eventually has_dropped web from_vm_to_vm_forbidden "$before"
	[[ -z $(vmctl logs around) ]]
	[[ $(asked 127.0.0.1 7007 <<<hello) == hello ]]
}

@test "policy host: the firewall of this host sees what VMs send each other" {
	vmctl net create web --subnet 10.9.0.0/16 --policy host
	vmctl spawn -q --name server --net web,ip=10.9.0.7 echo
	nft -f - <<-END
		table inet ours {
			chain forward {
				type filter hook forward priority filter
				iifname web oifname web tcp dport 7 counter
				iifname web oifname web tcp dport 13 counter reject with tcp reset
			}
		}
	END
	answered ask 10.9.0.7 7 1
	[[ $(nft -j list table inet ours | jq '[.nftables[].rule.expr[]?.counter.packets // empty][0]') -ge 3 ]]
	[[ $(net_guest refused try 10.9.0.7 13) == failed* ]]
}

@test "several networks: a VM is reached by each, and reaches each" {
	vmctl net create web --subnet 10.9.0.0/16
	vmctl net create db --subnet 10.10.0.0/16
	vmctl spawn -q --name both --net web,ip=10.9.0.7 --net db,ip=10.10.0.7 echo
	vmctl spawn -q --name back --net db,ip=10.10.0.8 echo
	[[ $(asked 10.9.0.7 7 <<<hello) == hello ]]
	[[ $(asked 10.10.0.7 7 <<<hello) == hello ]]
	[[ $(vmctl ip both) == $'10.9.0.7\n10.10.0.7' ]]
	[[ $(vmctl ps | grep ' both ') == *" 10.9.0.7,10.10.0.7"* ]]
	[[ $(vmctl inspect both | jq -c '[.[0].places[].ip]') == '["10.9.0.7","10.10.0.7"]' ]]
	[[ $(vmctl net hosts db) == $'10.10.0.7 both.mayfly\n10.10.0.8 back.mayfly' ]]
	[[ $(vmctl run --net web --net db "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- ask 10.10.0.8 7 3) == "done in "* ]]
	[[ $(vmctl run --net web --net db "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- ask 10.9.0.7 7 3) == "done in "* ]]
	# A clone is where it is put: on one of them, on the other, or on more.
	vmctl snapshot both warm
	vmctl spawn -q --name one --net db,ip=10.10.0.20 warm
	vmctl spawn -q --name more --net web,ip=10.9.0.21 --net db,ip=10.10.0.21 --net web,ip=10.9.0.22 warm
	for address in 10.10.0.20 10.9.0.21 10.10.0.21 10.9.0.22; do
		[[ $(asked $address 7 <<<hello) == hello ]]
	done
	vmctl net rm -f web
	[[ $(asked 10.10.0.7 7 <<<hello) == hello ]]
	vmctl image rm warm
}

@test "a rate is a limit each way" {
	local guest=$BATS_TEST_DIRNAME/../../build/tests/net-guest bytes=400000 ns
	vmctl net create web --subnet 10.9.0.0/16 --mtu 1500
	# What it sends waits, and all of it arrives: at 125,000 bytes a second that takes three.
	vmctl spawn -q --name taker --net web,ip=10.9.0.9 "$guest" -- take 5001
	ns=$(vmctl run --net web,rate=1mbit "$guest" -- give 10.9.0.9 5001 $bytes | sed -n 's/done in \(.*\) ns/\1/p')
	((ns > 2 * 1000 ** 3))
	vmctl wait taker
	vmctl logs taker | grep -q "^took $bytes bytes$"
	[[ $(dropped web to_vm_over_rate) -eq 0 ]]
	# What it would receive is dropped: of 1,000 bytes a second there is no room for two packets.
	vmctl spawn -q --name slow --net web,ip=10.9.0.7,rate=8kbit echo
	ping -q -c 20 -i 0.002 -s 1400 -W 1 10.9.0.7 || true
	(($(dropped web to_vm_over_rate) > 0))
	vmctl spawn -q --name quick --net web,ip=10.9.0.8 echo
	[[ $(asked 10.9.0.8 7 <<<hello) == hello ]]
}

@test "a router may be sent others' packets, and made by root alone" {
	vmctl net create web --subnet 10.9.0.0/16 --owner nobody
	vmctl spawn -q --name router --net web,ip=10.9.0.7,router echo
	ip route add 10.77.0.0/16 via 10.9.0.7 dev web
	run ! ping -q -c 3 -i 0.01 -W 1 10.77.0.1
	[[ $(dropped web to_vm_no_such_address) -eq 0 ]]
	ip route replace 10.77.0.0/16 via 10.9.0.99 dev web
	run ! ping -q -c 3 -i 0.01 -W 1 10.77.0.1
	[[ $(dropped web to_vm_no_such_address) -ge 1 ]]
	chmod 666 /dev/mayfly
	vm_as_nobody spawn -q --net web,router echo
	chmod 600 /dev/mayfly
	expect_status 125
	expect_error "vmctl: spawn: a router may send with any source"
}

@test "IPv6: the host, VMs and clones reach a VM by it" {
	vmctl net create web --subnet 10.9.0.0/16 --subnet6 fd00:9::/64
	vmctl spawn -q --name back --net web,ip=10.9.0.7 echo
	vmctl spawn -q --name site --net web,ip=10.9.0.8 http
	[[ $(vmctl ip -6 back) == fd00:9::a09:7 ]]
	[[ $(vmctl inspect back | jq -r '.[0].places[0].ip6') == fd00:9::a09:7 ]]
	[[ $(vmctl net inspect web | jq -r '.[0].host6') == fd00:9::a09:1/64 ]]
	[[ $(vmctl net hosts web) == *$'\nfd00:9::a09:7 back.mayfly'* ]]
	ping -q -c 3 -i 0.01 fd00:9::a09:7
	ping -q -c 3 -i 0.01 -s 60000 fd00:9::a09:7
	[[ $(asked fd00:9::a09:7 7 <<<hello) == hello ]]
	[[ $(curl -sS -m 60 'http://[fd00:9::a09:8]/') == *"It works."* ]]
	answered ask "$(digits_of fd00:9::a09:7)" 7 3
	answered ask-udp "$(digits_of fd00:9::a09:7)" 7 3
	answered echo "$(digits_of fd00:9::a09:7)" 7 3000000
	# Nobody is there.
	run ! ping -q -c 1 -W 60 fd00:9::a09:99
	[[ $output == *"+1 errors"* ]]
	# The same address of another subnet is another one.
	ip -6 route add fd00:77::/64 dev web
	run ! ping -q -c 1 -W 60 fd00:77::a09:7
	[[ $output == *"+1 errors"* ]]
	[[ $(dropped web from_vm_malformed) -eq 0 && $(dropped web from_vm_false_sender) -eq 0 ]]
	vmctl snapshot back warm
	vmctl spawn -q --name clone --net web,ip=10.9.0.9 warm
	[[ $(asked fd00:9::a09:9 7 <<<hello) == hello ]]
	[[ $(asked fd00:9::a09:7 7 <<<hello) == hello ]]
	vmctl image rm warm
}

@test "net create --netns: a network of another namespace" {
	ip netns add apart
	vmctl net create web --subnet 10.9.0.0/16 --netns apart
	run ! ip link show web
	ip -n apart link show web
	vm spawn -q --net web echo
	expect_status 125
	ip netns exec apart vmctl spawn -q --name there --net web,ip=10.9.0.7 echo
	[[ $(vmctl ip there) == 10.9.0.7 ]]
	ip netns exec apart ping -q -c 3 -i 0.01 10.9.0.7
	ip netns exec apart vmctl net create other --subnet 10.10.0.0/16 --netns apart
	[[ $(ip netns exec apart vmctl net ls -q) == $'web\nother' ]]
	ip netns delete apart
	[[ $(field there state) != ended ]]
	for name in none . .. a/b ''; do
		vm net create web --subnet 10.9.0.0/16 --netns "$name"
		((status == 1 || status == 2))
		[[ $stderr == "vmctl: net create: --netns $name: "* ]]
	done
	[[ -z $(vmctl net ls -q) ]]
}

@test "IPv6: none where the network has none" {
	vmctl net create web --subnet 10.9.0.0/16
	vmctl spawn -q --name back --net web echo
	vm ip -6 back
	expect_status 1
	expect_error "vmctl: ip: back: has no IPv6 address on a network"
	[[ $(vmctl inspect back | jq '.[0].places[0].ip6') == null ]]
	[[ $(vmctl net inspect web | jq '.[0].host6') == null ]]
}
