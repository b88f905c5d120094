#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What leads from this host and beyond to VMs, and from VMs to the world.

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
	remove_all
	remove_far
	restore_nft
	if nft delete table inet mayfly 2>/dev/null; then
		echo "something was left in the table"
		return 1
	fi
}

none_left()
{
	[[ -z $(vmctl ps -q) ]]
}

# vmctl without nft.
vm_alone()
{
	hide_nft
	run --separate-stderr vmctl "$@"
	restore_nft
}

published()
{
	nft -j list map inet mayfly published | jq '[.nftables[] | select(.map).map.elem[]?] | length'
}

@test "publish: a port of this host's leads to a VM, from here, from elsewhere, and from VMs" {
	vmctl spawn -q --name site --net web -p 8080:80 -p 10.9.0.1:8081:80 http
	[[ $(fetched 127.0.0.1:8080) == "$page" ]]
	[[ $(fetched 10.9.0.1:8080) == "$page" && $(fetched 10.9.0.1:8081) == "$page" ]]
	run -7 fetched 192.168.9.1:8081
	[[ $(fetched 192.168.9.1:8080) == "$page" ]]
	[[ $(fetched 192.168.9.1:8080 "${far[@]}") == "$page" ]]
	vmctl spawn -q --name back --net web -p 7007:7 -p 10.9.0.1:7008:7/udp echo
	[[ $(net_guest asks ask 10.9.0.1 7007 1) == "done in "* ]]
	[[ $(net_guest asks ask-udp 10.9.0.1 7008 1) == "done in "* ]]
	[[ $(published) -eq 4 ]]
	vmctl rm -f site
	[[ $(published) -eq 2 ]]
	run -7 fetched 127.0.0.1:8080
	vmctl kill back
	vmctl net ls >/dev/null
	run ! nft list table inet mayfly
}

@test "net inspect: who is there, what leads there, what went through, and what did not" {
	vmctl net create quiet --subnet 10.10.0.0/24 --nat
	vmctl spawn -q --name site --net web,ip=10.9.3.17 -p 8080:80 http
	vmctl spawn -q --name other --net quiet http
	[[ $(fetched 127.0.0.1:8080) == "$page" ]]
	run ! ping -c 1 -W 5 10.9.9.9
	vm net inspect web quiet
	expect_status 0
	jq -e --argjson id "$(field site id)" '.[0] | .name == "web" and .subnet == "10.9.0.0/16" and .nat == false and
		.vms == [{id: $id, name: "site", ip: "10.9.3.17", state: .vms[0].state}] and
		.published == [{host: "0.0.0.0:8080/tcp", vm: $id, ip: "10.9.3.17", port: 80}] and
		.from_vms.packets > 2 and .to_vms.packets > 2 and .from_vms.bytes > 100 and
		.drops.to_vm_no_such_address == 1 and .drops.from_vm_malformed == 0' <<<"$output"
	jq -e '.[1] | .name == "quiet" and .nat == true and .published == [] and .to_vms.packets == 0 and
		[.vms[].name] == ["other"]' <<<"$output"
	vm net inspect web none
	expect_status 1
	expect_error "vmctl: net inspect: none: no such network"
	[[ $(jq length <<<"$output") -eq 1 ]]
	vm_as_nobody net inspect web
	expect_status 125
	chmod 666 /dev/mayfly
	vm_as_nobody net inspect web
	expect_status 0
	jq -e '.[0].published == null and .[0].nat == null and .[0].vms == []' <<<"$output"
	vm net inspect
	expect_status 2
}

@test "publish: what is for 127.0.0.1 is for this host alone" {
	vmctl spawn -q --net web -p 127.0.0.1:8080:80 -p 8081:80 http
	[[ $(fetched 127.0.0.1:8080) == "$page" ]]
	run -7 fetched 192.168.9.1:8080
	# A neighbour who knows no better sends to our 127.0.0.1, of which it has none itself.
	"${far[@]}" sysctl -qw net.ipv4.conf.all.route_localnet=1
	ip -n far link set lo down
	ip -n far route add 127.0.0.0/8 via 192.168.9.1
	[[ $(fetched 192.168.9.1:8081 "${far[@]}") == "$page" ]]
	run ! "${far[@]}" curl -sS -m 3 http://127.0.0.1:8080/
	run ! "${far[@]}" curl -sS -m 3 http://127.0.0.1:8081/
}

