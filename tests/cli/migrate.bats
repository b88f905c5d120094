#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# VMs that move: here from one vmctl to another, over links that are good or bad. Between two
# machines: tests/nested/moved.bats.

# shellcheck disable=SC2154 # stderr is set by bats
load with_module

good='vmctl restore --incoming -'

teardown()
{
	pkill -KILL -x vmctl || true
	vmctl rm -f --all 2>/dev/null || true
	vmctl image rm --all
	eventually holds_nothing
}

@test "a VM goes on where it was moved to, and is gone here" {
	counting web
	vm migrate --via "$good" --name there web
	expect_status 0
	[[ $output == "$(field there id)" ]]
	[[ $stderr == "web is $output on the other side; it stood still for "* ]]
	[[ $(vmctl ps -a --json | jq -r '.[].name') == there ]]
	eventually has_lines there 2
}

@test "arguments, memory and an automatic name" {
	vmctl spawn -q -m 32M primes -- 20 30 >/dev/null
	vmctl wait '*'
	wanted=$(vmctl logs '*')
	vmctl rm '*'
	id=$(vmctl create -q -m 32M primes -- 20 30)
	vm migrate --via "$good" "$id"
	expect_status 0
	[[ $(field "$output" state) == ready && $(field "$output" name) == "vm$output" ]]
	[[ $(field "$output" memory) -eq $((32 << 20)) ]]
	# It was not started, so it is not there either.
	vmctl start "$output"
	vmctl wait "$output"
	[[ $(vmctl logs "$output") == "$wanted" ]]
}

@test "what was paused does not run there before it is started" {
	counting web
	vmctl pause web
	vm migrate --via "$good" --name there web
	expect_status 0
	[[ $(field there state) == ready && $(field there exits) -eq 0 ]]
	vmctl start there
	eventually has_lines there 1
}

@test "the receiver's refusal leaves it here" {
	counting web
	vm migrate --via "$good" web
	expect_status 1
	[[ $stderr == *"vmctl: restore: a VM named web exists already"* ]]
	[[ $stderr == *"vmctl: migrate: web: the other side could not start it; it stays here"* ]]
	before=$(vmctl logs web | wc -l)
	eventually has_lines web $((before + 2))
	[[ $(vmctl ps -a -q | wc -l) -eq 1 ]]
}

@test "no vmctl at the other end" {
	vmctl spawn -q --name web >/dev/null
	refused()
	{
		vm migrate --timeout "${3:-60}" --via "$1" web
		expect_status 1
		[[ $stderr == *"vmctl: migrate: web: $2; it stays here" ]]
		eventually has_state web parked
	}
	refused true "the other side has ended"
	refused "echo Welcome; echo to this host" "the other side has ended"
	refused "exec sleep 1000" "the other side did not answer in time" 0.5
	refused "cat /dev/zero" "the other side is no vmctl"
	refused "yes" "the other side is no vmctl, or one of another version"
	refused "no-such-program" "the other side has ended"
	refused "echo mayfly waiting 1; yes" "the other side is no vmctl"
	refused "echo mayfly waiting 1; exec sleep 1000" "the other side did not answer in time" 0.5
	# It drips, but says nothing.
	refused "echo mayfly waiting 1; while printf x; do sleep 0.1; done" "the other side did not answer in time" 1
	vm migrate --via "echo mayfly waiting 1" web
	expect_status 1
	[[ $stderr == "vmctl: migrate: web: the other side "*"; it stays here" ]]
	# A shell that greets first is none of these.
	vm migrate --via "echo Welcome; $good" --name there web
	expect_status 0
}

# The receiver's last word is $2 when web is followed by $1, or by the end. Its complaint is in
# $said.
hears()
{
	cd "$BATS_TEST_TMPDIR" || return
	rm -f words
	mkfifo words
	vmctl restore --incoming - <words >heard 2>why 3>&- &
	exec {to}>words
	vmctl save web - >&"$to"
	eventually grep -qx arrived heard
	[[ -z $1 ]] || echo "$1" >&"$to"
	exec {to}>&-
	wait $! || true
	said=$(<why)
	echo "$said"
	[[ $(tail -n 1 heard) == "$2" ]]
}

@test "a sender that is none" {
	vm restore --incoming - </dev/null
	expect_status 126
	run --separate-stderr bash -c "vmctl save web - | $good" # there is no web
	expect_status 126
	counting web
	hears "make it so" failed
	[[ $said == "vmctl: restore: the sender is no vmctl" ]]
	hears "start a b" failed
	hears "start web" failed
	[[ $said == "vmctl: restore: a VM named web exists already" ]]
	hears "" arrived
	[[ $said == "vmctl: restore: the sender gave up: nothing is made" ]]
	[[ $(vmctl ps -a -q | wc -l) -eq 1 ]]
}

@test "mistakes of the command line" {
	vm migrate web
	expect_status 2
	vm migrate
	expect_status 2
	vm migrate --via true web host
	expect_status 2
	vm migrate --timeout never web host
	expect_status 2
	vm migrate --via true nobody
	expect_status 1
	vm restore --incoming file
	expect_status 2
	vm restore --incoming -n 3 -
	expect_status 2
	counting web
	vm migrate --name 1 --via true web
	expect_status 2
}

