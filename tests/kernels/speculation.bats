#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What tests/static/speculation.bats shows, of the modules for other kernels: their macros
# are others, and from 7.x on some are ours.

load ../static/speculation

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	# shellcheck disable=SC2034 # for speculation.bash
	module=$BATS_TEST_TMPDIR/mayfly.ko
}

module_for()
{
	echo "build/kmod-$(<"build/kernel-$1/release")-debug/mayfly.ko"
}

@test "the modules for other kernels have every sequence" {
	for series in 6.12 trixie trixie-backports; do
		scripts/check-speculation "$(module_for "$series")" "$series"
	done
}

@test "on 6.12, what it writes in other words is missed when it is taken out" {
	each_is_missed "$(module_for 6.12)" 6.12 \
		"svm_buffers_cleared_last .altinstr_replacement - 1 ^verw" \
		"vmx_buffers_cleared_last .altinstr_replacement - 2 ^verw" \
		"divider_cleared          .altinstr_replacement - 1 ^div" \
		"branches_through_thunk   .text - 1 ^call.*=__x86_indirect_thunk_ ffd0"
}

@test "on 7.x, what is ours is missed when it is taken out" {
	each_is_missed "$(module_for trixie-backports)" trixie-backports \
		"svm_buffers_cleared_last .altinstr_replacement - 1 ^verw" \
		"svm_ibpb_at_exit         .text svm_enter 1 ^wrmsr" \
		"svm_ibpb_at_exit         .text svm_enter 1 ^mov.*0x49,%ecx" \
		"svm_returns_untrained    .altinstr_replacement - 1 ^call.*=entry_untrain_ret" \
		"barrier_between_owners   .text compat_forget_predictions 1 ^wrmsr" \
		"barrier_between_owners   .text svm_load 1 ^call.*=compat_forget_predictions"
}
