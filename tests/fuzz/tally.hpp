// SPDX-License-Identifier: Apache-2.0
//
// What a run of fuzz-guests has seen.

#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <fmt/core.h>
#include <mayfly.h>

namespace fuzz
{

inline constexpr const char *end_names[] = {"none",       "exited",     "killed",       "triple-fault",
					    "bad-access", "bad-state",  "no-memory",    "entry-failed",
					    "limit",      "split-lock", "broken-memory"};
inline constexpr const char *exit_names[] = {"interrupt", "hypercall", "cpuid",     "hlt",      "msr",
					     "memory",    "denied",    "exception", "shutdown", "invalid"};

static_assert(std::size(end_names) == MAYFLY_END_BROKEN_MEMORY + 1);
static_assert(std::size(exit_names) == MAYFLY_EXIT_REASONS);

struct tally {
	std::uint64_t cases = 0;
	std::array<std::uint64_t, std::size(end_names)> ends{};
	std::array<std::uint64_t, std::size(exit_names)> exits{};
	std::uint64_t done = 0;    ///< guests that came to the end of their code
	std::uint64_t faulted = 0; ///< that had too many exceptions
	std::uint64_t closed = 0;  ///< whose last descriptor was closed while they lived
	std::uint64_t states_set = 0;
	std::uint64_t states_refused = 0;
	std::uint64_t own_state_refused = 0; ///< a running guest's, given back as it was
	std::uint64_t digest = 0;            ///< of all images, in any order

	void add(const tally &other)
	{
		cases += other.cases;
		for (std::size_t i = 0; i < ends.size(); i++)
			ends[i] += other.ends[i];
		for (std::size_t i = 0; i < exits.size(); i++)
			exits[i] += other.exits[i];
		done += other.done;
		faulted += other.faulted;
		closed += other.closed;
		states_set += other.states_set;
		states_refused += other.states_refused;
		own_state_refused += other.own_state_refused;
		digest ^= other.digest;
	}
};

template <std::size_t n, std::size_t m>
std::string as_object(const char *const (&names)[n], const std::array<std::uint64_t, m> &values)
{
	static_assert(n == m);
	std::string text;

	for (std::size_t i = 0; i < n; i++)
		if (values[i])
			text += fmt::format("{}\"{}\":{}", text.empty() ? "" : ",", names[i], values[i]);
	return "{" + text + "}";
}

/// One line of JSON.
inline std::string to_json(const tally &t, std::uint64_t seed, double seconds)
{
	return fmt::format("{{\"seed\":{},\"cases\":{},\"seconds\":{:.1f},\"ends\":{},\"exits\":{},\"done\":{},"
			   "\"faulted\":{},\"closed\":{},\"states_set\":{},\"states_refused\":{},"
			   "\"own_state_refused\":{},\"digest\":\"{:016x}\"}}",
			   seed, t.cases, seconds, as_object(end_names, t.ends), as_object(exit_names, t.exits), t.done,
			   t.faulted, t.closed, t.states_set, t.states_refused, t.own_state_refused, t.digest);
}

inline std::string to_text(const tally &t, double seconds)
{
	std::string text = fmt::format("{} guests in {:.1f} s, {:.0f} a second\n", t.cases, seconds,
				       static_cast<double>(t.cases) / seconds);

	for (std::size_t i = 0; i < t.ends.size(); i++)
		if (t.ends[i])
			text += fmt::format("  ended {:<14}{:>12}\n", end_names[i], t.ends[i]);
	text += fmt::format(
		"  closed alive        {:>12}\n  code run to its end {:>12}\n  too many faults     {:>12}\n", t.closed,
		t.done, t.faulted);
	for (std::size_t i = 0; i < t.exits.size(); i++)
		text += fmt::format("  exits {:<14}{:>12}\n", exit_names[i], t.exits[i]);
	text += fmt::format(
		"  states set          {:>12}\n  states refused      {:>12}\n  own state refused   {:>12}\n",
		t.states_set, t.states_refused, t.own_state_refused);
	return text + fmt::format("  digest {:016x}\n", t.digest);
}

}
