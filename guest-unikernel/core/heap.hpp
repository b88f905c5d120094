// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>

/// First fit over one range of memory: blocks behind one another, free ones in a
/// list by address, neighbours joined at once. What lies behind the last block
/// has never been touched: a heap costs the pages it has used, no more.
///
/// Every block begins with a 16-byte header. A header that does not look right
/// when its block is freed (freed twice, overrun) is reported, not believed.
class heap
{
public:
	static constexpr std::size_t alignment = 16;

	constexpr heap() = default;

	/// Manages the bytes from @p begin up to @p end, both aligned to 16.
	heap(std::uintptr_t begin, std::uintptr_t end) : top_(begin), end_(end) {}

	/// Returns @p size bytes at a multiple of @p align (a power of two), or
	/// null when there is no room. The bytes are not cleared.
	void *allocate(std::size_t size, std::size_t align = alignment);

	/// Gives @p pointer, which allocate() has returned, back. Returns false,
	/// and does nothing, if it is not an allocated block's.
	bool free(void *pointer);

	/// Bytes that can be used at @p pointer, at least what was asked for.
	static std::size_t size_of(const void *pointer);

	/// Where never used memory begins.
	std::uintptr_t top() const { return top_; }

private:
	struct block {
		std::size_t size; // header included, a multiple of 16
		block *next;      // if free, the next free one, else used_mark
	};

	static std::uintptr_t address(const block *b) { return reinterpret_cast<std::uintptr_t>(b); }
	static std::uintptr_t end_of(const block *b) { return address(b) + b->size; }
	static block *used_mark(const block *b);
	static void *use(block *b);
	static std::uintptr_t place(std::uintptr_t start, std::size_t align);

	static block *carve(block **link, std::uintptr_t at, std::size_t size);
	block *extend(block **link, std::size_t size, std::size_t align);

	block *free_ = nullptr;
	std::uintptr_t top_ = 0;
	std::uintptr_t end_ = 0;
};
