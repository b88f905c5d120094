// SPDX-License-Identifier: Apache-2.0
//
// What both fuzzers are told, and how they tell where they are: a machine that
// crashes must have said before which cases it had begun.

#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <fmt/core.h>

namespace fuzz
{

/// A rule that did not hold. what() says which, and how to see it again.
class broken_rule final : public std::runtime_error
{
public:
	using std::runtime_error::runtime_error;
};

struct options {
	std::uint64_t seed = 0;
	std::uint64_t start = 0; ///< index of the first case
	std::uint64_t count = 0; ///< cases; 0: no end
	unsigned seconds = 0;    ///< 0: no end
	unsigned patience = 0;   ///< seconds after which a call hangs
	bool json = false;

	/// The command that does one case again.
	[[nodiscard]] std::string replay(const char *program, std::uint64_t index, std::uint64_t count_again = 1) const
	{
		return fmt::format("build/tests/{} --seed {} --start {} --count {}", program, seed, index, count_again);
	}
	/// Ends at the count or when the time is up.
	[[nodiscard]] bool is_over(std::uint64_t next, std::chrono::steady_clock::time_point began) const
	{
		if (count && next >= start + count)
			return true;
		return seconds && std::chrono::steady_clock::now() - began >= std::chrono::seconds(seconds);
	}
};

inline std::uint64_t fresh_seed()
{
	std::random_device device;

	return device();
}

inline boost::program_options::options_description describe(options &o)
{
	namespace po = boost::program_options;
	po::options_description all("options");
	auto add = all.add_options();

	add("help", "print this");
	add("seed", po::value(&o.seed), "what all cases are made of (random, and printed)");
	add("start", po::value(&o.start)->default_value(0), "index of the first case");
	add("count", po::value(&o.count)->default_value(0), "cases (0: as many as the time is good for)");
	add("seconds", po::value(&o.seconds)->default_value(0), "stop after so long (0: never)");
	add("patience", po::value(&o.patience)->default_value(120), "seconds after which a call is said to hang");
	add("json", po::bool_switch(&o.json), "the summary as JSON");
	return all;
}

/// False when --help was asked for. Throws what Boost does.
inline bool parse(int argc, char **argv, const boost::program_options::options_description &all, options &o)
{
	namespace po = boost::program_options;
	po::variables_map values;

	po::store(po::parse_command_line(argc, argv, all), values);
	if (values.contains("help")) {
		std::cout << all;
		return false;
	}
	po::notify(values);
	if (!values.contains("seed"))
		o.seed = fresh_seed();
	if (!o.count && !o.seconds)
		throw po::error("--count or --seconds must say when to stop");
	return true;
}

/// Says where the fuzzer is: on standard output, and seldom in the kernel's log,
/// which survives a crash.
class progress final
{
public:
	progress(const char *program, const options &o) : program_(program), options_(o)
	{
		say(fmt::format("{}: seed {} start {}", program, o.seed, o.start));
		log();
	}
	~progress()
	{
		if (kernel_log_ >= 0)
			close(kernel_log_);
	}
	progress(const progress &) = delete;
	progress &operator=(const progress &) = delete;

	void at(std::uint64_t first, std::uint64_t last, const std::string &more = "")
	{
		const auto now = std::chrono::steady_clock::now();

		where_ = fmt::format("{}: seed {} cases {} to {}{}", program_, options_.seed, first, last, more);
		if (now - said_ >= std::chrono::seconds(1)) {
			said_ = now;
			say(where_);
		}
		if (now - logged_ >= std::chrono::seconds(10)) {
			logged_ = now;
			log();
		}
	}

private:
	static void say(const std::string &line) { std::fprintf(stderr, "# %s\n", line.c_str()); }
	void log() const
	{
		const std::string &line = where_.empty() ? fmt::format("{}: seed {} start {}", program_, options_.seed,
								       options_.start)
							 : where_;

		if (kernel_log_ >= 0 && write(kernel_log_, line.data(), line.size()) < 0)
			say("the kernel's log takes nothing");
	}

	const char *program_;
	const options &options_;
	const int kernel_log_ = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	std::string where_;
	std::chrono::steady_clock::time_point said_{}, logged_ = std::chrono::steady_clock::now();
};

}
