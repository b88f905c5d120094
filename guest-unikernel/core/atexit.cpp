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
constinit exit_calls of_thread; // destroyed before any static object

// The compiler does not look at what it gets back.
int add_destructor(exit_calls &calls, exit_call call)
{
	if (!calls.add(call)) {
		mayfly::print("out of memory: no room to remember a destructor\n");
		abort();
	}
	return 0;
}

void call_plain(void *function)
{
	reinterpret_cast<void (*)()>(function)();
}

}

void run_exit_calls()
{
	of_thread.run();
	of_statics.run();
}

extern "C" {

int atexit(void (*function)()) noexcept
{
	return of_statics.add({call_plain, reinterpret_cast<void *>(function)}) ? 0 : -1;
}

// What the compiler calls for every object that is to be destroyed. Their last argument
// says which library it belongs to; there are none.

void *__dso_handle;

int __cxa_atexit(void (*destructor)(void *), void *object, void *)
{
	return add_destructor(of_statics, {destructor, object});
}

int __cxa_thread_atexit(void (*destructor)(void *), void *object, void *)
{
	return add_destructor(of_thread, {destructor, object});
}
}
