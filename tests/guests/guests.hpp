// SPDX-License-Identifier: BSD-2-Clause
//
// The tiny guests of guests.S, net_echo.S and hostile.S, as bytes: flat code, without relocations. Load it
// at guest-physical 0x100000, readable and executable, with the entry table that
// libvmctl makes (elf_image::entry_table()); start at its first byte, rip =
// guests::entry, with rdi = the device page. What each does is said there.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace guests
{

/// Where the code is loaded, and the virtual address of its first instruction.
inline constexpr std::uint64_t gpa = 0x100000;
inline constexpr std::uint64_t entry = 0xffffffff80100000;

/// The page that guests with a stack use, and the one where counters are.
inline constexpr std::uint64_t stack_gpa = 0x17f000;
inline constexpr std::uint64_t counter_gpa = 0x180000;

/// What stamp, stamp_wait, check_zero and park_stamped work on, unless r8 (first GPA) and r9
/// (pages, not 0) say otherwise at the start.
inline constexpr std::uint64_t range_gpa = 0x200000;
inline constexpr std::uint64_t range_pages = 16;

#define GUEST(name)                                                                                                    \
	extern "C" const std::byte guest_##name[], guest_##name##_end[];                                               \
	inline const std::span<const std::byte> name{guest_##name, guest_##name##_end};

// Ends, calls, waits.
GUEST(exit42)
GUEST(exit_argument)
GUEST(exit_id)
GUEST(hello)
GUEST(net_echo)
GUEST(console_flood)
GUEST(console_bad)
GUEST(unknown_hypercall)
GUEST(call_argument)
GUEST(notify)
GUEST(wait_forever)
GUEST(wait_deadline)
GUEST(wait_loop)
GUEST(wait_worst)
GUEST(hlt)
GUEST(cli_hlt)
GUEST(hypercall_bench)
GUEST(hypercall_loop)

// Without end.
GUEST(spin)
GUEST(spin_cli)
GUEST(count_forever)
GUEST(tsc_loop)
GUEST(cpuid_loop)
GUEST(fault_loop)

// Ended by what they do.
GUEST(triple_fault)
GUEST(bad_access)
GUEST(bad_access_far)
GUEST(null_read)
GUEST(write_text)
GUEST(poke_device)
GUEST(poke_stub)
GUEST(run_device)
GUEST(out_port)
GUEST(in_port)
GUEST(rdmsr_unknown)
GUEST(wrmsr_unknown)
GUEST(cr4_write)
GUEST(dr_read)
GUEST(vmrun_ud)
GUEST(bad_cr3)
GUEST(user_hypercall)
GUEST(user_syscall)
GUEST(user_syscall_rpl)

// Memory and registers.
GUEST(stamp)
GUEST(stamp_wait)
GUEST(check_zero)
GUEST(park_stamped)
GUEST(remember)
GUEST(twin)
GUEST(ready)
GUEST(ready_forever)
GUEST(discard_all)
GUEST(touch_all)
GUEST(wrap_around)
GUEST(touch_stride)
GUEST(touch_in_turns)
GUEST(touch_by_jumps)
GUEST(walk_run)
GUEST(push_pop)
GUEST(registers_park)
GUEST(xmm_park)

// What no guest may do.
GUEST(own_system_calls)
GUEST(msr_walk)
GUEST(port_walk)
GUEST(cpuid_walk)
GUEST(refused_instructions)
GUEST(cpu_number)
GUEST(icebp)
GUEST(step_loop)
GUEST(prefixed_cpuid)
GUEST(cpuid_at_the_end)
GUEST(two_code_sizes)
GUEST(wait_hardly)

#undef GUEST

}
