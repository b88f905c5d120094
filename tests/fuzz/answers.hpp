// SPDX-License-Identifier: Apache-2.0
//
// Which errnos mayfly.h allows each call, and how often each has come.

#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "program.hpp"

namespace fuzz
{

struct rule {
	what call;
	const char *name;
	std::vector<int> errnos;
};

/// Those of every ioctl on descriptors that others close and replace meanwhile:
/// the number may mean something else by now, or nothing.
inline constexpr int always_allowed[] = {EFAULT, EBADF, ENOTTY};

inline const std::vector<rule> &rules()
{
	static const std::vector<int> of_spawn = {EINVAL, EOPNOTSUPP, EEXIST, EDQUOT,     ENOMEM,
						  EXDEV,  EMFILE,     ENFILE, EINTR,      EBUSY,
						  ENODEV, EPERM,      ENOSPC, EADDRINUSE, EADDRNOTAVAIL};
	static const std::vector<rule> all = {
		{what::info, "INFO", {EINVAL}},
		{what::image_create, "IMAGE_CREATE", {EINVAL, EOPNOTSUPP, EDQUOT, ENOMEM, EINTR, EMFILE, ENFILE}},
		{what::spawn, "SPAWN", of_spawn},
		{what::on_demand, "SPAWN on demand", of_spawn},
		{what::demand_list, "DEMAND_LIST", {EINVAL}},
		{what::demand_remove, "DEMAND_REMOVE", {EINVAL, ENOENT, EPERM}},
		{what::list, "LIST", {EINVAL}},
		{what::open, "OPEN", {EINVAL, ENOENT, EPERM, ENOMEM, EMFILE, ENFILE}},
		{what::control_many, "CONTROL of many", {EINVAL}},
		{what::control, "CONTROL", {EINVAL, EALREADY, ESRCH, EBUSY, ENOENT, ENOMEM}},
		{what::stat, "STAT", {EINVAL}},
		{what::run, "RUN", {EINVAL, EBUSY, EINTR, ESRCH}},
		{what::get_state, "GET_STATE", {EINVAL, EBUSY, ESRCH, ENOMEM}},
		{what::set_state, "SET_STATE", {EINVAL, E2BIG, EBUSY, ESRCH, ENOMEM, EOPNOTSUPP}},
		{what::image_list, "IMAGE_LIST", {EINVAL}},
		{what::image_open, "IMAGE_OPEN", {EINVAL, ENOENT, EPERM, ENOMEM, EMFILE, ENFILE}},
		{what::image_tag, "IMAGE_TAG", {EINVAL, EEXIST, EPERM, ENOMEM}},
		{what::image_remove, "IMAGE_REMOVE", {EPERM, ENOENT}},
		{what::memory, "MEMORY", {EINVAL, EBUSY, ESRCH, EDQUOT, ENOMEM, EINTR}},
		{what::extents, "EXTENTS", {EINVAL, EINTR}},
		{what::arguments, "ARGUMENTS", {EINVAL}},
		{what::snapshot, "SNAPSHOT", {EINVAL, EEXIST, ESRCH, EBUSY, EDQUOT, ENOMEM, EINTR, EMFILE, ENFILE}},
	};

	return all;
}

inline const rule *rule_of(what call)
{
	const auto found = std::ranges::find(rules(), call, &rule::call);

	return found == rules().end() ? nullptr : &*found;
}

/// \p answer is 0 or more, or a negative errno.
inline bool is_allowed(const rule &by, int answer)
{
	return answer >= 0 || std::ranges::find(by.errnos, -answer) != by.errnos.end() ||
	       std::ranges::find(always_allowed, -answer) != std::end(always_allowed);
}

/// What CONTROL of many may say about each.
inline bool is_allowed_result(std::int32_t result)
{
	static constexpr int good[] = {0, -ENOENT, -EPERM, -EALREADY, -ESRCH, -EBUSY, -ENOMEM, -EINTR, -EXDEV};

	return std::ranges::find(good, result) != std::end(good);
}

/// How often each call has answered what.
class answers final
{
public:
	void count(const char *name, int answer) { seen_[name][std::min(answer, 0)]++; }
	void add(const answers &other)
	{
		for (const auto &[name, by_errno] : other.seen_)
			for (const auto &[answer, n] : by_errno)
				seen_[name][answer] += n;
	}
	[[nodiscard]] std::uint64_t ioctls() const
	{
		std::uint64_t sum = 0;

		for (const rule &one : rules())
			if (const auto found = seen_.find(one.name); found != seen_.end())
				for (const auto &[answer, n] : found->second)
					sum += n;
		return sum;
	}
	[[nodiscard]] std::string to_json() const
	{
		std::string text;

		for (const auto &[name, by_errno] : seen_) {
			std::string inner;

			for (const auto &[answer, n] : by_errno)
				inner += fmt::format("{}\"{}\":{}", inner.empty() ? "" : ",", label(answer), n);
			text += fmt::format("{}\"{}\":{{{}}}", text.empty() ? "" : ",", name, inner);
		}
		return "{" + text + "}";
	}
	[[nodiscard]] std::string to_text() const
	{
		std::string text;

		for (const auto &[name, by_errno] : seen_) {
			text += fmt::format("  {:<16}", name);
			for (const auto &[answer, n] : by_errno)
				text += fmt::format(" {} {}", label(answer), n);
			text += '\n';
		}
		return text;
	}

private:
	static std::string label(int answer)
	{
		const char *const name = answer ? strerrorname_np(-answer) : "ok";

		return name ? name : std::to_string(answer);
	}

	std::map<std::string, std::map<int, std::uint64_t>> seen_;
};

}
