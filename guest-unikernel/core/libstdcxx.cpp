// SPDX-License-Identifier: BSD-2-Clause
//
// What libstdc++ needs from the program, or has only with exceptions. Its other parts,
// those of <map>, <list> or <unordered_map>, are linked from itself.

#include "format.hpp"

#include <mayfly/console.hpp>
#include <memory>
#include <new>
#include <stdlib.h>

// Whether reference counts may do without atomic instructions.
extern "C" char __libc_single_threaded;
char __libc_single_threaded = 1;

extern "C" [[noreturn]] void __assert_fail(const char *assertion, const char *file, unsigned line,
					   const char *function) noexcept;

namespace
{

[[noreturn, gnu::cold]] void end_as(const char *exception, const char *what)
{
	mayfly::print("std::%s: %s\n", exception, what);
	abort();
}

}

// What would throw.
namespace std
{

const nothrow_t nothrow{};

// Of make_shared(); libstdc++ has it beside what does throw.
bool _Sp_make_shared_tag::_S_eq(const type_info &) noexcept
{
	return false;
}

[[noreturn, gnu::cold]] void __throw_bad_alloc()
{
	end_as("bad_alloc", "out of memory");
}

[[noreturn, gnu::cold]] void __throw_bad_array_new_length()
{
	end_as("bad_array_new_length", "out of memory");
}

[[noreturn, gnu::cold]] void __throw_bad_function_call()
{
	end_as("bad_function_call", "the function is empty");
}

[[noreturn, gnu::cold]] void __throw_bad_optional_access()
{
	end_as("bad_optional_access", "the optional is empty");
}

[[noreturn, gnu::cold]] void __throw_logic_error(const char *what)
{
	end_as("logic_error", what);
}

[[noreturn, gnu::cold]] void __throw_domain_error(const char *what)
{
	end_as("domain_error", what);
}

[[noreturn, gnu::cold]] void __throw_invalid_argument(const char *what)
{
	end_as("invalid_argument", what);
}

[[noreturn, gnu::cold]] void __throw_length_error(const char *what)
{
	end_as("length_error", what);
}

[[noreturn, gnu::cold]] void __throw_out_of_range(const char *what)
{
	end_as("out_of_range", what);
}

[[noreturn, gnu::cold]] void __throw_out_of_range_fmt(const char *text, ...)
{
	char what[128];
	sink out(what, sizeof what - 1);
	va_list arguments;

	va_start(arguments, text);
	format(out, text, arguments);
	va_end(arguments);
	what[out.used()] = 0;
	end_as("out_of_range", what);
}

[[noreturn, gnu::cold]] void __throw_runtime_error(const char *what)
{
	end_as("runtime_error", what);
}

[[noreturn, gnu::cold]] void __throw_overflow_error(const char *what)
{
	end_as("overflow_error", what);
}

[[noreturn, gnu::cold]] void __glibcxx_assert_fail(const char *file, int line, const char *function,
						   const char *condition) noexcept
{
	__assert_fail(condition, file, static_cast<unsigned>(line), function);
}

}
