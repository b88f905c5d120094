// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>

/// Best fit over one range of memory: blocks behind one another, free ones in a treap
/// by size, neighbours joined at once. Every call takes steps in the order of the
/// logarithm of the number of free blocks. What lies behind the last block has never
/// been touched: a heap costs the pages it has used, no more.
///
/// Small blocks that were freed are kept apart at first, in a stack for each size: most are
/// wanted again soon, and then cost a few instructions.
///
/// Every block begins with a 16-byte header. A header that does not look right
/// when its block is freed (freed twice, overrun) is reported, not believed.
class heap
{
public:
	static constexpr std::size_t alignment = 16;

	constexpr heap() = default;

	/// Manages the bytes from @p begin up to @p end, both aligned to 16, at most
	/// 64 GiB.
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
		std::uint64_t mark;   // what the block is; first, for overruns to destroy it
		std::uint32_t units;  // its size in units of 16 bytes, header included
		std::uint32_t before; // that of the block in front of it, 0 for the first
		block *smaller;       // if free, its children in the treap
		block *larger;
	};

	static constexpr std::size_t header = 16;
	static constexpr std::size_t small_units = 32;        // of the largest blocks kept apart
	static constexpr std::size_t small_bytes_most = 4096; // of all of them

	static std::uintptr_t address(const block *b) { return reinterpret_cast<std::uintptr_t>(b); }
	static std::size_t size(const block *b) { return std::size_t{b->units} * alignment; }
	static std::uintptr_t end_of(const block *b) { return address(b) + size(b); }
	static std::uint64_t used_mark(const block *b);
	static std::uint64_t free_mark(const block *b);
	static std::uint64_t small_mark(const block *b);
	static std::uintptr_t place(std::uintptr_t start, std::size_t align);
	static bool has_room(const block *b, std::size_t size, std::size_t align);

	block *next(const block *b) const;
	block *previous(const block *b) const;
	void set_size(block *b, std::size_t size);

	void insert(block *b);
	void remove(block *b);
	block *smallest(std::size_t size) const;

	void *take_small(std::size_t size);
	bool keep_small(block *b);
	void join_small();
	void join(block *freed);
	block *find(std::size_t size, std::size_t align);
	block *extend(std::size_t size, std::size_t align);
	void *carve(block *whole, std::size_t size, std::size_t align);

	block *small_[small_units + 1] = {}; // by their units, linked by smaller
	std::size_t small_bytes_ = 0;
	block *free_ = nullptr; // root of the treap
	block *last_ = nullptr; // the block that ends at top_
	std::uintptr_t top_ = 0;
	std::uintptr_t end_ = 0;
};
