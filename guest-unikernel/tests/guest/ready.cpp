// SPDX-License-Identifier: BSD-2-Clause
//
// Being cloned: random numbers, the hook, arguments.

#include "trials.hpp"

#include <mayfly/console.hpp>
#include <mayfly/random.hpp>
#include <mayfly/ready.hpp>

namespace
{

std::uint64_t drawn_in_hook;

void on_new_generation()
{
	drawn_in_hook = mayfly::random_number();
}

}

// The first VM ends without a word but for what it has drawn.
void be_ready()
{
	mayfly::print("before %016lx\n", mayfly::random_number());
	mayfly::set_generation_hook(on_new_generation);

	const auto first = mayfly::generation();
	const auto arguments = mayfly::ready();
	if (mayfly::generation() == first)
		return;

	mayfly::print("hook %016lx\nnext %016lx\n", drawn_in_hook, mayfly::random_number());
	mayfly::print("arguments %lu:", arguments.size());
	for (const auto word : arguments)
		mayfly::print(" %s", word.data());
	mayfly::print("\n");
}
