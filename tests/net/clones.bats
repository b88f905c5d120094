#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What becomes of addresses and connections when a VM is cloned, restored or moved.

# shellcheck disable=SC2154 # stderr is set by bats
load with_network

file=$BATS_FILE_TMPDIR/saved

teardown()
{
	remove_all
	ip netns delete far 2>/dev/null || true
}

# A VM called $1 that has told nothing of another address.
got_its_own()
{
	expect_status 0
	[[ -z $stderr && $(field "$1" ip) == 10.9.0.9 ]]
	[[ $(asked 10.9.0.9 7 <<<"$1") == "$1" ]]
}

@test "restore: one VM keeps its address if that is free" {
	vmctl spawn -q --name first --net web,ip=10.9.0.9 echo
	eventually has_state first parked
	vmctl save first "$file"
	vm restore -q --name second --net web "$file"
	expect_status 0
	expect_error "vmctl: restore: 10.9.0.9 is taken, or not of this network: second has 10.9.0.2"
	[[ $(asked 10.9.0.2 7 <<<"second") == second ]]
	# What is asked for is given, or nothing.
	vm restore --net web,ip=10.9.0.9 "$file"
	expect_status 125
	expect_error "vmctl: restore: 10.9.0.9: another VM has that address"
	vmctl rm -f first
	vm restore -q --name back --net web "$file"
	got_its_own back
	vmctl restore -q --name said --net web,ip=10.9.0.77 "$file"
	[[ $(field said ip) == 10.9.0.77 ]]
	vmctl net create db --subnet 10.10.0.0/24
	vm restore -q --name there --net db "$file"
	expect_status 0
	expect_error "vmctl: restore: 10.9.0.9 is taken, or not of this network: there has 10.10.0.2"
	# None keeps it without a network, and several cannot.
	vmctl restore -q --name none "$file"
	[[ $(field none ip) == null ]]
	vmctl rm -f back
	vm restore -q -n 3 --name more --net web "$file"
	expect_status 0
	[[ -z $stderr && $(vmctl ps --json 'more-*' | jq '[.[].ip] | unique - ["10.9.0.9"] | length') -eq 3 ]]
}

@test "restore: who was connected hears that nobody knows of it" {
	vmctl spawn -q --name first --net web,ip=10.9.0.9 echo
	exec {tcp}<>/dev/tcp/10.9.0.9/7
	echo before >&"$tcp"
	read -r -t 20 line <&"$tcp"
	[[ $line == before ]]
	vmctl save --stop first "$file"
	vm restore -q --name back --net web "$file"
	got_its_own back
	run read -r -t 20 line <&"$tcp"
	exec {tcp}>&-
	[[ $status -eq 1 && $output == *"Connection reset by peer" ]]
}

# A machine elsewhere, and an ssh that leads there. The module is the same.
make_far()
{
	ip netns add far
	mkdir "$BATS_TEST_TMPDIR/bin"
	# shellcheck disable=SC2016
	printf '%s\n' '#!/bin/bash' '[[ "$1 $2 $3" == "-T -- far" ]] && exec ip netns exec far bash -c "$4"' \
		>"$BATS_TEST_TMPDIR/bin/ssh"
	chmod 755 "$BATS_TEST_TMPDIR/bin/ssh"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
}

far()
{
	ip netns exec far "$@"
}

