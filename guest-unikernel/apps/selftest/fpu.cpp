// SPDX-License-Identifier: BSD-2-Clause
//
// The x87 and SSE registers survive parking, while other VMs use the CPU.

#include "check.hpp"

#include <cstdint>
#include <cstring>
#include <iterator>
#include <mayfly/clock.hpp>
#include <mayfly/hypercall.hpp>
#include <mayfly/vm.hpp>

namespace
{

// What FXSAVE writes.
struct alignas(16) fpu_state {
	std::uint16_t control, status;
	std::uint8_t tags, reserved;
	std::uint16_t opcode;
	std::uint64_t instruction, data; // only kept after an x87 exception
	std::uint32_t mxcsr, mxcsr_mask;
	struct {
		std::uint64_t mantissa;
		std::uint16_t exponent;
		std::uint16_t unused[3]; // FXSAVE may leave these as they are
	} st[8];
	std::uint64_t xmm[16][2];
	std::uint64_t unused[12];
};

static_assert(sizeof(fpu_state) == 512);

// A pattern that no other VM, and no other round, has.
fpu_state pattern(std::uint64_t round)
{
	auto next = mayfly::vm_id() * 0x9e3779b97f4a7c15 + round;
	fpu_state state = {};

	state.control = 0x0c7f; // all masked, round towards zero
	state.tags = 0xff;
	state.mxcsr = 0x1f80 | 0x2000 | 1; // round down, invalid has happened
	for (auto &st : state.st)
		st = {.mantissa = ++next | 1ull << 63, .exponent = 0x3fff, .unused = {}};
	for (auto &xmm : state.xmm) {
		xmm[0] = ++next;
		xmm[1] = ~next;
	}
	return state;
}

// Parks with @before in the registers; returns what was there afterwards.
fpu_state park(const fpu_state &before, std::uint64_t deadline)
{
	fpu_state own, after;

	// One statement: nothing the compiler does may come in between.
	asm volatile("fxsave %[own]\n\t"
		     "fxrstor %[before]\n\t"
		     "call %c[stub]\n\t"
		     "fxsave %[after]\n\t"
		     "fxrstor %[own]"
		     : [own] "=m"(own), [after] "=m"(after)
		     : [before] "m"(before), [stub] "i"(mayfly::window + MAYFLY_GPA_STUB), "a"(MAYFLY_HC_WAIT),
		       "D"(deadline)
		     : "memory", "cc");
	return after;
}

bool same_x87(const fpu_state &a, const fpu_state &b)
{
	bool same = a.control == b.control && a.status == b.status && a.tags == b.tags;

	for (std::size_t i = 0; i < std::size(a.st); ++i)
		same &= a.st[i].mantissa == b.st[i].mantissa && a.st[i].exponent == b.st[i].exponent;
	return same;
}

}

void check_fpu()
{
	bool x87 = true, xmm = true, mxcsr = true;

	for (std::uint64_t round = 0; round < 8; ++round) {
		const auto before = pattern(round);
		const auto after = park(before, mayfly::now_ns() + 1'000'000);
		x87 &= same_x87(before, after);
		xmm &= memcmp(before.xmm, after.xmm, sizeof before.xmm) == 0;
		mxcsr &= before.mxcsr == after.mxcsr;
	}
	check(x87, "x87 registers are kept across parking");
	check(xmm, "xmm registers are kept across parking");
	check(mxcsr, "mxcsr is kept across parking");
}
