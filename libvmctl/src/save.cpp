// SPDX-License-Identifier: Apache-2.0
// An image becomes a stream of bytes.
#include "vmctl/saved.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "arguments.hpp"
#include "convert.hpp"
#include "records.hpp"
#include "saved_format.hpp"
#include "vmctl/device.hpp"

namespace vmctl
{

namespace
{

// What is written, and what of it belongs to the base, which the receiver may have.
struct plan {
	image_info info;
	std::optional<vcpu_state> state; // nothing: the base is all there is
	std::vector<std::string> arguments;
	std::uint32_t ip4; // the VM's; 0 if there is none
	const image &base; // has the base's pages
	vcpu_state base_state;
	image_info base_info;
	std::vector<extent> base_pages, own_pages;
};

bool has_page(std::span<const extent> pages, std::uint64_t gpa)
{
	const auto after = std::ranges::upper_bound(pages, gpa, {}, &extent::gpa);

	return after != pages.begin() && gpa - std::prev(after)->gpa < std::prev(after)->length;
}

std::uint32_t flags_of(const extent &one)
{
	return (one.writable ? MAYFLY_SEGMENT_WRITE : 0u) | (one.executable ? MAYFLY_SEGMENT_EXECUTE : 0u);
}

// Memory that a guest has written may be written and executed; only a program's segments
// can be otherwise, and only a base has segments. Nobody runs this base as it is: but the
// module insists on a page table, and some page must be there.
void split_by_rights(plan &plan, const std::vector<extent> &pages)
{
	for (const extent &one : pages) {
		const bool segment = !one.writable || !one.executable;

		(segment && plan.base_pages.size() < max_segments ? plan.base_pages : plan.own_pages).push_back(one);
	}
	if (plan.base_pages.empty() && !plan.own_pages.empty()) {
		extent &first = plan.own_pages.front();

		plan.base_pages.push_back(first);
		plan.base_pages.front().length = page_size;
		first.gpa += page_size;
		first.length -= page_size;
	}
	if (!plan.base_pages.empty())
		plan.base_state.cr3 = plan.base_pages.front().gpa;
}

std::uint64_t bytes_of(std::span<const extent> pages)
{
	std::uint64_t sum = 0;

	for (const extent &one : pages)
		sum += one.length;
	return sum;
}

saved::header header_of(const plan &plan, const std::string &arguments, std::uint64_t host_khz)
{
	saved::header header;

	header.profile = std::to_underlying(plan.info.profile);
	header.cpu_vendor = std::to_underlying(plan.info.vendor);
	header.cpu_level = std::to_underlying(plan.info.level);
	header.registers_size = plan.state ? sizeof(mayfly_vcpu_state) : 0;
	header.extended_size = plan.state ? MAYFLY_FXSAVE_SIZE : 0;
	header.arguments_size = static_cast<std::uint32_t>(arguments.size());
	header.flags = plan.info.same_tsc ? saved::flag_same_tsc : 0;
	header.ip4 = plan.ip4;
	header.memory = plan.info.memory_default;
	header.tsc_khz = plan.state && plan.state->tsc_khz != 0 ? plan.state->tsc_khz : host_khz;
	header.base_rip = plan.base_state.rip;
	header.base_rsp = plan.base_state.regs[rsp];
	header.base_cr3 = plan.base_state.cr3;
	header.base_rdi = plan.base_state.regs[rdi];
	header.base_memory_min = plan.base_info.memory_min;
	header.base_memory_default = plan.base_info.memory_default;
	std::ranges::copy(plan.info.label, header.label.begin());
	return header;
}

// All that comes before the memory.
std::vector<std::byte> start_of(const plan &plan, std::uint64_t host_khz)
{
	const std::string arguments = pack_arguments(plan.arguments);
	const saved::header header = header_of(plan, arguments, host_khz);
	std::vector<std::byte> all;
	const auto add = [&](std::span<const std::byte> bytes) { all.insert(all.end(), bytes.begin(), bytes.end()); };

	add(saved::bytes_of(header));
	if (plan.state) {
		raw_vcpu raw = raw_of(*plan.state);

		raw.registers.tsc_khz = 0; // The header has it.
		add(saved::bytes_of(raw.registers));
		add(raw.fpu);
	}
	add(std::as_bytes(std::span(arguments)));
	return all;
}

// Pieces of memory, a record each.
class piece_writer
{
public:
	explicit piece_writer(record_writer &to)
		: to_(to), room_(std::make_unique_for_overwrite<std::byte[]>(saved::max_record))
	{
	}

	// Calls \p write with each piece of \p pages, and its bytes in our room.
	template <class Write> result<void> write_all(const image &from, std::span<const extent> pages, Write write)
	{
		const std::span room(room_.get() + sizeof(saved::piece), saved::max_piece);

		for (const extent &one : pages)
			for (std::uint64_t at = 0; at < one.length; at += room.size()) {
				const auto bytes = room.first(std::min<std::uint64_t>(room.size(), one.length - at));

				VMCTL_TRY(from.read_memory(one.gpa + at, bytes));
				VMCTL_TRY(write(one, one.gpa + at, bytes));
			}
		return {};
	}

