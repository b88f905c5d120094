#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# VMs that are saved on one vendor's CPU go on, on the other's, with another TSC. Each test is
# a boot of each machine.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	nested=(scripts/nested-host --timeout 300 --share "$BATS_TEST_TMPDIR")
}

# In the machine: a VM that counts, saved when it has counted. "steady" is said to count ticks.
# shellcheck disable=SC2016
saves='set -e; vmctl image load --same-tsc --name steady build/guests/daytime
	vmctl spawn -q --name web daytime >/dev/null
	vmctl spawn -q --name steady steady >/dev/null
	lines() { vmctl logs "$1" | wc -l; }
	until (($(lines web) >= 2 && $(lines steady) >= 2)); do :; done
	vmctl save web "$MAYFLY_OUT/web.mayfly"
	vmctl save steady "$MAYFLY_OUT/steady.mayfly"
	vmctl info --json | jq ".[0].tsc_khz" >"$MAYFLY_OUT/khz"'

# What goes on, and how: as many as were there, and each with its clock.
# shellcheck disable=SC2016
restores='vmctl restore -q -n 10 --name copy "$MAYFLY_OUT/web.mayfly" >/dev/null
	lines() { vmctl logs "$1" | wc -l; }
	until (($(lines copy-1) >= 2 && $(lines copy-10) >= 2)); do :; done
	image=$(vmctl ps --json copy-1 | jq ".[0].image_id")
	vmctl image inspect "$image" | jq -r ".[0] | .label, .cpu_vendor"
	# It prints Unix time, which it adds up from its own clock.
	printed=$(date -d "$(vmctl logs copy-1 | tail -n 1)" +%s)
	is_near() { (($(date +%s) - $1 < 100 && $1 - $(date +%s) < 100)); }
	is_near "$printed" && echo "the time is right"
	if vmctl restore -q --name steady "$MAYFLY_OUT/steady.mayfly" >/dev/null; then
		until (($(lines steady) >= 4)); do :; done
		printed=$(date -d "$(vmctl logs steady | tail -n 1)" +%s)
		is_near "$printed" && echo "its time is right"
	fi
	vmctl stop --all; vmctl rm -f --all >/dev/null 2>&1; rmmod mayfly && echo "clean end"'

# From a vendor's CPU to that of the options that follow, where the guest still sees its own.
carried()
{
	"${nested[@]}" --debug --cpu "$1" -- bash -c "$saves"
	run "${nested[@]}" --debug "${@:3}" -- bash -c "$restores"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"daytime"$'\n'"$2"$'\n'"the time is right"*"clean end"* ]]
}

@test "from SVM to VT-x: the guest still sees AMD's; one that counts ticks sees them as fast" {
	carried svm AMD --cpu vmx --cpu-model corei7_skylake_x
	[[ $output == *"its time is right"* ]]
}

# The emulator cannot scale. When its CPU says that it could, the kernel's tracing tells how.
@test "from VT-x to SVM: the guest still sees Intel's; ticks are as fast where SVM can do it" {
	carried vmx Intel --cpu svm
	[[ $output =~ "its guest counts ticks of a TSC of "[0-9]+" kHz, but this host's has "[0-9]+" kHz" ]]
	# shellcheck disable=SC2016
	run "${nested[@]}" --cpu-model qemu64,x-force-features=on,+svm,+npt,+tsc-scale -- bash -c '
		tracing=/sys/kernel/tracing
		mount -t tracefs none $tracing 2>/dev/null
		echo "msr == 0xc0000104" >$tracing/events/msr/write_msr/filter
		echo 1 >$tracing/events/msr/write_msr/enable
		vmctl restore -q --name steady "$MAYFLY_OUT/steady.mayfly" >/dev/null
		khz=$(vmctl info --json | jq ".[0].tsc_khz")
		printf "c0000104, value %x\n" "$((($(<"$MAYFLY_OUT/khz") << 32) / khz))" >/tmp/ratio
		until grep -qFf /tmp/ratio $tracing/trace; do :; done
		vmctl kill --all; vmctl rm --all >/dev/null; rmmod mayfly
		# Each CPU had 1.0 first, and has it again.
		grep -o "value .*" $tracing/trace | sed "1,2d" | tail -n 1'
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = "value 100000000" ]
}
