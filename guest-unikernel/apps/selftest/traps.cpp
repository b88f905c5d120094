// SPDX-License-Identifier: BSD-2-Clause
//
// Exceptions arrive, and what a guest may not do raises one.

#include "check.hpp"

#include <cstdint>
#include <mayfly/console.hpp>
#include <mayfly/fault.hpp>

namespace
{

using mayfly::catch_fault;
using mayfly::vector;

// What shall raise an exception, and which.
struct forbidden {
	const char *what;
	mayfly::vector vector;
	void (*run)();
};

void read_msr(std::uint32_t number)
{
	asm volatile("rdmsr" : : "c"(number) : "eax", "edx");
}

void write_msr(std::uint32_t number)
{
	asm volatile("wrmsr" : : "c"(number), "a"(0), "d"(0));
}

// clang-format off
constexpr forbidden list[] = {
	{"ud2 is #UD", vector::invalid_opcode, [] { asm volatile("ud2"); }},
	{"int3 is #BP", vector::breakpoint, [] { asm volatile("int3"); }},
	{"division by zero is #DE", vector::divide,
	 [] { asm volatile("div %%ecx" : : "a"(1), "c"(0), "d"(0)); }},
	{"a non-canonical address is #GP", vector::general_protection,
	 [] { asm volatile("movb (%0), %%al" : : "r"(1ull << 63) : "rax"); }},
	{"read of an unknown MSR is #GP", vector::general_protection, [] { read_msr(0xdead); }},
	{"write of an unknown MSR is #GP", vector::general_protection, [] { write_msr(0xdead); }},
	{"read of APIC_BASE is #GP", vector::general_protection, [] { read_msr(0x1b); }},
	{"read of VM_HSAVE_PA is #GP", vector::general_protection, [] { read_msr(0xc0010117); }},
	{"write of EFER is #GP", vector::general_protection, [] { write_msr(0xc0000080); }},
	{"write of PAT is #GP", vector::general_protection, [] { write_msr(0x277); }},
	// With another value: VT-x lets a write pass that changes nothing.
	{"change of CR0 is #GP", vector::general_protection,
	 [] { asm volatile("mov %%cr0, %%rax; xor $0x40000, %%eax; mov %%rax, %%cr0" : : : "rax"); }},
	{"change of CR4 is #GP", vector::general_protection,
	 [] { asm volatile("mov %%cr4, %%rax; xor $4, %%eax; mov %%rax, %%cr4" : : : "rax"); }},
	{"write of CR8 is #GP", vector::general_protection,
	 [] { asm volatile("xor %%eax, %%eax; mov %%rax, %%cr8" : : : "rax"); }},
	{"read of DR7 is #GP", vector::general_protection,
	 [] { asm volatile("mov %%dr7, %%rax" : : : "rax"); }},
	{"write of DR0 is #GP", vector::general_protection,
	 [] { asm volatile("xor %%eax, %%eax; mov %%rax, %%dr0" : : : "rax"); }},
	{"in is #GP", vector::general_protection, [] { asm volatile("inb $0x80, %%al" : : : "rax"); }},
	{"out is #GP", vector::general_protection, [] { asm volatile("outb %%al, $0x80" : :); }},
	{"xsetbv is #UD", vector::invalid_opcode,
	 [] { asm volatile("xsetbv" : : "a"(1), "c"(0), "d"(0)); }},
	{"xgetbv is #UD", vector::invalid_opcode, [] { asm volatile("xgetbv" : : "c"(0) : "rax", "rdx"); }},
	{"monitor is #UD", vector::invalid_opcode,
	 [] { asm volatile("monitor" : : "a"(0), "c"(0), "d"(0)); }},
	{"vmrun is #UD", vector::invalid_opcode, [] { asm volatile("vmrun" : : "a"(0)); }},
};
// clang-format on

constexpr std::uint64_t write_error = 2; // bit of a page fault's error code

void check_page_faults()
{
	const auto read = catch_fault([] { asm volatile("movb 8, %%al" : : : "rax"); });
	check(read && read->vector == vector::page_fault, "read of address 8 is #PF");
	check(read && read->address == 8 && (read->error_code & write_error) == 0, "it says where");

	const auto write = catch_fault([] { asm volatile("movb %%al, 0xff8" : :); });
	check(write && write->vector == vector::page_fault && write->address == 0xff8 &&
		      (write->error_code & write_error) != 0,
	      "write of address 0xff8 is #PF");

	const auto jump = catch_fault([] { asm volatile("xor %%eax, %%eax; call *%%rax" : : : "rax"); });
	check(jump && jump->vector == vector::page_fault && jump->rip == 0, "jump to null is #PF");
}

}

void check_traps()
{
	for (const auto &entry : list) {
		const auto fault = catch_fault(entry.run);
		check(fault && fault->vector == entry.vector, entry.what);
		if (fault && fault->vector != entry.vector)
			mayfly::print("     vector %u instead\n", static_cast<unsigned>(fault->vector));
	}
	check_page_faults();
	check(!catch_fault([] {}), "no fault without a reason");
}
