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
#include <sys/ioctl.h>

#include "uapi.hpp"

namespace vmctl
{

namespace
{

constexpr const char *kind = "mayfly";
constexpr unsigned longest_prefix = 30; // the host, and a VM
constexpr unsigned shortest_prefix = 8;

template <auto free> struct deleter {
	void operator()(auto *object) const { free(object); }
};

using message = std::unique_ptr<nl_msg, deleter<nlmsg_free>>;
using cache = std::unique_ptr<nl_cache, deleter<nl_cache_free>>;
using link_object = std::unique_ptr<rtnl_link, deleter<rtnl_link_put>>;
using addr_object = std::unique_ptr<rtnl_addr, deleter<rtnl_addr_put>>;
using address_object = std::unique_ptr<nl_addr, deleter<nl_addr_put>>;

// libnl has errors of its own, which say less.
int errno_of(int code)
{
	static constexpr std::pair<int, int> all[] = {
		{NLE_PERM, EPERM},   {NLE_NOACCESS, EPERM},      {NLE_EXIST, EEXIST},
		{NLE_NODEV, ENOENT}, {NLE_NOMEM, ENOMEM},        {NLE_OPNOTSUPP, EOPNOTSUPP},
		{NLE_BUSY, EBUSY},   {NLE_RANGE, ERANGE},        {NLE_NOADDR, EADDRNOTAVAIL},
		{NLE_INVAL, EINVAL}, {NLE_OBJ_NOTFOUND, ENOENT},
	};

	for (const auto &[theirs, ours] : all)
		if (std::abs(code) == theirs)
			return ours;
	return EIO;
}

error explain(int code, std::string_view doing)
{
	const int number = errno_of(code);

	switch (number) {
	case EPERM:
		return {number, fmt::format("{}: not permitted", doing), "run as root, or with CAP_NET_ADMIN"};
	case EOPNOTSUPP:
		return {number, fmt::format("{}: the kernel knows no networks of Mayfly's", doing),
			"load the module: insmod mayfly.ko"};
	default:
		return {number, fmt::format("{}: {}", doing, nl_geterror(code))};
	}
}

std::unexpected<error> failed(int code, std::string_view doing)
{
	return std::unexpected(explain(code, doing));
}

std::unexpected<error> no_memory()
{
	return fail(ENOMEM, "no memory");
}

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

bool overlap(const subnet &a, const subnet &b)
{
	const std::uint32_t common = a.mask() & b.mask();

	return ((a.host ^ b.host) & common) == 0;
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

} // namespace

std::string ip4_text(std::uint32_t address)
{
	return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff, address & 0xff);
}

result<std::uint32_t> parse_ip4(std::string_view text)
{
	in_addr parsed{};

	if (::inet_pton(AF_INET, std::string(text).c_str(), &parsed) != 1)
		return fail(EINVAL, "not an IPv4 address such as 10.9.0.2");
	return ntohl(parsed.s_addr);
}

result<subnet> subnet::parse(std::string_view text)
{
	const std::size_t slash = text.find('/');
	const auto address = parse_ip4(text.substr(0, slash));
	const std::string_view bits = slash == text.npos ? "" : text.substr(slash + 1);
	subnet parsed;

	const auto [end, wrong] = std::from_chars(bits.begin(), bits.end(), parsed.prefix);

	if (!address || wrong != std::errc{} || end != bits.end())
		return fail(EINVAL, "not a subnet such as 10.9.0.0/16");
	if (parsed.prefix < shortest_prefix || parsed.prefix > longest_prefix)
		return fail(EINVAL, fmt::format("a subnet has from /{} to /{}", shortest_prefix, longest_prefix));
	parsed.host = *address;
	if (parsed.host == parsed.base())
		parsed.host++;
	if ((parsed.host | parsed.mask()) == UINT32_MAX)
		return fail(EINVAL, "the last address is for broadcasts");
	if (const std::uint32_t first = parsed.host >> 24; first == 0 || first == 127 || first >= 224)
		return fail(EINVAL, "no host may have such an address");
	return parsed;
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
		return no_memory();
	if (const int code = nl_connect(opened.socket_.get(), NETLINK_ROUTE); code < 0)
		return failed(code, "asking for networks");
	return opened;
}

// By hand: libnl knows nothing of what is in the data of our kind.
result<void> networks::make_link(const network_options &options) const
{
	const message request(nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL));
	ifinfomsg header{};

	if (!request)
		return no_memory();
	header.ifi_flags = header.ifi_change = IFF_UP;

	nl_msg *const to = request.get();
	bool fits = nlmsg_append(to, &header, sizeof header, NLMSG_ALIGNTO) == 0 &&
		    nla_put_string(to, IFLA_IFNAME, options.name.c_str()) == 0;

