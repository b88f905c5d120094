// SPDX-License-Identifier: BSD-2-Clause
//
// The memory and string functions that the compiler and everyone else expects.
// `rep movsq` and `rep stosb` are short, and fast on all CPUs Mayfly runs on. Bytes are copied
// by eight: a copy of a packet is one of the few things that guests do at length.

#include <cstddef>

using std::size_t;

// Not <string.h>: in C++ it has two of memchr and strchr each.
extern "C" {

void *memcpy(void *to, const void *from, size_t size)
{
	constexpr size_t word = 8;
	void *at = to;
	auto words = size / word;
	auto rest = size % word;

	asm volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
	asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	auto *target = static_cast<char *>(to);
	const auto *source = static_cast<const char *>(from);

	// Forwards is wrong only where the target starts inside the source.
	if (static_cast<size_t>(target - source) >= size)
		return memcpy(to, from, size);
	while (size-- != 0)
		target[size] = source[size];
	return to;
}

void *memset(void *to, int value, size_t size)
{
	void *at = to;

	asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
	return to;
}

int memcmp(const void *left, const void *right, size_t size)
{
	const auto *a = static_cast<const unsigned char *>(left);
	const auto *b = static_cast<const unsigned char *>(right);

	for (; size != 0; --size, ++a, ++b)
		if (*a != *b)
			return *a - *b;
	return 0;
}

void *memchr(const void *memory, int value, size_t size)
{
	const auto *at = static_cast<const unsigned char *>(memory);

	for (; size != 0; --size, ++at)
		if (*at == static_cast<unsigned char>(value))
			return const_cast<unsigned char *>(at);
	return nullptr;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length] != 0)
		++length;
	return length;
}

int strncmp(const char *left, const char *right, size_t size)
{
	for (; size != 0; --size, ++left, ++right)
		if (*left != *right || *left == 0)
			return static_cast<unsigned char>(*left) - static_cast<unsigned char>(*right);
	return 0;
}

int strcmp(const char *left, const char *right)
{
	return strncmp(left, right, static_cast<size_t>(-1));
}

char *strchr(const char *text, int value)
{
	return static_cast<char *>(memchr(text, value, strlen(text) + 1));
}

char *strcpy(char *to, const char *from)
{
	return static_cast<char *>(memcpy(to, from, strlen(from) + 1));
}
}
