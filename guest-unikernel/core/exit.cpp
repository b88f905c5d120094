// SPDX-License-Identifier: BSD-2-Clause
//
// The ways to end: all of them lead to a status on the host.

#include "exit.hpp"

#include <mayfly/console.hpp>
#include <mayfly/hypercall.hpp>
#include <stdlib.h>

namespace
{

using exit_function = void (*)();

constexpr int aborted = 134; // what a shell shows for SIGABRT

}

extern "C" {

extern const exit_function fini_array_start[], fini_array_end[];

void exit(int status) noexcept
{
	if (run_exit_calls != nullptr)
		run_exit_calls();
	for (auto *function = fini_array_end; function != fini_array_start;)
		(*--function)();
	mayfly::end_vm(status);
}

void _Exit(int status) noexcept
{
	mayfly::end_vm(status);
}

void abort() noexcept
{
	mayfly::print("aborted\n");
	mayfly::end_vm(aborted);
}

// What <assert.h> calls.
[[noreturn]] void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function) noexcept
{
	mayfly::print("%s:%u: %s: assertion failed: %s\n", file, line, function, assertion);
	mayfly::end_vm(aborted);
}

// A call of a pure virtual function: the compiler puts it in such vtable slots.
[[noreturn]] void __cxa_pure_virtual()
{
	abort();
}
}
