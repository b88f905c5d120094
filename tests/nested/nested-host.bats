#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What everybody relies on in nested-host. Each test is a boot, so each checks
# several things. None needs our module.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	nested=(scripts/nested-host --no-load --timeout 120)
}

@test "the command's status, output, folder and writes are as they should be" {
	mark=nested-host-was-here-$$
	# shellcheck disable=SC2016 # the nested shell expands it
	run "${nested[@]}" --memory 2G -- bash -c '
		echo "folder $PWD"; echo "module $MAYFLY_KO"
		test -t 1 || echo "no terminal"
		touch "$1" && test -e "$1" && echo "writable"
		sleep 1000 & # must not hold the machine up
		seq 400000; exit 42' bash "$mark"
	[ "$status" -eq 42 ]
	[[ $output == *"folder $PWD"*"module "*"/mayfly.ko"*"no terminal"*writable* ]]
	[ "$(grep -cE '^[0-9]+$' <<<"$output")" -eq 400000 ]
	[ ! -e "$mark" ]
}

@test "words of the command arrive as they were, results come back through --share" {
	# shellcheck disable=SC2016
	run "${nested[@]}" --share "$BATS_TEST_TMPDIR" -- bash -c \
		'printf "<%s>" "$@"; echo kept >"$MAYFLY_OUT/file"; exit 255' bash 'a b' '' '$HOME' "'"
	[ "$status" -eq 255 ]
	[[ $output == "<a b><><\$HOME><'>" ]]
	[ "$(<"$BATS_TEST_TMPDIR/file")" = kept ]
}

@test "a panic is status 125 and shows the kernel log" {
	# What the command prints last may not get out; the file it has made is there.
	# shellcheck disable=SC2016
	run "${nested[@]}" --share "$BATS_TEST_TMPDIR" -- bash -c '
		mkdir "$MAYFLY_OUT/before"; echo c >/proc/sysrq-trigger; sleep 60'
	[ "$status" -eq 125 ]
	[ -d "$BATS_TEST_TMPDIR/before" ]
	[[ $output == *"Kernel panic - not syncing: sysrq triggered crash"* ]]
}

@test "a kernel warning is status 125 though the command succeeded" {
	# As Linux 6 and 7 have it.
	for warning in 'WARNING: CPU: 0 PID: 1 at made up' 'WARNING: at made up, CPU#0: sh/1'; do
		run "${nested[@]}" -- bash -c "echo '<4>$warning' >/dev/kmsg"
		[ "$status" -eq 125 ]
		[[ $output == *"made up"* ]]
	done
}

@test "a hang is status 124 and shows where each CPU is" {
	local machine output status=0 log=$BATS_TEST_TMPDIR/log

	"${nested[@]}" -- bash -c 'echo hanging; sleep 1000' >"$log" 2>&1 &
	machine=$!
	# Not after some seconds: a machine that still boots has no symbols to show.
	until grep -q hanging "$log"; do
		kill -0 "$machine"
		sleep 0.1
	done
	kill -USR1 "$machine"
	wait "$machine" || status=$?
	[ "$status" -eq 124 ]
	output=$(<"$log")
	[[ $output == *"CPU#0"*RIP=*"CPU#1"*RIP=*"end of the CPUs"* ]]
	# Both CPUs get the NMI. The one that dies of it asks the other where it is, which cannot
	# answer if it is already about to die, too.
	[[ $output == *"NMI backtrace for cpu "[01]*+0x* ]]
}

@test "a machine that takes too long is status 124" {
	run "${nested[@]}" --timeout 20 -- sleep 1000
	[ "$status" -eq 124 ]
	[[ $output == *"gave up after"* ]]
}

@test "a CPU without SVM that uses 5-level paging, and one CPU that counts instructions" {
	run "${nested[@]}" --cpu-model EPYC,-svm,la57=on --icount -- bash -c '
		nproc; grep -cw svm /proc/cpuinfo; grep -cw la57 /proc/cpuinfo'
	[ "$status" -eq 0 ]
	[[ $output == $'1\n0\n1' ]]
}

@test "without SVM the module refuses to load, and vmctl says why" {
	run "${nested[@]}" --cpu-model EPYC,-svm -- bash -c '
		insmod "$MAYFLY_KO"; echo "insmod $?"
		dmesg | grep -o "mayfly: the CPU has neither.*"
		vmctl spawn; echo "vmctl $?"'
	[ "$status" -eq 0 ]
	[[ $output == *"insmod 1"* ]]
	[[ $output == *"mayfly: the CPU has neither SVM nor VT-x"* ]]
	[[ $output == *"vmctl: spawn: the CPU has neither SVM nor VT-x"* ]]
	[[ $output == *"vmctl 125"* ]]
}

@test "KVM's module loads inside" {
	run "${nested[@]}" -- bash -c 'modprobe kvm_amd && test -c /dev/kvm && test ! -e /dev/mayfly'
	[ "$status" -eq 0 ]
}

@test "a module that does not exist, unknown options and values are refused at once" {
	run scripts/nested-host --module /nonexistent.ko -- true
	[ "$status" -eq 2 ]
	run scripts/nested-host --frobnicate -- true
	[ "$status" -eq 2 ]
	run scripts/nested-host --cpu z80 -- true
	[ "$status" -eq 2 ]
	run scripts/nested-host --memory
	[ "$status" -eq 2 ]
}
