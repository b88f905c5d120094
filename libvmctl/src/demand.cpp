// SPDX-License-Identifier: Apache-2.0
// VMs that are made when a packet comes for them.
#include "vmctl/demand.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "spawn_call.hpp"

namespace vmctl
{

static_assert(most_services == MAYFLY_DEMAND_SERVICES);
static_assert(most_births == MAYFLY_DEMAND_RATE_MAX);
static_assert(std::chrono::nanoseconds(longest_idle).count() == MAYFLY_DEMAND_IDLE_MAX);

namespace
{

result<void> check_range(const demand_range &range, const spawn_request &request)
{
	if (range.services.size() > most_services)
		return fail(EINVAL, fmt::format("at most {} ports", most_services));
	if (request.places.size() != 1)
		return fail(EINVAL, "VMs on demand are on one network");
	if (request.count != 1 || !request.name.empty() || request.first || !request.start)
		return fail(EINVAL, "VMs on demand have no names, and are started when they are made");
	if (range.rate == 0 || range.rate > most_births || range.max == 0 || range.idle.count() < 0 ||
	    range.idle > longest_idle)
		return fail(EINVAL, fmt::format("not a rate of 1 to {}, a number of VMs and a time of up to {} h",
						most_births, longest_idle.count()));
	return {};
}

demand_range range_of(const mayfly_attach_demand &raw)
{
	demand_range range{.first = ntohl(raw.first),
			   .last = ntohl(raw.last),
			   .idle = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(raw.idle)),
			   .rate = raw.rate,
			   .max = raw.max};

	for (std::uint32_t i = 0; i < std::min<std::size_t>(raw.nr_services, most_services); i++)
		range.services.push_back({.port = raw.services[i].port,
					  .udp = raw.services[i].protocol == IPPROTO_UDP});
	return range;
}

} // namespace

demand_info info_of(const mayfly_demand_info &raw)
{
	return {.id = raw.id,
		.network = raw.ifindex,
		.uid = raw.uid,
		.range = range_of(raw.range),
		.image_id = raw.image_id,
		.image = std::string(text_of(raw.image)),
		.memory = raw.memory,
		.vms = raw.vms,
		.born = raw.born,
		.refused = raw.refused};
}

result<void> device::make_on_demand(const image &from, const spawn_request &request, const demand_range &range) const
{
	VMCTL_TRY(check_request(request));
	VMCTL_TRY(check_range(range, request));

	spawn_call call(from, request);

	call.argument.flags |= MAYFLY_SPAWN_DETACHED;
	call.argument.count = 1;
	call.attach(range);

	const int ret = call.make(handle_, request);

	switch (ret) {
	case 0:
		return {};
	case -EEXIST:
		return fail(EEXIST, "some of these addresses are on demand already");
	case -ENOSPC:
		return fail(ENOSPC, "the network has as many ranges on demand as it can have");
	case -EINVAL:
		return fail(EINVAL, "not addresses for VMs of this network");
	default:
		return std::unexpected(spawn_error(-ret, request, 1));
	}
}

result<void> device::remove_demand(std::uint64_t id) const
{
	mayfly_demand_remove argument{};

	argument.id = id;
	switch (const int ret = handle_.calls().ioctl(handle_.fd(), MAYFLY_DEMAND_REMOVE, &argument); ret) {
	case 0:
		return {};
	case -ENOENT:
		return fail(ENOENT, "it is gone");
	case -EPERM:
		return fail(EPERM, "someone else's");
	default:
		return fail(-ret, errno_text(-ret));
	}
}

} // namespace vmctl
