// SPDX-License-Identifier: Apache-2.0
//
// What a measuring program says: TAP, one line for each limit, other numbers as
// comments, and all of them as JSON for whoever asks.

#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <vmctl/error.hpp>

namespace bench
{

/// Says what went wrong and ends the program.
[[noreturn]] inline void bail_out(const std::string &what)
{
	fmt::print("Bail out! {}\n", what);
	std::exit(1);
}

/// The value of a call that must work.
template <class T> T must(vmctl::result<T> result)
{
	if (!result)
		bail_out(result.error().what);
	return *std::move(result);
}

class report final
{
public:
	/// With \p json the numbers are the last line.
	explicit report(bool json) : json_(json) {}

	void check(bool good, const std::string &text)
	{
		failed_ += !good;
		fmt::print("{} {} {}{}\n", good ? "ok" : "not ok", ++checks_, good ? "" : "FAIL: ", text);
		std::fflush(stdout);
	}

	/// A number that must not exceed \p limit.
	void limit(const char *key, const std::string &what, double value, double limit, const char *unit)
	{
		keep(key, value);
		check(value <= limit, fmt::format("{}: {:.4g} {} (limit {:g})", what, value, unit, limit));
	}

	/// A number without a limit.
	void note(const char *key, const std::string &what, double value, const char *unit)
	{
		keep(key, value);
		remark(fmt::format("{}: {:.6g} {}", what, value, unit));
	}

	static void remark(const std::string &text)
	{
		fmt::print("# {}\n", text);
		std::fflush(stdout);
	}

	/// Says that it is over. The program's exit status.
	int end()
	{
		fmt::print("1..{}\n", checks_);
		if (json_)
			print_json();
		return failed_ ? 1 : 0;
	}

private:
	void keep(const char *key, double value) { numbers_.emplace_back(key, value); }

	void print_json() const
	{
		std::string line;

		for (const auto &[key, value] : numbers_)
			line += fmt::format("\"{}\": {:.6g}, ", key, value);
		fmt::print("{{{}\"passed\": {}}}\n", line, !failed_);
	}

	std::vector<std::pair<std::string, double>> numbers_;
	unsigned checks_ = 0, failed_ = 0;
	bool json_;
};

}
