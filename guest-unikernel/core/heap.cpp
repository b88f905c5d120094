// SPDX-License-Identifier: BSD-2-Clause

#include "heap.hpp"

#include <initializer_list>

// Marks differ from block to block.
std::uint64_t heap::used_mark(const block *b)
{
	return address(b) ^ 0x5ca1ab1e0ddba115;
}

std::uint64_t heap::free_mark(const block *b)
{
	return address(b) ^ 0x0ff1ce0fb1ac0c0d;
}

// Kept apart, and joined with no neighbour.
std::uint64_t heap::small_mark(const block *b)
{
	return address(b) ^ 0x0b5e55edca11ab1e;
}

// Where a block must begin, at or behind @start, for its bytes to be aligned. What is
// left in front is nothing or has room for a free block.
std::uintptr_t heap::place(std::uintptr_t start, std::size_t align)
{
	auto at = ((start + header + align - 1) & ~(align - 1)) - header;

	if (at != start && at - start < sizeof(block))
		at += align;
	return at;
}

bool heap::has_room(const block *b, std::size_t size, std::size_t align)
{
	const auto at = place(address(b), align);

	return at < end_of(b) && end_of(b) - at >= size;
}

heap::block *heap::next(const block *b) const
{
	return b != last_ ? reinterpret_cast<block *>(end_of(b)) : nullptr;
}

heap::block *heap::previous(const block *b) const
{
	return b->before != 0 ? reinterpret_cast<block *>(address(b) - std::size_t{b->before} * alignment) : nullptr;
}

// The block behind, which is there already or the end of all blocks, is told.
void heap::set_size(block *b, std::size_t size)
{
	b->units = static_cast<std::uint32_t>(size / alignment);
	if (end_of(b) == top_)
		last_ = b;
	else
		next(b)->before = b->units;
}

namespace
{

// Chance, and the same every time.
std::uint64_t priority(std::uintptr_t address)
{
	auto mixed = (address ^ address >> 32) * 0xd6e8feb86659fd93;
	mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
	return mixed ^ mixed >> 32;
}

// By size, those of one size by address. Its parent has a higher priority than a block.
template <typename block> bool is_less(const block *a, const block *b)
{
	return a->units != b->units ? a->units < b->units : a < b;
}

}

// Goes down to where @b belongs, and splits what is there into what is smaller and what
// is larger.
void heap::insert(block *b)
{
	auto **link = &free_;

	while (*link != nullptr && priority(address(*link)) > priority(address(b)))
		link = is_less(b, *link) ? &(*link)->smaller : &(*link)->larger;

	auto *rest = *link;
	auto **smaller = &b->smaller;
	auto **larger = &b->larger;
	*link = b;
	while (rest != nullptr) {
		if (is_less(rest, b)) {
			*smaller = rest;
			smaller = &rest->larger;
			rest = *smaller;
		} else {
			*larger = rest;
			larger = &rest->smaller;
			rest = *larger;
		}
	}
	*smaller = nullptr;
	*larger = nullptr;
	b->mark = free_mark(b);
}

// Merges the children of @b in its place.
void heap::remove(block *b)
{
	auto **link = &free_;

	while (*link != b)
		link = is_less(b, *link) ? &(*link)->smaller : &(*link)->larger;

	auto *smaller = b->smaller;
	auto *larger = b->larger;
	while (smaller != nullptr && larger != nullptr) {
		if (priority(address(smaller)) > priority(address(larger))) {
			*link = smaller;
			link = &smaller->larger;
			smaller = *link;
		} else {
			*link = larger;
			link = &larger->smaller;
			larger = *link;
		}
	}
	*link = smaller != nullptr ? smaller : larger;
	b->mark = 0; // perhaps no header any more: a second free() sees it
}

// The smallest free block of at least @size bytes.
heap::block *heap::smallest(std::size_t size) const
{
	block *best = nullptr;

	for (auto *b = free_; b != nullptr;) {
		if (heap::size(b) >= size) {
			best = b;
			b = b->smaller;
		} else {
			b = b->larger;
		}
	}
	return best;
}

