// SPDX-License-Identifier: Apache-2.0
//
// Arguments of the calls: what a caller would give, and what one should not.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <vector>

#include <net/if.h>
#include <sys/mman.h>

#include <mayfly.h>
#include <mayfly_demand.h>
#include <mayfly_guest.h>

#include "../live/descriptor.hpp"
#include "network.hpp"
#include "random.hpp"
#include "vcpu_state.hpp"

namespace fuzz
{

/// Memory of one thread to point at, some of it not as it should be.
///
/// It has 4 GiB to itself: where the low word of a pointer into it is replaced, the kernel
/// still finds nothing of ours to write to, such as the heap of a thread, which often
/// begins where the low words are small.
class arena final
{
public:
	arena()
	{
		reserved_ = mmap(nullptr, 2 * low_words, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (reserved_ == MAP_FAILED)
			throw std::bad_alloc();
		base_ = reinterpret_cast<std::byte *>(
			(live::address(reserved_) + low_words - 1) / low_words * low_words + base_at);
		mprotect(base_, size - page_size, PROT_READ | PROT_WRITE);
		mprotect(base_ + read_only_at, page_size, PROT_READ);
	}
	~arena() { munmap(reserved_, 2 * low_words); }
	arena(const arena &) = delete;
	arena &operator=(const arena &) = delete;

	/// Everything placed so far may be overwritten.
	void forget() { used_ = 0; }

	/// The address of a copy of \p bytes, or seldom one that is wrong.
	std::uint64_t place(random &r, std::span<const std::byte> bytes)
	{
		return r.chance(94) ? place_well(bytes) : place_badly(r, bytes);
	}
	std::uint64_t place_well(std::span<const std::byte> bytes)
	{
		const std::span<const std::byte> some = bytes.first(std::min(bytes.size(), most));

		if (used_ + some.size() > most)
			used_ = 0;
		std::byte *const at = base_ + used_;

		used_ += (some.size() + 15) / 16 * 16;
		std::ranges::copy(some, at);
		return live::address(at);
	}
	/// Room for \p bytes bytes that the kernel fills.
	std::uint64_t room(random &r, std::size_t bytes)
	{
		const std::vector<std::byte> nothing(std::min(bytes, most));

		return place(r, nothing);
	}

private:
	static constexpr std::size_t read_only_at = 48 * page_size;
	static constexpr std::size_t most = read_only_at - 16; // and one byte more where it is not aligned
	static constexpr std::size_t size = 52 * page_size;    // the last page is not there
	static constexpr std::size_t low_words = 1ull << 32;
	static constexpr std::size_t base_at = 0x5a5a5000; // no number that is tried often

	std::uint64_t place_badly(random &r, std::span<const std::byte> bytes)
	{
		const std::uint64_t end = live::address(base_) + size - page_size;

		switch (r.below(8)) {
		case 0:
			return 0;
		case 1:
			return 0xffff888000000000 + r.below(1 << 20);
		case 2:
			return r.word();
		case 3:
			return live::address(base_) + read_only_at;
		case 4:
			return end;
		case 5: { // its end is beyond the end of the mapping
			const std::size_t whole = std::min<std::size_t>(bytes.size(), page_size);
			const std::size_t there = whole ? r.below(whole) : 0;

			std::memcpy(reinterpret_cast<std::byte *>(end - there), bytes.data(), there);
			return end - there;
		}
		case 6: { // just inside
			const std::size_t there = std::min<std::size_t>(bytes.size(), page_size);

			std::memcpy(reinterpret_cast<std::byte *>(end - there), bytes.data(), there);
			return end - there;
		}
		default: { // not aligned
			const std::uint64_t at = place_well(bytes);

			std::ranges::copy(bytes.first(std::min(bytes.size(), most)),
					  reinterpret_cast<std::byte *>(at + 1));
			return at + 1;
		}
		}
	}

	void *reserved_;
	std::byte *base_;
	std::size_t used_ = 0;
};

/// Sets words of a structure that was right to something else, seldom.
template <class T> void bend_words(random &r, T &argument, unsigned percent = 15)
{
	constexpr std::size_t words = sizeof(T) / 4;

	if (!r.chance(percent))
		return;
	for (std::uint64_t n = 1 + r.below(2); n; n--) {
		const auto value = static_cast<std::uint32_t>(r.word());

		std::memcpy(reinterpret_cast<std::byte *>(&argument) + 4 * r.below(words), &value, sizeof(value));
	}
}

/// Guests that do one thing: their code, loaded at 0x20000, with the window.
inline constexpr std::string_view small_guests[] = {
	// wait for ever, again and again
	"\x48\xc7\xc3\x00\x10\x00\x80\xb8\x02\x00\x00\x00\x48\xc7\xc7\xff\xff\xff\xff\xff\xd3\xeb\xf0"sv,
	// spin
	"\xeb\xfe"sv,
	// exit(7)
	"\x48\xc7\xc3\x00\x10\x00\x80\x31\xc0\xbf\x07\x00\x00\x00\xff\xd3"sv,
	// print 64 bytes, again and again
	"\x48\xc7\xc3\x00\x10\x00\x80\xb8\x01\x00\x00\x00\xbf\x00\x00\x02\x00\xbe\x40\x00\x00\x00\xff\xd3\xeb\xed"sv,
	// wait for a time that is over
	"\x48\xc7\xc3\x00\x10\x00\x80\xb8\x02\x00\x00\x00\xbf\x01\x00\x00\x00\xff\xd3\xeb\xf2"sv,
	// halt, again and again
	"\xf4\xeb\xfd"sv,
	// write to each page from 1 MiB on
	"\x48\xc7\xc0\x00\x00\x10\x80\x48\x89\x00\x48\x05\x00\x10\x00\x00\xeb\xf5"sv,
	// leave memory at once
	"\x48\xa3\x00\x00\x00\x00\x90\x00\x00\x00"sv,
	// no IDT
	"\x0f\x0b"sv,
};

enum small_guest { guest_waits, guest_spins, guest_exits };

/// One page, top and next level at once: entry 511 points to the page itself.
inline std::array<std::uint64_t, 512> window_table()
{
	std::array<std::uint64_t, 512> table{};

	table[510] = 0xe7;
	table[511] = FUZZ_TABLES | 0x67;
	return table;
}

/// What IMAGE_CREATE wants for a small guest; the pointers are into \p memory.
inline mayfly_image_create image_of(arena &memory, std::string_view code)
{
	static const std::array<std::uint64_t, 512> table = window_table();
	const std::array segments = {
		mayfly_segment{.gpa = FUZZ_TABLES,
			       .length = sizeof(table),
			       .source = memory.place_well(std::as_bytes(std::span(table))),
			       .flags = MAYFLY_SEGMENT_WRITE,
			       .reserved = 0},
		mayfly_segment{.gpa = FUZZ_DESCRIPTORS,
			       .length = code.size(),
			       .source = memory.place_well(std::as_bytes(std::span(code))),
			       .flags = MAYFLY_SEGMENT_EXECUTE,
			       .reserved = 0},
	};
	mayfly_image_create create{};

	create.segments = memory.place_well(std::as_bytes(std::span(segments)));
	create.nr_segments = segments.size();
	create.rip = FUZZ_WINDOW + FUZZ_DESCRIPTORS;
	create.rsp = FUZZ_WINDOW + FUZZ_STACK;
	create.cr3 = FUZZ_TABLES;
	create.rdi = FUZZ_WINDOW + MAYFLY_GPA_DEVICE;
	create.profile = MAYFLY_PROFILE_UNIKERNEL;
	create.cpu_level = MAYFLY_CPU_SSE2;
	std::strcpy(create.label, "small");
	return create;
}

/// Segments of many kinds, most of them in order.
inline std::vector<mayfly_segment> random_segments(random &r, arena &memory)
{
	std::vector<mayfly_segment> all;
	std::uint64_t gpa = MAYFLY_GPA_IMAGE;

	for (std::uint64_t n = r.chance(95) ? 1 + r.below(6) : MAYFLY_MAX_SEGMENTS + r.below(3); n; n--) {
		mayfly_segment one{};

		one.gpa = gpa;
		one.length = r.chance(90) ? 1 + r.below(5 * page_size) : r.word();
		one.source = memory.room(r, 6 * page_size);
		one.flags = static_cast<std::uint32_t>(r.below(4));
		gpa = (one.gpa + one.length + page_size - 1 + (r.chance(70) ? 0 : r.below(1ull << r.below(38)))) &
		      ~0xfffull;
		bend_words(r, one, 4);
		all.push_back(one);
	}
	return all;
}

inline mayfly_image_create random_image(random &r, arena &memory)
{
	mayfly_image_create create = image_of(memory, r.pick(small_guests));

	if (r.chance(40)) {
		const auto segments = random_segments(r, memory);

		create.segments = memory.place(r, std::as_bytes(std::span(segments)));
		create.nr_segments = static_cast<std::uint32_t>(segments.size());
		create.memory_min = r.chance(70) ? 0 : r.word() & ~0xfffull;
		create.memory_default = r.chance(70) ? 0 : r.word() & ~0xfffull;
	}
	if (r.chance(20))
		create.cpu_level = static_cast<std::uint32_t>(r.below(4));
	if (r.chance(20))
		create.flags = MAYFLY_IMAGE_SAME_TSC;
	bend_words(r, create);
	return create;
}

inline void random_name(random &r, char (&name)[MAYFLY_NAME_SIZE])
{
	static constexpr std::string_view names[] = {"a"sv,    "b"sv,  "pool"sv, "vm"sv, "vm1"sv,
						     "vm07"sv, "1x"sv, "a b"sv,  "-"sv,  "x.y_z-1"sv};

	std::memset(name, 0, sizeof(name));
	if (r.chance(90)) {
		const std::string_view chosen = r.pick(names);

		std::memcpy(name, chosen.data(), chosen.size());
	} else {
		std::memset(name, r.chance(50) ? 'x' : static_cast<int>(r.below(256)), r.below(sizeof(name) + 1));
	}
}

/// One of that type and payload, both a little wrong at times.
template <class T> mayfly_attachment attach(random &r, arena &memory, std::uint32_t type, T &payload)
{
	mayfly_attachment one{};

	bend_words(r, payload, 5);
	one.type = type;
	one.size = sizeof(payload);
	one.payload = memory.place(r, std::as_bytes(std::span(&payload, 1)));
	bend_words(r, one, 5);
	return one;
}

/// A place on a network, if there is one.
inline mayfly_attachment random_attachment(random &r, arena &memory, unsigned with_address = 50)
{
	const unsigned there = if_nametoindex(network_name);
	mayfly_attach_net net{.ifindex = r.chance(90) ? there : static_cast<std::uint32_t>(r.below(5)),
			      .ip4 = 0,
			      .dns4 = 0,
			      .flags = 0,
			      .rate = r.chance(80) ? 0 : r.below(1'000'000)};

	// In 10.9.0.0/24, where the test has one.
	if (r.chance(with_address))
		net.ip4 = 0x0000090a | static_cast<std::uint32_t>(r.below(256)) << 24;
	return attach(r, memory, MAYFLY_ATTACH_NET, net);
}

/// Addresses of 10.9.0.0/24 that get their VMs when a packet comes, as send_to_network() sends.
inline mayfly_attachment random_demand(random &r, arena &memory)
{
	const std::uint64_t first = r.below(20), last = first + r.below(20);
	mayfly_attach_demand demand{};

	demand.first = 0x0000090a | static_cast<std::uint32_t>(first) << 24;
	demand.last = 0x0000090a | static_cast<std::uint32_t>(last) << 24;
	demand.idle = r.chance(50) ? r.below(10'000'000) : 0;
	demand.rate = static_cast<std::uint32_t>(1 + r.below(MAYFLY_DEMAND_RATE_MAX));
	demand.max = static_cast<std::uint32_t>(1 + r.below(20));
	if (r.chance(30)) {
		demand.nr_services = 1;
		demand.services[0] = {.port = 7, .protocol = IPPROTO_UDP, .unused = 0};
	}
	return attach(r, memory, MAYFLY_ATTACH_DEMAND, demand);
}

/// No VM, but a range that gets them.
inline mayfly_spawn random_spawn_on_demand(random &r, arena &memory, int image)
{
	std::array all{random_attachment(r, memory, 0), random_demand(r, memory)};
	mayfly_spawn spawn{};

	spawn.image = image;
	spawn.flags = MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED;
	spawn.count = 1;
	spawn.nr_attachments = all.size();
	spawn.attachments = memory.place(r, std::as_bytes(std::span(all)));
	bend_words(r, spawn, 3);
	return spawn;
}

inline mayfly_demand_remove random_demand_remove(random &r, std::uint64_t last)
{
	mayfly_demand_remove args{};

	args.id = r.chance(80) ? r.below(last + 2) : r.word();
	bend_words(r, args, 5);
	return args;
}

inline mayfly_spawn random_spawn(random &r, arena &memory, int image)
{
	static constexpr std::uint32_t counts[] = {0, 1, 2, 3, 5, 70, 0x7fffffff, 0xffffffff};
	static constexpr std::uint64_t memories[] = {
		0, 4096, 1 << 20, MAYFLY_MEMORY_DEFAULT, MAYFLY_MEMORY_MAX, MAYFLY_MEMORY_MAX + 4096, 0x21000, 3 << 20};
	mayfly_spawn spawn{};

	spawn.image = image;
	spawn.flags = static_cast<std::uint32_t>(r.below(4));
	spawn.count = spawn.flags & MAYFLY_SPAWN_DETACHED && r.chance(60) ? r.pick(counts) : 1;
	spawn.memory = r.chance(80) ? MAYFLY_MEMORY_DEFAULT : r.pick(memories);
	if (r.chance(40))
		random_name(r, spawn.name);
	if (r.chance(spawn.name[0] ? 50 : 3)) {
		spawn.flags |= MAYFLY_SPAWN_NUMBERED;
		spawn.first = r.chance(80) ? static_cast<std::uint32_t>(r.below(5))
					   : static_cast<std::uint32_t>(r.word());
	}
	if (r.chance(30)) {
		spawn.args_length = static_cast<std::uint32_t>(r.below(r.chance(90) ? 64 : MAYFLY_ARGS_MAX + 2));
		spawn.args = memory.room(r, spawn.args_length);
	}
	if (r.chance(20)) {
		std::vector<mayfly_attachment> all(1 + (r.chance(30) ? r.below(MAYFLY_MAX_NETS + 1) : 0));

		for (mayfly_attachment &one : all)
			one = random_attachment(r, memory);
		spawn.nr_attachments = static_cast<std::uint32_t>(all.size());
		spawn.attachments = memory.place(r, std::as_bytes(std::span(all)));
	} else if (r.chance(5)) {
		spawn.nr_attachments = static_cast<std::uint32_t>(r.below(MAYFLY_MAX_ATTACHMENTS + 2));
		spawn.attachments = memory.room(r, sizeof(mayfly_attachment) * spawn.nr_attachments);
	}
	if (r.chance(50))
		spawn.ids = memory.room(r, 8 * std::min<std::size_t>(spawn.count, 1000));
	bend_words(r, spawn, 10);
	return spawn;
}

/// The size of a row: the module's own, mostly.
inline std::uint32_t random_row_size(random &r, std::size_t usual)
{
	if (r.chance(80))
		return static_cast<std::uint32_t>(usual);
	return static_cast<std::uint32_t>(r.chance(80) ? 8 * r.below(80) : r.word());
}

inline mayfly_row random_row(random &r, arena &memory, std::size_t usual)
{
	mayfly_row row{};

	row.row_size = random_row_size(r, usual);
	row.row = memory.room(r, std::min<std::size_t>(row.row_size, MAYFLY_ROW_MAX));
	bend_words(r, row, 10);
	return row;
}

inline mayfly_list random_list(random &r, arena &memory)
{
	mayfly_list list{};

	list.from = r.chance(80) ? 0 : r.word();
	list.count = r.chance(90) ? static_cast<std::uint32_t>(1 + r.below(100)) : static_cast<std::uint32_t>(r.word());
	list.row_size = random_row_size(r, sizeof(mayfly_vm_info));
	list.rows = memory.room(r, std::min<std::size_t>(list.row_size, 800) * std::min<std::size_t>(list.count, 200));
	bend_words(r, list, 10);
	return list;
}

/// A VM's number: one of the last that were made.
inline std::uint64_t random_id(random &r, std::uint64_t last)
{
	return r.chance(90) ? last - std::min(last, r.below(20)) : r.word();
}

inline mayfly_open random_open(random &r, std::uint64_t last)
{
	mayfly_open open{};

	if (r.chance(70))
		open.id = random_id(r, last);
	else
		random_name(r, open.name);
	bend_words(r, open, 10);
	return open;
}

inline mayfly_control random_control(random &r)
{
	mayfly_control control{};

	control.op = static_cast<std::uint32_t>(r.chance(97) ? 1 + r.below(6) : r.word());
	if (control.op == MAYFLY_OP_NOTIFY)
		control.port = static_cast<std::uint32_t>(r.below(r.chance(95) ? 64 : 70));
	if (control.op == MAYFLY_OP_PAUSE)
		control.flags = r.chance(30) ? MAYFLY_CONTROL_HOLD : 0;
	bend_words(r, control, 5);
	return control;
}

inline mayfly_control random_control_many(random &r, arena &memory, std::uint64_t last)
{
	std::vector<std::uint64_t> ids(r.chance(95) ? 1 + r.below(16) : r.below(2000));
	mayfly_control control = random_control(r);

	for (std::uint64_t &id : ids)
		id = random_id(r, last);
	control.count = static_cast<std::uint32_t>(r.chance(97) ? ids.size() : r.word());
	control.ids = memory.place(r, std::as_bytes(std::span(ids)));
	if (r.chance(60))
		control.results = memory.room(r, 4 * ids.size());
	return control;
}

inline mayfly_run random_run(random &r)
{
	mayfly_run run{};

	run.flags = static_cast<std::uint32_t>(r.below(8));
	bend_words(r, run, 5);
	return run;
}

/// Close to a state that a VM starts with.
inline live::vcpu_state random_state(random &r, const live::vcpu_state &start)
{
	live::vcpu_state state = start;

	if (r.chance(80))
		bend_state(r, state);
	bend_words(r, state, 5);
	return state;
}

/// An argument for GET_STATE or SET_STATE, with \p state in the arena.
inline mayfly_state random_state_request(random &r, arena &memory, const live::vcpu_state &state)
{
	const mayfly_vcpu_state &registers = state;
	mayfly_state args{};

	args.registers_size = random_row_size(r, sizeof(registers));
	args.registers = memory.place(r, std::as_bytes(std::span(&registers, 1)));
	if (r.chance(80)) {
		args.extended_size = random_row_size(r, sizeof(state.fpu));
		args.extended = memory.place(r, std::as_bytes(std::span(state.fpu)));
	}
	bend_words(r, args, 5);
	return args;
}

inline mayfly_tag random_tag(random &r)
{
	mayfly_tag tag{};

	random_name(r, tag.name);
	tag.flags = r.chance(50) ? MAYFLY_TAG_REPLACE : 0;
	bend_words(r, tag, 5);
	return tag;
}

/// Mostly without a name: those stay for long.
inline mayfly_snapshot random_snapshot(random &r)
{
	mayfly_snapshot args{};

	if (r.chance(30)) {
		random_name(r, args.name);
		args.flags = r.chance(50) ? MAYFLY_SNAPSHOT_REPLACE : 0;
	}
	/* It often waits in vain, until a signal comes. */
	if (r.chance(20))
		args.flags |= MAYFLY_SNAPSHOT_WHEN_READY;
	bend_words(r, args, 5);
	return args;
}

inline mayfly_extents random_extents(random &r, arena &memory, int base)
{
	mayfly_extents args{};

	args.gpa = r.chance(80) ? r.below(512) << 12 : r.word();
	args.count = static_cast<std::uint32_t>(r.chance(95) ? 1 + r.below(20) : r.word());
	args.extents = memory.room(r, args.count * sizeof(mayfly_extent) % 4096);
	args.base = base;
	bend_words(r, args, 5);
	return args;
}

inline mayfly_arguments random_arguments(random &r, arena &memory)
{
	mayfly_arguments args{};

	args.size = static_cast<std::uint32_t>(r.chance(80) ? MAYFLY_ARGS_MAX : r.below(64));
	args.buffer = memory.room(r, args.size);
	bend_words(r, args, 5);
	return args;
}

/// Guest memory, in it or beside it.
inline mayfly_memory random_memory(random &r, arena &memory)
{
	static constexpr std::uint64_t places[] = {0,       0x1000,  0x2ff8,        MAYFLY_GPA_IMAGE, FUZZ_DESCRIPTORS,
						   0x40ff0, 0xfffff, (1 << 20) - 8, 1 << 20};
	mayfly_memory args{};

	args.gpa = r.chance(85) ? r.pick(places) : r.word();
	args.length = r.chance(95) ? r.below(3 * page_size) : r.word();
	args.buffer = memory.room(r, std::min<std::size_t>(args.length, 3 * page_size));
	args.flags = r.chance(50) ? MAYFLY_MEMORY_WRITE : 0;
	bend_words(r, args, 5);
	return args;
}

}
