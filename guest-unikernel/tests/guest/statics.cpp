// SPDX-License-Identifier: BSD-2-Clause
//
// Objects are destroyed at the end, the last one made first, however many there are.

#include "trials.hpp"

#include <mayfly/console.hpp>
#include <stdlib.h>
#include <utility>

namespace
{

constexpr int many = 300;

int made;
int misplaced;

struct counted {
	int number = made++;

	~counted()
	{
		misplaced += number != --made;
		if (number == 0)
			mayfly::print("%d of %d left, %d in the wrong order\n", made, many, misplaced);
	}
};

template <int> void make_local()
{
	static const counted object;
}

template <int... numbers> void make_locals(std::integer_sequence<int, numbers...>)
{
	(make_local<numbers>(), ...);
}

struct global {
	bool used = false;

	~global()
	{
		if (used)
			mayfly::print("global\n");
	}
};

global object;

}

void destroy_statics()
{
	object.used = true;
	make_locals(std::make_integer_sequence<int, many>());
	for (int i = 0; i < many; ++i)
		if (atexit([] { --made; }) == 0)
			++made;
}
