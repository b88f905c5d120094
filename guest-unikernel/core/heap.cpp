// SPDX-License-Identifier: BSD-2-Clause

#include "heap.hpp"

// Differs from block to block, and is never the address of one: it is odd.
heap::block *heap::used_mark(const block *b)
{
	return reinterpret_cast<block *>(address(b) ^ 0x5ca1ab1e0ddba11);
}

void *heap::use(block *b)
{
	b->next = used_mark(b);
	return b + 1;
}

// Where a block must begin, at or behind @start, for its bytes to be aligned.
std::uintptr_t heap::place(std::uintptr_t start, std::size_t align)
{
	return ((start + sizeof(block) + align - 1) & ~(align - 1)) - sizeof(block);
}

// Takes @size bytes at @at out of the free block *@link; what is left of it in
// front and behind stays free.
heap::block *heap::carve(block **link, std::uintptr_t at, std::size_t size)
{
	auto *whole = *link;
	const auto end = end_of(whole);

	*link = whole->next;
	if (at != address(whole)) {
		whole->size = at - address(whole);
		*link = whole;
		link = &whole->next;
	}
	auto *taken = reinterpret_cast<block *>(at);
	taken->size = size;
	if (end - at > size) {
		auto *rest = reinterpret_cast<block *>(at + size);
		rest->size = end - at - size;
		rest->next = *link;
		*link = rest;
	}
	return taken;
}

// Makes a block of untouched memory; @link is the end of the free list.
heap::block *heap::extend(block **link, std::size_t size, std::size_t align)
{
	const auto at = place(top_, align);

	if (at < top_ || at > end_ || end_ - at < size)
		return nullptr;
	if (at != top_) {
		auto *gap = reinterpret_cast<block *>(top_);
		gap->size = at - top_;
		gap->next = nullptr;
		*link = gap;
	}
	top_ = at + size;
	auto *taken = reinterpret_cast<block *>(at);
	taken->size = size;
	return taken;
}

void *heap::allocate(std::size_t size, std::size_t align)
{
	if (size > end_)
		return nullptr;
	if (align < alignment)
		align = alignment;
	size = ((size + alignment - 1) & ~(alignment - 1)) + sizeof(block);

	auto **link = &free_;
	for (; *link != nullptr; link = &(*link)->next) {
		const auto at = place(address(*link), align);
		if (at < end_of(*link) && end_of(*link) - at >= size)
			return use(carve(link, at, size));
	}
	auto *fresh = extend(link, size, align);
	return fresh != nullptr ? use(fresh) : nullptr;
}

bool heap::free(void *pointer)
{
	auto *freed = static_cast<block *>(pointer) - 1;

	if (address(freed) % alignment != 0 || freed->next != used_mark(freed))
		return false;

	block *before = nullptr;
	auto **link = &free_;
	while (*link != nullptr && *link < freed) {
		before = *link;
		link = &before->next;
	}
	freed->next = *link;
	*link = freed;

	if (freed->next != nullptr && end_of(freed) == address(freed->next)) {
		freed->size += freed->next->size;
		freed->next = freed->next->next;
	}
	if (before != nullptr && end_of(before) == address(freed)) {
		before->size += freed->size;
		before->next = freed->next;
		freed->next = nullptr; // no header any more: a second free() sees it
	}
	return true;
}

std::size_t heap::size_of(const void *pointer)
{
	return (static_cast<const block *>(pointer) - 1)->size - sizeof(block);
}
