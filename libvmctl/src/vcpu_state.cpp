// SPDX-License-Identifier: Apache-2.0
// The only place that has both shapes of a vCPU: what one of them gets, the other and
// the names below get too.
#include "vmctl/vcpu_state.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "convert.hpp"

namespace vmctl
{

static_assert(rax == MAYFLY_RAX && rcx == MAYFLY_RCX && rdx == MAYFLY_RDX && rbx == MAYFLY_RBX);
static_assert(rsp == MAYFLY_RSP && rbp == MAYFLY_RBP && rsi == MAYFLY_RSI && rdi == MAYFLY_RDI);

namespace
{

segment_register segment_of(const mayfly_segment_register &raw)
{
	return {.base = raw.base, .limit = raw.limit, .selector = raw.selector, .attributes = raw.attributes};
}

mayfly_segment_register raw_of(const segment_register &one)
{
	return {.base = one.base, .limit = one.limit, .selector = one.selector, .attributes = one.attributes};
}

table_register table_of(const mayfly_table_register &raw)
{
	return {.base = raw.base, .limit = raw.limit};
}

mayfly_table_register raw_of(const table_register &one)
{
	return {.base = one.base, .limit = one.limit, .reserved = 0};
}

} // namespace

static_assert(std::to_underlying(vcpu_waiting::nothing) == MAYFLY_WAITING_NOT);
static_assert(std::to_underlying(vcpu_waiting::hypercall) == MAYFLY_WAITING_CALL);
static_assert(std::to_underlying(vcpu_waiting::hlt) == MAYFLY_WAITING_HLT);

mayfly_state raw_vcpu::argument() const
{
	mayfly_state argument{};

	argument.registers = address_of(&registers);
	argument.registers_size = sizeof registers;
	argument.extended = address_of(fpu.data());
	argument.extended_size = sizeof fpu;
	return argument;
}

vcpu_state state_of(const raw_vcpu &all)
{
	const mayfly_vcpu_state &raw = all.registers;
	vcpu_state state;

	state.exception_pending = (raw.flags & MAYFLY_STATE_EXCEPTION) != 0;
	state.interrupt_shadow = (raw.flags & MAYFLY_STATE_SHADOW) != 0;
	std::ranges::copy(raw.regs, state.regs.begin());
	state.rip = raw.rip;
	state.rflags = raw.rflags;
	state.cr0 = raw.cr0;
	state.cr2 = raw.cr2;
	state.cr3 = raw.cr3;
	state.cr4 = raw.cr4;
	state.efer = raw.efer;
	state.cs = segment_of(raw.cs);
	state.ss = segment_of(raw.ss);
	state.ds = segment_of(raw.ds);
	state.es = segment_of(raw.es);
	state.fs = segment_of(raw.fs);
	state.gs = segment_of(raw.gs);
	state.ldtr = segment_of(raw.ldtr);
	state.tr = segment_of(raw.tr);
	state.gdtr = table_of(raw.gdtr);
	state.idtr = table_of(raw.idtr);
	state.star = raw.star;
	state.lstar = raw.lstar;
	state.cstar = raw.cstar;
	state.sfmask = raw.sfmask;
	state.kernel_gs_base = raw.kernel_gs_base;
	state.sysenter_cs = raw.sysenter_cs;
	state.sysenter_esp = raw.sysenter_esp;
	state.sysenter_eip = raw.sysenter_eip;
	state.exception = raw.exception;
	state.error_code = raw.error_code;
	state.tsc_offset = raw.tsc_offset;
	state.events = raw.events;
	state.deadline = raw.deadline;
	state.waiting = static_cast<vcpu_waiting>(raw.waiting);
	state.generation = raw.generation;
	state.clock_seq = raw.clock_seq;
	state.tsc_khz = raw.tsc_khz;
	state.fpu = all.fpu;
	return state;
}

raw_vcpu raw_of(const vcpu_state &state)
{
	raw_vcpu all;
	mayfly_vcpu_state &raw = all.registers;

	raw.flags = (state.exception_pending ? MAYFLY_STATE_EXCEPTION : 0u) |
		    (state.interrupt_shadow ? MAYFLY_STATE_SHADOW : 0u) | (state.tsc_is_now ? MAYFLY_STATE_TSC : 0u);
	std::ranges::copy(state.regs, raw.regs);
	raw.rip = state.rip;
	raw.rflags = state.rflags;
	raw.cr0 = state.cr0;
	raw.cr2 = state.cr2;
	raw.cr3 = state.cr3;
	raw.cr4 = state.cr4;
	raw.efer = state.efer;
	raw.cs = raw_of(state.cs);
	raw.ss = raw_of(state.ss);
	raw.ds = raw_of(state.ds);
	raw.es = raw_of(state.es);
	raw.fs = raw_of(state.fs);
	raw.gs = raw_of(state.gs);
	raw.ldtr = raw_of(state.ldtr);
	raw.tr = raw_of(state.tr);
	raw.gdtr = raw_of(state.gdtr);
	raw.idtr = raw_of(state.idtr);
	raw.star = state.star;
	raw.lstar = state.lstar;
	raw.cstar = state.cstar;
	raw.sfmask = state.sfmask;
	raw.kernel_gs_base = state.kernel_gs_base;
	raw.sysenter_cs = state.sysenter_cs;
	raw.sysenter_esp = state.sysenter_esp;
	raw.sysenter_eip = state.sysenter_eip;
	raw.exception = state.exception;
	raw.error_code = state.error_code;
	raw.tsc_offset = state.tsc_offset;
	raw.events = state.events;
	raw.deadline = state.deadline;
	raw.waiting = std::to_underlying(state.waiting);
	raw.generation = state.generation;
	raw.clock_seq = state.clock_seq;
	raw.tsc_khz = state.tsc_khz;
	all.fpu = state.fpu;
	return all;
}

std::string_view register_at(std::uint64_t offset)
{
// clang-format off
#define REGISTER(name) {offsetof(mayfly_vcpu_state, name), #name}
	static constexpr std::pair<std::size_t, std::string_view> registers[] = {
		REGISTER(rip), REGISTER(rflags), REGISTER(cr0), REGISTER(cr3), REGISTER(cr4), REGISTER(efer),
		REGISTER(cs), REGISTER(ss), REGISTER(ds), REGISTER(es), REGISTER(fs), REGISTER(gs),
		REGISTER(ldtr), REGISTER(tr), REGISTER(gdtr), REGISTER(idtr), REGISTER(lstar), REGISTER(cstar),
		REGISTER(sfmask), REGISTER(kernel_gs_base), REGISTER(sysenter_cs), REGISTER(sysenter_esp),
		REGISTER(sysenter_eip), REGISTER(exception), REGISTER(waiting), REGISTER(deadline),
	};
#undef REGISTER
	// clang-format on

	for (const auto &[at, name] : registers)
		if (at == offset)
			return name;
	return {};
}

} // namespace vmctl
