// SPDX-License-Identifier: Apache-2.0
#include "vmctl/exit_reason.hpp"

#include "uapi.hpp"

namespace vmctl
{

static_assert(std::to_underlying(exit_reason::interrupt) == MAYFLY_EXIT_INTERRUPT);
static_assert(std::to_underlying(exit_reason::hypercall) == MAYFLY_EXIT_HYPERCALL);
static_assert(std::to_underlying(exit_reason::cpuid) == MAYFLY_EXIT_CPUID);
static_assert(std::to_underlying(exit_reason::hlt) == MAYFLY_EXIT_HLT);
static_assert(std::to_underlying(exit_reason::msr) == MAYFLY_EXIT_MSR);
static_assert(std::to_underlying(exit_reason::memory) == MAYFLY_EXIT_MEMORY);
static_assert(std::to_underlying(exit_reason::denied) == MAYFLY_EXIT_DENIED);
static_assert(std::to_underlying(exit_reason::exception) == MAYFLY_EXIT_EXCEPTION);
static_assert(std::to_underlying(exit_reason::shutdown) == MAYFLY_EXIT_SHUTDOWN);
static_assert(std::to_underlying(exit_reason::invalid) == MAYFLY_EXIT_INVALID);
static_assert(all_exit_reasons.size() == MAYFLY_EXIT_REASONS);

std::string_view to_string(exit_reason reason)
{
	switch (reason) {
	case exit_reason::interrupt:
		return "interrupt";
	case exit_reason::hypercall:
		return "hypercall";
	case exit_reason::cpuid:
		return "cpuid";
	case exit_reason::hlt:
		return "hlt";
	case exit_reason::msr:
		return "msr";
	case exit_reason::memory:
		return "memory";
	case exit_reason::denied:
		return "denied";
	case exit_reason::exception:
		return "exception";
	case exit_reason::shutdown:
		return "shutdown";
	case exit_reason::invalid:
		return "invalid";
	}
	return "?";
}

} // namespace vmctl
