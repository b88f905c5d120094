// SPDX-License-Identifier: Apache-2.0
#include "link.hpp"

#include <array>
#include <cerrno>
#include <utility>

#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>

#include "uapi.hpp"

namespace vmctl
{

static_assert(std::to_underlying(network_policy::direct) == MAYFLY_POLICY_DIRECT);
static_assert(std::to_underlying(network_policy::host) == MAYFLY_POLICY_HOST);
static_assert(std::to_underlying(network_policy::isolated) == MAYFLY_POLICY_ISOLATED);

namespace
{

constexpr const char *kind = "mayfly";

using message = std::unique_ptr<nl_msg, deleter<nlmsg_free>>;
using handlers = std::unique_ptr<nl_cb, deleter<nl_cb_put>>;

bool put_header(nl_msg *to, ifinfomsg header)
{
	return nlmsg_append(to, &header, sizeof header, NLMSG_ALIGNTO) == 0;
}

bool put_data(nl_msg *to, const network_options &options)
{
	nlattr *const info = nla_nest_start(to, IFLA_LINKINFO);

	if (!info || nla_put_string(to, IFLA_INFO_KIND, kind) != 0)
		return false;

	nlattr *const data = nla_nest_start(to, IFLA_INFO_DATA);

	if (!data || nla_put_u32(to, MAYFLY_LINK_POLICY, std::to_underlying(options.policy)) != 0)
		return false;
	if (options.owner && nla_put_u32(to, MAYFLY_LINK_OWNER, *options.owner) != 0)
		return false;
	nla_nest_end(to, data);
	nla_nest_end(to, info);
	return true;
}

bool put_link(nl_msg *to, const network_options &options)
{
	const ifinfomsg header{};

	if (!put_header(to, header) || nla_put_string(to, IFLA_IFNAME, options.name.c_str()) != 0)
		return false;
	if (options.mtu && nla_put_u32(to, IFLA_MTU, *options.mtu) != 0)
		return false;
	return put_data(to, options);
}

// Sends a message, if there was room for what is in it.
result<void> send(nl_sock *socket, const message &request, bool is_whole, std::string_view doing)
{
	if (!request || !is_whole)
		return netlink_no_memory();

	// It frees the message, whatever happens.
	nlmsg_get(request.get());
	if (const int code = nl_send_sync(socket, request.get()); code < 0)
		return netlink_failed(code, doing);
	return {};
}

// The policy of a link of our kind; nothing for another.
std::optional<network_policy> policy_of(nlattr *link_info)
{
	std::array<nlattr *, IFLA_INFO_MAX + 1> info{};
	std::array<nlattr *, MAYFLY_LINK_MAX + 1> data{};

	if (!link_info || nla_parse_nested(info.data(), IFLA_INFO_MAX, link_info, nullptr) < 0)
		return {};
	if (!info[IFLA_INFO_KIND] || nla_strcmp(info[IFLA_INFO_KIND], kind) != 0)
		return {};
	if (!info[IFLA_INFO_DATA] ||
	    nla_parse_nested(data.data(), MAYFLY_LINK_MAX, info[IFLA_INFO_DATA], nullptr) < 0 ||
	    !data[MAYFLY_LINK_POLICY])
		return network_policy::direct;
	return static_cast<network_policy>(nla_get_u32(data[MAYFLY_LINK_POLICY]));
}

// libnl's: a message with a link.
int take_link(nl_msg *from, void *all)
{
	nlmsghdr *const header = nlmsg_hdr(from);
	std::array<nlattr *, IFLA_MAX + 1> found{};

	if (nlmsg_parse(header, sizeof(ifinfomsg), found.data(), IFLA_MAX, nullptr) < 0)
		return NL_SKIP;

	const auto *link = static_cast<const ifinfomsg *>(nlmsg_data(header));
	const auto policy = policy_of(found[IFLA_LINKINFO]);

	if (policy && found[IFLA_IFNAME] && found[IFLA_MTU])
		static_cast<std::vector<network_info> *>(all)->push_back({
			.name = nla_get_string(found[IFLA_IFNAME]),
			.index = static_cast<std::uint32_t>(link->ifi_index),
			.mtu = nla_get_u32(found[IFLA_MTU]),
			.policy = *policy,
			.up = (link->ifi_flags & IFF_UP) != 0,
		});
	return NL_OK;
}

} // namespace

result<void> make_link(nl_sock *socket, const network_options &options)
{
	const message request(nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL));

	return send(socket, request, request && put_link(request.get(), options), "making the network");
}

result<void> name_link(nl_sock *socket, std::uint32_t index, const std::string &name)
{
	const message request(nlmsg_alloc_simple(RTM_SETLINK, 0));
	ifinfomsg header{};

	header.ifi_index = static_cast<int>(index);
	header.ifi_flags = header.ifi_change = IFF_UP;
	return send(socket, request,
		    request && put_header(request.get(), header) &&
			    nla_put_string(request.get(), IFLA_IFNAME, name.c_str()) == 0,
		    "giving the network its name");
}

result<std::vector<network_info>> list_links(nl_sock *socket)
{
	const handlers usual(nl_socket_get_cb(socket)), ours(usual ? nl_cb_clone(usual.get()) : nullptr);
	ifinfomsg header{};
	std::vector<network_info> all;

	if (!ours)
		return netlink_no_memory();
	nl_cb_set(ours.get(), NL_CB_VALID, NL_CB_CUSTOM, take_link, &all);

	int code;

	// Until none comes or goes meanwhile.
	do {
		all.clear();
		code = nl_send_simple(socket, RTM_GETLINK, NLM_F_DUMP, &header, sizeof header);
		if (code >= 0)
			code = nl_recvmsgs(socket, ours.get());
	} while (code == -NLE_DUMP_INTR);
	if (code < 0)
		return netlink_failed(code, "listing networks");
	return all;
}

} // namespace vmctl
