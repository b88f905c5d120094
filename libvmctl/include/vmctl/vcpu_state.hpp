// SPDX-License-Identifier: Apache-2.0
/// \file
/// The registers of a VM's CPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace vmctl
{

/// A general register, as an index into vcpu_state::regs: the order of their encoding.
enum general_register : std::size_t {
	rax = 0,
	rcx = 1,
	rdx = 2,
	rbx = 3,
	rsp = 4,
	rbp = 5,
	rsi = 6,
	rdi = 7,
	r8 = 8,
	r9 = 9,
	r10 = 10,
	r11 = 11,
	r12 = 12,
	r13 = 13,
	r14 = 14,
	r15 = 15,
};

/// A segment register with its hidden part.
struct segment_register {
	std::uint64_t base = 0;       ///< linear address
	std::uint32_t limit = 0;      ///< in bytes, after expansion by granularity
	std::uint16_t selector = 0;   ///< visible part
	std::uint16_t attributes = 0; ///< bits 0-3 type, 4 S, 5-6 DPL, 7 P (0: unusable), 8 AVL, 9 L, 10 D/B, 11 G

	bool operator==(const segment_register &) const = default;
};

/// GDTR or IDTR.
struct table_register {
	std::uint64_t base = 0;  ///< linear address
	std::uint32_t limit = 0; ///< in bytes, less 1

	bool operator==(const table_register &) const = default;
};

/// What a guest is in the middle of.
enum class vcpu_waiting : std::uint32_t {
	nothing = 0,   ///< it runs
	hypercall = 1, ///< the wait hypercall, until an event or its deadline
	hlt = 2,       ///< HLT, until an event
};

/// A vCPU: with its memory all there is to a VM. Addresses must be canonical (48 bits), the bases of ds and es below 4
/// GiB, code segments 64-bit ones.
struct vcpu_state {
	bool exception_pending = false;       ///< exception is raised at the next entry
	bool interrupt_shadow = false;        ///< the next instruction follows STI or MOV SS
	bool tsc_is_now = false;              ///< vm::set_state(): tsc_offset is what the guest's TSC shows now
	std::array<std::uint64_t, 16> regs{}; ///< by general_register
	std::uint64_t rip = 0;                ///< next instruction
	std::uint64_t rflags = 0;             ///< bit 1 set; VM, and all reserved bits clear
	std::uint64_t cr0 = 0;                ///< PE, NE, ET and PG set; MP, EM, TS, WP and AM free
	std::uint64_t cr2 = 0;                ///< page-fault address
	std::uint64_t cr3 = 0;                ///< guest-physical address of the top page table
	std::uint64_t cr4 = 0;                ///< PAE, MCE set; DE, PSE, TSD, PGE, OSFXSR, OSXMMEXCPT free
	std::uint64_t efer = 0;               ///< LME and LMA set; SCE and NXE free
	segment_register cs{}, ss{}, ds{}, es{}, fs{}, gs{}, ldtr{}, tr{}; ///< segment registers
	table_register gdtr{}, idtr{};                                     ///< table registers
	std::uint64_t star = 0;                                            ///< MSR
	std::uint64_t lstar = 0;                                           ///< MSR
	std::uint64_t cstar = 0;                                           ///< MSR
	std::uint64_t sfmask = 0;                                          ///< MSR
	std::uint64_t kernel_gs_base = 0;                                  ///< MSR
	std::uint64_t sysenter_cs = 0;                                     ///< MSR
	std::uint64_t sysenter_esp = 0;                                    ///< MSR
	std::uint64_t sysenter_eip = 0;                                    ///< MSR
	std::uint32_t exception = 0;                  ///< vector: 0 to 19 except 2, 3, 4, 9, 15 and 18
	std::uint32_t error_code = 0;                 ///< of exception, where the vector has one
	std::uint64_t tsc_offset = 0;                 ///< guest TSC = host TSC (times the ratio of tsc_khz) + this
	std::uint64_t events = 0;                     ///< pending events, a bit for each port
	std::uint64_t deadline = 0;                   ///< of what it waits in: guest clock in ns; all ones: none
	vcpu_waiting waiting = vcpu_waiting::nothing; ///< what it waits in
	std::uint64_t generation = 0;                 ///< on the device page: how many VMs it goes on from
	std::uint32_t clock_seq = 0;                  ///< on the device page: even; how often the clock was written
	std::uint32_t tsc_khz = 0;        ///< the guest's TSC, with module_info::tsc_scaling; 0: as the host's
	std::array<std::byte, 512> fpu{}; ///< an FXSAVE image; MXCSR has no reserved bit set

	bool operator==(const vcpu_state &) const = default;
};

} // namespace vmctl
