#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stats: what VMs use, in numbers that are known beforehand.

# shellcheck disable=SC2154 # stderr is set by bats
load with_module

# An image that executes CPUID and an unknown hypercall so many times, then
# exits (one more hypercall): counting_guest CPUIDS HYPERCALLS
counting_guest()
{
	local base=$BATS_TEST_TMPDIR/counting
	cat >"$base.S" <<END
	.globl _start
_start:	lea	window + 0x200000, %rsp
	mov	\$$1, %ebp
1:	xor	%eax, %eax
	cpuid
	dec	%ebp
	jnz	1b
	mov	\$$2, %ebp
2:	mov	\$1000, %eax
	call	window + 0x1000
	dec	%ebp
	jnz	2b
	xor	%edi, %edi
	xor	%eax, %eax
	call	window + 0x1000
END
	cat >"$base.lds" <<'END'
window = 0xffffffff80000000;
SECTIONS
{
	.text window + 0x100000 : AT(0x100000) { *(.text) }
	/DISCARD/ : { *(.note*) }
}
END
	as -o "$base.o" "$base.S"
	ld -T "$base.lds" -e _start -o "$base" "$base.o"
	echo "$base"
}

# One sample of VMs as JSON.
sampled()
{
	vmctl stats --no-stream --json "$@"
}

# A VM's counter of stats: counter NAME FIELD
counter()
{
	sampled -i 0.1 "$1" | jq ".[0].$2"
}

has_parked_often()
{
	(($(counter "$1" parked) >= 2))
}

# True when a line of $output fits awk's CONDITION.
some_line()
{
	show
	awk "$1 { fits = 1 } END { exit !fits }" <<<"$output"
}

@test "exits by reason: as many as the guest has made" {
	vmctl spawn -q --name counted "$(counting_guest 1000 50)"
	vmctl wait counted
	sampled counted | jq -e '.[0] | .state == "ended" and .exits_by_reason.cpuid == 1000
		and .exits_by_reason.hypercall == 51 and .exits_by_reason.denied == 0
		and .exits == (.exits_by_reason | add)'
	vm stats --no-stream --exits counted
	expect_status 0
	[[ $(awk '{ print $7 }' <<<"${lines[0]} ${lines[1]}") == CPUID ]]
	[[ $(awk '$2 == "counted" { print $6, $7 }' <<<"$output") == "51 1000" ]]
}

@test "exits by reason: totals of all, and how many a second" {
	image=$(counting_guest 300 7)
	vmctl spawn -q -n 3 --name counted "$image"
	vmctl wait 'counted-*'
	vmctl spawn -q --name spinner selftest -- spin
	vm stats --no-stream --exits counted-1 counted-2 counted-3
	expect_status 0
	[[ $(awk '$1 == "TOTAL" { print $5, $6 }' <<<"$output") == "24 900" ]]
	[[ $(awk '$1 == "PER" { print $6, $7 }' <<<"$output") == "0.0 0.0" ]]
	# The host's own interrupts end guest mode again and again.
	eventually has_state spinner running
	vm stats --no-stream --exits spinner
	some_line '$1 == "PER" && $3 > 0 && $4 > 0 && $4 <= $3'
}

@test "CPU %: much for what spins, nothing for what waits, is paused or has ended" {
	vmctl spawn -q --name spinner selftest -- spin
	vmctl spawn -q --name sleeper
	vmctl spawn -q --name held selftest -- spin
	vmctl spawn -q --name "done" noop
	eventually has_state spinner running
	eventually has_state sleeper parked
	vmctl pause held
	vmctl wait "done"
	sampled -a | tee "$BATS_TEST_TMPDIR/sample" | jq -c '.[] | [.name, .state, .cpu_percent, .cpu_ns]'
	jq -e 'map({(.name): .cpu_percent}) | add
		| .spinner > 50 and .spinner < 150 and .sleeper < 5 and .held == 0 and .done == 0' "$BATS_TEST_TMPDIR/sample"
	vm stats --no-stream
	expect_status 0
	some_line '$2 == "spinner" && $3 == "running" && $4 > 50'
	some_line '$2 == "sleeper" && $3 == "parked" && $4 < 5'
	run ! grep -qw "done" <<<"$output"
	[[ $stderr == "" ]]
}

