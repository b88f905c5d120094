#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Published ports of somebody who may not change this host's network.

# shellcheck disable=SC2154 # stderr is set by bats
load ../net/with_network

setup()
{
	ip link set lo up
	chmod 666 /dev/mayfly
	most_users=$(</proc/sys/user/max_user_namespaces)
	most_nets=$(</proc/sys/user/max_net_namespaces)
	# Who leaves one behind has no second.
	echo 1 >/proc/sys/user/max_net_namespaces
}

teardown()
{
	chmod 600 /dev/mayfly
	[[ ! ${pid:-} ]] || kill -KILL "$pid" 2>/dev/null || true
	echo "$most_users" >/proc/sys/user/max_user_namespaces
	echo "$most_nets" >/proc/sys/user/max_net_namespaces
	remove_all
}

# vmctl run ARGS… of somebody without rights, in the background.
run_as_nobody()
{
	in_background setpriv --reuid=65534 --regid=65534 --clear-groups vmctl run "$@"
}

# The last of its ports is open, tcp or udp.
has_opened()
{
	[[ $(ss -Hln --"$1" "sport = $2") ]]
}

serves_page()
{
	[[ $(curl -sS -m 20 "http://$1/") == "$page" ]]
}

# Nothing of the last one: no VM, no namespace with its network, nobody at its port.
nothing_left()
{
	[[ -z $(vmctl ps -a -q) ]] && unshare --user --net true && as_nobody unshare --user --net true &&
		! curl -sS -m 20 http://127.0.0.1:18080/
}

ended_by()
{
	kill "-$1" "$pid"
	status_of_background
	pid=
}

@test "private: a port leads to a VM of somebody without rights, as long as vmctl lives" {
	run_as_nobody --name site -p 127.0.0.1:18080:80 http
	eventually serves_page 127.0.0.1:18080
	[[ $(field site uid) == 65534 ]]
	# This host knows nothing of a network, and has not changed.
	[[ -z $(vmctl net ls -q) && ! $(ip -j address show | jq -r '.[].addr_info[].local' | grep '^10\.') ]]
	[[ $(</proc/sys/net/ipv4/ip_forward) -eq 0 ]]
	run ! nft list table inet mayfly
	ended_by INT
	[[ $status -eq 130 && -z $stderr ]]
	eventually nothing_left
	run_as_nobody -p 18080:80 http
	eventually serves_page 127.0.0.1:18080
	ended_by TERM
	[[ $status -eq 143 ]]
	eventually nothing_left
}

@test "private: killed, it leaves nothing behind" {
	run_as_nobody -p 127.0.0.1:18080:80 http
	eventually serves_page 127.0.0.1:18080
	# With a connection that goes on.
	exec {tcp}<>/dev/tcp/127.0.0.1/18080
	printf 'GET / HTTP/1.1\r\n\r\n' >&"$tcp"
	read -r -t 20 line <&"$tcp"
	[[ $line == "HTTP/1.1 200 OK"* ]]
	ended_by KILL
	[[ $status -eq 137 ]]
	eventually nothing_left
	exec {tcp}>&-
}

@test "private: for root, too" {
	in_background vmctl run --name site -p 127.0.0.1:18080:80 http
	eventually serves_page 127.0.0.1:18080
	[[ -z $(vmctl net ls -q) && $(field site uid) == 0 ]]
	ended_by INT
	[[ $status -eq 130 ]]
	eventually nothing_left
}

@test "private: many at a time, and much" {
	local i askers=()
	run_as_nobody -p 127.0.0.1:18080:80 http
	eventually serves_page 127.0.0.1:18080
	for ((i = 0; i < 50; i++)); do
		serves_page 127.0.0.1:18080 &
		askers+=($!)
	done
	for i in "${askers[@]}"; do
		wait "$i"
	done
	ended_by INT
	eventually nothing_left
	run_as_nobody -p 127.0.0.1:18080:7 echo
	eventually has_opened tcp 18080
	head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/sent"
	# All is sent, and then the end of it; the rest comes back after that.
	python3 -c '
import socket, sys, threading
peer = socket.create_connection(("127.0.0.1", 18080), 60)
sent = open(sys.argv[1], "rb").read()
def send():
    peer.sendall(sent)
    peer.shutdown(socket.SHUT_WR)
sender = threading.Thread(target=send)
sender.start()
came = b""
while part := peer.recv(65536): came += part
sender.join()
assert came == sent, len(came)' "$BATS_TEST_TMPDIR/sent"
	ended_by INT
	[[ $status -eq 130 ]]
}

