// SPDX-License-Identifier: Apache-2.0
// A VM that stands still while it is copied, and goes on unless it is told otherwise.
#pragma once

#include <cstdint>

#include <vmctl/vmctl.hpp>

namespace vmctl::cli
{

class standstill final
{
public:
	// Returns once it stands still. A VM that was paused before stays so in any case.
	// Else it goes on when its last descriptor is closed, whoever ends us. EBUSY: somebody
	// else does the same.
	[[nodiscard]] static result<standstill> begin(const vm &of);

	// Would it have gone on by itself? Not one that was paused, or not started yet.
	[[nodiscard]] bool was_going() const { return was_going_; }
	// Has it not run since? EBUSY: somebody let it go on.
	[[nodiscard]] result<void> check() const;
	// It stands still whatever happens to us, until undo(). As check().
	[[nodiscard]] result<void> make_lasting();
	// Lets it go on, unless it was paused by somebody else.
	[[nodiscard]] result<void> undo() const;

private:
	standstill(const vm &of, bool is_ours, const vm_info &now)
		: machine_(&of), is_ours_(is_ours), was_going_(is_ours && (now.started || !now.detached)),
		  exits_(now.exits)
	{
	}

	const vm *machine_;
	bool is_ours_; // the pause
	bool was_going_;
	std::uint64_t exits_; // whatever runs leaves guest mode again before it is paused
};

} // namespace vmctl::cli
