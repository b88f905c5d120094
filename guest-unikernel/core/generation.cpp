// SPDX-License-Identifier: BSD-2-Clause
//
// Noticing that this VM goes on from another one. Only programs with a hook for that are
// linked with this file.

#include <mayfly/events.hpp>
#include <mayfly/ready.hpp>
#include <utility>

namespace
{

mayfly::generation_hook the_hook;
std::uint64_t known; // the generation that it was set in, or was called for

}

mayfly::generation_hook mayfly::set_generation_hook(generation_hook hook)
{
	if (the_hook == nullptr)
		known = generation();
	return std::exchange(the_hook, hook);
}

void mayfly::notice_generation()
{
	if (the_hook == nullptr)
		return;
	// A clone that begins in the midst of the hook needs one of its own.
	for (auto now = generation(); now != known; now = generation()) {
		known = now;
		the_hook();
	}
}
