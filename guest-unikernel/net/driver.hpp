// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "lwip/netif.h"

#include <cstdint>
#include <mayfly/vm.hpp>
#include <mayfly_net.h>

/// Networks that a VM can have.
constexpr unsigned most_networks = 4;

/// The network device number @p i, from 0, on the device page; null if this VM has none.
const volatile mayfly_device *find_network(unsigned i);

/// A network device: lwIP's packets to its rings, and what has come to lwIP. The rings are in
/// guest memory, so a clone goes on with a copy of them.
class driver
{
public:
	/// Takes the device that there is, and posts buffers. There must be memory for those.
	static driver *create(const volatile mayfly_device &device);

	/// Puts a packet into the ring. It leaves with the next wait_until() or notify().
	err_t send(pbuf *packet);

	/// Hands all that has come to @p interface, and posts what is free again.
	void receive(netif &interface);

	/// Lets go of what has been sent.
	void reclaim();

	/// Bytes of memory behind buffers that wait for packets.
	std::size_t idle_bytes() const { return idle_pages_ * page; }

	/// Gives that memory back to the host.
	void give_back();

	/// Tells the host how many connections are open. A VM that a packet has made is left alone for
	/// longer while there are some.
	void tell_open(std::uint32_t connections)
	{
		if (there_)
			rings().open = connections;
	}

	/// Event port.
	unsigned port() const { return port_; }

	/// This VM goes on from another one, with a device or without. Packets that were under way
	/// are lost.
	void begin_again(bool there);

private:
	struct slot;

	static constexpr std::size_t page = 4096;
	static constexpr unsigned slots_at_first = 2;
	static constexpr unsigned slots_at_most = 16;

	bool add_slots(unsigned count);
	mayfly_net_page &rings() const { return *rings_; }
	void describe(const slot &s);
	void post(slot &s);
	void drop_sending();
	void hand_over(slot &s, std::uint32_t length, netif &interface);
	pbuf *copy_of(slot &s, std::uint16_t length);
	static void release(pbuf *packet);
	bool make_room(unsigned descriptors);

	unsigned port_ = 0;
	mayfly_net_page *rings_ = nullptr;
	bool there_ = true;
	std::uint16_t sent_ = 0;     // entries of the ring that the host has done with
	std::uint16_t received_ = 0; // likewise
	std::uint16_t next_desc_ = 0;
	std::uint16_t free_descs_ = MAYFLY_RING_SIZE;
	std::size_t idle_pages_ = 0;
	unsigned slots_ = 0;
	unsigned posted_ = 0;
	slot *slot_[slots_at_most] = {};
	pbuf *sending_[MAYFLY_RING_SIZE] = {}; // by their first descriptor
	std::uint8_t descs_of_[MAYFLY_RING_SIZE] = {};
};
