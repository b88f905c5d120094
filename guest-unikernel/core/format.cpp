// SPDX-License-Identifier: BSD-2-Clause

#include "format.hpp"

#include <cstdint>

void sink::put(char c)
{
	++total_;
	if (used_ == size_ && flush_ != nullptr)
		flush_(*this);
	if (used_ < size_)
		buffer_[used_++] = c;
}

void sink::fill(char c, std::size_t count)
{
	while (count-- != 0)
		put(c);
}

void sink::put(const char *text, std::size_t length)
{
	while (length-- != 0)
		put(*text++);
}

namespace
{

// One conversion: %[flags][width][.precision][length]kind
struct conversion {
	bool left = false;
	bool zeros = false;
	bool alternate = false;
	char plus = 0; // what to write before a number that is not negative
	std::size_t width = 0;
	bool has_precision = false;
	std::size_t precision = 0;
	char length = 0; // 'b' for hh, 'h', 'l' for all that have 64 bits
	char kind = 0;
};

// va_list is an array: only inside a structure can it be passed by reference.
struct argument_list {
	va_list list;
};

bool parse_flag(const char c, conversion &spec)
{
	switch (c) {
	case '-':
		spec.left = true;
		return true;
	case '0':
		spec.zeros = true;
		return true;
	case '#':
		spec.alternate = true;
		return true;
	case '+':
		spec.plus = '+';
		return true;
	case ' ':
		if (spec.plus == 0)
			spec.plus = ' ';
		return true;
	default:
		return false;
	}
}

// A decimal number, or '*' for one from the arguments.
int parse_number(const char *&at, argument_list &arguments)
{
	if (*at == '*') {
		++at;
		return va_arg(arguments.list, int);
	}
	int number = 0;
	for (; *at >= '0' && *at <= '9'; ++at)
		if (number < 100'000'000)
			number = number * 10 + (*at - '0');
	return number;
}

char parse_length(const char *&at)
{
	switch (*at) {
	case 'h':
		++at;
		if (*at != 'h')
			return 'h';
		++at;
		return 'b';
	case 'l':
		++at;
		if (*at == 'l')
			++at;
		return 'l';
	case 'z':
	case 'j':
	case 't':
		++at;
		return 'l';
	default:
		return 0;
	}
}

// Reads what stands behind '%'.
conversion parse(const char *&at, argument_list &arguments)
{
	conversion spec;

	while (parse_flag(*at, spec))
		++at;
	const auto width = parse_number(at, arguments);
	spec.left |= width < 0;
	spec.width = static_cast<std::size_t>(width < 0 ? -static_cast<long>(width) : width);
	if (*at == '.') {
		++at;
		const auto precision = parse_number(at, arguments);
		spec.has_precision = precision >= 0;
		spec.precision = spec.has_precision ? static_cast<std::size_t>(precision) : 0;
	}
	spec.length = parse_length(at);
	spec.kind = *at;
	if (*at != 0)
		++at;
	return spec;
}

// Prefix (sign, 0x), zeros and digits, padded to the width.
void put_padded(sink &out, const conversion &spec, const char *prefix, std::size_t prefix_length, std::size_t zeros,
		const char *text, std::size_t length)
{
	const auto content = prefix_length + zeros + length;
	const auto padding = spec.width > content ? spec.width - content : 0;

	if (!spec.left)
		out.fill(' ', padding);
	out.put(prefix, prefix_length);
	out.fill('0', zeros);
	out.put(text, length);
	if (spec.left)
		out.fill(' ', padding);
}

void put_number(sink &out, const conversion &spec, std::uint64_t value, unsigned base, char sign)
{
	char digits[22]; // 64 bits in octal
	char prefix[2];
	std::size_t length = 0;
	std::size_t prefix_length = 0;
	const char letter = spec.kind == 'X' ? 'A' : 'a';

	if (sign != 0)
		prefix[prefix_length++] = sign;
	if (spec.alternate && base == 16 && value != 0) {
		prefix[prefix_length++] = '0';
		prefix[prefix_length++] = spec.kind == 'X' ? 'X' : 'x';
	}
	for (; value != 0; value /= base) {
		const auto digit = static_cast<char>(value % base);
		digits[sizeof digits - ++length] = static_cast<char>(digit < 10 ? '0' + digit : letter + (digit - 10));
	}

	std::size_t wanted = spec.has_precision ? spec.precision : 1;
	if (spec.zeros && !spec.left && !spec.has_precision && spec.width > prefix_length)
		wanted = spec.width - prefix_length;
	if (spec.alternate && base == 8 && wanted <= length)
		wanted = length + 1;
	put_padded(out, spec, prefix, prefix_length, wanted > length ? wanted - length : 0,
		   digits + sizeof digits - length, length);
}

std::uint64_t unsigned_argument(const conversion &spec, argument_list &arguments)
{
	if (spec.length == 'l')
		return va_arg(arguments.list, std::uint64_t);
	const auto value = va_arg(arguments.list, unsigned);
	switch (spec.length) {
	case 'b':
		return static_cast<std::uint8_t>(value);
	case 'h':
		return static_cast<std::uint16_t>(value);
	default:
		return value;
	}
}

std::int64_t signed_argument(const conversion &spec, argument_list &arguments)
{
	if (spec.length == 'l')
		return va_arg(arguments.list, std::int64_t);
	const auto value = va_arg(arguments.list, int);
	switch (spec.length) {
	case 'b':
		return static_cast<std::int8_t>(value);
	case 'h':
		return static_cast<std::int16_t>(value);
	default:
		return value;
	}
}

void put_signed(sink &out, const conversion &spec, argument_list &arguments)
{
	const auto value = signed_argument(spec, arguments);
	const auto bits = static_cast<std::uint64_t>(value);

	if (value < 0)
		put_number(out, spec, 0 - bits, 10, '-');
	else
		put_number(out, spec, bits, 10, spec.plus);
}

void put_string(sink &out, const conversion &spec, const char *text)
{
	std::size_t length = 0;

	if (text == nullptr)
		text = "(null)";
	while ((!spec.has_precision || length < spec.precision) && text[length] != 0)
		++length;
	put_padded(out, spec, nullptr, 0, 0, text, length);
}

void put_pointer(sink &out, conversion spec, const void *pointer)
{
	spec.alternate = true;
	if (pointer == nullptr)
		put_string(out, spec, "(nil)");
	else
		put_number(out, spec, reinterpret_cast<std::uint64_t>(pointer), 16, 0);
}

// Does one conversion; false if it does not know it.
bool convert(sink &out, const conversion &spec, argument_list &arguments)
{
	char c;

	switch (spec.kind) {
	case 'd':
	case 'i':
		put_signed(out, spec, arguments);
		return true;
	case 'u':
		put_number(out, spec, unsigned_argument(spec, arguments), 10, 0);
		return true;
	case 'o':
		put_number(out, spec, unsigned_argument(spec, arguments), 8, 0);
		return true;
	case 'x':
	case 'X':
		put_number(out, spec, unsigned_argument(spec, arguments), 16, 0);
		return true;
	case 'p':
		put_pointer(out, spec, va_arg(arguments.list, const void *));
		return true;
	case 's':
		put_string(out, spec, va_arg(arguments.list, const char *));
		return true;
	case 'c':
		c = static_cast<char>(va_arg(arguments.list, int));
		put_padded(out, spec, nullptr, 0, 0, &c, 1);
		return true;
	case '%':
		out.put('%');
		return true;
	default:
		return false;
	}
}

}

void format(sink &out, const char *at, va_list list)
{
	argument_list arguments;

	va_copy(arguments.list, list);
	while (*at != 0) {
		if (*at != '%') {
			out.put(*at++);
			continue;
		}
		const auto *start = at++;
		const auto spec = parse(at, arguments);
		if (!convert(out, spec, arguments)) {
			while (*start != 0)
				out.put(*start++);
			break;
		}
	}
	va_end(arguments.list);
}
