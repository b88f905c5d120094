#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Living with kvm_intel, and the end of a machine with VT-x in use: what
# tests/host and host-boots.bats show on SVM, in one boot of Bochs.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	nested=(scripts/nested-host --cpu vmx --kernel-series "${KERNEL_SERIES:-6.1}" --debug --no-load --timeout 590 --cmdline crashkernel=32M)
}

@test "VT-x: KVM and Mayfly get EBUSY from each other; kvm_intel goes and comes; suspend; a crash kernel starts" {
	# The slot for crashes goes to kvm_intel and comes back before the panic.
	# shellcheck disable=SC2016 # the nested shell expands it
	run "${nested[@]}" -- bash -c '
		bats --tap -f "VM first: EBUSY|first: KVM loads|goes and comes while our|^suspend" tests/host
		insmod "$MAYFLY_KO" && vmctl spawn -q -n 20 daytime | wc -l
		modprobe kvm_intel && modprobe -r kvm_intel && echo "kvm_intel was here"
		build/tests/host/next_kernel --crash
		taskset -c 0 sh -c "echo c >/proc/sysrq-trigger"'
	echo "$output"
	[ "$status" -eq 125 ] # by the panic in its log
	[[ $output == $'1..4\nok 1 '*$'\nok 2 '*$'\nok 3 '*$'\nok 4 suspend'* ]]
	[[ $output == *$'\n20\nkvm_intel was here\nnext kernel: SVM is off\nnext kernel: the other CPU starts\n'* ]]
	[[ $output != *"WARNING: "* && $output == *"Kernel panic - not syncing: sysrq triggered crash"* ]]
}

# VT-x goes by an IPI, which may come while a vCPU is loaded or saved: that is all the
# workers do here.
@test "VT-x: reboot(2) while VMs come and go ends the machine with nothing in its log" {
	# shellcheck disable=SC2016 # the nested shell expands it
	run "${nested[@]}" -- bash -c '
		insmod "$MAYFLY_KO"
		for i in 1 2 3; do
			while vmctl run noop; do :; done 2>/dev/null &
		done
		until (($(vmctl info --json | jq ".[0].spawned") > 50)); do :; done
		/run/busybox reboot -f
		sleep 60'
	echo "$output"
	[ "$status" -eq 125 ] # it never ends
	[[ $output == *"reboot: machine restart"* ]]
	[[ ! $output =~ WARNING:|BUG:|Oops|"invalid opcode" ]]
}
