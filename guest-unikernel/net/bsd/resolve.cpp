// SPDX-License-Identifier: BSD-2-Clause
//
// Names, by lwIP's resolver. It wants to be called each second: it is, while somebody waits, and
// for the seconds in between when somebody asks again.

#include "resolve.hpp"

#include "../stack.hpp"
#include "files.hpp"
#include "lwip/dns.h"

#include <algorithm>
#include <mayfly/clock.hpp>
#include <netdb.h>
#include <string_view>

namespace
{

constexpr std::uint64_t ns_per_second = DNS_TMR_INTERVAL * 1'000'000ULL;

std::uint64_t counted; // time until which the resolver has been called

struct question {
	bool is_over = false;
	bool is_found = false;
	ip_addr_t address = {};
};

void on_answer(const char *, const ip_addr_t *address, void *cookie)
{
	auto &asked = *static_cast<question *>(cookie);

	asked.is_over = true;
	asked.is_found = address != nullptr;
	if (asked.is_found)
		asked.address = *address;
	application_was_called();
}

constexpr std::uint64_t longest_seconds = DNS_MAX_TTL + 1; // nothing is remembered after so many

void let_pass(std::uint64_t seconds)
{
	for (auto n = std::min(seconds, longest_seconds); n > 0; --n)
		dns_tmr();
}

void count_seconds(std::uint64_t now)
{
	const auto passed = now > counted ? (now - counted) / ns_per_second : 0;

	let_pass(passed);
	counted += passed * ns_per_second;
}

// Returns whether there is a server. A clone may have another one than the original, whose names
// mean nothing there.
bool find_server()
{
	const auto given = mayfly::net::name_server();
	const auto server = lwip_address(given);

	if (given != 0 && !ip_addr_cmp(&server, dns_getserver(0))) {
		let_pass(longest_seconds);
		dns_setserver(0, &server);
	}
	return given != 0;
}

// A name as the protocol has it, in front of a length byte for each label: lwIP checks no more
// than the sum. Returns whether it is one.
bool copy_name(std::string_view name, char (&copy)[DNS_MAX_NAME_LENGTH])
{
	constexpr std::size_t longest_label = 63;

	if (name.ends_with('.'))
		name.remove_suffix(1);
	if (name.size() >= sizeof copy)
		return false;
	copy[name.copy(copy, name.size())] = '\0';
	for (;;) {
		const auto label = name.substr(0, name.find('.'));

		if (label.empty() || label.size() > longest_label)
			return false;
		if (label.size() == name.size())
			return true;
		name.remove_prefix(label.size() + 1);
	}
}

// Returns 0, or why there is no address.
int wait_for(const question &asked)
{
	while (!asked.is_over) {
		wait_for_anything(counted + ns_per_second);
		if (asked.is_over)
			break;
		count_seconds(mayfly::now_ns());
		if (asked.is_over) // because it has given up
			return EAI_AGAIN;
	}
	return asked.is_found ? 0 : EAI_NONAME;
}

int error_of(err_t error)
{
	return error == ERR_MEM ? EAI_MEMORY : error == ERR_VAL ? EAI_AGAIN : EAI_NONAME;
}

}

int resolve(const char *name, in_addr &address)
{
	char copy[DNS_MAX_NAME_LENGTH];
	question asked;

	if (!copy_name(name, copy))
		return EAI_NONAME;
	start_network();
	if (!find_server())
		return EAI_AGAIN;
	count_seconds(mayfly::now_ns());

	const auto error = dns_gethostbyname_addrtype(copy, &asked.address, on_answer, &asked, LWIP_DNS_ADDRTYPE_IPV4);
	if (error == ERR_INPROGRESS) {
		if (const int failed = wait_for(asked); failed != 0)
			return failed;
	} else if (error != ERR_OK) {
		return error_of(error);
	}
	address.s_addr = ip4_addr_get_u32(ip_2_ip4(&asked.address));
	return 0;
}
