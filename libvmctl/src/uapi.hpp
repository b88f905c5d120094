// SPDX-License-Identifier: Apache-2.0
// The module's interface, for the sources of the library only: no public header
// names it, and no other file includes it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include <linux/ethtool.h> // this and the next two: what libnl does not say of network devices
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <mayfly.h>
#include <mayfly_demand.h>
#include <mayfly_guest.h>

namespace vmctl
{

// A pointer as the module's structures carry it.
inline std::uint64_t address_of(const void *pointer)
{
	return reinterpret_cast<std::uintptr_t>(pointer);
}

// Copies \p text with its NUL; false when it does not fit.
inline bool put_name(char (&field)[MAYFLY_NAME_SIZE], std::string_view text)
{
	if (text.size() >= sizeof field)
		return false;
	std::memcpy(field, text.data(), text.size());
	field[text.size()] = '\0';
	return true;
}

// The text of a field, which need not have a NUL.
inline std::string_view text_of(const char (&field)[MAYFLY_NAME_SIZE])
{
	return {field, ::strnlen(field, sizeof field)};
}

} // namespace vmctl