	if (options.mtu)
		fits = fits && nla_put_u32(to, IFLA_MTU, *options.mtu) == 0;

	nlattr *const info = nla_nest_start(to, IFLA_LINKINFO);

	fits = fits && info && nla_put_string(to, IFLA_INFO_KIND, kind) == 0;

	nlattr *const data = nla_nest_start(to, IFLA_INFO_DATA);

	fits = fits && data;
	if (options.owner)
		fits = fits && nla_put_u32(to, MAYFLY_LINK_OWNER, *options.owner) == 0;
	if (!fits)
		return no_memory();
	nla_nest_end(to, data);
	nla_nest_end(to, info);

	// It frees the message, whatever happens.
	nlmsg_get(to);
	if (const int code = nl_send_sync(socket_.get(), to); code < 0)
		return failed(code, "making the network");
	return {};
}

result<void> networks::add_address(const network_info &to, const subnet &what) const
{
	const std::uint32_t number = htonl(what.host);
	const addr_object row(rtnl_addr_alloc());
	const address_object local(nl_addr_build(AF_INET, &number, sizeof number));

	if (!row || !local)
		return no_memory();
	rtnl_addr_set_ifindex(row.get(), static_cast<int>(to.index));
	rtnl_addr_set_local(row.get(), local.get());
	rtnl_addr_set_prefixlen(row.get(), static_cast<int>(what.prefix));
	if (const int code = rtnl_addr_add(socket_.get(), row.get(), 0); code < 0)
		return failed(code, "giving the network its address");
	return {};
}

result<void> networks::check_free(const subnet &wanted) const
{
	nl_cache *raw = nullptr;

	if (const int code = rtnl_addr_alloc_cache(socket_.get(), &raw); code < 0)
		return failed(code, "listing addresses");

	const cache all(raw);
	std::optional<subnet> other;

	for_each<rtnl_addr>(all, [&](rtnl_addr *row) {
		const auto there = subnet_of(row);

		if (there && there->prefix != 0 && overlap(*there, wanted))
			other = there;
	});
	if (other)
		return fail(EADDRINUSE,
			    fmt::format("this host has {}/{} already", ip4_text(other->host), other->prefix),
			    "choose another subnet");
	return {};
}

result<void> networks::create(const network_options &options) const
{
	VMCTL_TRY(check_network_name(options.name));
	VMCTL_TRY(check_free(options.addresses));
	if (const auto made = make_link(options); !made) {
		if (made.error().code == EEXIST)
			return fail(EEXIST, fmt::format("a network device is called {} already", options.name));
		return made;
	}

	const auto device = find(options.name);
	auto added = device ? add_address(*device, options.addresses) : result<void>(std::unexpected(device.error()));

	if (!added)
		static_cast<void>(remove({.name = options.name}));
	return added;
}

result<std::vector<network_info>> networks::list() const
{
	nl_cache *raw = nullptr;
	std::vector<network_info> all;

	if (const int code = rtnl_link_alloc_cache(socket_.get(), AF_UNSPEC, &raw); code < 0)
		return failed(code, "listing networks");

	const cache links(raw);

	if (const int code = rtnl_addr_alloc_cache(socket_.get(), &raw); code < 0)
		return failed(code, "listing addresses");

	const cache addresses(raw);

	for_each<rtnl_link>(links, [&](rtnl_link *link) {
		const char *type = rtnl_link_get_type(link);

		if (type && std::string_view(type) == kind)
			all.push_back({.name = rtnl_link_get_name(link),
				       .index = static_cast<std::uint32_t>(rtnl_link_get_ifindex(link)),
				       .addresses = {},
				       .mtu = rtnl_link_get_mtu(link),
				       .up = (rtnl_link_get_flags(link) & IFF_UP) != 0});
	});
	// The first one counts, as for the module.
	for_each<rtnl_addr>(addresses, [&](rtnl_addr *row) {
		const auto index = static_cast<std::uint32_t>(rtnl_addr_get_ifindex(row));
		const auto of = std::ranges::find(all, index, &network_info::index);

		if (of != all.end() && !of->addresses)
			of->addresses = subnet_of(row);
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
		return failed(code, "reading the network's counters");

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
		return no_memory();
	if (what.index != 0)
		rtnl_link_set_ifindex(link.get(), static_cast<int>(what.index));
	else
		rtnl_link_set_name(link.get(), what.name.c_str());
	if (const int code = rtnl_link_delete(socket_.get(), link.get()); code < 0)
		return failed(code, "removing the network");
	return {};
}

} // namespace vmctl
