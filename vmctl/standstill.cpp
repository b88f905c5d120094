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
	return standstill(of, !held, VMCTL_TRY(of.info()).exits);
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

result<void> standstill::make_lasting() const
{
	VMCTL_TRY(check());
	if (const auto paused = machine_->pause(); !paused && paused.error().code != EALREADY)
		return paused;

	const auto checked = check();

	if (!checked)
		undo();
	return checked;
}

void standstill::undo() const
{
	if (!was_paused_)
		static_cast<void>(machine_->resume());
}

} // namespace vmctl::cli
