// SPDX-License-Identifier: BSD-2-Clause
//
// From the entry in boot/start.S to main() and out again.

#include "start.hpp"

#include <mayfly/console.hpp>
#include <mayfly/hypercall.hpp>
#include <mayfly/vm.hpp>
#include <stdlib.h>

using init_function = void (*)();

extern "C" {
extern const init_function init_array_start[], init_array_end[];
extern const char thread_storage[], thread_storage_end[];
extern const char *thread_pointer; // first word of what FS points at: its address

// What the application defines, under a name that C++ lets us call.
int application_main(int argc, char **argv) asm("main");
}

namespace
{

// The arguments are strings, one behind the other, each with its NUL; argv is
// built on the stack so that it costs no page of its own.
char **next_string(char **argv, char *&string)
{
	*argv = string;
	while (*string++ != 0)
		;
	return argv + 1;
}

// Where compiled code looks for thread storage: below FS. A program without any does
// not write here.
void set_thread_pointer()
{
	constexpr std::uint32_t fs_base = 0xc0000100;
	const auto address = reinterpret_cast<std::uint64_t>(&thread_pointer);

	if (thread_storage_end - thread_storage == 0)
		return;
	thread_pointer = reinterpret_cast<const char *>(address);
	asm volatile("wrmsr" : : "c"(fs_base), "a"(address), "d"(address >> 32) : "memory");
}

}

void run_application(const mayfly_device_page *page)
{
	if (page->magic != MAYFLY_DEVICE_MAGIC) {
		mayfly::print("start: this is not Mayfly's device page\n");
		mayfly::end_vm(bad_device_page);
	}

	set_thread_pointer();
	for (auto *function = init_array_start; function != init_array_end; ++function)
		(*function)();

	const auto argc = page->argc + 1;
	auto **argv = static_cast<char **>(__builtin_alloca((argc + 1) * sizeof(char *)));
	auto **end = argv;
	*end++ = const_cast<char *>(page->name);
	auto *string = reinterpret_cast<char *>(mayfly::window + page->args_gpa);
	while (end != argv + argc)
		end = next_string(end, string);
	*end = nullptr;

	exit(application_main(static_cast<int>(argc), argv));
}
