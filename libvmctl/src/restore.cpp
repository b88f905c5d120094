// SPDX-License-Identifier: Apache-2.0
// A stream of bytes, of which nothing is believed, becomes an image.
//
// The image is taken of a VM that has never run: one of the base, to which the rest of the
// memory and the registers are given. So the module judges what it always judges.
#include "vmctl/saved.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "arguments.hpp"
#include "convert.hpp"
#include "records.hpp"
#include "saved_format.hpp"
#include "vmctl/device.hpp"

namespace vmctl
{

namespace
{

std::unexpected<error> damaged()
{
	return fail(EBADMSG, "damaged");
}

template <class T> std::span<std::byte> room_of(T &object)
{
	return std::as_writable_bytes(std::span(&object, 1));
}

// All that comes before the records. Never reads too far: what follows may be for others.
result<void> read_preamble(const byte_source &from)
{
	saved::preamble preamble{.magic = {}};
	auto room = room_of(preamble);

	while (!room.empty()) {
		const std::size_t got = VMCTL_TRY(from(room));

		if (got == 0)
			break;
		room = room.subspan(got);
	}
	if (!room.empty() || preamble.magic != saved::magic)
		return fail(EBADMSG, "not a saved image");
	if (preamble.version != saved::version || preamble.reserved != 0)
		return fail(ENOTSUP,
			    fmt::format("of format {}; this vmctl knows {}", preamble.version, saved::version));
	return {};
}

result<void> judge(const saved::header &header)
{
	const bool has_state = header.registers_size != 0;

	if (header.profile != std::to_underlying(guest_profile::unikernel))
		return fail(ENOTSUP, "a kind of guest that this vmctl does not know");
	if (header.cpu_vendor != std::to_underlying(cpu_vendor::amd) &&
	    header.cpu_vendor != std::to_underlying(cpu_vendor::intel))
		return fail(ENOTSUP, "a CPU of a vendor that this vmctl does not know");
	if ((header.flags & ~saved::flag_same_tsc) != 0)
		return fail(ENOTSUP, "has a property that this vmctl does not know");
	if (header.tsc_khz == 0 || header.arguments_size > max_argument_bytes ||
	    header.registers_size > MAYFLY_ROW_MAX || header.registers_size % 8 != 0 ||
	    (has_state ? header.extended_size != MAYFLY_FXSAVE_SIZE : header.extended_size != 0) ||
	    !check_memory(header.memory) || header.label.front() == '\0' || header.label.back() != '\0')
		return damaged();
	return {};
}

// What is in a record, from its beginning on.
class content final
{
public:
	explicit content(std::span<const std::byte> all) : rest_(all) {}

	// Fills all of \p room.
	[[nodiscard]] result<void> take(std::span<std::byte> room)
	{
		if (room.size() > rest_.size())
			return damaged();
		std::ranges::copy(rest_.first(room.size()), room.begin());
		rest_ = rest_.subspan(room.size());
		return {};
	}

