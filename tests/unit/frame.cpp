// SPDX-License-Identifier: Apache-2.0
//
// Which packets of a guest the host's network may see.

#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>

extern "C" {
#include "net/frame.h"
}

namespace
{

constexpr std::uint16_t mtu = 65520;

class Frame : public ::testing::Test
{
protected:
	using bytes = std::vector<std::uint8_t>;

	static void put(bytes &to, std::size_t at, std::size_t value)
	{
		to.at(at) = static_cast<std::uint8_t>(value >> 8);
		to.at(at + 1) = static_cast<std::uint8_t>(value);
	}
	/// \p payload bytes behind \p options bytes of IP's options, and TCP's header or UDP's.
	static bytes ip4(std::uint8_t protocol, std::size_t payload, std::size_t options = 0)
	{
		const std::size_t transport = 20 + options, header = header_of(protocol);
		bytes packet(transport + header + payload);

		packet[0] = static_cast<std::uint8_t>(0x40 | transport / 4);
		put(packet, 2, packet.size());
		packet[9] = protocol;
		if (protocol == IPPROTO_TCP)
			packet[transport + 12] = 0x50;
		return packet;
	}
	static bytes ip6(std::uint8_t protocol, std::size_t payload)
	{
		const std::size_t header = header_of(protocol);
		bytes packet(40 + header + payload);

		packet[0] = 0x60;
		put(packet, 4, header + payload);
		packet[6] = protocol;
		if (protocol == IPPROTO_TCP)
			packet[52] = 0x50;
		return packet;
	}
	static std::size_t header_of(std::uint8_t protocol)
	{
		return protocol == IPPROTO_TCP ? 20 : protocol == IPPROTO_UDP ? 8 : 0;
	}
	static mayfly_net_header sum(std::uint16_t start, std::uint16_t offset)
	{
		return {.flags = MAYFLY_NET_NEEDS_CSUM,
			.gso_type = MAYFLY_GSO_NONE,
			.hdr_len = 0,
			.gso_size = 0,
			.csum_start = start,
			.csum_offset = offset,
			.num_buffers = 0};
	}
	static mayfly_net_header segments(std::uint8_t type, std::uint16_t size)
	{
		mayfly_net_header header = sum(type == MAYFLY_GSO_TCPV4 ? 20 : 40, 16);

		header.gso_type = type;
		header.gso_size = size;
		return header;
	}
	/// As the module does: of a long packet only the head is copied.
	bool judge(const bytes &packet, const mayfly_net_header &header = {}, std::uint16_t most = mtu)
	{
		const bytes head(packet.begin(),
				 packet.begin() +
					 static_cast<std::ptrdiff_t>(std::min<std::size_t>(packet.size(), FRAME_HEAD)));

		return frame_judge(&frame, &header, head.data(), static_cast<std::uint32_t>(packet.size()), most);
	}