# What became of web: `here`, `there`, `paused` (here) or, if both, `paused there`.
whereabouts()
{
	vmctl ps -a --json | jq -r 'map(select(.state != "ended")) | sort_by(.id) |
		map(if .name == "there" then "there" elif .state == "paused" then "paused" else "here" end) |
		join(" ")'
}

is_at()
{
	[[ $(whereabouts) == "$1" ]]
}

# Moves web over a link that does $2 at stage $1; then it is at $3.
moves()
{
	local said=$BATS_TEST_TMPDIR/said

	echo "stage $1: $2"
	vmctl spawn -q --name web >/dev/null
	eventually has_state web parked
	vmctl migrate --name there --via "tests/cli/bad_link $1 '$2'" web 2>"$said" || true
	cat "$said"
	eventually is_at "$3"
	if [[ $3 == paused* && $2 != *migrate* ]]; then
		grep -q "web: whether it runs on the other side is not known: .*; here it is paused" "$said"
	fi
	vmctl rm -f --all
}

# At each stage before the sender's last word: $1 happens, also after so many bytes of the image.
early()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	moves greeting "$1" here
	for bytes in "${@:2}"; do
		moves "image:$bytes" "$1" here
	done
	moves arrived "$1" here
}

@test "a link that is cut: never two, never none" {
	early true 0 5 16 100 1000
	# What was sent may have arrived, and the answer that is lost may have been either.
	moves order:0 true paused
	moves order:3 true paused
	moves order:1000 true paused
	moves answer true "paused there"
	moves nothing true there
}

@test "a receiver that is killed: never two, never none" {
	kill='pkill -KILL -f "[v]mctl restore --incoming"; sleep 0.1'
	early "$kill" 100
	moves order:0 "$kill" paused
	moves answer "$kill" "paused there"
}

@test "a sender that is killed: never two, never none" {
	kill='pkill -KILL -f "[v]mctl migrate --name"; sleep 0.1'
	early "$kill" 100
	moves order:0 "$kill" paused
	moves answer "$kill" "paused there"
}

@test "an answer without sense is none" {
	answers()
	{
		vmctl spawn -q --name web >/dev/null
		eventually has_state web parked
		vm migrate --via "echo mayfly waiting 1; head -c 17 >/dev/null; echo arrived; $1" web
		show
	}
	for answer in running "running x" "runningx 5" "perhaps 5" ""; do
		answers "echo $answer; cat >/dev/null"
		[[ $status -eq 125 && $stderr == *"the other side has answered nonsense; here it is paused"* ]]
		[[ $(field web state) == paused ]]
		vmctl rm -f web
	done
	# Who goes on to talk is not listened to.
	answers "echo running 5; exec yes"
	[[ $status -eq 0 && $output == 5 ]]
}

@test "one that is on its way is not taken again" {
	counting web
	mkfifo "$BATS_TEST_TMPDIR/hold"
	in_background vmctl migrate --via "echo mayfly waiting 1; cat $BATS_TEST_TMPDIR/hold" web
	eventually is_at paused
	vm migrate --via "$good" --name there web
	expect_status 1
	[[ $stderr == "vmctl: migrate: web: somebody else is saving or moving it; it stays here"* ]]
	vm save --stop web "$BATS_TEST_TMPDIR/web"
	expect_status 1
	# Another pause outlives it.
	vmctl pause web
	echo >"$BATS_TEST_TMPDIR/hold"
	status_of_background
	[[ $status -eq 1 ]]
	is_at paused
}

# Of many records.
@test "a large one, over a link that is cut or stands still" {
	vmctl run --snapshot-when-ready large primes -- 7919 >/dev/null
	vmctl create -q --name web large >/dev/null
	(($(vmctl save web - | wc -c) > 40000))
	vm migrate --via 'echo mayfly waiting 1; head -c 30000 >/dev/null' web
	expect_status 1
	[[ $stderr == "vmctl: migrate: web: the other side "*"; it stays here" ]]
	vm migrate --timeout 0.5 --via 'echo mayfly waiting 1; head -c 100 >/dev/null; exec sleep 1000' web
	expect_status 1
	[[ $stderr == "vmctl: migrate: web: the other side did not answer in time; it stays here" ]]
	[[ $(field web state) == ready ]]
	vm migrate --via "$good" --name there web
	expect_status 0
	vmctl start there
	vmctl wait there
	vmctl image rm large
}

# As a terminal sends it, to both sides.
@test "Ctrl-C waits for the last answer" {
	mkfifo "$BATS_TEST_TMPDIR/hold"
	counting web
	in_background setsid vmctl migrate --name there \
		--via "tests/cli/bad_link answer 'touch $BATS_TEST_TMPDIR/asked; cat $BATS_TEST_TMPDIR/hold >/dev/null'" web
	cd "$BATS_TEST_DIRNAME/../.." || return
	eventually test -e "$BATS_TEST_TMPDIR/asked"
	eventually is_at "paused there"
	kill -INT -- "-$pid"
	echo >"$BATS_TEST_TMPDIR/hold"
	status_of_background
	# It still says what it does not know.
	[[ $status -eq 130 && $stderr == *"web: whether it runs on the other side is not known"* ]]
}

@test "Ctrl-C leaves it here" {
	counting web
	in_background vmctl migrate --via 'echo mayfly waiting 1; exec sleep 1000' web
	eventually is_at paused
	kill -INT "$pid"
	status_of_background
	[[ $status -eq 130 ]]
	is_at here
}
