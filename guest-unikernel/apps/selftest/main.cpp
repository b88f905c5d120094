// SPDX-License-Identifier: BSD-2-Clause
//
// selftest [args WORD… | LAST]: checks from inside what Mayfly promises a VM. One
// line a check, `SUCCESS` if all were good; the exit status is the number of
// those that were not. `args` shows the words as they came. LAST is done at the
// very end and is the end of the VM, in a way that the host has to see:
//
//	poke-device-page, poke-text, poke-hole   bad-access
//	run-data                                 bad-access
//	null-read, null-jump                     reported #PF, status 142
//	stack-overflow                           bad-access
//	triple-fault                             triple-fault
//	abort                                    status 134
//	spin, spin-cli                           never: until it is killed

#include "check.hpp"

#include <mayfly/console.hpp>
#include <mayfly/memory.hpp>
#include <mayfly/vm.hpp>
#include <stdlib.h>
#include <string_view>

namespace
{

constexpr int usage_error = 200; // more than there are checks

int failures;

volatile char *volatile_at(std::uint64_t address)
{
	return reinterpret_cast<volatile char *>(address);
}

void poke(const volatile void *target)
{
	*const_cast<volatile char *>(static_cast<const volatile char *>(target)) = 1;
}

void null_jump()
{
	asm volatile("xor %%eax, %%eax; call *%%rax" : : : "rax", "memory");
}

// `ret`, among data that may not be executed: an image's data segment is not.
constinit unsigned char code_in_data[] = {0xc3};

void run_data()
{
	asm volatile("call *%0" : : "r"(code_in_data) : "memory");
}

[[gnu::noinline]] unsigned long stack_overflow(unsigned long depth)
{
	volatile unsigned long kept[64] = {depth};
	return depth == ~0ul ? 0 : stack_overflow(depth + 1) + kept[0];
}

void triple_fault()
{
	static constexpr struct [[gnu::packed]] {
		std::uint16_t limit;
		std::uint64_t base;
	} no_table = {};
	asm volatile("lidt %0; ud2" : : "m"(no_table));
}

struct ending {
	std::string_view name;
	void (*run)();
};

constexpr ending endings[] = {
	{"poke-device-page", [] { poke(&mayfly::device_page().reserved); }},
	{"poke-text", [] { poke(reinterpret_cast<const void *>(&check)); }},
	{"poke-hole", [] { poke(mayfly::at_gpa(mayfly::memory_bytes())); }},
	{"run-data", run_data},
	{"null-read", [] { (void)*volatile_at(0); }},
	{"null-jump", null_jump},
	{"stack-overflow", [] { stack_overflow(0); }},
	{"triple-fault", triple_fault},
	{"abort", [] { abort(); }},
	{"spin", [] { asm volatile("1: jmp 1b"); }},
	{"spin-cli", [] { asm volatile("cli; 1: jmp 1b"); }},
};

const ending *find_ending(std::string_view name)
{
	for (const auto &ending : endings)
		if (ending.name == name)
			return &ending;
	return nullptr;
}

}

void check(bool good, const char *what)
{
	mayfly::print("%s %s\n", good ? "ok" : "FAIL", what);
	failures += !good;
}

void check_equal(unsigned long actual, unsigned long expected, const char *what)
{
	check(actual == expected, what);
	if (actual != expected)
		mayfly::print("     %#lx instead of %#lx\n", actual, expected);
}

int main(int argc, char **argv)
{
	const ending *last = nullptr;

	if (argc > 1 && argv[1] == std::string_view("args")) {
		for (int i = 1; i < argc; ++i)
			mayfly::print("arg %d: <%s>\n", i, argv[i]);
	} else if (argc > 1) {
		last = find_ending(argv[1]);
		if (last == nullptr) {
			mayfly::print("selftest: cannot do %s\n", argv[1]);
			return usage_error;
		}
	}

	check(argv[argc] == nullptr && argv[0] == mayfly::vm_name(), "argv is as C has it");
	check_memory(); // first: before others write there
	check_device_page();
	check_time();
	check_cpuid();
	check_traps();
	check_hypercalls();
	check_fpu();
	if (failures == 0)
		mayfly::print("SUCCESS\n");

	if (last != nullptr) {
		last->run();
		check(false, "this line is never reached");
	}
	return failures;
}
