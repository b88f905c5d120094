// SPDX-License-Identifier: Apache-2.0
// Calls on a VM's descriptor.
#include "vmctl/vm.hpp"

#include <array>
#include <cerrno>
#include <utility>

#include "arguments.hpp"
#include "control.hpp"
#include "convert.hpp"
#include "timeout.hpp"
#include "vmctl/limits.hpp"

namespace vmctl
{

static_assert(std::to_underlying(run_result::ended) == MAYFLY_RAN_ENDED);
static_assert(std::to_underlying(run_result::parked) == MAYFLY_RAN_PARKED);
static_assert(std::to_underlying(run_result::output) == MAYFLY_RAN_OUTPUT);
static_assert(std::to_underlying(run_result::ready) == MAYFLY_RAN_READY);

result<vm_stat> vm::stat() const
{
	mayfly_vm_info raw{};
	mayfly_row argument = row_argument(raw);

	VMCTL_TRY(call(handle_, MAYFLY_STAT, &argument, "reading the VM's counters"));
	return stat_of(raw);
}

result<vm_info> vm::info() const
{
	return VMCTL_TRY(stat()).info;
}

result<void> vm::control(operation what, std::uint32_t port, std::uint32_t flags) const
{
	control_call control(what, port);

	control.argument.flags = flags;

	const int code = control.outcome(control.make(handle_.calls(), fd()));

	if (code != 0)
		return fail(code, "the VM " + refusal(what, code));
	return {};
}

result<void> vm::start() const
{
	return control(operation::start);
}

result<void> vm::pause() const
{
	return control(operation::pause);
}

result<void> vm::hold() const
{
	const auto held = control(operation::pause, 0, MAYFLY_CONTROL_HOLD);

	if (!held && held.error().code == EBUSY)
		return fail(EBUSY, "somebody else is saving or moving it");
	return held;
}

result<void> vm::resume() const
{
	return control(operation::resume);
}

result<void> vm::kill() const
{
	return control(operation::kill);
}

result<void> vm::remove() const
{
	return control(operation::remove);
}

result<void> vm::notify(std::uint32_t port) const
{
	return control(operation::notify, port);
}

result<run_result> vm::run(run_options options) const
{
	mayfly_run run{};

	run.flags = (options.until_park ? MAYFLY_RUN_UNTIL_PARK : 0u) |
		    (options.until_output ? MAYFLY_RUN_UNTIL_OUTPUT : 0u) |
		    (options.until_ready ? MAYFLY_RUN_UNTIL_READY : 0u);
	do
		VMCTL_TRY(call(handle_, MAYFLY_RUN, &run, "running the VM"));
	while (run.outcome == MAYFLY_RAN_AGAIN);
	return static_cast<run_result>(run.outcome);
}

result<vcpu_state> vm::state() const
{
	return get_state(handle_);
}

result<void> vm::set_state(const vcpu_state &state) const
{
	const raw_vcpu raw = raw_of(state);
	mayfly_state argument = raw.argument();

	return call(handle_, MAYFLY_SET_STATE, &argument, "setting the vCPU");
}

result<void> vm::read_memory(std::uint64_t gpa, std::span<std::byte> buffer) const
{
	return copy_memory(handle_, gpa, buffer.data(), buffer.size(), 0);
}

result<void> vm::write_memory(std::uint64_t gpa, std::span<const std::byte> bytes) const
{
	return copy_memory(handle_, gpa, bytes.data(), bytes.size(), MAYFLY_MEMORY_WRITE);
}

result<image> vm::snapshot(std::string_view name, bool replace) const
{
	return snapshot(name, replace, 0);
}

result<image> vm::snapshot_when_ready(std::string_view name, bool replace) const
{
	return snapshot(name, replace, MAYFLY_SNAPSHOT_WHEN_READY);
}

result<image> vm::snapshot(std::string_view name, bool replace, std::uint32_t flags) const
{
	mayfly_snapshot argument{};

	argument.flags = flags;
	if (!name.empty()) {
		VMCTL_TRY(check_name(name));
		put_name(argument.name, name);
		argument.flags |= replace ? MAYFLY_SNAPSHOT_REPLACE : 0u;
	}

	const int ret = handle_.calls().ioctl(fd(), MAYFLY_SNAPSHOT, &argument);

	switch (-ret) {
	case 0:
		return image(descriptor(handle_.calls(), argument.fd));
	case EEXIST:
		return fail(EEXIST, "another image is called " + std::string(name));
	case ESRCH:
		return fail(ESRCH, flags == 0 ? "the VM has ended" : "the VM has ended, and was not ready before");
	case EBUSY:
		return fail(EBUSY, "somebody else waits until it is ready");
	case EDQUOT:
		return fail(EDQUOT, "it and its image would hold more bytes than the limits allow",
			    "vmctl info shows them");
	default:
		return fail(-ret, "taking the snapshot: " + errno_text(-ret));
	}
}

result<std::vector<std::string>> vm::arguments() const
{
	std::array<char, MAYFLY_ARGS_MAX> bytes;
	mayfly_arguments argument{};

	argument.buffer = address_of(bytes.data());
	argument.size = bytes.size();
	VMCTL_TRY(call(handle_, MAYFLY_ARGUMENTS, &argument, "reading the VM's arguments"));
	return unpack_arguments({bytes.data(), argument.size});
}

result<std::size_t> vm::read(std::span<std::byte> buffer) const
{
	const ssize_t got = handle_.calls().read(fd(), buffer);

	if (got < 0)
		return fail(static_cast<int>(-got), "reading the console: " + errno_text(static_cast<int>(-got)));
	return static_cast<std::size_t>(got);
}

result<void> vm::set_nonblocking() const
{
	const int ret = handle_.calls().set_nonblocking(fd());

	if (ret < 0)
		return fail(-ret, "preparing the console: " + errno_text(-ret));
	return {};
}

result<poll_result> vm::poll(std::optional<std::chrono::milliseconds> timeout) const
{
	pollfd entry{.fd = fd(), .events = POLLIN, .revents = 0};
	const int ret = handle_.calls().poll({&entry, 1}, poll_timeout(timeout));

	if (ret < 0)
		return fail(-ret, "waiting for the VM: " + errno_text(-ret));
	return (entry.revents & POLLHUP) != 0  ? poll_result::ended
	       : (entry.revents & POLLIN) != 0 ? poll_result::output
					       : poll_result::nothing;
}

} // namespace vmctl
