#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What swallows packets of networks: each is so, doctor names it, and its fix mends it.

# shellcheck disable=SC2154 # stderr is set by bats
load ../net/with_network

setup()
{
	vmctl net create web --subnet 10.9.0.0/16
	add_far
}

teardown()
{
	chmod 600 /dev/mayfly
	restore_nft
	remove_all
	remove_far
	nft delete table inet strict 2>/dev/null || true
	nft delete table inet mayfly 2>/dev/null || true
	ip link delete tun0 2>/dev/null || true
	rm -rf /run/NetworkManager
}

serve()
{
	vmctl spawn -q --net web -p 8080:80 http
}

# From far: fetched_far WORDS-OF-CURL…
fetched_far()
{
	"${far[@]}" curl -sS -m 3 -o /dev/null "$@"
}

# A row of doctor's: row CHECK FIELD
row()
{
	vmctl doctor --json | jq -r --arg check "$1" --arg field "$2" '.[] | select(.check == $check) | .[$field]'
}

expect_content()
{
	vm doctor
	expect_status 0
	[[ $output == *$'\nMayfly can run here.' && $output != *" bad "* ]]
}

# Only CHECK is bad, with this text.
expect_bad()
{
	vm doctor
	expect_status 1
	[[ ${lines[-1]} == "Mayfly can run here, but packets of VMs get lost: mend the bad lines." ]]
	[[ $(vmctl doctor --json | jq -r '.[] | select(.result == "bad").check') == "$1" ]]
	[[ $(row "$1" text) == "$2" ]]
}

# Does what doctor says.
mend()
{
	local fix
	fix=$(row "$1" fix)
	echo "mending: $fix"
	eval "${fix//sudo /}"
}

@test "doctor has nothing against networks that work, and says nothing without any" {
	expect_content
	[[ $(row ip_forward text) == "off: VMs are reached from this host alone" ]]
	vmctl net create out --subnet 10.10.0.0/24 --nat
	serve
	fetched_far http://192.168.9.1:8080/
	expect_content
	[[ $(row firewall text) == "none drops packets of VMs" ]]
	vmctl rm -f --all
	vmctl net rm web out
	expect_content
	[[ -z $(row ip_forward text) && -z $(row rp_filter text) ]]
}

@test "doctor: forwarding that somebody has turned off" {
	serve
	sysctl -qw net.ipv4.ip_forward=0
	run ! fetched_far http://192.168.9.1:8080/
	expect_bad ip_forward "off: published ports and --nat want it on, for web"
	mend ip_forward
	fetched_far http://192.168.9.1:8080/
	expect_content
	# Here it is not wanted.
	vmctl rm -f --all
	vmctl spawn -q --net web -p 127.0.0.1:8080:80 http
	sysctl -qw net.ipv4.ip_forward=0
	expect_content
}

@test "doctor: a firewall that drops what is forwarded" {
	nft -f - <<-'END'
		table inet strict {
			chain others { iifname "docker0" accept; oifname "docker0" ct state established accept; }
			chain forward { type filter hook forward priority filter; policy drop; jump others; }
			chain input { type filter hook input priority filter; policy accept; iifname "web" accept; }
		}
	END
	sysctl -qw net.ipv4.ip_forward=1
	expect_content
	[[ $(row firewall text) == "chain forward of table inet strict drops packets to and from web: "* ]]
	serve
	run ! fetched_far http://192.168.9.1:8080/
	expect_bad firewall "chain forward of table inet strict drops packets to and from web"
	mend firewall
	fetched_far http://192.168.9.1:8080/
	expect_content
	# One way is not enough.
	nft flush chain inet strict forward
	nft add rule inet strict forward oifname web accept
	run ! fetched_far http://192.168.9.1:8080/
	expect_bad firewall "chain forward of table inet strict drops packets to and from web"
	nft add rule inet strict forward ct state established accept
	fetched_far http://192.168.9.1:8080/
	expect_content
	# Without its policy, but with a last rule.
	nft 'add chain inet strict forward { policy accept; }'
	nft flush chain inet strict forward
	nft add rule inet strict forward reject
	run ! fetched_far http://192.168.9.1:8080/
	expect_bad firewall "chain forward of table inet strict drops packets to and from web"
	nft insert rule inet strict forward iifname web jump others
	[[ $(row firewall result) == unknown ]]
	# Only root sees it.
	chmod 666 /dev/mayfly
	vm_as_nobody doctor
	expect_status 0
	[[ $output == *"firewall           unknown  cannot tell whether one drops packets of VMs: only root sees rules"* ]]
}

