// SPDX-License-Identifier: BSD-2-Clause
//
// What shall be called at the end: destructors of static objects, and functions given
// to atexit(). Only programs that have any are linked with this file.

#include "exit.hpp"

#include <cstddef>
#include <mayfly/console.hpp>
#include <stdlib.h>

namespace
{

struct exit_call {
	void (*function)(void *);
	void *argument;
};

// Calls to make, the last one first. The first few of them cost no heap.
class exit_calls
{
public:
	bool add(exit_call call);
	void run();

private:
	static constexpr std::size_t per_block = 16;

	struct block {
		exit_call calls[per_block];
		block *older;
	};

	block newest_;
	std::size_t used_; // of the newest block; older ones are full
};

// The newest block stays where it is: what it holds moves when it is full.
bool exit_calls::add(exit_call call)
{
	if (used_ == per_block) {
		auto *full = static_cast<block *>(malloc(sizeof(block)));
		if (full == nullptr)
			return false;
		*full = newest_;
		newest_.older = full;
		used_ = 0;
	}
	newest_.calls[used_++] = call;
	return true;
}

// A call may add others.
void exit_calls::run()
{
	for (;;) {
		while (used_ != 0) {
			const auto call = newest_.calls[--used_];
			call.function(call.argument);
		}
		if (newest_.older == nullptr)
			return;
		newest_ = *newest_.older;
		used_ = per_block;
	}
}

constinit exit_calls of_statics;

void call_plain(void *function)
{
	reinterpret_cast<void (*)()>(function)();
}

}

void run_exit_calls()
{
	of_statics.run();
}

extern "C" {

int atexit(void (*function)()) noexcept
{
	return of_statics.add({call_plain, reinterpret_cast<void *>(function)}) ? 0 : -1;
}

// The last argument of the next function: which library it is for. There is one program.
void *__dso_handle;

// The compiler calls this for every static object, and does not look at the result.
int __cxa_atexit(void (*destructor)(void *), void *object, void *)
{
	if (!of_statics.add({destructor, object})) {
		mayfly::print("out of memory: no room to remember a destructor\n");
		abort();
	}
	return 0;
}
}
