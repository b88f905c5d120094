// SPDX-License-Identifier: Apache-2.0
//
// VMs of one image that a measuring program has made, oldest first.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <vmctl/vmctl.hpp>

#include "host.hpp"

namespace bench
{

class crowd final {
public:
	crowd(vmctl::device &device, vmctl::image image) : device_(&device), image_(std::move(image)) {}

	/// Makes VMs and waits until every one has parked.
	void spawn(std::uint32_t count)
	{
		const auto wanted = info().parked + count;
		auto made = device_->spawn(*image_, {.count = count});

		if (made.failure)
			bail_out(made.failure->what);
		ids_.insert(ids_.end(), made.ids.begin(), made.ids.end());
		if (!wait_until([&] { return info().parked >= wanted; }, 1ms))
			bail_out("VMs do not park");
	}

	void remove_all()
	{
		all(vmctl::operation::kill);
		all(vmctl::operation::remove);
		ids_.clear();
		if (!wait_until([] { return slab_objects() <= 0; }))
			report::remark(fmt::format("{} VM structures stay", slab_objects()));
	}

	void close_image() { image_.reset(); }
	void use(vmctl::image image) { image_ = std::move(image); }

	/// KiB that the VMs hold, as their rows tell.
	[[nodiscard]] double told() const
	{
		double sum = 0;

		for (const auto &row : must(device_->list(ids_.front(), ids_.back())))
			sum += static_cast<double>(row.raw().private_bytes);
		return sum / 1024;
	}

	[[nodiscard]] mayfly_info info() const { return must(device_->info()); }

private:
	void all(vmctl::operation what)
	{
		for (int error : must(device_->control(what, ids_)))
			if (error)
				bail_out("a VM refused: " + vmctl::errno_text(error));
	}

	vmctl::device *device_;
	std::optional<vmctl::image> image_;
	std::vector<std::uint64_t> ids_;
};

/// Of the VMs and their image, which are gone, nothing may be left.
inline void check_empty(crowd &crowd, report &report, const std::string &when)
{
	crowd.close_image();
	// Pools go by a work item, structures after a grace period of RCU.
	wait_until([&] { return !crowd.info().pools && slab_objects() <= 0; });

	const auto info = crowd.info();
	report.check(!info.vms && !info.images && !info.pools && !info.pages,
		     fmt::format("counters {}: {} VMs, {} images, {} pools, {} pages", when, info.vms,
				 info.images, info.pools, info.pages));
	const long objects = slab_objects();
	report.check(!objects && slab_is_ours(),
		     fmt::format("slab objects {}: {}{}", when, objects,
				 slab_is_ours() ? "" : ", but other caches are merged with it: boot with slab_nomerge"));
}

}
