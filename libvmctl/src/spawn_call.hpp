// SPDX-License-Identifier: Apache-2.0
// SPAWN, as several calls of the library make it.
#pragma once

#include <array>
#include <string>

#include <arpa/inet.h>

#include "vmctl/device.hpp"

#include "arguments.hpp"
#include "convert.hpp"

namespace vmctl
{

// What can be judged without the module, which would only say EINVAL.
[[nodiscard]] result<void> check_request(const spawn_request &request);

// SPAWN's argument, without what its kinds differ in, and what that points to.
struct spawn_call {
	spawn_call(const image &from, const spawn_request &request) : packed(pack_arguments(request.arguments))
	{
		argument.image = from.fd();
		argument.fd = -1;
		argument.memory = request.memory.value_or(0);
		argument.args = packed.empty() ? 0 : address_of(packed.data());
		argument.args_length = static_cast<std::uint32_t>(packed.size());
		argument.flags = request.start ? MAYFLY_SPAWN_START : 0u;
		if (request.first) {
			argument.flags |= MAYFLY_SPAWN_NUMBERED;
			argument.first = *request.first;
		}
		put_name(argument.name, request.name);
		for (const network_place &place : request.places)
			attach(place);
	}
	spawn_call(const spawn_call &) = delete;
	spawn_call &operator=(const spawn_call &) = delete;

	// SPAWN, as often as it takes.
	int make(const descriptor &handle, const spawn_request &request)
	{
		const int ret = handle.calls().ioctl(handle.fd(), MAYFLY_SPAWN, &argument);

		if ((ret != -EADDRINUSE && ret != -EINVAL) || request.places.empty() || !request.places.front().or_any)
			return ret;
		nets.front().ip4 = 0;
		return handle.calls().ioctl(handle.fd(), MAYFLY_SPAWN, &argument);
	}

	// Instead of VMs, a range that gets them.
	void attach(const demand_range &wanted)
	{
		demand.first = htonl(wanted.first);
		demand.last = htonl(wanted.last);
		demand.idle = static_cast<std::uint64_t>(std::chrono::nanoseconds(wanted.idle).count());
		demand.rate = wanted.rate;
		demand.max = wanted.max;
		for (const service &one : wanted.services)
			demand.services[demand.nr_services++] = {
				.port = one.port,
				.protocol = static_cast<std::uint8_t>(one.udp ? IPPROTO_UDP : IPPROTO_TCP),
				.unused = 0};
		add(MAYFLY_ATTACH_DEMAND, &demand, sizeof demand);
	}

	mayfly_spawn argument{};

private:
	void attach(const network_place &place)
	{
		mayfly_attach_net &net = nets.at(argument.nr_attachments);

		net = {.ifindex = place.network,
		       .ip4 = htonl(place.ip4),
		       .dns4 = htonl(place.dns4),
		       .flags = place.router ? MAYFLY_PLACE_ROUTER : 0u,
		       .rate = place.rate};
		add(MAYFLY_ATTACH_NET, &net, sizeof net);
	}
	void add(std::uint32_t type, const void *payload, std::size_t size)
	{
		mayfly_attachment &one = attachments.at(argument.nr_attachments++);

		one.type = type;
		one.size = static_cast<std::uint32_t>(size);
		one.payload = address_of(payload);
		argument.attachments = address_of(attachments.data());
	}

	std::string packed;
	std::array<mayfly_attach_net, most_places> nets{};
	mayfly_attach_demand demand{};
	std::array<mayfly_attachment, most_places + 1> attachments{};
};

} // namespace vmctl
