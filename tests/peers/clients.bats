#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Clients: wrk, redis-benchmark and iperf3. curl is in tests/net/peers.bats.

# shellcheck disable=SC2154 # stderr is set by bats
load with_peers

@test "wrk: many connections, and no error" {
	vmctl spawn -q --net web,ip=10.9.3.17 http
	for connections in 1 10 500; do
		run -0 wrk -t 1 -c $connections -d 3s --timeout 60s http://10.9.3.17/
		echo "$output"
		[[ $output =~ ([0-9]+)\ requests\ in && ${BASH_REMATCH[1]} -gt 0 ]]
		[[ $output != *"Socket errors"* && $output != *"Non-2xx"* ]]
	done
	serves_a_page 10.9.3.17
	are_unharmed
	kernel_is_quiet
}

@test "wrk: clients that leave in the midst of it" {
	local i
	vmctl spawn -q --net web,ip=10.9.3.17 http
	for ((i = 0; i < 10; i++)); do
		wrk -t 1 -c 100 -d 60s --timeout 60s http://10.9.3.17/ >/dev/null &
		eventually bash -c "ss -Htn state established dst 10.9.3.17 | grep -q ."
		kill -KILL $!
		wait $! || true
	done
	serves_a_page 10.9.3.17
	are_unharmed
	kernel_is_quiet
}

redis()
{
	redis-cli -h 10.9.0.9 --no-raw "$@"
}

@test "redis-benchmark and redis-cli: a toy server's replies are right" {
	local commands="-h 10.9.0.9 -t ping,set,get --csv"
	vmctl spawn -q --net web,ip=10.9.0.9 "$guests/redis-guest"
	[[ $(redis ping) == PONG && $(redis ping "how are you") == '"how are you"' ]]
	[[ $(redis get none) == "(nil)" && $(redis set key "a b") == OK && $(redis GET key) == '"a b"' ]]
	[[ $(redis set key "") == OK && $(redis get key) == '""' ]]
	[[ $(redis flushall) == "(error) ERR only PING, SET and GET are here" ]]
	# A value of more than many packets, with all bytes there are.
	head -c 300000 /dev/urandom >"$BATS_TEST_TMPDIR/value"
	[[ $(redis -x set long <"$BATS_TEST_TMPDIR/value") == OK ]]
	redis-cli -h 10.9.0.9 --raw get long | head -c 300000 | cmp - "$BATS_TEST_TMPDIR/value"
	# Commands in one piece, and their answers in order.
	printf 'set n %s\r\nget n\r\n' {1..500} >"$BATS_TEST_TMPDIR/commands"
	[[ $(redis-cli -h 10.9.0.9 --raw <"$BATS_TEST_TMPDIR/commands") == "$(printf 'OK\n%s\n' {1..500})" ]]
	for how in "-c 1 -n 200" "-c 50 -n 2000" "-c 20 -n 5000 -P 16" "-c 5 -n 300 -d 20000" "-c 20 -n 200 -k 0"; do
		# shellcheck disable=SC2086
		run -0 --separate-stderr redis-benchmark $commands $how
		echo "$output"
		[[ $(grep -cE '^"(PING_INLINE|PING_MBULK|SET|GET)",' <<<"$output") -eq 4 ]]
	done
	[[ $(redis get key:__rand_int__) == \"*\" ]]
	are_unharmed
	kernel_is_quiet
}

# A field of what iperf3 has said in JSON.
measured()
{
	jq "$1" "$BATS_TEST_TMPDIR/told"
}

@test "iperf3: bytes both ways, by one stream and by several" {
	vmctl spawn -q --name speaks --net web,ip=10.9.0.9 "$guests/iperf-guest"
	for how in "" "-R" "-P 4" "-P 4 -R" "-l 100" "-N -M 536"; do
		# Until so many have gone, however long that takes.
		# shellcheck disable=SC2086
		iperf3 -c 10.9.0.9 -n 4M --json $how >"$BATS_TEST_TMPDIR/told" || { cat "$BATS_TEST_TMPDIR/told"; return 1; }
		[[ $how == *-R* ]] || [[ $(measured .end.sum_sent.bytes) -ge 4194304 ]]
		# Who receives counts what has come when the other says that it is enough.
		[[ $(measured '.end.sum_received.bytes > 0') == true ]]
		[[ $how == *-R* || $(measured '.end.sum_received.bytes <= .end.sum_sent.bytes') == true ]]
	done
	[[ $(vmctl logs speaks | sort | uniq -c | tr -s ' ') == " 6 done" ]]
	kernel_is_quiet
}
