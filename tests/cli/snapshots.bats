#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Snapshots and clones of VMs that run.

# shellcheck disable=SC2154 # stderr is set by bats
load with_module

has_images()
{
	[[ $(vmctl info --json | jq '.[0].images') -eq $1 ]]
}

# Does somebody wait until $1 is ready?
is_awaited()
{
	[[ $(field "$1" awaited) == true ]]
}

teardown()
{
	vmctl rm -f --all 2>/dev/null || true
	vmctl image rm --all
	# An image that is being folded goes a little later.
	eventually holds_nothing
}

@test "a thousand VMs go on from where one is" {
	vmctl run -d --name web hello
	eventually has_state web parked
	vm clone -n 1000 --name copy web
	expect_status 0
	[[ $(wc -l <<<"$output") -eq 1000 ]]
	# What web was made from is part of its snapshot.
	eventually has_images 1
	# What was written before is the original's.
	[[ -n $(vmctl logs web) && -z $(vmctl logs copy-500) ]]
	[[ $(field copy-1000 exits) -eq 0 && $(field copy-1 memory) -eq $(field web memory) ]]
	vmctl stop --all
	vmctl ps -a --json | jq -e 'length == 1001 and all(.[]; .reason == "exited" and .status == 0)'
}

@test "a named snapshot stays when its VM has gone" {
	vmctl image load --name hello build/guests/hello
	vmctl run -d --name web hello
	vm snapshot web warm
	expect_status 0
	id=$output
	vmctl image inspect warm | jq -e --argjson id "$id" \
		'.[0] | .id == $id and .parent == ($id - 1) and .users == 1 and .label == "hello"'
	[[ $(field web image_id) -eq $id ]]
	vmctl rm -f web
	[[ $(vmctl images -q | grep -c .) -ge 1 ]]
	vmctl spawn -q -n 3 warm
	vm snapshot -- "$(vmctl ps -q | head -n 1)" warm
	expect_status 1
	[[ $stderr == *"another image is called warm" ]]
	vmctl snapshot -f "$(vmctl ps -q | head -n 1)" warm
	[[ $(vmctl image inspect warm | jq '.[0].id') -gt $id ]]
	vmctl stop --all
	vmctl ps -a --json | jq -e 'all(.[]; .status == 0)'
}

@test "an ended VM, a missing one and bad words are refused" {
	vmctl run -d --name web hello
	vmctl kill web
	vm snapshot web warm
	expect_status 1
	expect_error "vmctl: snapshot: web: the VM has ended"
	vm clone web
	expect_status 1
	vm clone nobody
	expect_status 1
	vm snapshot web 1
	expect_status 2
	vm clone
	expect_status 2
	expect_error "vmctl: clone: which VM?"
	[[ $(vmctl images -q | wc -l) -eq 1 ]]
}

@test "a paused one stays paused, its clones run" {
	vmctl run -d --name web hello
	vmctl pause web
	vmctl clone --name copy web
	[[ $(field web state) == paused && $(field copy state) != paused ]]
	vmctl stop copy
	vmctl unpause web
	vmctl stop web
	[[ $(field web status) -eq 0 && $(field copy status) -eq 0 ]]
}

@test "ids that nobody was told of are VMs that nobody has" {
	vmctl run -d --name web hello
	run bash -c 'vmctl clone -q -n 5 web >/dev/full'
	[[ $status -eq 125 && $(vmctl ps -a -q | wc -l) -eq 1 ]]
	run bash -c 'vmctl snapshot web warm >/dev/full'
	[[ $status -eq 125 ]]
	vm image inspect warm
	expect_status 1
}

@test "a guest says when it is ready, and a thousand clones answer their own calls" {
	vm run --snapshot-when-ready warm primes -- 7
	expect_status 0
	[[ $output == "7 is prime" ]]
	vm run warm -- 7919 7920
	expect_status 0
	[[ $output == "7919 is prime"$'\n'"7920 is not prime" ]]
	vm run warm
	[[ $status -eq 0 && -z $output ]]
	vm run warm -- million
	expect_status 1
	vmctl spawn -q -n 1000 --name call warm -- 999983
	vmctl wait --all >/dev/null
	[[ $(vmctl logs --all | grep -c "999983 is prime") -eq 1000 ]]
}

@test "clones draw random numbers of their own, in the hook and after it" {
	vm run --snapshot-when-ready warm build/tests/test-guest -- ready
	expect_status 0
	first=$output
	[[ $first =~ ^before\ [0-9a-f]{16}$ ]]
	vmctl spawn -q -n 1000 --name one warm -- some words
	vmctl wait --all >/dev/null
	vmctl logs --all >"$BATS_TEST_TMPDIR/logs"
	[[ $(grep -c "arguments 2: some words" "$BATS_TEST_TMPDIR/logs") -eq 1000 ]]
	[[ $(grep -c "before" "$BATS_TEST_TMPDIR/logs") -eq 0 ]]
	[[ $({ echo "$first" && cat "$BATS_TEST_TMPDIR/logs"; } | grep -oE "(before|hook|next) [0-9a-f]{16}" |
		cut -d" " -f2 | sort -u | wc -l) -eq 2001 ]]
}

@test "in the background the image is there before run has ended" {
	vm run -d --name web --snapshot-when-ready warm primes
	expect_status 0
	vmctl image inspect warm | jq -e '.[0].label == "primes"'
	vmctl wait web
	[[ $(vmctl inspect web | jq '.[0].ready') -eq 1 ]]
	vm run -d --snapshot-when-ready warm primes
	expect_status 125
	vm run -d --name early --snapshot-when-ready never noop
	expect_status 125
	[[ $stderr == *"noop: ended before it was ready: there is no image never" ]]
	[[ $(field early state) == ended ]]
	vm run --snapshot-when-ready never noop
	expect_status 125
	vm image inspect never
	expect_status 1
}

@test "who waits for a VM that ends is told" {
	vmctl create --name web noop
	vmctl snapshot --when-ready web warm 2>"$BATS_TEST_TMPDIR/said" &
	waits=$!
	eventually is_awaited web
	vmctl start web
	status=0
	wait $waits || status=$?
	[[ $status -eq 1 ]]
	[[ $(<"$BATS_TEST_TMPDIR/said") == "vmctl: snapshot: web: the VM has ended, and was not ready before" ]]
}