@test "the table says what ps and inspect say" {
	vmctl spawn -q --name web -m 4M
	eventually has_state web parked
	vm stats --no-stream web
	expect_status 0
	[[ ${lines[0]} == *ID*NAME*STATE*"CPU %"*"CPU TIME"*"MEM / LIMIT"*EXITS*EXITS/s*PARKS ]]
	[[ ${#lines[@]} -eq 2 ]]
	read -r id name state cpu _ _ held unit _ limit _ exits _ parks <<<"${lines[1]}"
	[[ $id == $(field web id) && $name == web && $state == parked && $cpu == 0.0 ]]
	[[ $held == "$(field web private_bytes | awk '{ printf "%.1f", $1 / 1024 }')" && $unit == KiB && $limit == 4.0 ]]
	vmctl inspect web | jq -e --argjson exits "$exits" --argjson parks "$parks" \
		'.[0] | .exits == $exits and .parked == $parks and $parks == 1'
}

@test "PARKS: a clock parks once a second" {
	vmctl spawn -q --name clock daytime -- 100
	eventually has_parked_often clock
	sampled -i 3 clock | jq -e '.[0] | .exits_per_second > 0.5 and .exits_per_second < 50'
}

@test "--json has what inspect has, and the paces" {
	vmctl spawn -q --name web
	eventually has_state web parked
	[[ $(sampled web | jq '.[0] | del(.cpu_percent, .exits_per_second)') == "$(vmctl inspect web | jq '.[0]')" ]]
	sampled web | jq -e '.[0] | .cpu_percent == 0 and .exits_per_second == 0'
}

@test "nothing there: titles, an empty array, no VM of this name" {
	vm stats --no-stream
	expect_status 0
	[[ ${#lines[@]} -eq 1 ]]
	[[ $(sampled) == "[]" ]]
	vm stats --no-stream nothing
	expect_status 1
	expect_error "vmctl: stats: nothing: no such VM"
	vmctl spawn -q --name web
	vm stats --no-stream nothing web
	expect_status 1
	[[ ${#lines[@]} -eq 2 ]]
}

@test "a stream: a sample an interval, until Ctrl-C" {
	vmctl spawn -q --name spinner selftest -- spin
	eventually has_state spinner running
	began=$(date +%s%N)
	in_background vmctl stats -i 0.5 --json
	eventually logged 4 cpu_percent
	samples=$(grep -c cpu_percent "$log")
	took=$((($(date +%s%N) - began) / 1000000))
	kill -INT "$pid"
	status_of_background
	[[ $status -eq 130 ]]
	jq -se 'all(.[0].name == "spinner" and .[0].cpu_percent > 50)
		and (map(.[0].cpu_ns) | . == (sort | unique))' <<<"$output"
	((took >= 500 * (samples - 1)))
	in_background vmctl stats -i 0.5
	eventually logged 2 '^ID '
	kill -INT "$pid"
	status_of_background
	[[ $status -eq 130 ]]
	run ! grep -q $'\e' <<<"$output"
}

@test "a stream ends with the VM that was named" {
	vmctl spawn -q --name spinner selftest -- spin
	eventually has_state spinner running
	timeout 60 vmctl stats -i 0.2 spinner >"$BATS_TEST_TMPDIR/log" 3>&- &
	watcher=$!
	eventually grep -q running "$BATS_TEST_TMPDIR/log"
	vmctl kill spinner
	wait "$watcher"
	[[ $(tail -n 1 "$BATS_TEST_TMPDIR/log") == *ended* ]]
}

@test "a stream bears VMs that come and go" {
	for way in --exits --json --all; do
		timeout --preserve-status -s TERM 60 vmctl stats -i 0.1 "$way" \
			>"$BATS_TEST_TMPDIR/log" 2>"$BATS_TEST_TMPDIR/errors" 3>&- &
		watcher=$!
		for ((round = 0; round < 8; round++)); do
			vmctl spawn -q -n 100 --name "round$round" >/dev/null
			vmctl rm -f --all 2>/dev/null
		done
		vmctl spawn -q --name last
		eventually grep -qw last "$BATS_TEST_TMPDIR/log"
		kill -TERM "$watcher"
		status=0
		wait "$watcher" || status=$?
		cat "$BATS_TEST_TMPDIR/errors"
		[[ $status -eq 143 && ! -s $BATS_TEST_TMPDIR/errors ]]
		vmctl rm -f --all
	done
}

@test "a stream that nobody can read ends" {
	vmctl spawn -q --name web
	run timeout 60 bash -c 'vmctl stats -i 0.1 >/dev/full'
	[[ $status -eq 125 && $output == "vmctl: stats: writing the output: No space left on device" ]]
	run timeout 60 bash -c 'vmctl stats -i 0.1 | head -n 3; echo "${PIPESTATUS[0]}"'
	[[ ${lines[-1]} -eq 141 ]]
}

@test "users see only their own" {
	chmod 666 /dev/mayfly
	install -m 644 "$BATS_TEST_DIRNAME/../../build/guests/hello" /run/hello
	vmctl spawn -q --name web
	as_nobody vmctl spawn -q --name web /run/hello
	[[ $(as_nobody vmctl stats --no-stream --json | jq length) -eq 1 ]]
	[[ $(sampled | jq length) -eq 2 ]]
	as_nobody vmctl rm -f --all
	chmod 600 /dev/mayfly
}

@test "on a terminal: drawn over itself, until Ctrl-C" {
	command -v script >/dev/null || skip "script is not installed"
	vmctl spawn -q -n 2 --name web
	on_terminal_in_background vmctl stats -i 0.3
	eventually logged 3 $'\e\[H'
	press '\x03'
	status_of_background
	[[ $status -eq 130 && $(grep -c $'\e\[2J' <<<"$output") -eq 1 ]]
	[[ $output == *TOTAL*"2 VMs"* ]]
}

@test "on a terminal: a screenful of a thousand, the busiest first, with few calls" {
	command -v script >/dev/null || skip "script is not installed"
	vmctl spawn -q -n 1000 --name web >/dev/null
	vmctl spawn -q --name spinner selftest -- spin
	eventually has_state spinner running
	run on_terminal vmctl stats --no-stream
	echo "$output"
	[[ ${#lines[@]} -eq 23 && ${lines[1]} == *spinner* && ${lines[22]} == "… 981 more, less busy "* ]]
	some_line '$1 == "TOTAL" && $2 == 1001 && $4 > 50'

	command -v strace >/dev/null || skip "strace is not installed"
	on_terminal strace -f -e trace=ioctl -o "$BATS_TEST_TMPDIR/calls" vmctl stats --no-stream
	# INFO, LIST twice, OPEN and STAT of twenty.
	calls=$(grep -c 0xbe "$BATS_TEST_TMPDIR/calls")
	echo "$calls calls"
	((calls > 20 && calls <= 43))
}