	[[nodiscard]] std::span<const std::byte> rest() const { return rest_; }

private:
	std::span<const std::byte> rest_;
};

// Can its guests only go on where the TSC is as fast as there?
bool has_same_tsc(const saved::header &header)
{
	return (header.flags & saved::flag_same_tsc) != 0;
}

// Two hosts that are alike measure their TSC a little differently. As much as 250 ppm is what
// KVM takes for the same, too.
bool is_same_frequency(std::uint64_t a, std::uint64_t b)
{
	const std::uint64_t apart = a > b ? a - b : b - a;

	return apart <= b / 4000;
}

std::unexpected<error> has_another_tsc(const saved::header &header, std::uint64_t khz_here)
{
	return fail(ENOTSUP, fmt::format("its guest counts ticks of a TSC of {} kHz, but this host's has {} kHz",
					 header.tsc_khz, khz_here));
}

// Must the processor give its guests a TSC that is not as fast as the host's?
bool needs_scaling(const saved::header &header, std::uint64_t khz_here)
{
	return has_same_tsc(header) && !is_same_frequency(header.tsc_khz, khz_here);
}

result<void> judge_frequency(const saved::header &header, const module_info &here)
{
	if (needs_scaling(header, here.tsc_khz) &&
	    (!here.tsc_scaling || header.tsc_khz > std::numeric_limits<std::uint32_t>::max()))
		return has_another_tsc(header, here.tsc_khz);
	return {};
}

// The registers that the module knows; it must not be asked for others.
result<raw_vcpu> read_state(content &from, const saved::header &header)
{
	std::vector<std::byte> registers(header.registers_size);
	raw_vcpu raw;
	const std::size_t known = std::min(registers.size(), sizeof raw.registers);

	VMCTL_TRY(from.take(registers));
	VMCTL_TRY(from.take(raw.fpu));
	if (std::ranges::any_of(std::span(registers).subspan(known), [](std::byte one) { return one != std::byte{}; }))
		return fail(ENOTSUP, "has registers that this vmctl does not know");
	std::memcpy(&raw.registers, registers.data(), known);
	return raw;
}

// The guest's clock goes on from where it was, though ticks may be longer here. Both clocks
// are rounded, by less than 2^-29 of what they show at up to 16 GHz; it must not go back.
std::uint64_t ticks_here(std::uint64_t ticks, const saved::header &there, std::uint64_t khz_here)
{
	if (there.tsc_khz == khz_here || needs_scaling(there, khz_here))
		return ticks;

	const auto here = static_cast<std::uint64_t>(static_cast<unsigned __int128>(ticks) * khz_here / there.tsc_khz);

	const std::uint64_t converted = here + (here >> 28) + 1;

	// One who counts them must not see them go back, either. The two are almost the same.
	return has_same_tsc(there) ? std::max(ticks, converted) : converted;
}

result<std::vector<std::string>> read_arguments(content &from, std::size_t size)
{
	std::string packed(size, '\0');

	VMCTL_TRY(from.take(std::as_writable_bytes(std::span(packed))));
	if (!packed.empty() && packed.back() != '\0')
		return damaged();
	return unpack_arguments(packed);
}

// What comes before the memory.
struct start {
	saved::header header;
	std::optional<raw_vcpu> state;
	std::vector<std::string> arguments;
};

result<start> read_start(record_reader &records)
{
	content from(VMCTL_TRY(records.read()));
	start all;

	VMCTL_TRY(from.take(room_of(all.header)));
	VMCTL_TRY(judge(all.header));
	if (all.header.registers_size != 0)
		all.state = VMCTL_TRY(read_state(from, all.header));
	all.arguments = VMCTL_TRY(read_arguments(from, all.header.arguments_size));
	if (!from.rest().empty())
		return damaged();
	return all;
}

// A piece of memory; its bytes are there until the next one is read.
struct piece {
	saved::piece head;
	std::span<const std::byte> bytes;

	[[nodiscard]] saved::kind kind() const { return head.kind; }
};

bool is_sane(const saved::piece &head, std::size_t bytes)
{
	return (head.kind == saved::kind::base || head.kind == saved::kind::own) && head.gpa % page_size == 0 &&
	       head.length == bytes && head.length != 0 && head.length % page_size == 0 &&
	       head.length <= saved::max_piece && head.gpa <= max_memory - head.length;
}

class piece_reader final
{
public:
	explicit piece_reader(record_reader &from) : from_(from) {}

