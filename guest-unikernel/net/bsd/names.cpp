// SPDX-License-Identifier: BSD-2-Clause
//
// Addresses and names as text.

#include "resolve.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <errno.h>
#include <netdb.h>
#include <new>
#include <stdio.h>
#include <string.h>
#include <string_view>

// Macros where the compiler optimizes, functions where it does not.
#undef htonl
#undef htons
#undef ntohl
#undef ntohs

namespace
{

// A number of that base's default, whole, and not larger than @most.
bool parse(std::string_view text, std::uint32_t most, std::uint32_t &number)
{
	const auto [end, wrong] = std::from_chars(text.begin(), text.end(), number);

	return wrong == std::errc{} && end == text.end() && number <= most;
}

// a.b.c.d, into network order.
bool parse_address(std::string_view text, in_addr &address)
{
	std::uint32_t whole = 0;

	for (int i = 0; i < 4; ++i) {
		const auto dot = i < 3 ? text.find('.') : text.size();
		std::uint32_t part;
		if (dot == text.npos || !parse(text.substr(0, dot), 255, part))
			return false;
		whole = whole << 8 | part;
		text.remove_prefix(std::min(dot + 1, text.size()));
	}
	address.s_addr = __builtin_bswap32(whole);
	return true;
}

// Of a call of getaddrinfo(), freed as one.
struct found {
	addrinfo info;
	sockaddr_in address;
};

int find_host(const char *name, int flags, in_addr &address)
{
	if (name == nullptr)
		address.s_addr = __builtin_bswap32((flags & AI_PASSIVE) != 0 ? INADDR_ANY : INADDR_LOOPBACK);
	else if (strcmp(name, "localhost") == 0)
		address.s_addr = __builtin_bswap32(INADDR_LOOPBACK);
	else if (!parse_address(name, address))
		return (flags & AI_NUMERICHOST) != 0 ? EAI_NONAME : resolve(name, address);
	return 0;
}

}

extern "C" {

uint32_t htonl(uint32_t number) noexcept
{
	return __builtin_bswap32(number);
}

uint16_t htons(uint16_t number) noexcept
{
	return __builtin_bswap16(number);
}

uint32_t ntohl(uint32_t number) noexcept
{
	return __builtin_bswap32(number);
}

uint16_t ntohs(uint16_t number) noexcept
{
	return __builtin_bswap16(number);
}

int inet_pton(int family, const char *text, void *address) noexcept
{
	in_addr parsed;

	if (family != AF_INET) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	if (!parse_address(text, parsed))
		return 0;
	memcpy(address, &parsed, sizeof parsed);
	return 1;
}

int inet_aton(const char *text, in_addr *address) noexcept
{
	return inet_pton(AF_INET, text, address);
}

in_addr_t inet_addr(const char *text) noexcept
{
	in_addr parsed;

	return parse_address(text, parsed) ? parsed.s_addr : INADDR_NONE;
}

const char *inet_ntop(int family, const void *address, char *text, socklen_t size) noexcept
{
	unsigned char bytes[4];

	if (family != AF_INET) {
		errno = EAFNOSUPPORT;
		return nullptr;
	}
	memcpy(bytes, address, sizeof bytes);
	if (snprintf(text, size, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]) >= static_cast<int>(size)) {
		errno = ENOSPC;
		return nullptr;
	}
	return text;
}

char *inet_ntoa(in_addr address) noexcept
{
	static char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &address, text, sizeof text);
	return text;
}

int getaddrinfo(const char *name, const char *service, const addrinfo *hints, addrinfo **result)
{
	const int flags = hints != nullptr ? hints->ai_flags : 0;
	const int type = hints != nullptr && hints->ai_socktype != 0 ? hints->ai_socktype : SOCK_STREAM;
	std::uint32_t port = 0;
	in_addr address;

	if (hints != nullptr && hints->ai_family != AF_UNSPEC && hints->ai_family != AF_INET)
		return EAI_FAMILY;
	if (name == nullptr && service == nullptr)
		return EAI_NONAME;
	if (const int error = find_host(name, flags, address); error != 0)
		return error;
	if (service != nullptr && !parse(service, 65535, port))
		return EAI_SERVICE;
	auto *made = new (std::nothrow) found{};
	if (made == nullptr)
		return EAI_MEMORY;
	made->address.sin_family = AF_INET;
	made->address.sin_port = __builtin_bswap16(static_cast<uint16_t>(port));
	made->address.sin_addr = address;
	made->info.ai_family = AF_INET;
	made->info.ai_socktype = type;
	made->info.ai_protocol = type == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP;
	made->info.ai_addrlen = sizeof made->address;
	made->info.ai_addr = reinterpret_cast<sockaddr *>(&made->address);
	*result = &made->info;
	return 0;
}

void freeaddrinfo(addrinfo *info) noexcept
{
	delete reinterpret_cast<found *>(info);
}

const char *gai_strerror(int error) noexcept
{
	switch (error) {
	case EAI_NONAME:
		return "no such name";
	case EAI_AGAIN:
		return "no name server answers";
	case EAI_SERVICE:
		return "a service is a number here";
	case EAI_FAMILY:
		return "only IPv4";
	case EAI_MEMORY:
		return "no memory";
	default:
		return "unknown error";
	}
}
}
