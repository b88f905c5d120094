// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

/// What boot/traps.S leaves on the stack: the general registers, the vector, and
/// what the CPU has pushed.
struct trap_frame {
	std::uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	std::uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	std::uint64_t vector, error_code;
	std::uint64_t rip, cs, rflags, rsp, ss;
};

static_assert(sizeof(trap_frame) == 22 * 8, "boot/traps.S pushes these");

/// Called for every exception; what it returns to is in @p frame.
extern "C" void handle_trap(trap_frame &frame);