	// A piece that is in our room. What lies in front of it was written before, or is not
	// wanted: its header takes the place.
	result<void> write(std::uint64_t gpa, std::span<std::byte> bytes, saved::kind kind, std::uint32_t flags)
	{
		const saved::piece head{gpa, bytes.size(), kind, flags};
		std::byte *const begin = bytes.data() - sizeof head;

		std::memcpy(begin, &head, sizeof head);
		count_++;
		return to_.write({begin, sizeof head + bytes.size()});
	}

	result<void> finish() { return to_.write(saved::bytes_of(saved::piece{.gpa = count_})); }

private:
	record_writer &to_;
	std::unique_ptr<std::byte[]> room_; // a piece with its header
	std::uint64_t count_ = 0;
};

bool is_zero(std::span<const std::byte> bytes)
{
	return std::ranges::all_of(bytes, [](std::byte one) { return one == std::byte{}; });
}

// Writes what \p bytes has from \p gpa on but for pages of zeros, which memory is
// anyway unless \p base has something there.
result<void> write_own(piece_writer &to, std::uint64_t gpa, std::span<std::byte> bytes, std::span<const extent> base)
{
	const auto counts = [&](std::size_t at) {
		return has_page(base, gpa + at) || !is_zero(bytes.subspan(at, page_size));
	};

	for (std::size_t at = 0, end; at < bytes.size(); at = end) {
		const bool wanted = counts(at);

		end = at + page_size;
		while (end < bytes.size() && counts(end) == wanted)
			end += page_size;
		if (wanted)
			VMCTL_TRY(to.write(gpa + at, bytes.subspan(at, end - at), saved::kind::own, 0));
	}
	return {};
}

// The module judges registers from outside more strictly than those that a guest has come to
// by itself: those of 32-bit code, say. What could not be restored is not saved.
result<void> judge(const device &by, const image &what, const plan &plan)
{
	if (bytes_of(plan.base_pages) > saved::max_base)
		return fail(EFBIG, "its program is too large to be saved");
	if (!plan.state)
		return {};

	const vm scratch = VMCTL_TRY(by.spawn_attached(what, {.start = false}));
	const auto set = scratch.set_state(*plan.state);

	if (!set && set.error().code == EINVAL)
		return fail(ENOTSUP, "its registers are such that it could not be restored");
	return set;
}

result<void> write_all(const plan &plan, const image &what, std::uint64_t host_khz, const byte_sink &to)
{
	record_writer records(to, saved::max_record);
	piece_writer pieces(records);

	VMCTL_TRY(to(saved::bytes_of(saved::preamble{})));
	VMCTL_TRY(records.write(start_of(plan, host_khz)));
	VMCTL_TRY(pieces.write_all(plan.base, plan.base_pages, [&](const extent &one, std::uint64_t gpa, auto bytes) {
		return pieces.write(gpa, bytes, saved::kind::base, flags_of(one));
	}));
	VMCTL_TRY(pieces.write_all(what, plan.own_pages, [&](const extent &, std::uint64_t gpa, auto bytes) {
		return write_own(pieces, gpa, bytes, plan.base_pages);
	}));
	return pieces.finish();
}

// The oldest image that \p one comes from and that the caller may read.
result<image> oldest(const device &from, std::uint64_t id)
{
	image found = VMCTL_TRY(from.open_image(id));

	for (;;) {
		const image_info info = VMCTL_TRY(found.info());

		if (info.parent == 0)
			return found;

		auto parent = from.open_image(info.parent);

		if (!parent)
			return found;
		found = std::move(*parent);
	}
}

} // namespace

result<void> device::save_beyond(const image &what, const image &root, std::vector<std::string> arguments,
				 std::uint32_t ip4, const byte_sink &to) const
{
	const image_info info = VMCTL_TRY(what.info()), root_info = VMCTL_TRY(root.info());
	// Only what an ELF file was loaded into is something that others may have, too.
	const bool shared = !root_info.snapshot;
	plan plan{.info = info,
		  .state = VMCTL_TRY(what.state()),
		  .arguments = std::move(arguments),
		  .ip4 = ip4,
		  .base = shared ? root : what,
		  .base_state = VMCTL_TRY((shared ? root : what).state()),
		  .base_info = shared ? root_info : info,
		  .base_pages = {},
		  .own_pages = {}};

	if (!shared) {
		split_by_rights(plan, VMCTL_TRY(what.extents()));
	} else {
		plan.base_pages = VMCTL_TRY(root.extents());
		plan.own_pages = VMCTL_TRY(what.extents(&root));
		if (info.id == root_info.id)
			plan.state.reset();
	}
	VMCTL_TRY(judge(*this, what, plan));
	return write_all(plan, what, VMCTL_TRY(this->info()).tsc_khz, to);
}

result<void> device::save(const image &what, const byte_sink &to) const
{
	const image_info info = VMCTL_TRY(what.info());

	return save_beyond(what, VMCTL_TRY(oldest(*this, info.id)), {}, 0, to);
}

result<void> device::save(const vm &what, const byte_sink &to) const
{
	auto arguments = VMCTL_TRY(what.arguments());
	const vm_info info = VMCTL_TRY(what.info());
	// Held until the end, or the module would make it a part of the snapshot.
	const auto root = oldest(*this, info.image_id);
	const image taken = VMCTL_TRY(what.snapshot());

	return save_beyond(taken, root ? *root : taken, std::move(arguments),
			   info.places.empty() ? 0 : info.places.front().ip4, to);
}

} // namespace vmctl
