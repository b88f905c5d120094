// SPDX-License-Identifier: Apache-2.0
// Networks, by netlink.
#include "vmctl/network.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "link.hpp"
#include "uapi.hpp"

namespace vmctl
{

namespace
{

using cache = std::unique_ptr<nl_cache, deleter<nl_cache_free>>;
using link_object = std::unique_ptr<rtnl_link, deleter<rtnl_link_put>>;
using addr_object = std::unique_ptr<rtnl_addr, deleter<rtnl_addr_put>>;
using address_object = std::unique_ptr<nl_addr, deleter<nl_addr_put>>;

// The address of an rtnl_addr, if it is of IPv4.
std::optional<subnet> subnet_of(rtnl_addr *row)
{
	const nl_addr *local = rtnl_addr_get_local(row);
	std::uint32_t number;

	if (!local || nl_addr_get_family(local) != AF_INET || nl_addr_get_len(local) != sizeof number)
		return {};
	std::memcpy(&number, nl_addr_get_binary_addr(local), sizeof number);
	return subnet{.host = ntohl(number), .prefix = static_cast<unsigned>(rtnl_addr_get_prefixlen(row))};
}

// Likewise of IPv6, if VMs may have such a one.
std::optional<subnet6> subnet6_of(rtnl_addr *row)
{
	const nl_addr *local = rtnl_addr_get_local(row);
	subnet6 found{.prefix = static_cast<unsigned>(rtnl_addr_get_prefixlen(row))};

	if (!local || nl_addr_get_family(local) != AF_INET6 || nl_addr_get_len(local) != found.host.size() ||
	    rtnl_addr_get_scope(row) == RT_SCOPE_LINK || found.prefix > subnet6::longest)
		return {};
	std::memcpy(found.host.data(), nl_addr_get_binary_addr(local), found.host.size());
	return found;
}

bool overlap(const subnet6 &a, const subnet6 &b)
{
	const unsigned common = std::min(a.prefix, b.prefix), bytes = common / 8, bits = common % 8;

	if (!std::equal(a.host.begin(), a.host.begin() + bytes, b.host.begin()))
		return false;
	return bits == 0 || ((a.host[bytes] ^ b.host[bytes]) >> (8 - bits)) == 0;
}

// Each object of a cache.
template <class Object> void for_each(const cache &all, auto visit)
{
	for (nl_object *object = nl_cache_get_first(all.get()); object; object = nl_cache_get_next(object))
		visit(reinterpret_cast<Object *>(object));
}

// Room for a structure of ethtool's, and what follows it.
template <class Head> class ethtool_request
{
public:
	ethtool_request(std::uint32_t command, std::size_t size)
		: space_((sizeof(Head) + size + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t))
	{
		head()->cmd = command;
	}

	[[nodiscard]] Head *head() { return reinterpret_cast<Head *>(space_.data()); }

	// Any socket will do.
	[[nodiscard]] bool ask(int socket, const std::string &device)
	{
		ifreq request{};

		device.copy(request.ifr_name, IFNAMSIZ - 1);
		request.ifr_data = reinterpret_cast<char *>(space_.data());
		return ::ioctl(socket, SIOCETHTOOL, &request) == 0;
	}

private:
	std::vector<std::uint64_t> space_;
};

// What a device counts by names of its own, which libnl does not ask for.
std::vector<std::pair<std::string, std::uint64_t>> read_own_counters(int socket, const std::string &device)
{
	ethtool_request<ethtool_sset_info> set(ETHTOOL_GSSET_INFO, sizeof(std::uint32_t));

	set.head()->sset_mask = 1u << ETH_SS_STATS;
	if (!set.ask(socket, device) || set.head()->sset_mask == 0)
		return {};

	const std::uint32_t count = set.head()->data[0];
	ethtool_request<ethtool_gstrings> names(ETHTOOL_GSTRINGS, std::size_t{count} * ETH_GSTRING_LEN);
	ethtool_request<ethtool_stats> values(ETHTOOL_GSTATS, std::size_t{count} * sizeof(std::uint64_t));
	std::vector<std::pair<std::string, std::uint64_t>> all;

	names.head()->string_set = ETH_SS_STATS;
	names.head()->len = values.head()->n_stats = count;
	if (!names.ask(socket, device) || !values.ask(socket, device))
		return {};
	for (std::uint32_t i = 0; i < count; i++) {
		const char *name = reinterpret_cast<const char *>(names.head()->data) +
				   std::size_t{i} * ETH_GSTRING_LEN;

		all.emplace_back(std::string(name, ::strnlen(name, ETH_GSTRING_LEN)), values.head()->data[i]);
	}
	return all;
}

// What is being made is called so, and by its maker's number. No network may be.
constexpr char unfinished = '~';

std::string unfinished_name()
{
	return fmt::format("{}{}", unfinished, ::getpid());
}

bool is_unfinished(const network_info &one)
{
	return one.name.starts_with(unfinished);
}

// Its maker was killed.
bool is_left_behind(const network_info &one)
{
	pid_t maker = 0;

	if (!is_unfinished(one))
		return false;
	std::from_chars(one.name.data() + 1, one.name.data() + one.name.size(), maker);
	return maker <= 0 || (::kill(maker, 0) != 0 && errno == ESRCH);
}

} // namespace

std::string_view to_string(network_policy policy)
{
	switch (policy) {
	case network_policy::direct:
		return "direct";
	case network_policy::host:
		return "host";
	case network_policy::isolated:
		return "isolated";
	}
	return "?";
}

result<void> check_network_name(std::string_view name)
{
	constexpr auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };

