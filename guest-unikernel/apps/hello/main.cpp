// SPDX-License-Identifier: BSD-2-Clause
//
// hello [WORD…]: greets, with the id and name of its VM, and everyone it is told
// to. Then it waits, at no cost, until it is asked to stop.

#include <mayfly/console.hpp>
#include <mayfly/events.hpp>
#include <mayfly/vm.hpp>

int main(int argc, char **argv)
{
	mayfly::print("Hello from Mayfly VM %lu (%s)\n", mayfly::vm_id(), argv[0]);
	for (int i = 1; i < argc; ++i)
		mayfly::print("Hello, %s!\n", argv[i]);

	while (!mayfly::wait_forever().stop())
		;
	return 0;
}
