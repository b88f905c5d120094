// SPDX-License-Identifier: BSD-2-Clause
//
// CPU exceptions: caught if the application asked for that, else reported on the
// console and the end of the VM. Uses no SSE register: the application's stay.

#include "traps.hpp"

#include <mayfly/console.hpp>
#include <mayfly/fault.hpp>
#include <mayfly/hypercall.hpp>

extern "C" {
extern std::uint64_t fault_recovery; // stack pointer in call_catching(), or 0
void caught_fault();
}

namespace
{

constexpr char names[32][4] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",  "#TS", "#NP", "#SS", "#GP", "#PF", "15",
	"#MF", "#AC", "#MC", "#XM", "#VE", "#CP", "22",  "23",  "24",  "25", "26",  "27",  "#HV", "#VC", "#SX", "31",
};

constexpr int status_base = 128; // exit status of a fault: this plus its vector

mayfly::fault last;
bool reporting;

std::uint64_t fault_address()
{
	std::uint64_t address;
	asm volatile("mov %%cr2, %0" : "=r"(address));
	return address;
}

[[noreturn]] void report(const mayfly::fault &fault)
{
	const auto vector = static_cast<int>(fault.vector);

	// A fault while reporting one: no words, but still a status.
	if (!reporting) {
		reporting = true;
		mayfly::print("fault: %s at rip %#lx address %#lx error %#lx\n", names[vector], fault.rip,
			      fault.address, fault.error_code);
	}
	mayfly::end_vm(status_base + vector);
}

}

void handle_trap(trap_frame &frame)
{
	const auto vector = static_cast<mayfly::vector>(frame.vector);

	last = {
		.vector = vector,
		.rip = frame.rip,
		.error_code = frame.error_code,
		.address = vector == mayfly::vector::page_fault ? fault_address() : 0,
	};
	if (fault_recovery == 0)
		report(last);
	frame.rip = reinterpret_cast<std::uint64_t>(&caught_fault);
	frame.rsp = fault_recovery;
}

const mayfly::fault &mayfly::last_fault()
{
	return last;
}