	struct frame frame {};
};

TEST_F(Frame, GoodOnesAreKnown)
{
	ASSERT_TRUE(judge(ip4(IPPROTO_UDP, 4)));
	EXPECT_EQ(frame.version, 4);
	EXPECT_EQ(frame.protocol, IPPROTO_UDP);
	EXPECT_EQ(frame.transport, 20);
	ASSERT_TRUE(judge(ip4(IPPROTO_TCP, 4, 40)));
	EXPECT_EQ(frame.protocol, IPPROTO_TCP);
	EXPECT_EQ(frame.transport, 60);
	ASSERT_TRUE(judge(ip4(IPPROTO_ICMP, 8)));
	EXPECT_EQ(frame.protocol, 0);
	ASSERT_TRUE(judge(ip6(IPPROTO_TCP, 4)));
	EXPECT_EQ(frame.version, 6);
	EXPECT_EQ(frame.transport, 40);
	ASSERT_TRUE(judge(ip6(IPPROTO_ICMPV6, 8)));
}

TEST_F(Frame, LengthsAgree)
{
	for (const std::size_t length : {0u, 1u, 11u, 12u, 19u})
		EXPECT_FALSE(judge(bytes(length, 0x45))) << length;
	EXPECT_TRUE(judge(ip4(0, 0)));
	EXPECT_TRUE(judge(ip6(0, 0)));
	for (const int wrong : {-1, 1}) {
		bytes four = ip4(IPPROTO_UDP, 100), six = ip6(IPPROTO_UDP, 100);

		put(four, 2, four.size() + static_cast<std::size_t>(wrong));
		put(six, 4, six.size() - 40 + static_cast<std::size_t>(wrong));
		EXPECT_FALSE(judge(four));
		EXPECT_FALSE(judge(six));
	}
	EXPECT_FALSE(judge(bytes(39, 0x60))) << "less than a header";
	EXPECT_TRUE(judge(ip4(0, 65535 - 20), {}, 65535));
	EXPECT_FALSE(judge(ip4(0, 65536 - 20), {}, 65535));
}

TEST_F(Frame, TheVersionIsKnown)
{
	for (unsigned first = 0; first < 256; first++) {
		bytes packet = ip4(IPPROTO_UDP, 40);

		packet[0] = static_cast<std::uint8_t>(first);
		EXPECT_EQ(judge(packet), first >> 4 == 4 && (first & 0xf) >= 5 && (first & 0xf) * 4 <= packet.size())
			<< first;
	}
}

TEST_F(Frame, NoneIsLongerThanTheMtu)
{
	EXPECT_TRUE(judge(ip4(IPPROTO_UDP, 1472), {}, 1500));
	EXPECT_FALSE(judge(ip4(IPPROTO_UDP, 1473), {}, 1500));
}

TEST_F(Frame, ASumIsWhereTheProtocolHasIt)
{
	for (unsigned start = 0; start < 200; start++)
		for (unsigned offset = 0; offset < 100; offset++) {
			const auto header = sum(static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(offset));

			EXPECT_EQ(judge(ip4(IPPROTO_TCP, 100, 8), header), start == 28 && offset == 16);
			EXPECT_EQ(judge(ip4(IPPROTO_UDP, 100), header), start == 20 && offset == 6);
			EXPECT_EQ(judge(ip6(IPPROTO_UDP, 100), header), start == 40 && offset == 6);
			EXPECT_FALSE(judge(ip4(IPPROTO_ICMP, 100), header));
		}
	// Where its header is not whole.
	bytes packet = ip4(0, 19);

	packet[9] = IPPROTO_TCP;
	EXPECT_TRUE(judge(packet));
	EXPECT_FALSE(judge(packet, sum(20, 16)));
}

TEST_F(Frame, APartOfADatagramHasNoSum)
{
	for (const unsigned part : {0x2000u, 0x0001u, 0x1fffu}) {
		bytes packet = ip4(IPPROTO_UDP, 100);

		put(packet, 6, part);
		EXPECT_TRUE(judge(packet));
		EXPECT_EQ(frame.protocol, 0);
		EXPECT_FALSE(judge(packet, sum(20, 6)));
	}
	bytes whole = ip4(IPPROTO_UDP, 100);

	put(whole, 6, 0x4000); // do not fragment
	EXPECT_TRUE(judge(whole, sum(20, 6)));
}

TEST_F(Frame, NoFlagIsUnknown)
{
	for (unsigned flags = 0; flags < 256; flags++) {
		auto header = sum(20, 6);

		header.flags = static_cast<std::uint8_t>(flags);
		EXPECT_EQ(judge(ip4(IPPROTO_UDP, 4), header), flags <= 1) << flags;
	}
}

TEST_F(Frame, OnlyTcpIsSegmented)
{
	const bytes four = ip4(IPPROTO_TCP, 30'000), six = ip6(IPPROTO_TCP, 30'000);

	EXPECT_TRUE(judge(four, segments(MAYFLY_GSO_TCPV4, 1460), 1500));
	EXPECT_TRUE(judge(six, segments(MAYFLY_GSO_TCPV6, 1440), 1500));
	EXPECT_FALSE(judge(four, segments(MAYFLY_GSO_TCPV6, 1440)));
	EXPECT_FALSE(judge(six, segments(MAYFLY_GSO_TCPV4, 1440)));
	for (unsigned type = 0; type < 256; type++) {
		auto header = segments(MAYFLY_GSO_TCPV4, 1460);

		header.gso_type = static_cast<std::uint8_t>(type);
		EXPECT_EQ(judge(four, header), type == MAYFLY_GSO_NONE || type == MAYFLY_GSO_TCPV4) << type;
		EXPECT_EQ(judge(ip4(IPPROTO_UDP, 30'000), header), false) << type;
	}
	auto header = segments(MAYFLY_GSO_TCPV4, 1460);

	header.flags = 0;
	EXPECT_FALSE(judge(four, header)) << "without a sum";
}

TEST_F(Frame, SegmentsAreOfASizeThatFits)
{
	const bytes packet = ip4(IPPROTO_TCP, 30'000);

	for (unsigned segment = 0; segment <= 0xffff; segment++)
		ASSERT_EQ(judge(packet, segments(MAYFLY_GSO_TCPV4, static_cast<std::uint16_t>(segment)), 1500),
			  segment >= 496 && segment <= 1460)
			<< segment;
}

TEST_F(Frame, TcpsHeaderIsWhole)
{
	for (unsigned words = 0; words < 16; words++) {
		bytes packet = ip4(IPPROTO_TCP, 30);

		packet[32] = static_cast<std::uint8_t>(words << 4);
		EXPECT_EQ(judge(packet, segments(MAYFLY_GSO_TCPV4, 1000)), words >= 5 && 20 + words * 4 < packet.size())
			<< words;
	}
}

/// Nothing beyond what was copied is read, which the sanitizers would see.
TEST_F(Frame, AnyBytesAreSurvived)
{
	std::mt19937_64 dice(1);
	unsigned good = 0;

	for (unsigned i = 0; i < 300'000; i++) {
		bytes packet(dice() % 200);
		mayfly_net_header header{};

		for (auto &byte : packet)
			byte = static_cast<std::uint8_t>(dice());
		if (packet.size() > 40 && dice() % 4) {
			packet[0] = dice() % 2 ? 0x45 : 0x60;
			put(packet, packet[0] == 0x45 ? 2 : 4, packet.size() - (packet[0] == 0x45 ? 0 : 40));
			packet[packet[0] == 0x45 ? 9 : 6] = dice() % 2 ? IPPROTO_TCP : IPPROTO_UDP;
			packet[6] = packet[0] == 0x45 ? 0x40 : packet[6];
		}
		header.flags = dice() % 2;
		header.gso_type = static_cast<std::uint8_t>(dice() % 2 ? 0 : dice() % 6);
		header.gso_size = static_cast<std::uint16_t>(dice());
		header.csum_start = dice() % 2 ? 20 : 40;
		header.csum_offset = dice() % 2 ? 6 : 16;
		if (judge(packet, header)) {
			good++;
			ASSERT_LE(frame.transport, packet.size());
			ASSERT_TRUE(frame.version == 4 || frame.version == 6);
		}
	}
	EXPECT_GT(good, 30'000u);
}

}
