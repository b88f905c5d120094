// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a call that failed has to say.
#pragma once

#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace vmctl
{

/// Why a call failed. Never thrown: it travels inside a result.
struct error {
	/// A positive errno value, for code that has to decide.
	int code;
	/// What failed and why, for people: `hello.elf: not an x86-64 ELF executable`.
	std::string what;
	/// One line that mends it, or empty where none is known.
	std::string fix{};
};

/// A value, or why there is none. Test it before you dereference it.
template <class T> using result = std::expected<T, error>;

/// A failed result: \p code is a positive errno, \p what and \p fix as in error.
[[nodiscard]] inline std::unexpected<error> fail(int code, std::string what, std::string fix = {})
{
	return std::unexpected(error{code, std::move(what), std::move(fix)});
}

/// The text of errno \p code.
[[nodiscard]] inline std::string errno_text(int code)
{
	return std::strerror(code);
}

} // namespace vmctl

/// The value of \p expr, or return its error to the caller.
#define VMCTL_TRY(expr)                                                                                                \
	({                                                                                                             \
		auto try_result = (expr);                                                                              \
		if (!try_result)                                                                                       \
			return std::unexpected(std::move(try_result).error());                                         \
		*std::move(try_result);                                                                                \
	})
