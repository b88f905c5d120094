// SPDX-License-Identifier: Apache-2.0
//
// Numbers that a seed decides: the same on every machine and in every build, so
// that a case is a function of its seed and its index alone.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fuzz
{

/// A sequence of numbers, SplitMix64.
class random final
{
public:
	explicit random(std::uint64_t seed, std::uint64_t stream = 0, std::uint64_t index = 0)
		: state_(mix(mix(mix(seed) + stream) + index))
	{
	}

	std::uint64_t next() { return mix(state_ += step); }

	/// 0 to \p end - 1.
	std::uint64_t below(std::uint64_t end) { return next() % end; }

	/// True \p percent times out of a hundred.
	bool chance(unsigned percent) { return below(100) < percent; }

	template <class T, std::size_t n> const T &pick(const T (&all)[n]) { return all[below(n)]; }
	template <class T> T &pick(std::span<T> all) { return all[below(all.size())]; }

	/// A number of the kind that code gets wrong: near 0, near a power of two,
	/// on or beside a page, few bits, all bits.
	std::uint64_t word()
	{
		switch (below(8)) {
		case 0:
			return below(4);
		case 1:
			return ~below(4);
		case 2:
			return 1ull << below(64);
		case 3:
			return (1ull << below(64)) - 1 + below(3);
		case 4:
			return (next() >> below(64)) & ~0xfffull;
		case 5:
			return (1ull << below(64)) | (1ull << below(64));
		case 6:
			return next() >> below(64);
		default:
			return next();
		}
	}

private:
	static constexpr std::uint64_t step = 0x9e3779b97f4a7c15;

	static constexpr std::uint64_t mix(std::uint64_t z)
	{
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
		return z ^ (z >> 31);
	}

	std::uint64_t state_;
};

/// One number out of many bytes, in which order counts: two runs that made the
/// same cases have the same.
class digest final
{
public:
	void add(std::span<const std::byte> bytes)
	{
		for (const std::byte byte : bytes)
			value_ = (value_ ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
	}
	template <class T> void add_value(const T &value) { add(std::as_bytes(std::span(&value, 1))); }

	[[nodiscard]] std::uint64_t value() const { return value_; }

private:
	std::uint64_t value_ = 0xcbf29ce484222325;
};

}
