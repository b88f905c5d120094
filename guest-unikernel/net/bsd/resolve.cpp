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

// What it remembers is older than DNS_MAX_TTL after so many calls.
void count_seconds(std::uint64_t now)
{
	const auto passed = now > counted ? (now - counted) / ns_per_second : 0;

	for (auto n = std::min<std::uint64_t>(passed, DNS_MAX_TTL + 1); n > 0; --n)
		dns_tmr();
	counted += passed * ns_per_second;
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
	question asked;

	start_network();
	const auto server = mayfly::net::name_server();
	if (server == 0)
		return EAI_AGAIN;
	const auto to = lwip_address({.address = server});
	dns_setserver(0, &to);
	count_seconds(mayfly::now_ns());
	counted = mayfly::now_ns();

	const auto error = dns_gethostbyname(name, &asked.address, on_answer, &asked);
	if (error == ERR_INPROGRESS) {
		if (const int failed = wait_for(asked); failed != 0)
			return failed;
	} else if (error != ERR_OK) {
		return error_of(error);
	}
	address.s_addr = asked.address.addr;
	return 0;
}