@test "doctor: rp_filter on an uplink that answers do not take" {
	# A client behind far, who comes by one of two uplinks.
	ip link add near2 type veth peer name far2 netns far
	ip address add 192.168.10.1/24 dev near2
	ip link set near2 up
	ip -n far address add 192.168.10.2/24 dev far2
	ip -n far address add 172.16.0.1/32 dev far2
	ip -n far link set far2 up
	"${far[@]}" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.far.rp_filter=0 net.ipv4.conf.far2.rp_filter=0
	ip route add default via 192.168.9.2 metric 100
	ip route add default via 192.168.10.2 metric 200
	serve
	sysctl -qw net.ipv4.conf.near.rp_filter=1 net.ipv4.conf.near2.rp_filter=0
	fetched_far --interface 172.16.0.1 http://192.168.10.1:8080/
	expect_content
	sysctl -qw net.ipv4.conf.near2.rp_filter=1
	run ! fetched_far --interface 172.16.0.1 http://192.168.10.1:8080/
	expect_bad rp_filter "strict on near2, while answers leave by near: it drops what comes for published ports by near2 from afar"
	mend rp_filter
	fetched_far --interface 172.16.0.1 http://192.168.10.1:8080/
	expect_content
}

# Its packets come by the only device that leads to it.
@test "doctor: rp_filter harms no VM's own packets" {
	serve
	sysctl -qw net.ipv4.conf.web.rp_filter=1 net.ipv4.conf.near.rp_filter=1
	fetched_far http://192.168.9.1:8080/
	expect_content
}

@test "doctor: a network without its address, and addresses that lead elsewhere" {
	serve
	ip link add tun0 type dummy
	ip link set tun0 up
	ip route add 10.9.0.0/24 dev tun0
	run ! fetched_far http://192.168.9.1:8080/
	expect_bad routes "10.9.0.0/24 of web leads to tun0"
	ip route delete 10.9.0.0/24 dev tun0
	expect_content
	ip link set web down
	expect_bad network "web is down"
	mend network
	fetched_far http://192.168.9.1:8080/
	expect_content
	ip address flush dev web
	vm doctor
	expect_status 1
	[[ $(row network text) == "web has no address" ]]
}

@test "doctor: too many connections" {
	local before
	before=$(sysctl -n net.netfilter.nf_conntrack_max)
	serve
	fetched_far http://192.168.9.1:8080/
	# These last.
	exec {one}<>/dev/tcp/10.9.0.2/80 {other}<>/dev/tcp/10.9.0.2/80
	expect_content
	[[ $(row conntrack text) == *" of $before connections" ]]
	sysctl -qw net.netfilter.nf_conntrack_max=1
	run ! fetched_far http://192.168.9.1:8080/
	vm doctor
	expect_status 1
	[[ $(row conntrack result) == bad ]]
	sysctl -qw net.netfilter.nf_conntrack_max="$before"
	exec {one}<&- {other}<&-
	fetched_far http://192.168.9.1:8080/
	expect_content
}

@test "doctor: what it cannot read is not known" {
	modprobe nf_conntrack
	nft 'add table inet mayfly; add map inet mayfly published { type ipv4_addr : ipv4_addr; elements = { 1.2.3.4 : 5.6.7.8 }; }'
	expect_content
	[[ $(row ip_forward result) == unknown ]]
	[[ $(row ip_forward text) == *"; the table mayfly of nftables is not as it was made" ]]
	nft delete table inet mayfly
	hide_nft
	sysctl -qw net.ipv4.ip_forward=1
	expect_content
	[[ $(row firewall text) == *": there is no program nft" ]]
}

# There is none here: something answers as nmcli does.
@test "doctor: NetworkManager, where it manages a network" {
	mkdir -p /run/NetworkManager "$BATS_TEST_TMPDIR/bin"
	[[ $(row NetworkManager result) == unknown ]]
	cat >"$BATS_TEST_TMPDIR/bin/nmcli" <<-'END'
		#!/bin/sh
		[ "$*" = "-t -f GENERAL.DEVICE,GENERAL.STATE device show" ] || exit 2
		[ "$STATE" ] || exit 8
		printf 'GENERAL.DEVICE:lo\nGENERAL.STATE:100 (connected (externally))\n\n'
		printf 'GENERAL.DEVICE:web\nGENERAL.STATE:%s (of some kind)\n' "$STATE"
	END
	chmod 755 "$BATS_TEST_TMPDIR/bin/nmcli"
	export PATH=$BATS_TEST_TMPDIR/bin:$PATH STATE=10
	expect_content
	[[ $(row NetworkManager result) == ok ]]
	STATE=30
	expect_bad NetworkManager "it manages web, and may take its address away"
	# It does not run any more.
	STATE=
	expect_content
	[[ -z $(row NetworkManager result) ]]
}
