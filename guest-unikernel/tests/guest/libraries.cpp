// SPDX-License-Identifier: BSD-2-Clause
//
// Parts of the libraries that are no headers only, or need functions that are not.

#include "trials.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mayfly/console.hpp>
#include <memory>
#include <new>
#include <queue>
#include <set>
#include <stdio.h>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace
{

using number = unsigned __int128;

void show(const char *what, bool good)
{
	mayfly::print("%s %s\n", good ? "ok" : "FAIL", what);
}

bool new_nothrow()
{
	struct alignas(128) wide {
		char bytes[128];
	};
	const volatile std::size_t too_much = std::size_t{1} << 40;
	const std::unique_ptr<int> one(new (std::nothrow) int(7));
	const std::unique_ptr<wide> aligned(new (std::nothrow) wide);

	return *one == 7 && reinterpret_cast<std::uintptr_t>(aligned.get()) % 128 == 0 &&
	       new (std::nothrow) char[too_much] == nullptr;
}

bool sorts()
{
	std::vector<std::pair<int, int>> pairs;

	for (int i = 0; i < 1000; ++i)
		pairs.emplace_back(i * 7919 % 31, i);
	std::stable_sort(pairs.begin(), pairs.end(), [](auto a, auto b) { return a.first < b.first; });
	return std::is_sorted(pairs.begin(), pairs.end());
}

// Not known when this is compiled.
bool arithmetic()
{
	const volatile std::uint64_t unknown = 0x8000'0000'0000'0105;
	const std::uint64_t seed = unknown;
	const number wide = number{seed} << 64 | seed;
	const auto minus = -static_cast<__int128>(wide);

	return std::popcount(seed) == 4 && wide / 3 * 3 + wide % 3 == wide && minus / 5 * 5 + minus % 5 == minus &&
	       static_cast<double>(wide) > 1e18;
}

bool strings()
{
	std::string text = "a";

	for (int i = 0; i < 100; ++i)
		text += std::to_string(i) + ' ';
	text.insert(0, "begin ");
	const auto copy = std::make_shared<std::string>(text);
	const std::weak_ptr<std::string> weak = copy;
	return weak.lock()->find("99") == text.rfind("99") && copy->substr(0, 5) == "begin" &&
	       std::u32string(70, U'x').size() == 70;
}

bool containers()
{
	std::map<std::string, int> sorted;
	std::unordered_map<std::string, int> hashed;
	std::set<int> set;
	std::list<int> list;
	std::deque<int> deque;
	std::priority_queue<int> queue;
	std::variant<int, std::string> either = "text";
	int sum = 0;
	const std::function<void(int)> add = [&](int x) { sum += x; };

	for (int i = 0; i < 1000; ++i) {
		sorted[std::to_string(i)] = hashed[std::to_string(i)] = i;
		set.insert(i % 10);
		list.push_front(i);
		deque.push_front(i);
		queue.push(i);
	}
	list.sort();
	sorted.erase("500");
	for (const auto &[name, value] : sorted)
		add(value);
	return sum == 499'000 && hashed.at("999") == 999 && set.size() == 10 && list.front() == 0 &&
	       deque.back() == 0 && queue.top() == 999 && std::get<std::string>(either) == "text";
}

}

void use_libraries()
{
	show("new(std::nothrow)", new_nothrow());
	show("stable_sort", sorts());
	show("arithmetic", arithmetic());
	show("strings", strings());
	show("containers", containers());
	printf("%o %#o %#x\n", 0755u, 8u, 255u);
	std::vector<int>().at(3);
}
