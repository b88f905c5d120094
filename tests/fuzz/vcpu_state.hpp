// SPDX-License-Identifier: Apache-2.0
//
// Register states to give to SET_STATE: what a caller may ask for, and what is
// next to it.

#pragma once

#include <cstring>
#include <string>

#include <fmt/core.h>
#include <mayfly.h>

#include "../live/descriptor.hpp"
#include "code.hpp"
#include "random.hpp"

namespace fuzz
{

inline void bend_segment(random &r, mayfly_segment_register &s)
{
	static constexpr std::uint16_t attributes[] = {0,      0x60,   0x0a9b, 0x0afb, 0x0c93, 0x0cf3,
						       0x093,  0x0c9b, 0x008b, 0x0089, 0x0082, 0x0a9f,
						       0x0a99, 0x0e9b, 0x0c97, 0x0493, 0x1000};

	switch (r.below(4)) {
	case 0:
		s.attributes = r.chance(80) ? r.pick(attributes)
					    : static_cast<std::uint16_t>(s.attributes ^ 1u << r.below(16));
		break;
	case 1:
		s.base = interesting_address(r);
		break;
	case 2:
		s.limit = static_cast<std::uint32_t>(r.word());
		break;
	default:
		s.selector = static_cast<std::uint16_t>(r.chance(70) ? interesting_selector(r) : r.next());
		break;
	}
}

/// Things that belong together are changed together: most such states are good.
inline void bend_whole(random &r, live::vcpu_state &s)
{
	switch (r.below(6)) {
	case 0: // user mode
		s.cs.attributes = 0x0afb;
		s.cs.selector = FUZZ_USER_CODE;
		s.ss.attributes = 0x0cf3;
		s.ss.selector = FUZZ_USER_DATA;
		break;
	case 1: // no stack segment, as after an interrupt from user mode
		s.ss = {.base = 0, .limit = 0, .selector = 0, .attributes = 0};
		break;
	case 2:
		s.rflags = interesting_flags(r) & ~0x20000ull;
		break;
	case 3: {
		static constexpr unsigned vectors[] = {0, 1, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19};

		s.flags |= MAYFLY_STATE_EXCEPTION;
		s.exception = r.pick(vectors);
		if (0x27d00u >> s.exception & 1)
			s.error_code = static_cast<std::uint32_t>(r.chance(50) ? 0 : r.below(0x10000));
		break;
	}
	case 4:
		s.flags ^= MAYFLY_STATE_SHADOW;
		break;
	default:
		s.cr0 ^= r.below(2) << 1 | r.below(2) << 2 | r.below(2) << 3 | r.below(2) << 16 | r.below(2) << 18;
		s.cr4 ^= r.below(2) << 2 | r.below(2) << 3 | r.below(2) << 4 | r.below(2) << 7 | r.below(2) << 9;
		break;
	}
}

/// One field, at random: any word of the registers, a byte of the FPU's.
inline void bend_field(random &r, live::vcpu_state &s)
{
	constexpr std::size_t words = sizeof(mayfly_vcpu_state) / 8;
	auto *const bytes = reinterpret_cast<std::byte *>(&s);
	std::uint64_t value;

	if (r.chance(10)) {
		s.fpu[r.below(sizeof(s.fpu))] = static_cast<__u8>(r.next());
		return;
	}
	std::byte *const at = bytes + 8 * r.below(words);

	std::memcpy(&value, at, sizeof(value));
	switch (r.below(3)) {
	case 0:
		value ^= 1ull << r.below(64);
		break;
	case 1:
		value = interesting_address(r);
		break;
	default:
		value = r.word();
		break;
	}
	std::memcpy(at, &value, sizeof(value));
}

inline void bend_state(random &r, live::vcpu_state &s)
{
	mayfly_segment_register *const segments[] = {&s.cs, &s.ss, &s.ds, &s.es, &s.fs, &s.gs, &s.ldtr, &s.tr};

	for (std::uint64_t n = 1 + r.below(3); n; n--) {
		switch (r.below(5)) {
		case 0:
			bend_field(r, s);
			break;
		case 1:
			bend_segment(r, *r.pick(segments));
			break;
		case 2:
			s.regs[r.below(16)] = interesting_address(r);
			break;
		default:
			bend_whole(r, s);
			break;
		}
	}
}

/// The words in which two states differ, as offset=value of the second.
inline std::string difference(const live::vcpu_state &from, const live::vcpu_state &to)
{
	std::string text;

	for (std::size_t at = 0; at < sizeof(to); at += 8) {
		std::uint64_t a, b;

		std::memcpy(&a, reinterpret_cast<const std::byte *>(&from) + at, sizeof(a));
		std::memcpy(&b, reinterpret_cast<const std::byte *>(&to) + at, sizeof(b));
		if (a != b)
			text += fmt::format(" {:#x}={:#x}", at, b);
	}
	return text;
}

}
