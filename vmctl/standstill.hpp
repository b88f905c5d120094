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
	// Else it goes on when its last descriptor is closed, whoever ends us.
	[[nodiscard]] static result<standstill> begin(const vm &of);

	// Was it paused before?
	[[nodiscard]] bool was_paused() const { return was_paused_; }
	// Has it not run since? EBUSY: somebody let it go on.
	[[nodiscard]] result<void> check() const;
	// It stands still whatever happens to us, until undo(). As check().
	[[nodiscard]] result<void> make_lasting() const;
	// Lets it go on, if it did before.
	void undo() const;

private:
	standstill(const vm &of, bool was_paused, std::uint64_t exits)
		: machine_(&of), was_paused_(was_paused), exits_(exits)
	{
	}

	const vm *machine_;
	bool was_paused_;
	std::uint64_t exits_; // whatever runs leaves guest mode again before it is paused
};

} // namespace vmctl::cli
