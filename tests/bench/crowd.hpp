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

/// How to wait for VMs: at rest, or by asking again and again, where an idle CPU's
/// clock would jump.
enum class waiting { asleep, awake };

class crowd final
{
public:
	crowd(vmctl::device &device, vmctl::image image, waiting how = waiting::asleep)
		: device_(&device), image_(std::move(image)), how_(how)
	{
	}

	/// Makes VMs and waits until every one has parked.
	void spawn(std::uint32_t count)
	{
		const auto wanted = info().parked + count;
		auto made = device_->spawn(*image_, {.count = count});

		if (made.failure)
			bail_out(made.failure->what);
		ids_.insert(ids_.end(), made.ids.begin(), made.ids.end());
		wait_for_parking(wanted);
	}

	/// Kills the \p count oldest.
	void kill(std::size_t count) { all(vmctl::operation::kill, count); }

	/// Forgets the \p count oldest, which have been killed.
	void remove(std::size_t count)
	{
		all(vmctl::operation::remove, count);
		ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(count));
	}

	void remove_all()
	{
		kill(size());
		remove(size());
		wait_for_structures();
	}

	/// Waits until none is left of VMs that somebody has removed.
	void wait_for_structures() const
	{
		if (!wait_until([] { return slab_objects() <= 0; }))
			report::remark(fmt::format("{} VM structures stay", slab_objects()));
	}

	/// Others have removed them.
	void forget() { ids_.clear(); }

	/// Makes all VMs of this machine cold; false when not all get so.
	[[nodiscard]] bool make_cold() const
	{
		return wait_until([&] {
			write_file("/proc/sys/vm/drop_caches", "2");
			const auto now = info();
			return now.cold >= now.vms;
		});
	}

	[[nodiscard]] std::size_t size() const { return ids_.size(); }
	[[nodiscard]] const std::vector<std::uint64_t> &ids() const { return ids_; }
	[[nodiscard]] vmctl::device &device() const { return *device_; }

	void close_image() { image_.reset(); }
	void use(vmctl::image image) { image_ = std::move(image); }

	/// KiB that the VMs hold, as their rows tell.
	[[nodiscard]] double told() const
	{
		double sum = 0;

		for (const auto &row : must(device_->list(ids_.front(), ids_.back())))
			sum += static_cast<double>(row.private_bytes);
		return sum / 1024;
	}

	[[nodiscard]] vmctl::module_info info() const { return must(device_->info()); }

private:
	void wait_for_parking(std::uint64_t wanted) const
	{
		const auto parked = [&] { return info().parked >= wanted; };

		if (how_ == waiting::asleep ? !wait_until(parked, 1ms) : !wait_awake(parked))
			bail_out("VMs do not park");
	}

	void all(vmctl::operation what, std::size_t count)
	{
		for (int error : must(device_->control(what, std::span(ids_).first(count))))
			if (error)
				bail_out("a VM refused: " + vmctl::errno_text(error));
	}

	vmctl::device *device_;
	std::optional<vmctl::image> image_;
	std::vector<std::uint64_t> ids_;
	waiting how_;
};

/// Of the VMs and their image, which are gone, nothing may be left.
inline void check_empty(crowd &crowd, report &report, const std::string &when)
{
	crowd.close_image();
	// Pools and folded images go by a work item, structures after a grace period of RCU.
	wait_until([&] { return !crowd.info().pools && !crowd.info().images && slab_objects() <= 0; });

	const auto info = crowd.info();
	report.check(!info.vms && !info.images && !info.pools && !info.pages,
		     fmt::format("counters {}: {} VMs, {} images, {} pools, {} pages", when, info.vms, info.images,
				 info.pools, info.pages));
	const long objects = slab_objects();
	report.check(!objects && slab_is_ours(),
		     fmt::format("slab objects {}: {}{}", when, objects,
				 slab_is_ours() ? ""
						: ", but other caches are merged with it: boot with slab_nomerge"));
}

}
