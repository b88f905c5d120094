// SPDX-License-Identifier: BSD-2-Clause

#include "format.hpp"

#include <climits>
#include <gtest/gtest.h>
#include <string>

namespace
{

// Without the attribute: some tests are about text the compiler would refuse.
std::string formatted(const char *text, ...)
{
	char buffer[256];
	sink out(buffer, sizeof buffer);
	va_list arguments;

	va_start(arguments, text);
	format(out, text, arguments);
	va_end(arguments);
	return {out.data(), out.used()};
}

template <typename... T> void expect_as_libc(const char *text, T... arguments)
{
	char expected[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(expected, sizeof expected, text, arguments...);
#pragma GCC diagnostic pop
	EXPECT_EQ(formatted(text, arguments...), expected) << text;
}

TEST(format, plain_text)
{
	expect_as_libc("");
	expect_as_libc("nothing to see");
	expect_as_libc("100%%");
}

TEST(format, every_combination_for_numbers)
{
	const char *flags[] = {"", "-", "0", "+", " ", "#", "-0", "0#", "+0", "-#", "+ 0#-"};
	const char *widths[] = {"", "1", "8", "20"};
	const char *precisions[] = {"", ".", ".0", ".3", ".12"};

	for (const std::string flag : flags)
		for (const std::string width : widths)
			for (const std::string precision : precisions) {
				const auto start = "<%" + flag + width + precision;
				for (const int value : {0, 1, -1, 42, INT_MAX, INT_MIN})
					for (const std::string kind :
					     {"d>", "i>", "u>", "o>", "x>", "X>", "hd>", "hhd>", "hu>", "hho>", "hhx>"})
						expect_as_libc((start + kind).c_str(), value);
				for (const long value : {0l, -7l, LONG_MAX, LONG_MIN})
					for (const std::string kind :
					     {"ld>", "lld>", "lu>", "lo>", "lx>", "zu>", "jd>", "tx>"})
						expect_as_libc((start + kind).c_str(), value);
			}
}

TEST(format, strings_and_characters)
{
	expect_as_libc("%s|%10s|%-10s|%.2s|%5.1s|%.0s|", "abc", "abc", "abc", "abc", "abc", "abc");
	expect_as_libc("%c|%5c|%-5c|", 'a', 'b', 'c');
	EXPECT_EQ(formatted("%s", static_cast<const char *>(nullptr)), "(null)");
	const char unterminated[] = {'a', 'b'};
	EXPECT_EQ(formatted("%.2s", unterminated), "ab");
}

TEST(format, pointers)
{
	expect_as_libc("%p|%20p|%-20p|", &typeid(int), &typeid(int), &typeid(int));
	expect_as_libc("%p", static_cast<void *>(nullptr));
}

TEST(format, star)
{
	expect_as_libc("%*d|%-*d|%.*d|%*.*d|", 5, 1, 5, 2, 3, 4, -6, 2, 7);
	expect_as_libc("%.*s|", 2, "abc");
	expect_as_libc("%.*d|", -1, 9);
}

TEST(format, unknown_conversion_ends_the_work)
{
	EXPECT_EQ(formatted("a %f b %d", 1.0, 2), "a %f b %d");
	EXPECT_EQ(formatted("a %"), "a %");
	EXPECT_EQ(formatted("a %5"), "a %5");
}

TEST(sink, counts_what_has_no_room)
{
	char buffer[3];
	sink out(buffer, sizeof buffer);

	out.put("abcde", 5);
	EXPECT_EQ(out.used(), 3u);
	EXPECT_EQ(out.total(), 5u);
	EXPECT_EQ(std::string(out.data(), out.used()), "abc");
}

std::string flushed;

TEST(sink, flushes_when_full)
{
	char buffer[3];
	sink out(buffer, sizeof buffer, [](sink &full) {
		flushed.append(full.data(), full.used());
		full.clear();
	});

	out.put("abcdefg", 7);
	EXPECT_EQ(flushed, "abcdef");
	EXPECT_EQ(std::string(out.data(), out.used()), "g");
}

}
