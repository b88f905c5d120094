// SPDX-License-Identifier: Apache-2.0
#include <utility>

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

std::string_view to_string(cpu_vendor vendor)
{
	switch (vendor) {
	case cpu_vendor::amd:
		return "AMD";
	case cpu_vendor::intel:
		return "Intel";
	}
	return "unknown";
}

std::string_view to_string(cpu_level level)
{
	switch (level) {
	case cpu_level::sse2:
		return "sse2";
	case cpu_level::sse42:
		return "sse4.2";
	}
	return "unknown";
}

static_assert(std::to_underlying(cpu_vendor::amd) == MAYFLY_VENDOR_AMD);
static_assert(std::to_underlying(cpu_vendor::intel) == MAYFLY_VENDOR_INTEL);
static_assert(std::to_underlying(cpu_level::sse2) == MAYFLY_CPU_SSE2);
static_assert(std::to_underlying(cpu_level::sse42) == MAYFLY_CPU_SSE42);

std::string missing_features(std::uint64_t features)
{
	static constexpr std::pair<std::uint64_t, const char *> all[] = {
		{MAYFLY_FEATURE_CPU_LEVELS, "CPU levels"},
		{MAYFLY_FEATURE_IMAGE_NAMES, "names for images"},
		{MAYFLY_FEATURE_END_RECORDS, "records of ends"},
		{MAYFLY_FEATURE_MEMORY, "access to guest memory"},
		{MAYFLY_FEATURE_SNAPSHOTS, "snapshots"},
		{MAYFLY_FEATURE_READY, "guests that say when they are ready"},
		{MAYFLY_FEATURE_SAVE, "saving"},
		{MAYFLY_FEATURE_NET, "networks"},
		{MAYFLY_FEATURE_DEMAND, "VMs on demand"},
	};
	std::string missing;

	for (const auto &[bit, name] : all)
		if ((features & bit) == 0)
			missing += (missing.empty() ? "" : ", ") + std::string(name);
	return missing;
}

std::uint32_t api_version()
{
	return MAYFLY_API_VERSION;
}

result<module_info> ask_module(system &calls, int fd)
{
	mayfly_info raw{};
	mayfly_row argument = row_argument(raw);
	const int ret = calls.ioctl(fd, MAYFLY_INFO, &argument);

	if (ret < 0)
		return fail(-ret, "reading the module's numbers: " + errno_text(-ret));
	return module_info{
		.api_version = raw.api_version,
		.backend = static_cast<cpu_backend>(raw.backend),
		.features = raw.features,
		.vendor = static_cast<cpu_vendor>(raw.cpu_vendor),
		.level = static_cast<cpu_level>(raw.cpu_level),
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
		.tsc_khz = raw.tsc_khz,
		.spawned = raw.spawned,
		.parked = raw.parked,
		.warmed = raw.warmed,
		.debug = (raw.flags & MAYFLY_INFO_DEBUG) != 0,
		.clock_stable = (raw.flags & MAYFLY_INFO_CLOCK) != 0,
		.tsc_scaling = (raw.flags & MAYFLY_INFO_TSC_SCALING) != 0,
		.cpu_max = (raw.flags & MAYFLY_INFO_CPU_MAX) != 0,
	};
}

} // namespace vmctl
