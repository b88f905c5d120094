// SPDX-License-Identifier: BSD-2-Clause
//
// The application's heap: all memory behind the image, page by page as it is
// used. It is reached through the direct map, so it may be larger than 1 GiB.

#include "heap.hpp"

#include <mayfly/console.hpp>
#include <mayfly/memory.hpp>
#include <mayfly/vm.hpp>
#include <new>
#include <stdlib.h>
#include <string.h>

extern "C" char image_end[];

namespace
{

constinit heap all;

// Made at the first allocation: a VM without one never writes here.
heap &the_heap()
{
	if (all.top() == 0)
		all = heap(mayfly::direct_map + mayfly::gpa_of(image_end), mayfly::direct_map + mayfly::memory_bytes());
	return all;
}

void *allocate_or_abort(std::size_t size, std::size_t align)
{
	auto *pointer = the_heap().allocate(size, align);

	if (pointer == nullptr) {
		mayfly::print("out of memory: %zu bytes\n", size);
		abort();
	}
	return pointer;
}

}

extern "C" {

void *malloc(size_t size) noexcept
{
	return the_heap().allocate(size);
}

void *aligned_alloc(size_t align, size_t size) noexcept
{
	return the_heap().allocate(size, align);
}

void free(void *pointer) noexcept
{
	if (pointer == nullptr || the_heap().free(pointer))
		return;
	mayfly::print("free: %p is not an allocated block\n", pointer);
	abort();
}

void *calloc(size_t count, size_t size) noexcept
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return nullptr;
	auto *pointer = malloc(bytes);
	return pointer != nullptr ? memset(pointer, 0, bytes) : nullptr;
}

void *realloc(void *pointer, size_t size) noexcept
{
	if (pointer == nullptr)
		return malloc(size);
	const auto old = heap::size_of(pointer);
	if (size <= old)
		return pointer;
	auto *larger = malloc(size);
	if (larger == nullptr)
		return nullptr;
	memcpy(larger, pointer, old);
	free(pointer);
	return larger;
}
}

// There are no exceptions: where new finds no room it aborts.

void *operator new(std::size_t size)
{
	return allocate_or_abort(size, heap::alignment);
}

void *operator new[](std::size_t size)
{
	return allocate_or_abort(size, heap::alignment);
}

void *operator new(std::size_t size, std::align_val_t align)
{
	return allocate_or_abort(size, static_cast<std::size_t>(align));
}

void *operator new[](std::size_t size, std::align_val_t align)
{
	return allocate_or_abort(size, static_cast<std::size_t>(align));
}

void *operator new(std::size_t size, const std::nothrow_t &) noexcept
{
	return malloc(size);
}

void *operator new[](std::size_t size, const std::nothrow_t &) noexcept
{
	return malloc(size);
}

void *operator new(std::size_t size, std::align_val_t align, const std::nothrow_t &) noexcept
{
	return aligned_alloc(static_cast<std::size_t>(align), size);
}

void *operator new[](std::size_t size, std::align_val_t align, const std::nothrow_t &) noexcept
{
	return aligned_alloc(static_cast<std::size_t>(align), size);
}

void operator delete(void *pointer) noexcept
{
	free(pointer);
}

void operator delete[](void *pointer) noexcept
{
	free(pointer);
}

void operator delete(void *pointer, std::size_t) noexcept
{
	free(pointer);
}

void operator delete[](void *pointer, std::size_t) noexcept
{
	free(pointer);
}

void operator delete(void *pointer, std::align_val_t) noexcept
{
	free(pointer);
}

void operator delete[](void *pointer, std::align_val_t) noexcept
{
	free(pointer);
}

void operator delete(void *pointer, std::size_t, std::align_val_t) noexcept
{
	free(pointer);
}

void operator delete[](void *pointer, std::size_t, std::align_val_t) noexcept
{
	free(pointer);
}

void operator delete(void *pointer, const std::nothrow_t &) noexcept
{
	free(pointer);
}

void operator delete[](void *pointer, const std::nothrow_t &) noexcept
{
	free(pointer);
}

void operator delete(void *pointer, std::align_val_t, const std::nothrow_t &) noexcept
{
	free(pointer);
}

void operator delete[](void *pointer, std::align_val_t, const std::nothrow_t &) noexcept
{
	free(pointer);
}