	// The next piece, at last one that is the end.
	[[nodiscard]] result<piece> next()
	{
		content from(VMCTL_TRY(from_.read()));
		piece one{};

		VMCTL_TRY(from.take(room_of(one.head)));
		one.bytes = from.rest();

		const bool sane = one.kind() == saved::kind::end
					  ? one.head.gpa == count_ && one.head.length == 0 && one.bytes.empty()
					  : is_sane(one.head, one.bytes.size());

		if (!sane || (one.kind() != saved::kind::base && one.head.flags != 0))
			return damaged();
		count_++;
		return one;
	}

private:
	record_reader &from_;
	std::uint64_t count_ = 0;
};

struct base_segment {
	extent where;
	std::vector<std::byte> bytes;
};

// Adds a piece to those before it: the same way as the module lists pages.
result<void> add_piece(std::vector<base_segment> &base, const saved::piece &piece, std::span<const std::byte> bytes)
{
	const extent where{.gpa = piece.gpa,
			   .length = piece.length,
			   .writable = (piece.flags & MAYFLY_SEGMENT_WRITE) != 0,
			   .executable = (piece.flags & MAYFLY_SEGMENT_EXECUTE) != 0};
	extent *last = base.empty() ? nullptr : &base.back().where;

	if ((piece.flags & ~(MAYFLY_SEGMENT_WRITE | MAYFLY_SEGMENT_EXECUTE)) != 0 ||
	    (last && piece.gpa < last->gpa + last->length))
		return damaged();
	if (last && last->gpa + last->length == where.gpa && last->writable == where.writable &&
	    last->executable == where.executable)
		last->length += where.length;
	else
		base.push_back({where, {}});
	base.back().bytes.insert(base.back().bytes.end(), bytes.begin(), bytes.end());
	return {};
}

// The base, and in \p next the first piece that is none of it.
result<std::vector<base_segment>> read_base(piece_reader &pieces, piece &next)
{
	std::vector<base_segment> base;
	std::uint64_t total = 0;

	while ((next = VMCTL_TRY(pieces.next())).kind() == saved::kind::base) {
		total += next.bytes.size();
		if (total > saved::max_base)
			return fail(EFBIG, "its base is too large");
		VMCTL_TRY(add_piece(base, next.head, next.bytes));
		if (base.size() > max_segments)
			return damaged();
	}
	if (base.empty())
		return damaged();
	return base;
}

// Does the image have just these bytes?
bool has_bytes(const image &one, const base_segment &segment, std::span<std::byte> room)
{
	std::span<const std::byte> rest = segment.bytes;

	for (std::uint64_t gpa = segment.where.gpa; !rest.empty(); gpa += room.size()) {
		const auto here = room.first(std::min(room.size(), rest.size()));

		if (!one.read_memory(gpa, here) || !std::ranges::equal(here, rest.first(here.size())))
			return false;
		rest = rest.subspan(here.size());
	}
	return true;
}

bool is_base(const image &one, const std::vector<base_segment> &base)
{
	const auto pages = one.extents();
	std::vector<std::byte> room(saved::max_piece);

	return pages && std::ranges::equal(*pages, base, {}, {}, &base_segment::where) &&
	       std::ranges::all_of(base, [&](const base_segment &segment) { return has_bytes(one, segment, room); });
}

// Is it one of the caller's, as far as its row tells? Somebody else's may go with him.
bool may_be_base(const image_info &row, const saved::header &header)
{
	return !row.snapshot && row.uid == geteuid() && std::to_underlying(row.profile) == header.profile &&
	       std::to_underlying(row.vendor) == header.cpu_vendor &&
	       std::to_underlying(row.level) == header.cpu_level && row.same_tsc == has_same_tsc(header) &&
	       row.label == header.label.data() && row.memory_min == header.base_memory_min &&
	       row.memory_default == header.base_memory_default;
}

// An image of the caller's that is the base; nothing when there is none.
result<std::optional<image>> find_base(const device &in, const saved::header &header,
				       const std::vector<base_segment> &base)
{
	for (const image_info &row : VMCTL_TRY(in.images())) {
		if (!may_be_base(row, header))
			continue;
		// It may be gone by now.
		if (auto one = in.open_image(row.id); one && is_base(*one, base))
			return std::move(*one);
	}
	return std::nullopt;
}

result<image> make_base(const device &to, const saved::header &header, const std::vector<base_segment> &base)
{
	std::vector<image_segment> segments;

	for (const base_segment &one : base)
		segments.push_back({.gpa = one.where.gpa,
				    .bytes = one.bytes,
				    .writable = one.where.writable,
				    .executable = one.where.executable});

	auto made = to.make_image({.label = header.label.data(),
				   .segments = segments,
				   .rip = header.base_rip,
				   .rsp = header.base_rsp,
				   .cr3 = header.base_cr3,
				   .rdi = header.base_rdi,
				   .memory_min = header.base_memory_min,
				   .memory_default = header.base_memory_default,
				   .profile = static_cast<guest_profile>(header.profile),
				   .level = static_cast<cpu_level>(header.cpu_level),
				   .vendor = static_cast<cpu_vendor>(header.cpu_vendor),
				   .same_tsc = has_same_tsc(header)});

	if (!made && made.error().code == EINVAL)
		return damaged();
	return made;
}

result<image> find_or_make_base(const device &in, const saved::header &header, const std::vector<base_segment> &base)
{
	auto found = VMCTL_TRY(find_base(in, header, base));

	return found ? std::move(*found) : make_base(in, header, base);
}

// Writes its own pages, of which \p next is the first, to \p one. Then \p next is none of them.
result<void> read_own(piece_reader &pieces, piece &next, const vm &one)
{
	while (next.kind() == saved::kind::own) {
		const auto written = one.write_memory(next.head.gpa, next.bytes);

		if (!written && written.error().code == EFAULT)
			return damaged();
		VMCTL_TRY(written);
		next = VMCTL_TRY(pieces.next());
	}
	return {};
}

result<void> expect_end(const record_reader &records, const piece &last, bool to_the_end)
{
	if (last.kind() != saved::kind::end)
		return damaged();
	return to_the_end ? records.expect_end() : result<void>();
}

result<void> set_registers(const vm &one, const raw_vcpu &raw, const saved::header &there, std::uint64_t khz_here)
{
	vcpu_state state = state_of(raw);

	// What the module must judge and would not see. The TSC's frequency is in the header.
	if (const raw_vcpu again = raw_of(state);
	    state.tsc_khz != 0 || std::memcmp(&again.registers, &raw.registers, sizeof raw.registers) != 0)
		return damaged();
	state.tsc_khz = needs_scaling(there, khz_here) ? static_cast<std::uint32_t>(there.tsc_khz) : 0;
	state.tsc_offset = ticks_here(state.tsc_offset, there, khz_here);
	state.tsc_is_now = true;

	const auto set = one.set_state(state);

	// Its frequency was the last that was not known to be all right.
	if (!set && set.error().code == ENOTSUP)
		return has_another_tsc(there, khz_here);
	if (!set && set.error().code == EINVAL)
		return fail(EBADMSG, "damaged, or its registers are not for this host's CPU");
	return set;
}

} // namespace

bool is_saved_image(std::span<const std::byte> bytes)
{
	return bytes.size() >= saved::magic.size() &&
	       std::memcmp(bytes.data(), saved::magic.data(), saved::magic.size()) == 0;
}

result<restored> device::restore(const byte_source &from, const restore_options &options) const
{
	VMCTL_TRY(read_preamble(from));

	record_reader records(from, saved::max_record);
	piece_reader pieces(records);
	const start start = VMCTL_TRY(read_start(records));
	piece next{};
	const auto segments = VMCTL_TRY(read_base(pieces, next));

	if (!start.state) {
		image whole = VMCTL_TRY(make_base(*this, start.header, segments));

		VMCTL_TRY(expect_end(records, next, options.to_the_end));
		if (!options.name.empty())
			VMCTL_TRY(whole.tag(options.name, options.replace));
		return restored{std::move(whole), start.arguments, start.header.ip4};
	}

	const module_info here = VMCTL_TRY(info());

	VMCTL_TRY(judge_frequency(start.header, here));

	const image base = VMCTL_TRY(find_or_make_base(*this, start.header, segments));
	const vm scratch = VMCTL_TRY(spawn_attached(base, {.memory = start.header.memory, .start = false}));

	VMCTL_TRY(read_own(pieces, next, scratch));
	VMCTL_TRY(expect_end(records, next, options.to_the_end));
	VMCTL_TRY(set_registers(scratch, *start.state, start.header, here.tsc_khz));
	return restored{VMCTL_TRY(scratch.snapshot(options.name, options.replace)), start.arguments, start.header.ip4};
}

} // namespace vmctl
