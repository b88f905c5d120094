// SPDX-License-Identifier: Apache-2.0
#include "control.hpp"

#include <cerrno>
#include <utility>

#include <sys/ioctl.h>

namespace vmctl
{

static_assert(std::to_underlying(operation::start) == MAYFLY_OP_START);
static_assert(std::to_underlying(operation::pause) == MAYFLY_OP_PAUSE);
static_assert(std::to_underlying(operation::resume) == MAYFLY_OP_RESUME);
static_assert(std::to_underlying(operation::kill) == MAYFLY_OP_KILL);
static_assert(std::to_underlying(operation::remove) == MAYFLY_OP_REMOVE);
static_assert(std::to_underlying(operation::notify) == MAYFLY_OP_NOTIFY);
static_assert(stop_port == MAYFLY_EVENT_STOP);

namespace
{

// What a call that was interrupted half-way finds done on the second try.
bool done_before(operation what, int code)
{
	switch (what) {
	case operation::kill:
		return code == ESRCH;
	case operation::remove:
		return code == ENOENT;
	case operation::start:
	case operation::pause:
	case operation::resume:
		return code == EALREADY;
	case operation::notify:
		return false;
	}
	return false;
}

} // namespace

int control_call::make(system &calls, int fd)
{
	int ret;

	while ((ret = calls.ioctl(fd, MAYFLY_CONTROL, &argument)) == -EINTR)
		again_ = true;
	return -ret;
}

int control_call::outcome(int code) const
{
	return again_ && done_before(what_, code) ? 0 : code;
}

std::string refusal(operation what, int code)
{
	switch (code) {
	case ENOENT:
		return "no such VM";
	case EPERM:
		return "someone else's VM";
	case ESRCH:
		return "has ended already";
	case EALREADY:
		return what == operation::start   ? "is started already"
		       : what == operation::pause ? "is paused already"
						  : "is not paused";
	case EBUSY:
		return what == operation::remove ? "has not ended; kill it first" : "is run by another process";
	default:
		return errno_text(code);
	}
}

int control_in_handler(int fd, operation what, std::uint32_t port) noexcept
{
	const int saved = errno;
	mayfly_control argument{};

	argument.op = static_cast<std::uint32_t>(what);
	argument.port = port;

	const int code = ::ioctl(fd, MAYFLY_CONTROL, &argument) < 0 ? errno : 0;

	errno = saved;
	return code;
}

} // namespace vmctl
