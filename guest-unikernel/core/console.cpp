// SPDX-License-Identifier: BSD-2-Clause
//
// Text to the console, for C++ (mayfly::print) and for C (printf and its kin).

#include "format.hpp"

#include <mayfly/console.hpp>
#include <mayfly/hypercall.hpp>
#include <mayfly/memory.hpp>

namespace
{

void flush(sink &out)
{
	mayfly::write({out.data(), out.used()});
	out.clear();
}

std::size_t print_list(const char *text, va_list arguments)
{
	char buffer[256]; // on the stack: a line is one hypercall and no page
	sink out(buffer, sizeof buffer, flush);

	format(out, text, arguments);
	flush(out);
	return out.total();
}

}

std::size_t mayfly::write(std::string_view text)
{
	std::size_t done = 0;

	while (done != text.size()) {
		const auto taken = hypercall(MAYFLY_HC_CONSOLE, gpa_of(text.data() + done), text.size() - done);
		if (taken <= 0)
			break;
		done += static_cast<std::size_t>(taken);
	}
	return done;
}

void mayfly::print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
}

extern "C" {

int vprintf(const char *format, va_list arguments)
{
	return static_cast<int>(print_list(format, arguments));
}

int printf(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	const auto length = vprintf(format, arguments);
	va_end(arguments);
	return length;
}

int puts(const char *text)
{
	return printf("%s\n", text);
}

int putchar(int c)
{
	const auto byte = static_cast<char>(c);

	mayfly::write({&byte, 1});
	return static_cast<unsigned char>(c);
}

int vsnprintf(char *buffer, std::size_t size, const char *text, va_list arguments)
{
	sink out(buffer, size == 0 ? 0 : size - 1);

	format(out, text, arguments);
	if (size != 0)
		buffer[out.used()] = 0;
	return static_cast<int>(out.total());
}

int snprintf(char *buffer, std::size_t size, const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	const auto length = vsnprintf(buffer, size, text, arguments);
	va_end(arguments);
	return length;
}
}
