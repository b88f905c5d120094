// SPDX-License-Identifier: Apache-2.0
/// \file
/// Why Mayfly does not work here, and what mends it.
#pragma once

#include <string>
#include <vector>

#include "limits.hpp"
#include "system.hpp"

namespace vmctl
{

/// Looks at what Mayfly needs from its host: CPU, firmware, module, rights,
/// and a CPU that no other hypervisor holds. Reads files and opens the device;
/// changes nothing.
class host_check final
{
public:
	/// How a check came out.
	enum class verdict {
		good,    ///< as it must be
		bad,     ///< Mayfly cannot work: see finding::fix
		unknown, ///< cannot be seen from here, often for want of rights
	};

	/// One line of the report.
	struct finding {
		std::string subject; ///< what was looked at: `cpu`, `firmware`, …
		verdict outcome;     ///< how it came out
		std::string text;    ///< what was found
		std::string fix;     ///< one line that mends it; empty unless bad
	};

	/// Looks through \p calls; \p device is the device's path.
	explicit host_check(system &calls, std::string device = device_path)
		: system_(&calls), device_(std::move(device))
	{
	}

	/// Everything, in the order in which it has to be mended.
	[[nodiscard]] std::vector<finding> report() const;

	/// Why opening the device, or the first spawn, gave errno \p code: the most
	/// likely cause, and what mends it.
	[[nodiscard]] error explain(int code) const;

private:
	[[nodiscard]] finding cpu() const;
	[[nodiscard]] finding firmware() const;
	[[nodiscard]] finding secure_boot() const;
	[[nodiscard]] finding module() const;
	[[nodiscard]] finding access() const;
	[[nodiscard]] finding owner() const;
	[[nodiscard]] bool has_vms() const;
	// How to get it, once open() has given errno `code`.
	[[nodiscard]] std::string right_to_open(int code) const;

	[[nodiscard]] std::string text_of(const std::string &path) const;

	system *system_;
	std::string device_;
};

} // namespace vmctl