	if (name.empty() || name.size() >= IFNAMSIZ || !is_letter(name.front()) ||
	    !std::ranges::all_of(name, [&](char c) {
		    return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
	    }))
		return fail(EINVAL, fmt::format("a network's name is a letter, then letters, digits, '.', '_' or '-', "
						"{} in all at most",
						IFNAMSIZ - 1));
	return {};
}

void networks::closer::operator()(nl_sock *socket) const
{
	nl_socket_free(socket);
}

result<networks> networks::open()
{
	networks opened{nl_socket_alloc()};

	if (!opened.socket_)
		return netlink_no_memory();
	if (const int code = nl_connect(opened.socket_.get(), NETLINK_ROUTE); code < 0)
		return netlink_failed(code, "asking for networks");
	return opened;
}

result<void> networks::add_address(const network_info &to, int family, std::span<const std::uint8_t> bytes,
				   unsigned prefix) const
{
	const addr_object row(rtnl_addr_alloc());
	const address_object local(nl_addr_build(family, bytes.data(), bytes.size()));

	if (!row || !local)
		return netlink_no_memory();
	rtnl_addr_set_ifindex(row.get(), static_cast<int>(to.index));
	rtnl_addr_set_local(row.get(), local.get());
	rtnl_addr_set_prefixlen(row.get(), static_cast<int>(prefix));
	if (const int code = rtnl_addr_add(socket_.get(), row.get(), 0); code < 0)
		return netlink_failed(code, "giving the network its address");
	return {};
}

result<void> networks::add_addresses(const network_info &to, const network_options &options) const
{
	const std::uint32_t number = htonl(options.addresses.host);
	std::array<std::uint8_t, sizeof number> bytes{};

	std::memcpy(bytes.data(), &number, sizeof number);
	VMCTL_TRY(add_address(to, AF_INET, bytes, options.addresses.prefix));
	if (options.addresses6)
		return add_address(to, AF_INET6, options.addresses6->host, options.addresses6->prefix);
	return {};
}

result<void> networks::check_free(const network_options &wanted) const
{
	nl_cache *raw = nullptr;

	if (const int code = rtnl_addr_alloc_cache(socket_.get(), &raw); code < 0)
		return netlink_failed(code, "listing addresses");

	const cache all(raw);
	std::string other;

	for_each<rtnl_addr>(all, [&](rtnl_addr *row) {
		const auto there = subnet_of(row);
		const auto there6 = subnet6_of(row);

		if (there && there->prefix != 0 && there->overlaps(wanted.addresses))
			other = fmt::format("{}/{}", ip4_text(there->host), there->prefix);
		if (there6 && there6->prefix != 0 && wanted.addresses6 && overlap(*there6, *wanted.addresses6))
			other = fmt::format("{}/{}", ip6_text(there6->host), there6->prefix);
	});
	if (!other.empty())
		return fail(EADDRINUSE, fmt::format("this host has {} already", other), "choose another subnet");
	return {};
}

