// SPDX-License-Identifier: Apache-2.0
// What calls on VMs and on images have in common.
#include "convert.hpp"

namespace vmctl
{

result<void> call(const descriptor &object, unsigned long request, void *argument, const char *what)
{
	const int ret = object.calls().ioctl(object.fd(), request, argument);

	if (ret < 0)
		return fail(-ret, std::string(what) + ": " + errno_text(-ret));
	return {};
}

result<void> copy_memory(const descriptor &object, std::uint64_t gpa, const void *buffer, std::size_t length,
			 std::uint32_t flags)
{
	mayfly_memory memory{};

	memory.gpa = gpa;
	memory.buffer = address_of(buffer);
	memory.length = length;
	memory.flags = flags;
	return call(object, MAYFLY_MEMORY, &memory,
		    flags == MAYFLY_MEMORY_WRITE ? "writing guest memory" : "reading guest memory");
}

result<vcpu_state> get_state(const descriptor &object)
{
	raw_vcpu raw;
	mayfly_state argument = raw.argument();

	VMCTL_TRY(call(object, MAYFLY_GET_STATE, &argument, "reading the vCPU"));
	return state_of(raw);
}

} // namespace vmctl
