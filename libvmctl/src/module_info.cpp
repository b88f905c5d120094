// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"

namespace vmctl
{

std::string_view to_string(cpu_backend backend)
{
	switch (backend) {
	case cpu_backend::svm:
		return "SVM";
	case cpu_backend::vmx:
		return "VT-x";
	}
	return "unknown";
}

std::uint32_t api_version()
{
	return MAYFLY_API_VERSION;
}

result<module_info> ask_module(system &calls, int fd)
{
	mayfly_info raw{};
	const int ret = calls.ioctl(fd, MAYFLY_INFO, &raw);

	if (ret < 0)
		return fail(-ret, "reading the module's numbers: " + errno_text(-ret));
	return module_info{
		.api_version = raw.api_version,
		.backend = static_cast<cpu_backend>(raw.backend),
		.vms = raw.vms,
		.images = raw.images,
		.pools = raw.pools,
		.pages = raw.pages,
		.bytes = raw.bytes,
		.user_vms = raw.user_vms,
		.user_bytes = raw.user_bytes,
		.cold = raw.cold,
		.max_vms = raw.max_vms,
		.max_vms_user = raw.max_vms_user,
		.max_bytes = raw.max_bytes,
		.max_bytes_user = raw.max_bytes_user,
		.memory_default = raw.memory_default,
		.memory_max = raw.memory_max,
		.vm_overhead = raw.vm_overhead,
		.spawned = raw.spawned,
		.parked = raw.parked,
		.warmed = raw.warmed,
		.debug = (raw.flags & MAYFLY_INFO_DEBUG) != 0,
		.clock_stable = (raw.flags & MAYFLY_INFO_CLOCK) != 0,
	};
}

} // namespace vmctl
