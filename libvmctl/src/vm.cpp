// SPDX-License-Identifier: Apache-2.0
// Calls on a VM's descriptor.
#include "vmctl/vm.hpp"

#include <cerrno>

#include "control.hpp"

namespace vmctl
{

result<void> vm::call(unsigned long request, void *argument, const char *what) const
{
	const int ret = handle_.calls().ioctl(fd(), request, argument);

	if (ret < 0)
		return fail(-ret, std::string(what) + ": " + errno_text(-ret));
	return {};
}

result<mayfly_vm_stat> vm::stat() const
{
	mayfly_vm_stat stat{};

	VMCTL_TRY(call(MAYFLY_STAT, &stat, "reading the VM's counters"));
	return stat;
}

result<vm_info> vm::info() const
{
	return vm_info(VMCTL_TRY(stat()).info);
}

result<vm::outcome> vm::run(std::uint32_t flags) const
{
	mayfly_run run{};

	run.flags = flags;
	VMCTL_TRY(call(MAYFLY_RUN, &run, "running the VM"));
	return static_cast<outcome>(run.outcome);
}

result<void> vm::control(operation what, std::uint32_t port) const
{
	control_call control(what, port);
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

result<mayfly_vcpu_state> vm::state() const
{
	mayfly_vcpu_state state{};

	VMCTL_TRY(call(MAYFLY_GET_STATE, &state, "reading the vCPU"));
	return state;
}

result<void> vm::set_state(const mayfly_vcpu_state &state) const
{
	mayfly_vcpu_state copy = state;

	return call(MAYFLY_SET_STATE, &copy, "setting the vCPU");
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

result<short> vm::poll(int timeout_ms) const
{
	pollfd entry{.fd = fd(), .events = POLLIN, .revents = 0};
	const int ret = handle_.calls().poll({&entry, 1}, timeout_ms);

	if (ret < 0)
		return fail(-ret, "waiting for the VM: " + errno_text(-ret));
	return entry.revents;
}

} // namespace vmctl