@test "publish: in the foreground, as long as the VM runs" {
	vmctl run --name site --net web -p 8080:80 http &
	eventually fetched 127.0.0.1:8080
	kill -TERM $!
	wait $! || true
	run ! nft list table inet mayfly
	vmctl run --name site --net web -p 8080:80 http &
	eventually fetched 127.0.0.1:8080
	kill -KILL $!
	wait $! || true
	eventually none_left
	[[ $(published) -eq 1 ]]
	vmctl spawn -q --net web -p 8080:80 http
	[[ $(published) -eq 1 && $(fetched 127.0.0.1:8080) == "$page" ]]
}

@test "publish: what is wrong leaves nothing behind" {
	local wrong
	for wrong in 80 80:0 80:x 0:80 70000:80 80:80/sctp 1.2.3:80:80 a:b:c:d; do
		vm spawn --net web -p "$wrong" http
		expect_status 2
		[[ $stderr == "vmctl: spawn: --publish $wrong: "* ]]
	done
	vm spawn -n 2 --net web -p 80:80 http
	expect_status 2
	expect_error "vmctl: spawn: --publish: 2 VMs cannot share a port"
	vm spawn -p 80:80 http
	expect_status 2
	[[ $stderr == "vmctl: spawn: --publish wants --net"* ]]
	vm spawn --net web -p 80:80 -p 127.0.0.1:80:81 http
	expect_status 2
	vmctl spawn -q --name site --net web -p 127.0.0.1:8080:80 http
	vm spawn --net web -p 8080:80 http
	expect_status 125
	expect_error "vmctl: spawn: --publish: 127.0.0.1:8080/tcp leads to VM $(field site id) already"
	vmctl spawn -q --name other --net web -p 10.9.0.1:8080:80 -p 8080:80/udp http
	dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --pid-file="$BATS_TEST_TMPDIR/pid" --user=root \
		--port=8053 --listen-address=127.0.0.1 --bind-interfaces
	vm run --net web -p 8053:80 http
	expect_status 125
	expect_error "vmctl: run: --publish: a program of this host has 0.0.0.0:8053/tcp"
	vm run --net web -d -p 8080:80 http
	expect_status 125
	vm spawn --net web -p 192.168.77.1:9000:80 http
	expect_status 125
	expect_error "vmctl: spawn: --publish: 192.168.77.1: not an address of this host"
	run -125 bash -c 'vmctl spawn -q --net web -p 9000:80 http >/dev/full'
	[[ $(published) -eq 3 ]]
	[[ $(vmctl ps -a --json | jq -c '[.[].name]') == '["site","other"]' ]]
	vm_alone spawn --net web -p 9000:80 http
	expect_status 125
	expect_error "vmctl: spawn: --publish: there is no program nft"
	[[ $(vmctl ps -a -q | wc -l) -eq 2 && $(published) -eq 3 ]]
}

# Has a script in the place of nft, which is $NFT there.
nft_says()
{
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\n%s\n' "$1" >"$BATS_TEST_TMPDIR/bin/nft"
	chmod 755 "$BATS_TEST_TMPDIR/bin/nft"
}

# Nothing comes of it, and TEXT is why: refused TEXT WORDS-BEFORE-VMCTL…
refused()
{
	run --separate-stderr "${@:2}" vmctl spawn --net web -p 9000:80 http
	expect_status 125
	expect_error "vmctl: spawn: --publish: $1"
	run --separate-stderr "${@:2}" vmctl run -d --net web -p 9000:80 http
	expect_status 125
	expect_error "vmctl: run: --publish: $1"
	[[ -z $(vmctl ps -aq) ]]
	run --separate-stderr "${@:2}" vmctl net create more --subnet 10.11.0.0/24 --nat
	expect_status 1
	expect_error "vmctl: net create: --nat: $1"
	run ! ip link show more
}

@test "publish and nat: whatever fails, nothing stays" {
	NFT=$(command -v nft)
	export NFT
	nft_says 'echo "Error: it is broken" >&2; echo "more" >&2; exit 1'
	refused "nft: Error: it is broken" env PATH="$BATS_TEST_TMPDIR/bin:$PATH"
	# shellcheck disable=SC2016
	nft_says '[ "$1" = -j ] && exec "$NFT" "$@"; echo "Error: Could not process rule: File exists" >&2; exit 1'
	refused "somebody else has changed the table of nftables meanwhile" env PATH="$BATS_TEST_TMPDIR/bin:$PATH"
	# shellcheck disable=SC2016
	nft_says '[ "$1" = -j ] && exec "$NFT" "$@"; kill -9 $$'
	refused "nft has failed, and does not say why" env PATH="$BATS_TEST_TMPDIR/bin:$PATH"
	nft_says 'echo nonsense'
	refused "the table mayfly of nftables is not as it was made" env PATH="$BATS_TEST_TMPDIR/bin:$PATH"
	run ! nft list table inet mayfly
	# As in a container.
	refused "/proc/sys/net/ipv4/ip_forward: cannot be written" unshare -m sh -c \
		'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"' sh
	run ! nft list table inet mayfly
}

