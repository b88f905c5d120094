// SPDX-License-Identifier: Apache-2.0
#include "standstill.hpp"

#include <cerrno>

namespace vmctl::cli
{

result<standstill> standstill::begin(const vm &of)
{
	const auto held = of.hold();

	if (!held && held.error().code != EALREADY)
		return std::unexpected(held.error());
	return standstill(of, held.has_value(), VMCTL_TRY(of.info()));
}

result<void> standstill::check() const
{
	const vm_info now = VMCTL_TRY(machine_->info());

	if (now.ended())
		return fail(ESRCH, "it has ended meanwhile");
	if (now.state != vm_state::paused || now.exits != exits_)
		return fail(EBUSY, "somebody let it go on meanwhile");
	return {};
}

result<void> standstill::make_lasting()
{
	VMCTL_TRY(check());
	if (const auto paused = machine_->pause(); !paused) {
		if (paused.error().code != EALREADY)
			return paused;
		// Somebody else has paused it meanwhile: he did not ask us to let it go on.
		is_ours_ = false;
	}

	const auto checked = check();

	if (!checked)
		static_cast<void>(undo());
	return checked;
}

result<void> standstill::undo() const
{
	return is_ours_ ? machine_->resume() : result<void>();
}

} // namespace vmctl::cli