@test "private: datagrams, and several ports" {
	run_as_nobody -p 127.0.0.1:18080:7 -p 18081:7/udp -p 127.0.0.1:18082:9/udp echo
	eventually has_opened udp 18082
	[[ $(asked 127.0.0.1 18080 <<<"hello") == hello ]]
	exec {one}<>/dev/udp/127.0.0.1/18081 {other}<>/dev/udp/127.0.0.1/18081
	echo "of one" >&"$one"
	echo "of other" >&"$other"
	[[ $(timeout 20 head -c 9 <&"$other") == "of other" ]]
	[[ $(timeout 20 head -c 7 <&"$one") == "of one" ]]
	# Nobody is there, and that harms nobody.
	echo lost >/dev/udp/127.0.0.1/18082
	echo again >&"$one"
	[[ $(timeout 20 head -c 6 <&"$one") == "again" ]]
	exec {one}>&- {other}>&-
	ended_by INT
	[[ $status -eq 130 ]]
}

@test "private: what a guest says last arrives, and its status is vmctl's" {
	run_as_nobody -p 127.0.0.1:18080:5001 "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- take 5001
	eventually has_opened tcp 18080
	# Its own pattern, of one piece.
	python3 -c '
import socket
peer = socket.create_connection(("127.0.0.1", 18080), 60)
peer.sendall(bytes((i * 31 >> 3) & 255 for i in range(65535)))
peer.shutdown(socket.SHUT_WR)
assert peer.recv(1) == b""'
	status_of_background
	pid=
	[[ $status -eq 0 && $output == "took 65535 bytes"* ]]
	eventually nothing_left
}

@test "private: nothing leads out of its network, and nobody listens there" {
	run_as_nobody -p 127.0.0.1:18080:80 http
	eventually serves_page 127.0.0.1:18080
	local inside=(nsenter --net="/proc/$pid/ns/net")
	[[ $("${inside[@]}" ip -j link show | jq -c '[.[].ifname]') == '["lo","private"]' ]]
	[[ $("${inside[@]}" ip -j route show | jq -c '[.[].dst]') == '["10.0.2.0/30"]' ]]
	[[ -z $("${inside[@]}" ss -Hltu) && $(ss -Htl 'sport = 18080') ]]
	ended_by INT
	# This one has opened the port, too, and asks on the wrong side.
	vm_as_nobody run -p 18080:80 "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- try 10.0.2.1 18080
	[[ $output == $'failed\nended: -111\n'* ]]
}

@test "private: what is wrong is said, and leaves nothing behind" {
	run_as_nobody --name first -p 127.0.0.1:18080:80 http
	eventually serves_page 127.0.0.1:18080
	vm_as_nobody run -p 18080:80 http
	expect_status 125
	expect_error "vmctl: run: --publish: a program of this host has 0.0.0.0:18080/tcp"
	vm_as_nobody run -p 127.0.0.1:18080:80/udp -p 80:80 http
	expect_status 125
	expect_error "vmctl: run: --publish: 0.0.0.0:80/tcp: low ports are for root"
	vm_as_nobody run -p 192.168.77.1:18081:80 http
	expect_status 125
	expect_error "vmctl: run: --publish: 192.168.77.1: not an address of this host"
	# This is its second.
	vm_as_nobody run -p 18081:80 http
	expect_status 125
	[[ $stderr == "vmctl: run: --publish: without --net: user.max_user_namespaces or user.max_net_namespaces"* ]]
	[[ $stderr == *"vmctl net create"* ]]
	[[ $(vmctl ps -a -q | wc -l) -eq 1 ]]
	ended_by INT
	eventually nothing_left
	echo 0 >/proc/sys/user/max_user_namespaces
	vm_as_nobody run -p 18080:80 http
	expect_status 125
	[[ $stderr == "vmctl: run: --publish: without --net: user.max_user_namespaces or user.max_net_namespaces"* ]]
	if [[ -e /proc/sys/kernel/unprivileged_userns_clone ]]; then
		echo "$most_users" >/proc/sys/user/max_user_namespaces
		echo 0 >/proc/sys/kernel/unprivileged_userns_clone
		vm_as_nobody run -p 18080:80 http
		echo 1 >/proc/sys/kernel/unprivileged_userns_clone
		expect_status 125
		expect_error "vmctl: run: --publish: without --net: a user namespace: Operation not permitted"
	fi
	local verb
	for verb in "run -d" spawn create; do
		# shellcheck disable=SC2086 # words
		vm_as_nobody $verb -p 18080:80 http
		expect_status 2
		[[ $stderr == "vmctl: ${verb% -d}: --publish wants --net"* ]]
	done
	run -127 --separate-stderr as_nobody vmctl run -p 18080:80 /no/such/image
	vm_as_nobody run -p 18080:80 -p 18080:81 http
	expect_status 2
	eventually nothing_left
}

@test "private: a port that leads to a VM of root's is refused to root" {
	vmctl net create web --subnet 10.9.0.0/16
	vmctl spawn -q --name site --net web -p 18080:80 http
	vm run -p 127.0.0.1:18080:80 http
	expect_status 125
	expect_error "vmctl: run: --publish: 0.0.0.0:18080/tcp leads to VM $(field site id) already"
	echo 0 >/proc/sys/net/ipv4/ip_forward
}
