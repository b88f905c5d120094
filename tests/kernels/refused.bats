#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Kernels from 7.x on let only KVM turn VT-x on.

@test "VT-x on a kernel that keeps it for KVM: refused when the module is loaded, in one sentence" {
	cd "$BATS_TEST_DIRNAME/../.." || return
	# shellcheck disable=SC2016 # the nested shell expands it
	run scripts/nested-host --cpu vmx --debug --no-load --kernel-series "$KERNEL_SERIES" -- bash -c '
		insmod "$MAYFLY_KO" || echo "insmod: $?"
		dmesg | grep -o "mayfly: this.*"
		lsmod | grep -c mayfly'
	echo "$output"
	[[ $output == *$'\ninsmod: 1\nmayfly: this kernel lets only KVM use VT-x; take Linux 6.12 or older, or a machine with SVM\n0' ]]
}
