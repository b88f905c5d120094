// SPDX-License-Identifier: Apache-2.0
//
// Programs of fuzz-ioctls: up to three lists of steps that threads do at the same
// time, on descriptors that they share.
//
// A program is known by its lineage: the number it was made from, and one for each
// time it was changed. With the seed that says all about it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "random.hpp"

namespace fuzz
{

inline constexpr std::size_t max_lanes = 3;
/// Steps of a thread. Long programs spend less on what is made for each of them, short
/// ones are easier to read when they fail.
inline constexpr std::size_t usual_steps = 60;
inline constexpr std::size_t max_lineage = 24;

/// Descriptors of a program. The first ones are there from the start.
enum slot : std::uint8_t {
	slot_device,
	slot_image,
	slot_fresh,   ///< a VM that nobody has started
	slot_waiting, ///< one that the workers have, and waits
	slot_spinning,
	slot_ended,
	slot_pipe,
	slot_null,
	slot_made, ///< from here on: what the program makes itself
	slots = slot_made + 5,
};

enum class what : std::uint8_t {
	info,
	image_create,
	spawn,
	list,
	open,
	control_many,
	control,
	stat,
	run,
	get_state,
	set_state,
	image_list,
	image_open,
	image_tag,
	image_remove,
	memory,
	snapshot,
	extents,
	arguments,
	on_demand,
	demand_list,
	demand_remove,
	strange,
	read,
	write,
	poll,
	seek,
	map,
	dup,
	dup2,
	close,
	fork,
	network,
	nonblock,
};

struct step {
	what call;
	std::uint8_t on;    ///< slot
	std::uint8_t to;    ///< slot of what it makes
	std::uint64_t dice; ///< decides its arguments
};

struct program {
	std::vector<std::vector<step>> lanes;
};

using lineage = std::vector<std::uint64_t>;

inline what random_call(random &r)
{
	static constexpr what mostly[] = {
		what::info,         what::image_create, what::image_create, what::spawn,         what::spawn,
		what::spawn,        what::list,         what::open,         what::open,          what::control_many,
		what::control_many, what::control,      what::control,      what::control,       what::control,
		what::stat,         what::run,          what::run,          what::run,           what::get_state,
		what::set_state,    what::set_state,    what::strange,      what::read,          what::poll,
		what::close,        what::dup,          what::image_list,   what::image_open,    what::image_tag,
		what::image_remove, what::memory,       what::memory,       what::snapshot,      what::snapshot,
		what::extents,      what::extents,      what::arguments,    what::network,       what::network,
		what::on_demand,    what::on_demand,    what::demand_list,  what::demand_remove,
	};

	if (r.chance(92))
		return r.pick(mostly);
	return static_cast<what>(r.below(static_cast<std::uint64_t>(what::nonblock) + 1));
}

/// The descriptor that a call is meant for, mostly.
inline std::uint8_t random_slot(random &r, what call)
{
	static constexpr std::uint8_t vms[] = {slot_fresh, slot_fresh, slot_waiting, slot_spinning, slot_ended};

	if (r.chance(5))
		return static_cast<std::uint8_t>(r.below(slots));
	switch (call) {
	case what::info:
	case what::image_create:
	case what::spawn:
	case what::list:
	case what::open:
	case what::image_list:
	case what::image_open:
	case what::control_many:
	case what::on_demand:
	case what::demand_list:
	case what::demand_remove:
		return slot_device;
	case what::image_tag:
	case what::image_remove:
	case what::extents:
		return slot_image;
	case what::control:
	case what::stat:
	case what::run:
	case what::get_state:
	case what::set_state:
	case what::read:
	case what::nonblock:
		return r.chance(70) ? r.pick(vms) : static_cast<std::uint8_t>(slot_made + r.below(slots - slot_made));
	case what::close:
	case what::dup2:
		return static_cast<std::uint8_t>(r.chance(80) ? slot_made + r.below(slots - slot_made)
							      : r.below(slots));
	default:
		return static_cast<std::uint8_t>(r.below(slots));
	}
}

inline step random_step(random &r)
{
	const what call = random_call(r);

	return {.call = call,
		.on = random_slot(r, call),
		.to = static_cast<std::uint8_t>(slot_made + r.below(slots - slot_made)),
		.dice = r.next()};
}

inline program fresh_program(random r, std::size_t max_steps)
{
	program p;

	p.lanes.resize(1 + (r.chance(50) ? r.below(max_lanes) : 0));
	for (std::vector<step> &lane : p.lanes)
		for (std::uint64_t n = 1 + r.below(max_steps - 4); n; n--)
			lane.push_back(random_step(r));
	return p;
}

inline void change(program &p, random r, std::size_t max_steps)
{
	for (std::uint64_t n = 1 + r.below(3); n; n--) {
		std::vector<step> &lane = p.lanes[r.below(p.lanes.size())];
		const auto at = lane.begin() + static_cast<std::ptrdiff_t>(r.below(lane.size()));

		switch (r.below(6)) {
		case 0:
		case 1:
			if (lane.size() < max_steps)
				lane.insert(at, random_step(r));
			break;
		case 2:
			if (lane.size() > 1)
				lane.erase(at);
			break;
		case 3:
			at->dice = r.next();
			break;
		case 4:
			at->on = static_cast<std::uint8_t>(r.below(slots));
			break;
		default:
			if (p.lanes.size() < max_lanes)
				p.lanes.push_back(std::vector<step>(lane));
			break;
		}
	}
}

inline program make_program(std::uint64_t seed, const lineage &line, std::size_t max_steps)
{
	program p = fresh_program(random(seed, 4, line.front()), max_steps);

	for (std::size_t i = 1; i < line.size(); i++)
		change(p, random(seed, 5, line[i]), max_steps);
	return p;
}

inline std::string to_string(const lineage &line)
{
	std::string text;

	for (const std::uint64_t number : line)
		text += (text.empty() ? "" : ".") + std::to_string(number);
	return text;
}

}
