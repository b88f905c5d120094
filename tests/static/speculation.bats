#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The sequences against speculation are in the module as it was built, and the
# check that says so misses each one that is taken out.

load speculation

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	release=$(<build/kernel-6.1/release)
	module=$BATS_TEST_TMPDIR/mayfly.ko
}

@test "the module has every sequence, and so has the one with debug checks" {
	for suffix in '' -debug; do
		scripts/check-speculation "build/kmod-$release$suffix/mayfly.ko"
	done
}

# Check, section, function, which one, instruction, what to put there if not NOPs.
mutations=(
	"registers_before_verw      .text svm_enter 1 mov.*0x78.%rdi.,%r15"
	"registers_before_verw      .text vmx_enter 1 mov.*0x38.%rdi.,%rdi"
	"svm_buffers_cleared_last   .text svm_enter 1 ^verw"
	"svm_buffers_cleared_last   .text svm_enter 1 ^clgi"
	"vmx_buffers_cleared_last   .text vmx_enter 1 ^verw"
	"svm_interrupts             .text svm_enter 1 ^sti$"
	"svm_interrupts             .text svm_enter 1 ^cli$"
	"svm_interrupts             .text svm_enter 1 ^stgi"
	"svm_interrupts             .text svm_enter 1 ^verw 909090909090fb"
	"registers_cleared          .text svm_enter 1 ^xor.*%ecx"
	"registers_cleared          .text svm_enter 1 ^xor.*%edx"
	"registers_cleared          .text svm_enter 1 ^xor.*%ebx"
	"registers_cleared          .text svm_enter 1 ^xor.*%ebp"
	"registers_cleared          .text svm_enter 1 ^xor.*%esi"
	"registers_cleared          .text svm_enter 1 ^xor.*%edi"
	"registers_cleared          .text svm_enter 1 ^xor.*%r8d"
	"registers_cleared          .text svm_enter 1 ^xor.*%r11d"
	"registers_cleared          .text svm_enter 1 ^xor.*%r15d"
	"registers_cleared          .text svm_enter 1 ^xor.*%eax"
	"registers_cleared          .text vmx_exit  1 ^xor.*%eax"
	"registers_cleared          .text vmx_exit  1 ^xor.*%ebx"
	"registers_cleared          .text vmx_exit  1 ^xor.*%r12d"
	"registers_cleared          .text vmx_enter 1 ^xor.*%r14d"
	"svm_return_stack_filled    .altinstr_replacement - 1 ^mov.*0x10,%rax"
	"svm_return_stack_filled    .altinstr_replacement - 1 ^dec"
	"svm_return_stack_filled    .altinstr_replacement - 1 ^lfence"
	"vmx_return_stack_filled    .altinstr_replacement - 1 ^mov.*0x10,%rcx"
	"vmx_return_stack_filled    .altinstr_replacement - 4 ^lfence"
	"svm_returns_untrained      .altinstr_replacement - 1 ^call.*=entry_untrain_ret"
	"svm_returns_untrained      .altinstr_replacement - 1 ^call.*=srso_alias_untrain_ret"
	"svm_returns_untrained      .altinstr_replacement - 1 ^call.*=entry_ibpb"
	"svm_ibpb_at_exit           .altinstr_replacement - 2 ^call.*=entry_ibpb"
	"branch_history_cleared     .altinstr_replacement - 1 ^call.*=clear_bhb_loop"
	"vmx_ibrs_written           .text vmx_exit  1 ^wrmsr"
	"vmx_ibrs_written           .text vmx_enter 1 ^wrmsr"
	"vmx_ibrs_written           .text vmx_enter 1 ^and.*0xfffffffe"
	"vmx_ibrs_written           .text vmx_exit  1 =x86_spec_ctrl_current"
	"nothing_predicted_before   .text svm_enter 1 ^cli$ c3"
	"nothing_predicted_before   .text svm_enter 1 ^mov.*%r15,0x78 ff1000"
	"nothing_predicted_before   .text vmx_exit  1 ^xor.*%edi ffd0"
	"barrier_between_owners     .altinstr_replacement - 1 ^wrmsr"
	"barrier_between_owners     .altinstr_replacement - 2 ^wrmsr"
	"barrier_between_owners     .text svm_load    1 =x86_pred_cmd"
	"barrier_between_owners     .text vmx_load_vcpu 1 ^mov.*0x49,%ecx"
	"barrier_before_user_space  .text svm_run 1 =x86_ibpb_exit_to_user"
	"barrier_before_user_space  .text vmx_run 1 =x86_ibpb_exit_to_user"
	"divider_cleared            .text svm_run 1 ^call.*=amd_clear_divider"
	"x87_pointers_overwritten   .text run_load_fpu 1 ^fildl"
	"x87_pointers_overwritten   .text run_load_fpu 1 ^emms"
	"upper_halves_cleared       .text run_load_fpu 1 ^vzeroupper"
	"cache_flushed              .text vmx_run 1 ^call.*=vmx_l1d_flush"
	"cache_flushed              .text vmx_l1d_flush 1 ^wrmsr"
	"cache_flushed              .text vmx_l1d_flush 1 ^mov.*0x10b,%ecx"
	"returns_through_thunk      .text svm_enter 1 =__x86_return_thunk c3"
	"branches_through_thunk     .text - 1 ^call.*=__x86_indirect_thunk_ ffd0"
	"branches_through_thunk     .text - 1 ^jmp.*=__x86_return_thunk ffe0"
)

@test "each sequence that is taken out is missed" {
	each_is_missed "build/kmod-$release/mayfly.ko" 6.1 "${mutations[@]}"
}

@test "calls and returns that the kernel is not told of are missed" {
	for table in return retpoline; do
		objcopy --remove-section ".${table}_sites" "build/kmod-$release/mayfly.ko" "$module"
		must_miss "$([ $table = return ] && echo returns || echo branches)_through_thunk"
	done
}

@test "code that can be written is missed" {
	objcopy --set-section-flags .text=alloc,load,code,contents "build/kmod-$release/mayfly.ko" "$module"
	must_miss nothing_writable_and_executable
}

@test "a module that could map its users' memory is missed" {
	objcopy --redefine-sym copy_page=get_user_pages_fast "build/kmod-$release/mayfly.ko" "$module"
	must_miss no_user_memory_mapped
}

@test "a module that is none is refused" {
	run scripts/check-speculation "$module"
	[ "$status" -eq 2 ]
}
