// SPDX-License-Identifier: Apache-2.0
// It leaves kinds of devices that it does not know alone, unless somebody has told it otherwise.
#include "network_manager.hpp"

#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <sys/wait.h>

#include "program.hpp"

namespace vmctl::cli
{

namespace
{

constexpr const char *subject = "NetworkManager";

using verdict = host_check::verdict;

// NM_DEVICE_STATE_UNMANAGED is 10: the number is the same in all languages, and all above are managed.
bool is_managed(std::string_view text, const std::string &device)
{
	const std::size_t at = text.find(fmt::format("GENERAL.DEVICE:{}\n", device));
	constexpr std::string_view key = "GENERAL.STATE:";
	const std::size_t state = at == text.npos ? at : text.find(key, at);

	return state != text.npos && std::atoi(std::string(text.substr(state + key.size(), 4)).c_str()) > 10;
}

} // namespace

std::vector<host_check::finding> judge_network_manager(std::string_view text, std::span<const network_info> networks)
{
	std::vector<host_check::finding> findings;

	for (const network_info &network : networks)
		if (is_managed(text, network.name))
			findings.push_back(
				{subject, verdict::bad,
				 fmt::format("it manages {}, and may take its address away", network.name),
				 fmt::format("sudo nmcli device set {} managed no; for good: 60-mayfly.conf (make "
					     "install), then sudo nmcli general reload",
					     network.name)});
	if (findings.empty())
		findings.push_back({subject, verdict::good, "it leaves networks of VMs alone", ""});
	return findings;
}

std::vector<host_check::finding> check_network_manager(system &calls, std::span<const network_info> networks)
{
	if (!calls.exists("/run/NetworkManager"))
		return {};

	const auto ended = run_program(calls, {"nmcli", "-t", "-f", "GENERAL.DEVICE,GENERAL.STATE", "device", "show"},
				       "");

	if (!ended)
		return {{subject, verdict::unknown, "there is no nmcli to ask whether it leaves networks of VMs alone",
			 ""}};
	// It has run, and does no more.
	if (!WIFEXITED(ended->status) || WEXITSTATUS(ended->status) != 0)
		return {};
	return judge_network_manager(ended->out, networks);
}

} // namespace vmctl::cli