// One that is just large enough may be aligned by luck, one that has @align more always.
heap::block *heap::find(std::size_t size, std::size_t align)
{
	for (const auto wanted : {size, size + align + sizeof(block)}) {
		auto *b = smallest(wanted);
		if (b != nullptr && has_room(b, size, align)) {
			remove(b);
			return b;
		}
	}
	return nullptr;
}

// Makes a block of untouched memory, and of the last block if that is free.
heap::block *heap::extend(std::size_t size, std::size_t align)
{
	const bool last_is_free = last_ != nullptr && last_->mark == free_mark(last_);
	const auto start = last_is_free ? address(last_) : top_;
	const auto at = place(start, align);

	if (at < start || at > end_ || end_ - at < size)
		return nullptr;
	auto *b = reinterpret_cast<block *>(start);
	if (last_is_free)
		remove(b);
	else
		b->before = last_ != nullptr ? last_->units : 0;
	top_ = at + size;
	set_size(b, top_ - start);
	return b;
}

// Takes @size bytes out of @whole; what is left of it in front and behind stays free.
void *heap::carve(block *whole, std::size_t size, std::size_t align)
{
	const auto end = end_of(whole);
	auto *taken = reinterpret_cast<block *>(place(address(whole), align));

	if (taken != whole) {
		set_size(taken, end - address(taken));
		set_size(whole, address(taken) - address(whole));
		insert(whole);
	}
	if (heap::size(taken) - size >= sizeof(block)) {
		auto *rest = reinterpret_cast<block *>(address(taken) + size);
		set_size(rest, end - address(rest));
		set_size(taken, size);
		insert(rest);
	}
	taken->mark = used_mark(taken);
	return reinterpret_cast<char *>(taken) + header;
}

void *heap::allocate(std::size_t size, std::size_t align)
{
	if (size > end_ || align > end_)
		return nullptr;
	if (align < alignment)
		align = alignment;
	size = ((size + alignment - 1) & ~(alignment - 1)) + header;
	if (size < sizeof(block))
		size = sizeof(block);

	if (align == alignment)
		if (auto *taken = take_small(size); taken != nullptr)
			return taken;
	auto *b = find(size, align);
	if (b == nullptr)
		b = extend(size, align);
	if (b == nullptr && small_bytes_ != 0) {
		join_small();
		b = find(size, align);
		if (b == nullptr)
			b = extend(size, align);
	}
	return b != nullptr ? carve(b, size, align) : nullptr;
}

void *heap::take_small(std::size_t size)
{
	const auto units = size / alignment;

	if (units > small_units || small_[units] == nullptr)
		return nullptr;
	auto *taken = small_[units];
	small_[units] = taken->smaller;
	small_bytes_ -= size;
	taken->mark = used_mark(taken);
	return reinterpret_cast<char *>(taken) + header;
}

bool heap::keep_small(block *b)
{
	if (b->units > small_units || small_bytes_ + size(b) > small_bytes_most)
		return false;
	b->mark = small_mark(b);
	b->smaller = small_[b->units];
	small_[b->units] = b;
	small_bytes_ += size(b);
	return true;
}

// For one that needs their room.
void heap::join_small()
{
	for (auto &first : small_)
		while (first != nullptr) {
			auto *b = first;
			first = b->smaller;
			join(b);
		}
	small_bytes_ = 0;
}

bool heap::free(void *pointer)
{
	auto *freed = reinterpret_cast<block *>(static_cast<char *>(pointer) - header);

	if (address(freed) % alignment != 0 || freed->mark != used_mark(freed))
		return false;
	if (!keep_small(freed))
		join(freed);
	return true;
}

void heap::join(block *freed)
{
	freed->mark = 0;

	auto *behind = next(freed);
	if (behind != nullptr && behind->mark == free_mark(behind)) {
		remove(behind);
		set_size(freed, end_of(behind) - address(freed));
	}
	auto *before = previous(freed);
	if (before != nullptr && before->mark == free_mark(before)) {
		const auto end = end_of(freed);
		remove(before);
		set_size(before, end - address(before));
		freed = before;
	}
	insert(freed);
}

std::size_t heap::size_of(const void *pointer)
{
	const auto *b = reinterpret_cast<const block *>(static_cast<const char *>(pointer) - header);

	return size(b) - header;
}