@test "publish: a table that is not ours is left as it is" {
	nft 'add table inet mayfly'
	nft 'add map inet mayfly published { type ipv4_addr : ipv4_addr; elements = { 1.2.3.4 : 5.6.7.8 }; }'
	refused "the table mayfly of nftables is not as it was made"
	[[ $stderr == *"to mend it: nft delete table inet mayfly"* ]]
	nft list table inet mayfly | grep -qF '1.2.3.4 : 5.6.7.8'
	# It is told of, but is no reason not to look.
	vm net ls
	expect_status 0
	expect_error "vmctl: net ls: the table mayfly of nftables is not as it was made"
	vm net inspect web
	expect_status 0
	jq -e '.[0] | .published == null and .nat == null' <<<"$output"
	nft delete table inet mayfly
}

@test "publish: who may not, does not" {
	chmod 666 /dev/mayfly
	vmctl net create own --subnet 10.10.0.0/24 --owner nobody
	vm_as_nobody spawn --net own -p 9000:80 http
	expect_status 125
	expect_error "vmctl: spawn: --publish: not permitted to change what this host does with packets"
	[[ $stderr == *"run as root, or with CAP_NET_ADMIN"* ]]
	[[ -z $(vmctl ps -a -q) ]]
	vmctl spawn -q --name site --net web -p 8080:80 http
	# Others' are left alone, also by one who could take them away, and sees no VM of others.
	vm_as_nobody net ls
	expect_status 0
	run -0 setpriv --reuid=65534 --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin vmctl net rm own
	run -0 setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin vmctl net ls
	[[ $(published) -eq 1 && $(fetched 127.0.0.1:8080) == "$page" ]]
}

@test "net create: who is told to end in the midst of it leaves a whole network" {
	local bin=$BATS_TEST_TMPDIR/bin status=0
	mkdir "$bin"
	cat >"$bin/nft" <<-END
		#!/bin/sh
		touch $bin/asked
		until [ -e $bin/go ]; do sleep 0.1; done
		exec /usr/sbin/nft "\$@"
	END
	chmod +x "$bin/nft"
	PATH=$bin:$PATH vmctl net create more --subnet 10.10.0.0/16 --nat 3>&- &
	eventually test -e "$bin/asked"
	kill -TERM $!
	touch "$bin/go"
	wait $! || status=$?
	[[ $status -eq 143 ]]
	[[ $(vmctl net inspect more | jq '.[0].nat') == true ]]
}

@test "nat: VMs reach the world by the host's address, those of other networks do not" {
	vmctl net create out --subnet 10.10.0.0/24 --nat
	# There is no way back to 10.9 or 10.10.
	"${far[@]}" python3 -c '
import socket
door = socket.create_server(("", 7000))
while True:
    peer, address = door.accept()
    seen = open("'"$BATS_TEST_TMPDIR"'/seen", "w")
    seen.write(address[0]); seen.close()
    while data := peer.recv(1): peer.sendall(b"x" * 64)
' 3>&- &
	local server=$!
	eventually bash -c ': <>/dev/tcp/192.168.9.2/7000'
	[[ $(vmctl run --net out "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- ask 192.168.9.2 7000 3) == "done in "* ]]
	[[ $(<"$BATS_TEST_TMPDIR/seen") == 192.168.9.1 ]]
	rm "$BATS_TEST_TMPDIR/seen"
	run -124 timeout 3 vmctl run --net web "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- ask 192.168.9.2 7000 3
	[[ ! -e $BATS_TEST_TMPDIR/seen ]]
	kill $server
	# Another of that name has nothing of it.
	vmctl net rm out
	run ! nft list table inet mayfly
	vmctl net create out --subnet 10.10.0.0/24 --nat
	ip link delete out
	vmctl net create out --subnet 10.10.0.0/24
	run ! nft list table inet mayfly
	vm_alone net create more --subnet 10.11.0.0/24 --nat
	expect_status 1
	expect_error "vmctl: net create: --nat: there is no program nft"
	run ! ip link show more
}
