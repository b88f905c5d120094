// SPDX-License-Identifier: Apache-2.0
// Calls on /dev/mayfly.
#include "vmctl/device.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>

#include "vmctl/host_check.hpp"
#include "vmctl/network.hpp"

#include "control.hpp"
#include "convert.hpp"
#include "spawn_call.hpp"
#include "timeout.hpp"

namespace vmctl
{

namespace
{

std::optional<std::uint32_t> last_number(const spawn_request &request)
{
	if (!request.first)
		return {};
	// Beyond this the numbers wrap, and get no longer.
	return static_cast<std::uint32_t>(std::min<std::uint64_t>(*request.first + request.count - 1ull, UINT32_MAX));
}

std::string raise(std::string_view parameter, std::string_view what = "VMs")
{
	return fmt::format("remove {}, or as root write more to {}", what, parameter_path(parameter));
}

error too_many_bytes(std::string_view whose, std::uint64_t held, std::uint64_t limit, std::string_view parameter)
{
	return {EDQUOT, fmt::format("{} hold {} of at most {} bytes", whose, held, limit), raise(parameter)};
}

// How far \p held is from \p limit, where 0 is none.
std::uint64_t room(std::uint64_t held, std::uint64_t limit)
{
	return limit == 0 ? UINT64_MAX : limit - std::min(held, limit);
}

// Which limit \p count more VMs run into.
error limit_error(const module_info &info, std::uint64_t count)
{
	if (info.max_vms_user < info.max_vms && count > room(info.user_vms, info.max_vms_user))
		return {EDQUOT, fmt::format("you have {} of at most {} VMs", info.user_vms, info.max_vms_user),
			raise("max_vms_user")};
	if (info.vms >= info.max_vms || count > info.max_vms - info.vms)
		return {EDQUOT, fmt::format("there are {} of at most {} VMs", info.vms, info.max_vms),
			raise("max_vms")};
	return bytes_error(info);
}

// The addresses that were asked for, of which one is wrong: the module does not say which.
std::string wanted_text(std::span<const network_place> places)
{
	std::string text;

	for (const network_place &place : places)
		if (place.ip4 != 0)
			text += (text.empty() ? "" : " or ") + ip4_text(place.ip4);
	return text;
}

// What is wrong with places on networks.
error place_error(int code, std::span<const network_place> places)
{
	const std::string wanted = wanted_text(places);

	switch (code) {
	case ENODEV:
		return {code, "no such network"};
	case EPERM:
		if (std::ranges::any_of(places, &network_place::router))
			return {code, "a router may send with any source", "run as root, or with CAP_NET_ADMIN"};
		return {code, "someone else's network", "its maker can give it to you: vmctl net create --owner"};
	case EADDRINUSE:
		return {code, wanted + ": another VM has that address"};
	case EADDRNOTAVAIL:
		return {code, "the network has no address left, or none at all"};
	case EINVAL:
		if (!wanted.empty())
			return {code, wanted + ": not an address for a VM of this network"};
		[[fallthrough]];
	default:
		return {code, "making VMs: " + errno_text(code)};
	}
}

} // namespace

result<void> check_request(const spawn_request &request)
{
	if (request.memory)
		VMCTL_TRY(check_memory(*request.memory));
	VMCTL_TRY(check_arguments(request.arguments));
	if (request.places.size() > most_places)
		return fail(EINVAL, fmt::format("a VM has at most {} places on networks", most_places));
	if (request.name.empty())
		return {};

	auto named = check_name(request.name, last_number(request));

	if (!named)
		named.error().what.insert(0, request.name + ": ");
	return named;
}

error bytes_error(const module_info &info)
{
	const std::uint64_t own = room(info.user_bytes, info.max_bytes_user), all = room(info.bytes, info.max_bytes);

	if (own == UINT64_MAX && all == UINT64_MAX)
		return {EDQUOT, "a limit was reached", "it is gone by now: try again"};
	if (own <= all)
		return too_many_bytes("your VMs and images", info.user_bytes, info.max_bytes_user, "max_bytes_user");
	return too_many_bytes("all VMs and images", info.bytes, info.max_bytes, "max_bytes");
}

result<device> device::open(system &calls, const std::string &path)
{
	// Ends are read when there are some: see ends().
	const int fd = calls.open(path, O_RDWR | O_NONBLOCK);

	if (fd < 0)
		return std::unexpected(host_check(calls, path).explain(-fd));

	device opened{descriptor(calls, fd)};
	const auto info = opened.info();

	if (!info)
		return fail(info.error().code, path + ": does not answer as the device of this release does",
			    "load the module of this program's release, or a newer one");
	if (info->api_version < api_version())
		return fail(EPROTO,
			    fmt::format("{}: the module speaks version {}, this program needs version {}", path,
					info->api_version, api_version()),
			    "load the module of this program's release, or a newer one");
	if (const std::string missing = missing_features(info->features); !missing.empty())
		return fail(EPROTO, fmt::format("{}: the module is too old: it lacks {}", path, missing),
			    "load the module of this program's release, or a newer one");
	return opened;
}

result<module_info> device::info() const
{
	return ask_module(handle_.calls(), handle_.fd());
}

error device::spawn_error(int code, const spawn_request &request, std::uint64_t missing) const
{
	switch (code) {
	case EEXIST:
		return {code, request.first ? fmt::format("a VM named {}-… exists already", request.name)
					    : fmt::format("a VM named {} exists already", request.name)};
	case EDQUOT: {
		const auto now = info();

		return now ? limit_error(*now, missing) : now.error();
	}
	case EAGAIN:
		return {code, "the threads that would run them are more than you may have",
			"raise the limit: ulimit -u"};
	case ENOMEM:
		return {code, "the host, or the cgroup, has no memory left"};
	case EBUSY:
	case EOPNOTSUPP:
	case EIO:
		return host_check(handle_.calls(), device_path).explain(code);
	default:
		return !request.places.empty() ? place_error(code, request.places)
					       : error{code, "making VMs: " + errno_text(code)};
	}
}

spawn_report device::spawn(const image &from, const spawn_request &request) const
{
	spawn_report report;

	if (const auto judged = check_request(request); !judged) {
		report.failure = judged.error();
		return report;
	}

	spawn_call call(from, request);
	mayfly_spawn &argument = call.argument;

	report.ids.resize(request.count);
	argument.flags |= MAYFLY_SPAWN_DETACHED;
	argument.count = request.count;
	argument.ids = address_of(report.ids.data());

	const int ret = call.make(handle_, request);

	if (ret < 0)
		report.failure = spawn_error(-ret, request, request.count - argument.created);
	report.ids.resize(std::min<std::uint64_t>(argument.created, request.count));
	return report;
}

result<vm> device::spawn_attached(const image &from, const spawn_request &request) const
{
	VMCTL_TRY(check_request(request));

	spawn_call call(from, request);
	mayfly_spawn &argument = call.argument;

	argument.count = 1;

	const int ret = call.make(handle_, request);

	if (ret < 0)
		return std::unexpected(spawn_error(-ret, request, argument.count));
	return vm(descriptor(handle_.calls(), argument.fd));
}

result<std::vector<int>> device::control(operation what, std::span<const std::uint64_t> ids, std::uint32_t port) const
{
	std::vector<int> results;

	while (results.size() < ids.size()) {
		const auto batch = ids.subspan(results.size(),
					       std::min<std::size_t>(ids.size() - results.size(), max_batch));
		std::vector<__s32> answers(batch.size());
		control_call control(what, port);

		control.argument.ids = address_of(batch.data());
		control.argument.results = address_of(answers.data());
		control.argument.count = static_cast<std::uint32_t>(batch.size());
		if (const int code = control.make(handle_.calls(), handle_.fd()); code != 0)
			return fail(code, "controlling VMs: " + errno_text(code));
		for (const __s32 answer : answers)
			results.push_back(control.outcome(-answer));
	}
	return results;
}

// OPEN or IMAGE_OPEN of what has \p id or, when that is 0, \p name and is the caller's.
result<descriptor> device::open_by(unsigned long request, const char *what, std::uint64_t id,
				   std::string_view name) const
{
	mayfly_open open{};

	open.id = id;
	if ((id == 0 && name.empty()) || !put_name(open.name, name))
		return fail(ENOENT, fmt::format("no such {}", what));

	const int ret = handle_.calls().ioctl(handle_.fd(), request, &open);

	if (ret == -ENOENT)
		return fail(ENOENT, fmt::format("no such {}", what));
	if (ret == -EPERM)
		return fail(EPERM, fmt::format("someone else's {}", what));
	if (ret < 0)
		return fail(-ret, errno_text(-ret));
	return descriptor(handle_.calls(), open.fd);
}

result<vm> device::open_vm(std::uint64_t id, std::string_view name) const
{
	auto opened = open_by(MAYFLY_OPEN, "VM", id, name);

	if (opened)
		return vm(std::move(*opened));
	opened.error().what.insert(0, (id != 0 ? std::to_string(id) : std::string(name)) + ": ");
	return std::unexpected(std::move(opened).error());
}

result<vm> device::open_vm(std::uint64_t id) const
{
	return id == 0 ? fail(ENOENT, "0: no such VM") : open_vm(id, "");
}

result<vm> device::open_vm(std::string_view name) const
{
	return open_vm(0, name);
}

result<image> device::open_image(std::uint64_t id) const
{
	return image(VMCTL_TRY(open_by(MAYFLY_IMAGE_OPEN, "image", id, "")));
}

result<image> device::open_image(std::string_view name) const
{
	return image(VMCTL_TRY(open_by(MAYFLY_IMAGE_OPEN, "image", 0, name)));
}

result<std::vector<vm_end>> device::ends(std::optional<std::chrono::milliseconds> timeout) const
{
	pollfd entry{.fd = handle_.fd(), .events = POLLIN, .revents = 0};
	const int ready = handle_.calls().poll({&entry, 1}, poll_timeout(timeout));

	if (ready < 0)
		return fail(-ready, "waiting for VMs: " + errno_text(-ready));

	std::array<mayfly_end, 256> records;
	const ssize_t got = handle_.calls().read(handle_.fd(), std::as_writable_bytes(std::span(records)));
	std::vector<vm_end> ended;

	if (got < 0 && got != -EAGAIN)
		return fail(static_cast<int>(-got), "waiting for VMs: " + errno_text(static_cast<int>(-got)));
	for (ssize_t i = 0; i < got / static_cast<ssize_t>(sizeof(mayfly_end)); i++) {
		const mayfly_end &one = records[static_cast<std::size_t>(i)];

		ended.push_back({.id = one.id, .reason = static_cast<end_reason>(one.reason), .status = one.status});
	}
	return ended;
}

} // namespace vmctl