// Its name comes last: who is killed before leaves nothing that is called so.
result<void> networks::finish(const std::string &made, const network_options &options) const
{
	const auto all = VMCTL_TRY(list_links(socket_.get()));
	const auto device = std::ranges::find(all, made, &network_info::name);

	if (device == all.end())
		return fail(ENODEV, "somebody has removed the network");
	VMCTL_TRY(add_addresses(*device, options));

	auto named = name_link(socket_.get(), device->index, options.name);

	if (!named && named.error().code == EEXIST)
		return fail(EEXIST, fmt::format("a network device is called {} already", options.name));
	return named;
}

result<void> networks::create(const network_options &options) const
{
	network_options first = options;

	VMCTL_TRY(check_network_name(options.name));
	VMCTL_TRY(check_free(options));
	first.name = unfinished_name();
	VMCTL_TRY(make_link(socket_.get(), first));

	auto finished = finish(first.name, options);

	if (!finished)
		static_cast<void>(remove({.name = first.name}));
	return finished;
}

void networks::sweep() const
{
	const auto all = list_links(socket_.get());

	for (const network_info &one : all.value_or(std::vector<network_info>{}))
		if (is_left_behind(one))
			static_cast<void>(remove(one));
}

result<std::vector<network_info>> networks::list() const
{
	auto all = VMCTL_TRY(list_links(socket_.get()));
	nl_cache *raw = nullptr;

	std::erase_if(all, is_unfinished);

	if (const int code = rtnl_addr_alloc_cache(socket_.get(), &raw); code < 0)
		return netlink_failed(code, "listing addresses");

	const cache addresses(raw);

	// The first one counts, as for the module.
	for_each<rtnl_addr>(addresses, [&](rtnl_addr *row) {
		const auto index = static_cast<std::uint32_t>(rtnl_addr_get_ifindex(row));
		const auto of = std::ranges::find(all, index, &network_info::index);

		if (of == all.end())
			return;
		if (!of->addresses)
			of->addresses = subnet_of(row);
		// Of these the newest comes first.
		if (const auto found = subnet6_of(row))
			of->addresses6 = found;
	});
	std::ranges::sort(all, {}, &network_info::index);
	return all;
}

result<network_info> networks::find(std::string_view name) const
{
	const auto all = VMCTL_TRY(list());
	const auto found = std::ranges::find(all, name, &network_info::name);

	if (found == all.end())
		return fail(ENOENT, fmt::format("{}: no such network", name),
			    "make it: vmctl net create NAME --subnet 10.9.0.0/16");
	return *found;
}

result<network_counters> networks::count(const network_info &what) const
{
	rtnl_link *raw = nullptr;

	if (const int code = rtnl_link_get_kernel(socket_.get(), static_cast<int>(what.index), nullptr, &raw); code < 0)
		return netlink_failed(code, "reading the network's counters");

	const link_object link(raw);
	const auto counter = [&](rtnl_link_stat_id_t which) { return rtnl_link_get_stat(link.get(), which); };

	return network_counters{
		.packets_from_vms = counter(RTNL_LINK_RX_PACKETS),
		.bytes_from_vms = counter(RTNL_LINK_RX_BYTES),
		.packets_to_vms = counter(RTNL_LINK_TX_PACKETS),
		.bytes_to_vms = counter(RTNL_LINK_TX_BYTES),
		.drops = read_own_counters(nl_socket_get_fd(socket_.get()), what.name),
	};
}

result<void> networks::remove(const network_info &what) const
{
	const link_object link(rtnl_link_alloc());

	if (!link)
		return netlink_no_memory();
	if (what.index != 0)
		rtnl_link_set_ifindex(link.get(), static_cast<int>(what.index));
	else
		rtnl_link_set_name(link.get(), what.name.c_str());
	if (const int code = rtnl_link_delete(socket_.get(), link.get()); code < 0)
		return netlink_failed(code, "removing the network");
	return {};
}

} // namespace vmctl
