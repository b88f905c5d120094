#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What happens to the host and takes a boot to see: few CPUs, and the end of the
# machine with VMs alive. Each test is a boot or two.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	unchecked=(scripts/nested-host --kernel-series "${KERNEL_SERIES:-6.1}" --memory 1G --timeout 120)
	nested=("${unchecked[@]}" --debug)
}

# In the machine: VMs that wake each second, for ever, and wake indeed.
# shellcheck disable=SC2016
crowd='vmctl spawn -q -n 100 daytime >/dev/null
	parked() { vmctl info --json | jq ".[0].parked"; }
	before=$(parked); tries=0
	until (($(parked) >= before + 100)); do
		((++tries < 300)) || { echo "the VMs do not wake"; exit 1; }
	done'

# shellcheck disable=SC2016
clean_end='vmctl ps -q | wc -l; vmctl rm -f --all >/dev/null 2>&1 && rmmod mayfly && echo "clean end"'

runs_and_ends_clean()
{
	run "${nested[@]}" "$@" -- bash -c "$crowd; nproc; $clean_end"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "one CPU: VMs run and the module goes" {
	runs_and_ends_clean --smp 1
	[[ $output == $'1\n100\nclean end' ]]
}

@test "two CPUs: VMs run and the module goes" {
	runs_and_ends_clean --smp 2
	[[ $output == $'2\n100\nclean end' ]]
}

@test "nosmp: VMs run and the module goes" {
	runs_and_ends_clean --smp 2 --cmdline nosmp
	[[ $output == $'1\n100\nclean end' ]]
}

@test "maxcpus=1, then the other CPU comes while VMs run: it is taken for them" {
	run "${nested[@]}" --cmdline maxcpus=1 -- bash -c "$crowd; nproc
		echo 1 >/sys/devices/system/cpu/cpu1/online; nproc
		taskset -c 1 vmctl run noop && echo 'runs on the new one'
		$crowd; $clean_end"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == $'1\n2\nruns on the new one\n200\nclean end' ]]
}

# Rule 39: a host whose TSC cannot be trusted says so, to its users and to guests.
@test "an unstable TSC: vmctl tells, and VMs keep time" {
	run "${nested[@]}" --cmdline tsc=unstable -- bash -c '
		vmctl info --json | jq ".[0].clock_stable"
		vmctl run daytime -- 2 | wc -l'
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == $'false\n2' ]]
}

# The machine ends by $1 with VMs alive, boots again and runs a VM. What the first boot
# prints last may not get out; what it has made is there.
boots_again_after()
{
	# shellcheck disable=SC2016
	run "${nested[@]}" --reboot --share "$BATS_TEST_TMPDIR" -- bash -c '
		if mkdir "$MAYFLY_OUT/booted"; then
			'"$crowd; mkdir \"\$MAYFLY_OUT/crowded\"; $1"'
			sleep 60 # until that has taken effect
			exit 1
		fi 2>/dev/null
		[[ -d $MAYFLY_OUT/crowded ]] && vmctl run noop && echo "second boot"'
	echo "$output"
	[[ $output == 'second boot'* ]]
}

@test "reboot(2) with VMs alive: the machine boots again" {
	boots_again_after '/run/busybox reboot -f'
	[ "$status" -eq 0 ]
}

@test "an emergency reboot (sysrq b) with VMs alive: the machine boots again" {
	boots_again_after 'echo b >/proc/sysrq-trigger'
	[ "$status" -eq 0 ]
}

@test "a panic with VMs alive: the machine boots again" {
	boots_again_after 'echo c >/proc/sysrq-trigger'
	[ "$status" -eq 125 ] # by the panic in its log
	[[ $output == *"Kernel panic - not syncing: sysrq triggered crash"* && $output != *WARNING:* ]]
}

@test "kexec with VMs alive: the next kernel starts, finds SVM off and can start CPUs" {
	run "${nested[@]}" -- bash -c "$crowd; build/tests/host/next_kernel"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == $'next kernel: SVM is off\nnext kernel: the other CPU starts' ]]
}

# On the first CPU: INIT would send the first one back to the firmware.
crash='build/tests/host/next_kernel --crash && taskset -c 0 sh -c "echo c >/proc/sysrq-trigger"'

@test "a panic with VMs alive: the crash kernel starts, finds SVM off and can start CPUs" {
	run "${nested[@]}" --cmdline crashkernel=32M -- bash -c "$crowd; $crash"
	echo "$output"
	[ "$status" -eq 125 ] # by the panic in its log
	[[ $output == $'next kernel: SVM is off\nnext kernel: the other CPU starts'* && $output != *WARNING:* ]]
}

# The emulator has no such MSR and no counters. Its CPU says it had, and the kernel's
# tracing tells what the module does; its checks would miss what it has written. From 7.x on
# only KVM can tell perf.
@test "each CPU is taken with its TSC ratio reset and perf told of guests, and given back" {
	# shellcheck disable=SC2016
	run "${unchecked[@]}" --cpu-model qemu64,x-force-features=on,+svm,+npt,+tsc-scale -- bash -c '
		tracing=/sys/kernel/tracing
		mount -t tracefs none $tracing 2>/dev/null
		echo "msr == 0xc0000104" >$tracing/events/msr/write_msr/filter
		echo 1 >$tracing/events/msr/write_msr/enable
		echo amd_pmu_enable_virt amd_pmu_disable_virt >$tracing/set_ftrace_filter
		echo function >$tracing/current_tracer
		vmctl run noop && rmmod mayfly
		sed -n "s/.*\[00\([0-9]\)\][^:]*: \([^<]*[^ <]\).*/\1 \2/p" $tracing/trace | sort'
	echo "$output"
	[ "$status" -eq 0 ]
	expected=''
	for cpu in 0 1; do
		[[ ${KERNEL_SERIES:-} == trixie-backports ]] ||
			expected+="$cpu amd_pmu_disable_virt"$'\n'"$cpu amd_pmu_enable_virt"$'\n'
		expected+="$cpu write_msr: c0000104, value 100000000"$'\n'
		expected+="$cpu write_msr: c0000104, value 100000000"$'\n'
	done
	[[ $output == "${expected%$'\n'}" ]]
}
