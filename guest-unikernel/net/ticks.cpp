// SPDX-License-Identifier: BSD-2-Clause
//
// lwIP's timers, without a timer that always runs. lwIP counts ticks; between two of them that
// matter the VM sleeps, and what it has slept is added when it wakes. So a connection that
// is idle wakes nobody.

#include "ticks.hpp"

#include "lwip/ip4_frag.h"
#include "lwip/priv/tcp_priv.h"

#include <algorithm>
#include <mayfly/events.hpp>

namespace
{

constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr std::uint64_t ns_per_tick = TCP_SLOW_INTERVAL * ns_per_ms;
constexpr std::uint64_t ns_per_reassembly = IP_TMR_INTERVAL * ns_per_ms;
constexpr std::uint32_t never = UINT32_MAX;
constexpr unsigned time_wait_most = 64;
constexpr std::uint32_t time_wait_ms = 2000;                   // the packets of one host do not stray for minutes
constexpr std::uint32_t persist_first = 3, persist_most = 120; // ticks of lwIP's tcp_persist_backoff

std::uint64_t last_tick; // the time that tcp_ticks stands for
// The first pieces of packets are thrown away when the others do not come.
std::uint64_t next_reassembly = MAYFLY_FOREVER;
std::uint64_t end_of_reassembly;

// Ticks until @length of them have passed since @since; lwIP looks for more than that.
std::uint32_t left_of(std::uint32_t since, std::uint32_t length)
{
	const auto passed = tcp_ticks - since;

	return passed > length ? 1 : length + 1 - passed;
}

std::uint32_t ticks_of(std::uint32_t milliseconds)
{
	return milliseconds / TCP_SLOW_INTERVAL;
}

std::uint32_t until_sent_again(const tcp_pcb &pcb)
{
	if (pcb.persist_backoff > 0) {
		const auto wait = std::min(persist_first << (pcb.persist_backoff - 1), persist_most);
		return wait > pcb.persist_cnt ? wait - pcb.persist_cnt : 1;
	}
	if (pcb.unacked == nullptr && pcb.unsent == nullptr)
		return never;
	return pcb.rtime >= 0 && pcb.rto > pcb.rtime ? static_cast<std::uint32_t>(pcb.rto - pcb.rtime) : 1;
}

std::uint32_t until_given_up(const tcp_pcb &pcb)
{
	if (pcb.state == SYN_RCVD)
		return left_of(pcb.tmr, ticks_of(TCP_SYN_RCVD_TIMEOUT));
	if (pcb.state == FIN_WAIT_2 && (pcb.flags & TF_RXCLOSED) != 0)
		return left_of(pcb.tmr, ticks_of(TCP_FIN_WAIT_TIMEOUT));
	if (pcb.state == LAST_ACK)
		return left_of(pcb.tmr, ticks_of(2 * TCP_MSL));
	return never;
}

std::uint32_t until_forgotten(const tcp_pcb &pcb)
{
	return pcb.ooseq != nullptr ? left_of(pcb.tmr, static_cast<std::uint32_t>(pcb.rto) * TCP_OOSEQ_TIMEOUT) : never;
}

std::uint32_t ticks_until(const tcp_pcb &pcb)
{
	if ((pcb.flags & (TF_CLOSEPEND | TF_NAGLEMEMERR)) != 0 || pcb.refused_data != nullptr)
		return 1;
	return std::min({until_sent_again(pcb), until_given_up(pcb), until_forgotten(pcb)});
}

std::uint32_t ticks_until_next()
{
	std::uint32_t least = never;

	for (const auto *pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next)
		least = std::min(least, ticks_until(*pcb));
	for (const auto *pcb = tcp_tw_pcbs; pcb != nullptr; pcb = pcb->next)
		least = std::min(least, left_of(pcb->tmr, ticks_of(time_wait_ms)));
	return least;
}

// As tcp_slowtmr() does it for one tick.
void skip_ticks(std::uint32_t count)
{
	tcp_ticks += count;
	for (auto *pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next) {
		if (pcb->persist_backoff > 0)
			pcb->persist_cnt = static_cast<u8_t>(std::min<std::uint32_t>(pcb->persist_cnt + count,
										     persist_most));
		else if (pcb->rtime >= 0)
			pcb->rtime = static_cast<s16_t>(
				std::min<std::uint32_t>(static_cast<std::uint32_t>(pcb->rtime) + count, INT16_MAX - 1));
	}
}

// lwIP would keep those in TIME_WAIT for two minutes, and each new connection walks past them.
void forget_old()
{
	unsigned kept = 0;

	for (auto *pcb = tcp_tw_pcbs; pcb != nullptr;) {
		auto *next = pcb->next;
		// The list begins with the last.
		if (++kept > time_wait_most || tcp_ticks - pcb->tmr > ticks_of(time_wait_ms))
			tcp_abandon(pcb, 0);
		pcb = next;
	}
}

void advance_reassembly(std::uint64_t now)
{
	while (now >= next_reassembly) {
		ip_reass_tmr();
		next_reassembly = next_reassembly < end_of_reassembly ? next_reassembly + ns_per_reassembly
								      : MAYFLY_FOREVER;
	}
}

}

void expect_fragments(std::uint64_t now)
{
	end_of_reassembly = now + (IP_REASS_MAXAGE + 1) * ns_per_reassembly;
	if (next_reassembly == MAYFLY_FOREVER)
		next_reassembly = now + ns_per_reassembly;
}

void advance_ticks(std::uint64_t now)
{
	const auto count = (now - last_tick) / ns_per_tick;

	advance_reassembly(now);
	if (count == 0)
		return;
	last_tick += count * ns_per_tick;
	skip_ticks(static_cast<std::uint32_t>(count - 1));
	tcp_slowtmr();
	tcp_fasttmr();
	forget_old();
}

std::uint64_t next_tick()
{
	const auto ticks = ticks_until_next();

	return std::min(ticks != never ? last_tick + ticks * ns_per_tick : MAYFLY_FOREVER, next_reassembly);
}

// lwIP's word for "a timer may run now": we look at all of them before each sleep.
extern "C" void tcp_timer_needed() {}