@test "migrate: a VM keeps its address and its network's name" {
	make_far
	vmctl spawn -q --name site --net web,ip=10.9.0.9 http
	[[ $(curl -sS -m 20 http://10.9.0.9/) == *"It works."* ]]
	vm migrate --name there site far
	expect_status 1
	[[ $stderr == *"vmctl: restore: --net web: no such network"* ]]
	[[ $stderr == *"vmctl: migrate: site: the other side has ended; it stays here" ]]
	[[ $(curl -sS -m 20 http://10.9.0.9/) == *"It works."* ]]
	far vmctl net create web --subnet 10.9.0.0/16
	vm migrate --name there site far
	expect_status 0
	[[ $stderr == "site is $output on far; it stood still for "* ]]
	[[ $(far vmctl ip there) == 10.9.0.9 ]]
	[[ $(far curl -sS -m 20 http://10.9.0.9/) == *"It works."* ]]
	vmctl spawn -q --name site --net web,ip=10.9.0.9 http
	far vmctl net create db --subnet 10.10.0.0/24
	vm migrate --name other --net db site far
	expect_status 0
	[[ $stderr == "vmctl: restore: 10.9.0.9 is taken, or not of this network: other has 10.10.0.2"* ]]
	[[ $(far curl -sS -m 20 http://10.10.0.2/) == *"It works."* ]]
	vmctl create -q --name site --net web,ip=10.9.0.9 http
	vm migrate --name said --net db,ip=10.10.0.77 site far
	expect_status 0
	[[ $(far vmctl ip said) == 10.10.0.77 && $(field said state) == ready ]]
	vmctl create -q --name none http
	vm migrate --name none-there none far
	expect_status 0
	[[ $(field none-there ip) == null ]]
	vm migrate --via true --net db said
	expect_status 2
	vm migrate --net "a b" said far
	expect_status 2
	far vmctl net rm -f web db
}

# Sends to $1 by $2 connections what must come back, each its own bytes, and makes $3.begun when all
# have had some. When $3.end is there and all have had some more since, closes them in good order.
load='
import os, random, selectors, socket, sys
address, count, sign = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ready = selectors.DefaultSelector()
class Client:
    def __init__(self, seed):
        self.rounds, self.bytes = 0, random.Random(seed)
        self.socket = socket.create_connection((address, 7), 60)
        ready.register(self.socket, selectors.EVENT_READ, self)
        self.send()
    def send(self):
        self.missing = self.bytes.randbytes(self.bytes.randrange(1, 3000))
        self.socket.sendall(self.missing)
    def receive(self):
        came = self.socket.recv(65536)
        if not came or not self.missing.startswith(came):
            sys.exit("other bytes came back")
        self.missing = self.missing[len(came):]
    def end(self):
        while self.missing:
            self.receive()
        self.socket.shutdown(socket.SHUT_WR)
        if self.socket.recv(1):
            sys.exit("more came back")
clients = [Client(seed) for seed in range(count)]
def go_on():
    goal = [client.rounds + 2 for client in clients]
    while any(client.rounds < least for client, least in zip(clients, goal)):
        events = ready.select(60)
        if not events:
            sys.exit("nothing comes back")
        for key, _ in events:
            client = key.data
            client.receive()
            if not client.missing:
                client.rounds += 1
                client.send()
go_on()
open(sign + ".begun", "w")
while not os.path.exists(sign + ".end"):
    go_on()
go_on()
for client in clients:
    client.end()
'

have_told()
{
	[[ $(vmctl logs 'copy-*' | grep -c "$2") -eq $1 ]]
}

have_been_dropped()
{
	(($(vmctl net inspect web | jq '.[0].drops.from_vm_false_sender') >= $1))
}

@test "a hundred clones of a server under load: its connections are its own" {
	local address line socket count=8
	vmctl spawn -q --name first --net web,ip=10.9.0.9 "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- serve 7
	eventually has_state first parked
	python3 -c "$load" 10.9.0.9 $count "$BATS_TEST_TMPDIR/load" 3>&- &
	local client=$!
	eventually test -e "$BATS_TEST_TMPDIR/load.begun"
	vmctl clone -q -n 100 --name copy --net web first >/dev/null
	[[ $(vmctl ps --json | jq '[.[].ip] | unique | length') -eq 101 ]]
	# Without a process for each.
	for address in $(vmctl ps --json 'copy-*' | jq -r '.[].ip'); do
		exec {socket}<>"/dev/tcp/$address/7"
		echo "$address" >&"$socket"
		read -r -t 60 line <&"$socket"
		exec {socket}>&-
		[[ $line == "$address" ]]
	done
	# In each of them those connections have ended as such that were reset, and those to itself well.
	eventually have_told $((100 * count)) '| ended: -104$'
	eventually have_told 100 '| ended: 0$'
	have_told 100 '| generation 2$'
	have_told $((100 * count + 200)) .
	touch "$BATS_TEST_TMPDIR/load.end"
	wait $client
	[[ $(vmctl logs first | sort | uniq -c) =~ ^\ *$count\ ended:\ 0$ ]]
	# Nor has it heard of the resets, which bear its address, and leave the clones after they have told of
	# them. With those went what it was about to send when they were made from it.
	eventually have_been_dropped $((100 * count))
}
